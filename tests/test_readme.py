"""The README's commands are CI's, its output is what the command prints, its names exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
GENBENCH = str(Path(sys.executable).with_name("genbench"))
BLOCKS = re.findall(r"^```\w*\n(.*?)^```", README, re.M | re.S)


def test_ci_runs_the_two_commands_of_the_readme_in_an_environment_of_its_own():
    commands = [block.strip() for block in BLOCKS if block.startswith("pip install")]
    assert len(commands) == 2
    script = (ROOT / ".ci" / "run").read_text()
    run, test = commands
    assert f"{{ {test}; }} || exit 1" in script
    assert f"{{ {run}; }} || exit 1" in script
    assert script.index(test) < script.index(run)
    assert "-m venv" in script


def test_the_printed_result_is_what_the_command_prints(tmp_path):
    (shown,) = (block for block in BLOCKS if block.startswith("demo/gp-base on gp-ood-rule"))
    done = subprocess.run(
        [GENBENCH, "run", "--model", "demo/gp-base", "--task", "gp-ood-rule"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    printed = "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())
    # A processor may break a tie its own way.
    assert _rates(printed) == pytest.approx(_rates(shown), abs=2)
    assert printed.splitlines()[0] == shown.splitlines()[0]


def _rates(text):
    """The success rates of the table, in percent."""
    rows = re.findall(r"^((?:id|ood|control-\w+)) .*? ([\d.]+)% \[", text, re.M)
    assert len(rows) == 4
    return {name: float(rate) for name, rate in rows}


def test_every_command_of_the_readme_exists():
    names = set(re.findall(r"^genbench ((?:tasks \w+|train \w+|\w+))", "".join(BLOCKS), re.M))
    assert {"tasks list", "verify", "import"} <= names
    for name in names:
        done = subprocess.run(
            [GENBENCH, *name.split(), "--help"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, name


def test_the_python_of_the_readme_names_what_exists():
    import genbench

    for name in re.findall(r"\bgenbench\.(\w+)\(", README):
        assert callable(getattr(genbench, name))
