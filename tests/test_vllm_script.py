"""The script that prepares an environment with vLLM, as far as it goes without installing one."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "tools" / "vllm-cpu-env.sh"


@pytest.mark.parametrize("arguments", [(), ("one", "two"), (str(Path(__file__).parent),)])
def test_a_wrong_use_leaves_everything_alone(arguments, tmp_path):
    done = subprocess.run([SCRIPT, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "usage:" in done.stderr or "exists: give another place" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_it_installs_the_version_that_the_documentation_names():
    version = next(
        line.partition("=")[2]
        for line in SCRIPT.read_text().splitlines()
        if line.startswith("version=")
    )
    assert f"vLLM {version}" in (SCRIPT.parents[1] / "docs" / "backends.md").read_text()


def test_it_is_a_sound_shell_script():
    subprocess.run(["bash", "-n", SCRIPT], check=True)
