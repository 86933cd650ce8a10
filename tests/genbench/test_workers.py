"""One run on several processes: the files of one process, whatever ends on the way."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

import genbench
from genbench.errors import StoreError, UsageError
from genbench.evaluation import execute, prepare
from genbench.folders import find_runs
from genbench.models import find_backend
from genbench.models.interface import LoadOptions
from genbench.models.loader import Loader
from genbench.sharding.shares import SharedRun
from genbench.sharding.workers import execute_shared, usable_workers

FILES = ("episodes.jsonl", "results.json")
TASK = "gp-ood-rule"
AGENT = ("run", "--model", "agent:random", "--task", TASK, "--limit", 7, "--verify-iters", 3)


def contents(output):
    return {
        str(path.relative_to(output)): path.read_bytes()
        for name in FILES
        for path in sorted(output.rglob(name))
    }


def done(result):
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The agent's run by one process."""
    output = tmp_path_factory.mktemp("one")
    genbench.run("agent:random", TASK, output=output, limit=7, verify_iters=3)
    return output


@pytest.fixture
def begun(tmp_path):
    """A function that plays some turns of the agent's run, and is interrupted: as a whole, or each
    of so many shards."""

    def begin(shards=1):
        task = genbench.load_task(TASK, limit=7)
        options = LoadOptions(batch_size=4)
        output = tmp_path / "begun"
        settings = {"verify_iters": 3}
        evaluation, backend = prepare(
            "agent:random", task, output=output, options=options, **settings
        )
        load = Loader(backend, evaluation.identity).load

        def stop(progress):
            raise KeyboardInterrupt

        run = SharedRun(
            "run", "agent:random", task, settings, evaluation.folder.path, output, None, options
        )
        with pytest.raises(KeyboardInterrupt):
            execute_shared(evaluation, run, backend, load, shards, report=stop)
        return output

    return begin


# -- the same files --------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [2, 7])
def test_workers_make_the_files_of_one_process(one, tmp_path, command, workers):
    shown = done(command(*AGENT, "--output", tmp_path, "--workers", workers, "--json"))
    assert contents(tmp_path) == contents(one)
    (header,) = tmp_path.rglob("run.json")
    assert {path.name for path in header.parent.iterdir()} == {"run.json", *FILES}
    execution = json.loads(header.read_text())["execution"]
    assert len(execution["shards"]) == workers
    assert json.loads(shown.stdout) == json.loads((header.parent / "results.json").read_text())
    assert command("verify", header.parent).returncode == 0
    again = done(command(*AGENT, "--output", tmp_path, "--workers", workers))
    assert "finished before" in again.stderr


def test_workers_of_a_model_have_one_thread_each_and_share_a_cache(tiny_llama, tmp_path, command):
    asked = (
        "run", "--model", tiny_llama, "--task", TASK, "--limit", 4, "--verify-iters", 2,
        "--max-new-tokens", 16, "--device", "cpu",
    )  # fmt: skip
    done(command(*asked, "--output", tmp_path / "one"))
    cache = ("--cache", tmp_path / "cache")
    done(command(*asked, "--output", tmp_path / "two", "--workers", 2, *cache))
    done(command(*asked, "--output", tmp_path / "cached", "--workers", 2, *cache))
    assert len(contents(tmp_path / "one")) == 2
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert contents(tmp_path / "cached") == contents(tmp_path / "one")
    for output, answers in (("two", "misses"), ("cached", "hits")):
        for path in (tmp_path / output).rglob("run.json"):
            execution = json.loads(path.read_text())["execution"]
            assert execution["plan"]["threads"] == 1
            assert [part["events"]["cache"][answers] > 0 for part in execution["shards"]] == [
                True, True,
            ]  # fmt: skip


