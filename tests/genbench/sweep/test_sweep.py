"""A sweep finds, orders, scores and resumes; how many are at work changes no byte."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import genbench
from genbench.checkpoints import find_base, find_checkpoints
from genbench.errors import UsageError
from genbench.models.interface import LoadOptions
from genbench.sweep import Scoring, plan_sweep, play_sweep

TASK = "gp-ood-rule"
SETTINGS = ("--limit", 3, "--verify-iters", 1, "--max-new-tokens", 24, "--device", "cpu")
SCORING = Scoring(TASK, {"limit": 3}, {"verify_iters": 1, "max_new_tokens": 24})


def swept(paths, output, workers=1, **more):
    plan = plan_sweep(paths, [SCORING], output, options=LoadOptions(device="cpu"), **more)
    return plan, play_sweep(plan, workers)


def contents(output):
    return {
        str(path.relative_to(output)): path.read_bytes()
        for name in ("episodes.jsonl", "results.json")
        for path in sorted(output.rglob(name))
    }


@pytest.fixture(scope="module")
def whole(series, tmp_path_factory):
    """An uninterrupted sweep by one process at a time."""
    output = tmp_path_factory.mktemp("whole")
    plan, faults = swept([series / "trainings"], output)
    assert faults == []
    return plan, output


def test_checkpoints_are_in_the_order_of_training_run_and_step(series):
    found = [one.folder.relative_to(series) for one in find_checkpoints([series / "trainings"])]
    assert list(map(str, found)) == [
        "trainings/rl/step-3", "trainings/sft/step-2", "trainings/sft/step-10",
    ]  # fmt: skip
    twice = find_checkpoints([series / "trainings", series / "trainings" / "rl"])
    assert len(twice) == 3


def test_the_common_parent_by_record_is_scored_first(whole, series):
    plan, _ = whole
    assert [one.is_base for one in plan.subjects] == [True, False, False, False]
    assert plan.subjects[0].model == str(series / "base")


def test_a_base_that_is_among_the_folders_is_scored_once(series, tmp_path):
    plan = plan_sweep([series], [SCORING], tmp_path)
    assert plan.subjects[0].label == "base"
    assert len(plan.subjects) == 4


def test_every_run_is_the_one_that_genbench_run_makes(whole, series, tmp_path):
    plan, output = whole
    subject = plan.subjects[-1]
    genbench.run(
        subject.model, TASK, output=tmp_path, limit=3, verify_iters=1, max_new_tokens=24,
        device="cpu",
    )  # fmt: skip
    mine = contents(tmp_path)
    assert len(mine) == 2
    assert all(contents(output / "runs")[name] == text for name, text in mine.items())


def test_the_number_of_workers_changes_no_byte(whole, series, tmp_path):
    _, faults = swept([series / "trainings"], tmp_path, workers=3)
    assert faults == []
    assert contents(tmp_path) == contents(whole[1])


def test_one_table_one_report_and_a_second_call_that_plays_nothing(
    whole, series, tmp_path, command
):
    output = shutil.copytree(whole[1], tmp_path / "sweep")
    before = {path: path.stat().st_mtime_ns for path in output.rglob("run.json")}
    result = command("sweep", series / "trainings", "--task", TASK, "--output", output, *SETTINGS)
    assert result.returncode == 0, result.stderr
    assert f"{TASK}, greedy: first attempts, n=3" in result.stdout
    rows = [line.split()[0] for line in result.stdout.splitlines() if "step-" in line]
    assert rows == ["rl/step-3", "sft/step-2", "sft/step-10"]
    assert "(base)" in result.stdout
    assert (output / "report" / "index.html").is_file()
    assert (output / "report" / "figures" / TASK / "scaling.png").is_file()
    assert {path: path.stat().st_mtime_ns for path in output.rglob("run.json")} == before
    shown = command(
        "sweep", series / "trainings", "--task", TASK, "--output", output, *SETTINGS, "--json"
    )
    found = json.loads(shown.stdout)
    assert [one["step"] for one in found["checkpoints"]] == [1, 3, 2, 10]
    assert found["failed"] == {}
    first = found["checkpoints"][1]
    results = genbench.load_run(first["folder"]).results
    assert first["ood_rate"] == results.splits["ood"].success_rate.model_dump(mode="json")
    assert first["gap"] == results.generalization["ood"].gap.model_dump(mode="json")


def test_a_sweep_killed_at_any_moment_goes_on_and_ends_with_the_same_bytes(whole, series, tmp_path):
    arguments = ["sweep", series / "trainings", "--task", TASK, "--output", tmp_path, *SETTINGS]
    process = subprocess.Popen(
        [sys.executable, "-m", "genbench", *map(str, arguments), "--workers", "2"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not any(tmp_path.rglob("journal.jsonl")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)  # its processes end with it: else their folders would be refused now
    assert len(list(tmp_path.rglob("results.json"))) < 4
    _, faults = swept([series / "trainings"], tmp_path, workers=2)
    assert faults == []
    assert contents(tmp_path) == contents(whole[1])


@pytest.fixture
def copied(series, tmp_path):
    return Path(shutil.copytree(series / "trainings", tmp_path / "copied"))


def test_a_checkpoint_that_cannot_be_scored_is_named_and_the_others_go_on(
    copied, tmp_path, command
):
    weights = copied / "sft" / "step-2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    config = copied / "rl" / "step-3" / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 64', '"hidden_size": 32'))
    result = command("sweep", copied, "--task", TASK, "--output", tmp_path / "s", *SETTINGS)
    assert result.returncode == 3, result.stderr
    assert "2 checkpoints could not be scored" in result.stderr
    assert "sft/step-2" in result.stderr
    assert "rl/step-3" in result.stderr
    assert "Traceback" not in result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines() if "step-" in line] == [
        "sft/step-10"
    ]
    assert (tmp_path / "s" / "report" / "index.html").is_file()


def test_a_record_of_other_weights_is_a_fault(copied, series, tmp_path):
    shutil.copy(series / "base" / "model.safetensors", copied / "sft" / "step-2")
    plan = plan_sweep([copied], [SCORING], tmp_path / "s")
    assert [label for label, _ in plan.unusable] == ["sft/step-2"]
    assert "of other weights" in plan.unusable[0][1]


REFUSALS = {
    "no-folder": (["nowhere"], "there is no folder"),
    "no-checkpoint": (["empty"], "holds no checkpoint"),
    "a-file": (["file"], "is a file"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_folders_are_refused_in_a_sentence(case, tmp_path, command):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    folders, said = REFUSALS[case]
    result = command(
        "sweep", *(tmp_path / one for one in folders), "--task", TASK, "--output", tmp_path / "s"
    )
    assert result.returncode == 2
    assert said in result.stderr
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--task", "gp-ood-ruel"], "did you mean 'gp-ood-rule'?"),
        (["--task", TASK, "--samples", 2], "--samples"),
        (["--task", TASK, "--base", "demo/gp-bas"], "did you mean 'demo/gp-base'?"),
        (["--task", TASK, "--batch-size", "many"], "--batch-size"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(more, said, series, tmp_path, command):
    result = command("sweep", series / "trainings", "--output", tmp_path / "s", *more)
    assert result.returncode == 2
    assert said in result.stderr
    assert not list(tmp_path.rglob("run.json"))


def test_an_unfinished_training_is_refused(copied):
    (copied / "sft" / "genbench_recipe.json").write_text("{}")
    find_checkpoints([copied])  # without states it is over
    (copied / "sft" / "trainer" / "checkpoint-6").mkdir(parents=True)
    with pytest.raises(UsageError, match="sft is an unfinished training"):
        find_checkpoints([copied])
    state = copied / "sft" / "trainer" / "checkpoint-6" / "trainer_state.json"
    state.write_text('{"max_steps": 20}')
    with pytest.raises(UsageError, match="unfinished training"):
        find_checkpoints([copied])
    state.write_text('{"max_steps": 10}')  # killed after its last checkpoint
    assert len(find_checkpoints([copied])) == 3


def test_half_written_checkpoints_are_passed_over(copied):
    (copied / "sft" / "step-10").rename(copied / "sft" / ".step-10.partial")
    assert len(find_checkpoints([copied])) == 2


def test_checkpoints_without_a_common_parent_need_a_base(copied, series):
    record = copied / "rl" / "step-3" / "genbench_training.json"
    content = json.loads(record.read_text())
    content["parent"] = {"name": "elsewhere", "weights_fingerprint": "f" * 64}
    record.write_text(json.dumps(content))
    found = find_checkpoints([copied])
    with pytest.raises(UsageError, match="no common parent"):
        find_base(found, None)
    assert find_base(found, str(series / "base")).name == str(series / "base")


def test_a_parent_that_is_gone_or_changed_is_asked_for(copied, series, tmp_path):
    moved = Path(shutil.copytree(series / "base", tmp_path / "moved"))
    for path in copied.rglob("genbench_training.json"):
        content = json.loads(path.read_text())
        content["parent"]["name"] = str(moved)
        path.write_text(json.dumps(content))
    assert find_base(find_checkpoints([copied]), None).name == str(moved)
    shutil.copy(copied / "sft" / "step-10" / "model.safetensors", moved)
    with pytest.raises(UsageError, match=r"other weights now.*--base"):
        find_base(find_checkpoints([copied]), None)
    shutil.rmtree(moved)
    with pytest.raises(UsageError, match=r"cannot be found.*--base"):
        find_base(find_checkpoints([copied]), None)
