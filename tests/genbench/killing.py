"""kill -9 at random moments of runs in processes of their own."""

import json
import multiprocessing
import os
import random
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

FILES = ("episodes.jsonl", "results.json")


@contextmanager
def starting():
    """A function that starts a run in a fresh process, forked from one that has torch imported."""
    here = str(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:
        # The fork server finds its preloaded module by this alone.
        given = filter(None, [os.environ.get("PYTHONPATH")])
        patch.setenv("PYTHONPATH", os.pathsep.join([here, *given]))
        patch.syspath_prepend(here)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["killed_run"])
        import killed_run

        def run(arguments, target=killed_run.play):
            process = context.Process(target=target, args=(arguments,))
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


def check_killed_runs(start, arguments, folder, kills, most_turns, seed):
    """Runs killed and resumed until they end have the bytes of one that was not, each time; at
    least half of the kills come when some turns, and not all, are on the disk."""
    whole = start({**arguments, "output": folder / "whole"})
    whole.join()
    assert whole.exitcode == 0
    expected = contents(folder / "whole")

    stream = random.Random(seed)
    done = partial = number = 0
    while done < kills:
        output = folder / str(number)
        number += 1
        sessions = 1
        while not finished(output):
            process = start({**arguments, "output": output})
            if done == kills:
                process.join()
                continue
            before = turns_on_disk(output)
            killed = kill_at(
                process, output, before + stream.randint(0, most_turns), stream.uniform(0, 0.05)
            )
            done += killed
            in_the_midst = killed and turns_on_disk(output) > before
            partial += killed and turns_on_disk(output) > 0
            sessions += in_the_midst
            process.join()
            assert killed or process.exitcode in (0, -signal.SIGKILL)
        assert contents(output) == expected
        (header,) = output.glob("*/*/*/run.json")
        assert json.loads(header.read_bytes())["execution"]["sessions"] >= sessions
    assert partial >= kills // 2