def test_a_loaded_task_is_built_anew_in_each_process(tmp_path):
    task = genbench.load_task("gp-targets-ood-rule", limit=5, prompt="reasoned")
    task.check_instances()
    sent = pickle.dumps(task)
    assert len(sent) < 10_000, "the instances are not sent"
    assert pickle.loads(sent).fingerprint == task.fingerprint  # noqa: S301
    results = [
        genbench.run("agent:memoriser", task, output=tmp_path / str(count), workers=count)
        for count in (1, 2)
    ]
    assert results[0] == results[1]
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_tasks_are_played_one_after_another(tmp_path, command):
    tasks = ("--task", TASK, "--task", "gp-targets-ood-rule", "--limit", 4)
    asked = ("run", "--model", "agent:memoriser", *tasks)
    shown = [
        done(command(*asked, "--output", tmp_path / str(count), "--workers", count)).stdout
        for count in (1, 2)
    ]
    assert shown[0].replace(str(tmp_path / "1"), "") == shown[1].replace(str(tmp_path / "2"), "")
    assert len(contents(tmp_path / "2")) == 4
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_paths_may_be_relative_to_where_the_caller_went(one, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    genbench.run("agent:random", TASK, output="runs", limit=7, verify_iters=3, workers=2)
    assert contents(tmp_path / "runs") == contents(one)


def test_there_are_no_more_workers_than_instances(tmp_path, command):
    asked = ("run", "--model", "agent:oracle", "--task", TASK, "--output", tmp_path)
    done(command(*asked, "--limit", 2, "--workers", 5))
    done(command(*asked, "--limit", 1, "--workers", 5))
    headers = [json.loads(path.read_text()) for path in tmp_path.rglob("run.json")]
    assert sorted(len(one["execution"].get("shards", [])) for one in headers) == [0, 2]


def test_progress_is_that_of_the_whole_run(tmp_path):
    task = genbench.load_task(TASK, limit=7)
    options = LoadOptions(batch_size=4)
    evaluation, backend = prepare("agent:oracle", task, output=tmp_path, options=options)
    run = SharedRun(
        "run", "agent:oracle", task, {}, evaluation.folder.path, tmp_path, None, options
    )
    seen = []
    execute_shared(evaluation, run, backend, backend.load, 2, report=seen.append)
    assert {progress.episodes for progress in seen} == {28}
    assert len({progress.done for progress in seen}) > 4
    assert (seen[-1].done, seen[-1].first_solved) == (28, 28)


# -- what was begun --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "at_once"), [((), 1), (("--workers", 3), 2), (("--workers", 2), None)]
)
def test_a_run_begun_in_shards_goes_on_in_them(one, begun, command, more, at_once):
    output = begun(shards=2)
    assert turns(output) > 0
    assert [path.parent for path in output.rglob("shards")] == find_runs([output])[1]
    result = done(command(*AGENT, "--output", output, *more))
    said = f"(it was begun in 2 shards, and goes on in these, {at_once} at once)"
    assert (said in result.stderr) == (at_once is not None)
    assert contents(output) == contents(one)
    assert not list(output.rglob("shards"))


def test_a_run_begun_as_a_whole_goes_on_as_one(one, begun, command):
    output = begun()
    assert turns(output) > 0
    result = done(command(*AGENT, "--output", output, "--workers", 2))
    assert "(it was begun by one process, and goes on in one)" in result.stderr
    assert contents(output) == contents(one)
    (header,) = output.rglob("run.json")
    assert "shards" not in json.loads(header.read_text())["execution"]


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_is_begun_anew_as_it_is_asked(one, begun, command, shards, workers):
    output = begun(shards)
    result = done(command(*AGENT, "--output", output, "--no-resume", "--workers", workers))
    assert "begun" not in result.stderr
    assert contents(output) == contents(one)
    (header,) = output.rglob("run.json")
    assert len(json.loads(header.read_text())["execution"].get("shards", [0])) == workers
    assert not list(output.rglob("shards"))


def test_shards_without_a_turn_bind_nobody(one, begun, command):
    output = begun(shards=3)
    for path in output.rglob("journal.jsonl"):
        path.write_bytes(b"")
    result = done(command(*AGENT, "--output", output, "--workers", 2))
    assert "begun" not in result.stderr
    assert contents(output) == contents(one)


