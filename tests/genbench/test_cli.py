"""The command line as a user meets it: output, exit codes, no traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

GENBENCH = str(Path(sys.executable).with_name("genbench"))


def genbench(*arguments):
    return subprocess.run([GENBENCH, *arguments], capture_output=True, text=True, check=False)


def test_help_names_the_commands():
    result = genbench("--help")
    assert result.returncode == 0
    assert "tasks" in result.stdout


def test_nothing_heavy_is_imported_for_help_and_list():
    code = (
        "import sys; sys.argv = ['genbench', 'tasks', 'list']\n"
        "from genbench.cli.entry import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'pandas', 'scipy', 'numpy', 'pydantic'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "gp-ood-rule" in result.stdout


def test_show_prints_size_chance_power_and_certificate():
    found = json.loads(genbench("tasks", "show", "gp-ood-rule", "--json").stdout)
    assert found["splits"]["ood"]["n"] == 261
    assert found["splits"]["ood"]["clusters"] == 80
    assert found["certificate"]["splits"]["ood"]["problem_may_be_trained"] == 0
    text = genbench("tasks", "show", "gp-ood-rule", "--split", "ood").stdout
    assert "J counts as 11, Q counts as 12, K counts as 13" in text
    assert "minimum detectable gap" in text


def test_check_passes_a_bundled_task():
    result = genbench("tasks", "check", "gp-ood-rule")
    assert result.returncode == 0
    assert "paper/ood: 234 instances; right of 25: oracle 25, memoriser 0" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tasks", "show", "gp-ood-rul"], "did you mean 'gp-ood-rule'"),
        (["tasks", "show", "gp-ood-rule", "--split", "odd"], "did you mean 'ood'"),
        (["tasks", "show", "gp-ood-rule", "--prompt", "papr"], "did you mean 'paper'"),
        (["tasks", "show", "./none.yaml"], "there is no task file"),
        (["tasks", "shw"], "No such command"),
    ],
)
def test_bad_input_exits_2_with_a_sentence_and_no_traceback(arguments, message):
    result = genbench(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
