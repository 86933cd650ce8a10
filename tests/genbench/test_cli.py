"""The command line as a user meets it: output, exit codes, no traceback."""

import json
import re
import signal
import subprocess
import sys
import time
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


def test_recipes_are_listed_with_their_hardware_and_shown():
    listed = genbench("train", "list").stdout
    assert "gp-rl-quick  (rl)" in listed
    assert "8 GPUs of 80 GB" in listed
    shown = json.loads(genbench("train", "show", "gp-rl-kl", "--set", "rl.beta=0.5").stdout)
    assert (shown["rl"]["algorithm"], shown["rl"]["beta"]) == ("grpo", 0.5)


def test_the_accelerate_configurations_are_found_by_name():
    import yaml

    path = Path(genbench("train", "accelerate", "fsdp").stdout.strip())
    assert yaml.safe_load(path.read_text())["distributed_type"] == "FSDP"
    assert len(genbench("train", "accelerate").stdout.split()) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "rl", "--recipe", "gp-sft", "--output", "x"], "is for `genbench train sft`"),
        (["train", "sft", "--recipe", "gp-stf", "--output", "x"], "did you mean 'gp-sft'"),
        (["train", "accelerate", "fdsp"], "did you mean 'fsdp'"),
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


def test_train_lists_and_shows_recipes():
    assert "gp-base  (base)" in genbench("train", "list").stdout
    shown = json.loads(genbench("train", "show", "gp-base", "--set", "schedule.steps=7").stdout)
    assert shown["schedule"]["steps"] == 7
    assert genbench("train", "base", "--recipe", "gp-bse", "--output", "x").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "demo/gp-bas"], "did you mean 'demo/gp-base'"),
        (["--model", "gp-base"], "did you mean 'demo/gp-base'"),
        (["--model", "agent:orcle"], "did you mean 'oracle'"),
        (["--model", "./nowhere"], "there is no directory ./nowhere"),
        (["--model", "agent:oracle", "--samples", "4"], "--samples"),
        (["--model", "agent:oracle", "--verify-iters", "0"], "--verify-iters"),
        (["--model", "agent:oracle", "--limit", "0"], "--limit"),
        (["--model", "agent:oracle", "--thinking", "of"], "--thinking"),
        (["--model", "agent:oracle", "--batch-size", "many"], "--batch-size"),
        (["--model", "agent:oracle", "--model-args", "x"], "key=value"),
        (["--model", "agent:oracle", "--model-args", "x=1"], "no argument 'x'"),
        (["--model", "agent:oracle", "--backend", "hff"], "did you mean 'hf'"),
        (["--model", "agent:oracle", "--protocol", "papr"], "did you mean 'paper'"),
        (["--model", "agent:oracle", "--stop", ""], "empty stop string"),
        (["--model", "agent:oracle", "--seed", "one"], "--seed"),
    ],
)
def test_a_run_that_cannot_succeed_is_refused_in_a_moment(tmp_path, arguments, message):
    result = genbench("run", "--task", "gp-ood-rule", "--output", str(tmp_path), *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("*.json*"))


