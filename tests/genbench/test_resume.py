"""kill -9 at random moments of a real model's generation loses nothing and changes nothing."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

KILLS = 20
FILES = ("episodes.jsonl", "results.json")


@pytest.fixture(scope="module")
def start():
    """Start a run in a fresh process, forked from one that has torch imported."""
    here = str(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", here)  # the fork server finds its preloaded module by it alone
        patch.syspath_prepend(here)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["killed_run"])
        import killed_run

        def run(arguments):
            process = context.Process(target=killed_run.play, args=(arguments,))
            process.start()
            return process

        yield run


def turns_on_disk(output):
    journals = list(output.glob("*/*/*/journal.jsonl"))
    return journals[0].read_bytes().count(b"\n") if journals else 0


def finished(output):
    return bool(list(output.glob("*/*/*/results.json")))


def contents(output):
    (folder,) = output.glob("*/*/*")
    return {name: (folder / name).read_bytes() for name in FILES}


def kill_at(process, output, turns, delay):
    """SIGKILL once so many turns are on disk and some time has passed; false if it ended first."""
    deadline = time.monotonic() + 60
    while process.is_alive() and turns_on_disk(output) < turns:
        assert time.monotonic() < deadline, "the run made no progress in a minute"
        time.sleep(0.002)
    time.sleep(delay)
    if not process.is_alive():
        return False
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == -signal.SIGKILL and not finished(output)


def test_runs_killed_at_random_moments_end_with_the_bytes_of_one_that_was_not(
    start, tiny_llama, tmp_path
):
    arguments = {
        "model": str(tiny_llama),
        "task": "gp-ood-rule",
        "limit": 8,
        "verify_iters": 3,
        "max_new_tokens": 24,
        "batch_size": 4,
    }
    whole = start({**arguments, "output": tmp_path / "whole"})
    whole.join()
    assert whole.exitcode == 0
    expected = contents(tmp_path / "whole")

    stream = random.Random(20)
    kills = partial = number = 0
    while kills < KILLS:
        output = tmp_path / str(number)
        number += 1
        while not finished(output):
            process = start({**arguments, "output": output})
            if kills == KILLS:
                process.join()
                continue
            before = turns_on_disk(output)
            killed = kill_at(
                process, output, before + stream.randint(0, 24), stream.uniform(0, 0.05)
            )
            kills += killed
            partial += killed and turns_on_disk(output) > 0
            process.join()
            assert killed or process.exitcode in (0, -signal.SIGKILL)
        assert contents(output) == expected
    assert partial >= KILLS // 2