def test_a_run_in_shards_is_not_played_as_a_whole_beside_them(begun):
    output = begun(shards=2)
    task = genbench.load_task(TASK, limit=7)
    evaluation, backend = prepare("agent:random", task, output=output, verify_iters=3)
    with pytest.raises(StoreError, match="was begun in shards"):
        execute(evaluation, Loader(backend, evaluation.identity).load, LoadOptions())


def test_a_new_shard_must_fit_the_others(begun, command):
    output = begun(shards=2)
    (header, *_) = output.rglob("shard.json")
    content = json.loads(header.read_text())
    content["execution"]["plan"]["versions"]["genbench"] = "0.0.1"
    header.write_text(json.dumps(content))
    header.with_name("journal.jsonl").unlink()
    (other,) = set(output.rglob("*-of-2")) - {header.parent}
    for path in other.iterdir():
        path.unlink()
    (other / "journal.jsonl").write_bytes(b'{"torn')
    result = command(*AGENT, "--output", output)
    assert result.returncode == 2
    assert 'versions.genbench: "0.0.1" there, ' in result.stderr


def test_what_was_merged_and_not_yet_removed_is_removed(one, begun, command):
    output = begun(shards=2)
    (shards,) = output.rglob("shards")
    kept = shutil.copytree(shards, output.parent / "kept")
    done(command(*AGENT, "--output", output))
    shutil.copytree(kept, shards)
    assert "finished before" in done(command(*AGENT, "--output", output, "--workers", 2)).stderr
    assert not shards.exists()
    assert contents(output) == contents(one)


