"""A sweep in jobs smaller than checkpoints: the same files, whichever job ends when."""

import json
import shutil

import pytest
from test_sweep import SCORING, SETTINGS, TASK, contents

from genbench.models.interface import LoadOptions
from genbench.sweep import Scoring, plan_sweep, play_sweep


def swept(series, output, **more):
    options = LoadOptions(device="cpu")
    plan = plan_sweep([series / "trainings"], [SCORING], output, options=options)
    return plan, play_sweep(plan, **more)


@pytest.fixture(scope="module")
def whole(series, tmp_path_factory):
    """A sweep by one process, a job a checkpoint."""
    output = tmp_path_factory.mktemp("whole")
    assert swept(series, output)[1] == []
    return output


@pytest.fixture(scope="module")
def sharded(series, tmp_path_factory):
    output = tmp_path_factory.mktemp("sharded")
    assert swept(series, output, workers=2, shards=3)[1] == []
    return output


def test_a_sweep_in_shards_has_the_files_of_one_process_and_leaves_nothing_else(sharded, whole):
    assert contents(sharded) == contents(whole)
    assert not list(sharded.rglob("shards"))
    headers = [json.loads(path.read_text()) for path in sharded.rglob("run.json")]
    assert [len(one["execution"]["shards"]) for one in headers] == [3, 3, 3, 3]


def test_nothing_is_played_twice(series, sharded, tmp_path):
    output = shutil.copytree(sharded, tmp_path / "again")
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.json")}
    assert swept(series, output, workers=2, shards=3)[1] == []
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.json")} == before


def test_what_was_played_before_a_stop_is_kept(series, whole, tmp_path):
    """Shards are stopped at every moment: begun, finished, merged and not yet removed."""
    plan, _ = None, None
    options = LoadOptions(device="cpu")
    plan = plan_sweep([series / "trainings"], [SCORING], tmp_path, options=options)
    seen = []

    def some(jobs, *, told, ended):
        """Runs all jobs but the last, and is stopped before any of them is merged."""
        for job in jobs[:-1]:
            job.target(*job.arguments, seen.append)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play_sweep(plan, shards=2, run=some)
    assert max(what.done for what in seen) == 8
    asked = []

    def rest(jobs, *, told, ended):
        from genbench.jobs import Ended

        for job in jobs:
            asked.append(job.name)
            job.target(*job.arguments, lambda what: None)
            ended(Ended(job, None, 0.0))

    assert play_sweep(plan, shards=2, run=rest) == []
    assert asked == [f"sft/step-10 on {TASK}, shard 2/2"]
    assert contents(tmp_path) == contents(whole)


def test_a_fault_names_its_job_and_the_others_go_on(series, tmp_path, command):
    copied = shutil.copytree(series / "trainings", tmp_path / "copied")
    config = copied / "rl" / "step-3" / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 64', '"hidden_size": 32'))
    result = command(
        "sweep", copied, "--task", TASK, "--output", tmp_path / "s", *SETTINGS, "--shards", 2
    )
    assert result.returncode == 3
    assert "1 checkpoint could not be scored" in result.stderr
    assert f"rl/step-3 on {TASK}, shard 1/2: " in result.stderr
    assert len(list((tmp_path / "s" / "runs").rglob("results.json"))) == 3


def test_a_checkpoint_that_changes_while_the_sweep_runs_is_not_mixed(series, tmp_path):
    copied = shutil.copytree(series / "trainings", tmp_path / "copied")
    options = LoadOptions(device="cpu")
    plan = plan_sweep([copied / "rl"], [SCORING], tmp_path / "s", options=options)
    weights = copied / "sft" / "step-10" / "model.safetensors"
    target = copied / "rl" / "step-3"
    shutil.copy(weights, target / "model.safetensors")
    (target / "genbench_training.json").write_text("{}")
    faults = play_sweep(plan, shards=2)
    assert {fault.label for fault in faults} == {"rl/step-3"}
    assert all("here it is another run" in fault.reason for fault in faults)


def test_more_shards_than_instances_are_refused(series, tmp_path, command):
    arguments = ("--task", TASK, "--output", tmp_path / "s", *SETTINGS, "--shards", 4)
    result = command("sweep", series / "trainings", *arguments)
    assert result.returncode == 2
    assert "there can be 3 shards at most" in result.stderr


def test_two_ways_of_asking_one_task_are_two_runs(series, tmp_path):
    sampled = Scoring(TASK, SCORING.questions, {**SCORING.settings, "temperature": 1.0})
    plan = plan_sweep(
        [series / "trainings" / "rl"], [SCORING, sampled], tmp_path,
        options=LoadOptions(device="cpu"),
    )  # fmt: skip
    assert play_sweep(plan, workers=2, shards=2) == []
    assert len(list((tmp_path / "runs").rglob("results.json"))) == 4
