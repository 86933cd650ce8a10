"""Work in processes of its own: faults are told one by one, and nobody outlives the parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import job_targets
import pytest

from genbench.jobs import Job, run_jobs


def test_a_job_that_fails_or_dies_is_named_and_the_others_go_on(tmp_path):
    told = []
    jobs = [
        Job("dies", job_targets.die, ()),
        Job("refuses", job_targets.refuse, ()),
        Job("crashes", job_targets.crash, ()),
        Job("works", job_targets.work, (tmp_path / "file", 0.0)),
    ]
    ended = run_jobs(jobs, 2, told=lambda job, what: told.append((job.name, what)))
    errors = {one.job.name: one.error for one in ended}
    assert errors["works"] is None
    assert (tmp_path / "file").read_text() == "done"
    assert "SIGKILL" in errors["dies"]
    assert errors["refuses"] == "this cannot be"
    assert errors["crashes"] == "RuntimeError: two"
    assert ("works", "working") in told
    assert ("dies", "about to") in told


def test_an_interrupt_does_not_reach_what_is_still_importing(tmp_path):
    """Ctrl-C goes to all processes of a terminal; the one that asked ends the others."""
    program = tmp_path / "program.py"
    program.write_text(
        "import signal, job_targets\n"
        "from genbench.jobs import Job, run_jobs\n"
        "if __name__ == '__main__':\n"
        "    job = Job('held', job_targets.tell_what_is_held, ())\n"
        "    run_jobs([job], 1, told=lambda job, what: print(*map(int, what)))\n"
        "    print(*map(int, signal.pthread_sigmask(signal.SIG_BLOCK, [])))\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    in_a_job, here = done.stdout.split("\n")[:2]
    assert str(int(signal.SIGINT)) in in_a_job.split()
    assert str(int(signal.SIGINT)) not in here.split()


def test_a_killed_parent_leaves_no_process_behind(tmp_path):
    file = tmp_path / "pid"
    code = (
        "import sys; sys.path.append(sys.argv[2]); from pathlib import Path; import job_targets\n"
        "if __name__ == '__main__': job_targets.parent_of_one_that_waits(Path(sys.argv[1]))"
    )
    program = tmp_path / "program.py"
    program.write_text(code)
    here = str(Path(__file__).parent)
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH", ""), here]))
    parent = subprocess.Popen(
        [sys.executable, str(program), str(file), here], env={**os.environ, "PYTHONPATH": path}
    )
    deadline = time.monotonic() + 60
    while not (file.is_file() and file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child = int(file.read_text())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    while alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.parametrize("workers", [1, 2])
def test_so_many_work_at_once_and_no_more(tmp_path, workers):
    working, most = set(), []

    def told(job, what):
        working.add(job.name)
        most.append(len(working))

    jobs = [Job(str(i), job_targets.work, (tmp_path / str(i), 0.3)) for i in range(4)]
    ended = run_jobs(jobs, workers, told=told, ended=lambda one: working.discard(one.job.name))
    assert len(ended) == len(list(tmp_path.iterdir())) == 4
    assert max(most) == workers