def test_two_commands_do_not_work_on_one_run(begun, command):
    import fcntl

    output = begun(shards=2)
    (shard,) = output.rglob("1-of-2")
    descriptor = os.open(shard, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for more in (("--workers", 2), ("--no-resume",), ("--no-resume", "--workers", 2)):
            result = command(*AGENT, "--output", output, *more)
            assert result.returncode == 2
            assert f"another process is working in {shard}" in result.stderr
            # Of the other shard, too: it is in its journal, or was played to its end.
            assert turns(output) or list(output.rglob("shard-results.json"))
    finally:
        os.close(descriptor)


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_checkpoint_that_does_not_load_is_told_of_once_and_leaves_nothing(
    tiny_llama, copy_of, tmp_path, command
):
    broken = copy_of(tiny_llama)
    config = broken / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 64', '"hidden_size": 32'))
    asked = ("run", "--model", broken, "--task", TASK, "--limit", 4, "--device", "cpu")
    alone = command(*asked, "--output", tmp_path / "one")
    result = command(*asked, "--output", tmp_path / "two", "--workers", 2)
    assert (alone.returncode, result.returncode) == (2, 2)
    assert result.stderr == alone.stderr
    assert not list((tmp_path / "two").rglob("*"))


def test_a_shard_that_cannot_be_written_is_named_and_the_other_is_kept(one, begun, command):
    output = begun(shards=2)
    (first,) = output.rglob("1-of-2")
    for path in first.iterdir():
        path.unlink()
    (first / "journal.jsonl").mkdir()
    result = command(*AGENT, "--output", output, "--workers", 2)
    assert result.returncode == 3
    assert "shard 1/2: " in result.stderr
    assert "journal.jsonl cannot be written: Is a directory" in result.stderr
    assert (first.parent / "2-of-2" / "shard-results.json").is_file()
    (first / "journal.jsonl").rmdir()
    done(command(*AGENT, "--output", output))
    assert contents(output) == contents(one)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--workers", 0), "--workers: a whole number from 1, or auto, not '0'"),
        (("--workers", "two"), "--workers: a whole number from 1, or auto, not 'two'"),
        (("--workers", 2, "--shard", "1/2"), "--workers and --shard: "),
        (("--workers", "auto", "--shard", "1/2"), "--workers and --shard: "),
        (("--workers", 2, "--backend", "api"), "concurrency=N says how many requests"),
        (("--workers", 2, "--backend", "vllm"), "data_parallel_size=N"),
        (("--workers", 2, "--backend", "lm-eval:vllm"), "not for lm-eval:vllm"),
    ],
)
def test_what_is_refused(tmp_path, command, arguments, message):
    result = command("run", "--model", "x", "--task", TASK, "--output", tmp_path, *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


def test_several_processes_do_not_share_a_gpu(monkeypatch):
    import torch

    backend = find_backend("demo/gp-base")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(UsageError, match="would share cuda"):
        usable_workers(2, backend, LoadOptions())
    assert usable_workers("auto", backend, LoadOptions()) == 1
    assert usable_workers(2, backend, LoadOptions(device="cpu")) == 2
    assert usable_workers("auto", backend, LoadOptions(device="cpu")) >= 1
    with pytest.raises(UsageError, match="not -1"):
        usable_workers(-1, backend, LoadOptions())


UNGUARDED = """
import sys, genbench
genbench.run("agent:oracle", "gp-ood-rule", limit=2, output=sys.argv[1], workers=2)
"""


def test_a_script_that_would_start_itself_again_is_told_what_to_do(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    result = subprocess.run(
        [sys.executable, script, tmp_path / "runs"],
        capture_output=True, text=True, env=environment(), timeout=200,
    )  # fmt: skip
    assert result.returncode == 1
    assert "put the call below `if __name__ == '__main__':`" in result.stderr


# -- processes that are killed ---------------------------------------------------------------------


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def turns(output):
    return sum(path.read_bytes().count(b"\n") for path in output.rglob("journal.jsonl"))


def at_work(process):
    """The workers: what the server of processes, a child of the command, has started."""
    return [
        worker
        for child in psutil.Process(process.pid).children()
        for worker in child.children()
        if worker.status() != psutil.STATUS_ZOMBIE
    ]


def stopped(asked, output, stop):
    """A command that is stopped in the midst of its run; its exit code and stderr."""
    before = turns(output)
    process = subprocess.Popen(
        [sys.executable, "-m", "genbench", *map(str, asked), "--output", output],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(),
        # Where the tests are a job in the background, they ignore interrupts, and it would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while turns(output) < before + 3:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "the run made no progress"
        time.sleep(0.005)
    workers = at_work(process)
    assert workers
    stop(process, workers)
    _, said = process.communicate(timeout=200)
    psutil.wait_procs(workers, timeout=60)
    assert not any(worker.is_running() for worker in workers)
    assert not list(output.rglob("results.json"))
    return process.returncode, said


@pytest.mark.parametrize("kind", ["agent", pytest.param("model", marks=pytest.mark.slow)])
def test_killed_workers_and_parents_lose_no_episode_and_double_none(
    kind, tmp_path, command, request
):
    # Long enough that a busy machine stops it in its midst.
    model = {"agent": ("agent:random", "--limit", 240)}.get(kind) or (
        *(request.getfixturevalue("tiny_llama"), "--limit", 10),
        *("--max-new-tokens", 24, "--device", "cpu"),
    )
    asked = ("run", "--task", TASK, "--verify-iters", 3, "--batch-size", 1, "--model", *model)
    output = tmp_path / "killed"
    shared = (*asked, "--workers", 2)

    def kill_a_worker(process, workers):
        os.kill(workers[0].pid, signal.SIGKILL)
        for worker in workers[1:]:  # it has nothing to do with that one, and would play to its end
            worker.kill()

    code, said = stopped(shared, output, kill_a_worker)
    assert code == 3
    assert "its process ended with SIGKILL, as where memory runs out (and 1 more)" in said
    assert "run the same command again" in said

    code, said = stopped(shared, output, lambda process, _: process.send_signal(signal.SIGINT))
    assert code == 130
    assert said.count("genbench: interrupted") == said.count("genbench:") == 1
    assert "Traceback" not in said

    code, _ = stopped(shared, output, lambda process, _: process.kill())
    assert code == -signal.SIGKILL

    held = turns(output)
    assert held >= 9
    done(command(*shared, "--output", output))
    done(command(*asked, "--output", tmp_path / "one"))
    assert contents(output) == contents(tmp_path / "one")