def test_a_run_that_is_refused_leaves_nothing_and_one_that_was_begun_stays(tmp_path):
    arguments = ["run", "--model", "demo/gp-base", "--task", "gp-ood-rule", "--limit", "2"]
    arguments += ["--output", str(tmp_path)]
    (tmp_path / "mine.txt").write_text("kept")
    refused = genbench(*arguments, "--max-new-tokens", "5000")
    assert refused.returncode == 2
    assert "context of this checkpoint (1024 tokens) is too short" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    refused = genbench(*arguments, "--backend", "lm-eval:dummy")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_ctrl_c_exits_130_says_how_to_go_on_and_loses_nothing(tmp_path):
    arguments = ["run", "--model", "agent:random", "--task", "gp-targets-ood-rule"]
    arguments += ["--batch-size", "1", "--output", str(tmp_path)]
    process = subprocess.Popen(
        [GENBENCH, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        # Started in the background, this process may have been told to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in tmp_path.rglob("journal.jsonl")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in said
    assert "Traceback" not in said
    (journal,) = tmp_path.rglob("journal.jsonl")
    assert journal.stat().st_size > 0


def test_several_tasks_are_scored_in_one_go_and_printed_as_json(tmp_path):
    result = genbench(
        "run", "--model", "agent:oracle", "--task", "gp-ood-rule", "--task", "gp-ood-target",
        "--limit", "3", "--output", str(tmp_path), "--json",
    )  # fmt: skip
    assert result.returncode == 0
    names = [found["task"]["name"] for found in json.loads(result.stdout)]
    assert names == ["gp-ood-rule", "gp-ood-target"]


def test_a_reader_that_stops_reading_is_no_error_to_report():
    listing = subprocess.Popen(
        [GENBENCH, "tasks", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    listing.stdout.close()
    assert listing.stderr.read() == ""
    listing.wait()


@pytest.mark.parametrize("task", ["gp-ood-rule", "gp-ood-rule-family"])
@pytest.mark.parametrize("width", [80, 200])
def test_the_table_of_a_run_fits_the_terminal_and_cuts_nothing(tmp_path, task, width):
    import io

    from rich.console import Console

    import genbench
    from genbench.cli import tables

    results = genbench.run("agent:memoriser", task, output=tmp_path, limit=20)
    shown = io.StringIO()
    tables.print_results(results, console=Console(file=shown, width=width, highlight=False))
    lines = shown.getvalue().splitlines()
    assert not [line for line in lines if "…" in line]
    start = next(number for number, line in enumerate(lines) if line.startswith("split "))
    assert not [line for line in lines[start:] if line != line.rstrip()]
    table = lines[start : lines.index("", start)]
    assert max(map(len, table)) <= width
    split = results.splits["id"]
    assert sum(tables.rate(split.success_rate) in line for line in table) >= 1
    assert len(table) == (1 if width == 200 else 2) * (1 + len(results.splits))


def test_a_table_on_a_terminal_keeps_its_style_and_ends_where_its_text_does():
    import io

    from rich.console import Console
    from rich.table import Table

    from genbench.cli.layout import print_table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("name")
    table.add_column("what")
    table.add_row("a", "a long text")
    table.add_row("b", "")
    table.add_row("", "", end_section=True)
    shown = io.StringIO()
    console = Console(file=shown, width=40, force_terminal=True, color_system="standard")
    print_table(console, table)
    head, *rows, empty, end = shown.getvalue().split("\n")
    assert (head[:4], head[-8:]) == ("\x1b[1m", "what\x1b[0m")
    assert rows == ["a     a long text", "b"]
    assert empty == end == ""


def test_show_lists_the_protocols_and_what_each_split_sets(command):
    shown = command("tasks", "show", "gp-vl-ood-visual", "--protocol", "suits", "--n", 0).stdout
    lines = shown.splitlines()
    assert "look.suit-colour black" in lines[3]
    assert [line for line in lines if re.match(r"ood-red  .* 0\.72%  look.suit-colour red$", line)]
    start = next(n for n, line in enumerate(lines) if line.startswith("protocols"))
    told = lines[start + 1 : lines.index("", start)]
    assert [line.split()[:2] for line in told] == [
        ["paired", "paired"], ["*", "suits"], ["kinds", "paired"], ["paper", "unpaired"],
    ]  # fmt: skip
    assert told[0].endswith("id: face-10; ood: look.suit-colour red")
    assert "ood-jpeg: look.jpeg 3" in told[2]
    assert told[3].endswith(
        "id: face-10, sampling paper, n 234, seed 42; ood: look.suit-colour red"
    )
    found = json.loads(command("tasks", "show", "gp-vl-ood-visual", "--json").stdout)
    assert list(found["protocols"]) == ["paired", "suits", "kinds", "paper"]
    assert found["protocols"]["kinds"]["splits"]["ood-blur"] == {
        "role": "ood", "rule": "face-10", "settings": {"look": {"blur": 3}},
    }  # fmt: skip
    assert found["splits"]["ood"]["settings"] == {"look": {"suit-colour": "red"}}


def test_a_wrong_protocol_gets_the_names_of_those_there_are(command):
    done = command("tasks", "show", "gp-ood-cards", "--protocol", "paper")
    assert done.returncode == 2
    assert "has no protocol 'paper'; did you mean 'paired'? It has: paired\n" in done.stderr
    done = command("tasks", "show", "gp-vl-ood-visual", "--protocol", "xyz")
    assert "has no protocol 'xyz'; there is: kinds, paired, paper, suits\n" in done.stderr


def test_ctrl_c_is_said_and_exits_130(monkeypatch, command):
    from genbench import comparison

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "compare", interrupted)
    done = command("compare", "a", "b")
    assert done.returncode == 130
    assert done.stderr == "genbench: interrupted\n"
