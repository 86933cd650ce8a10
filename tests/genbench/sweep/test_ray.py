"""A sweep on a Ray cluster has the files of one process, whatever dies on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from test_sweep import SCORING, SETTINGS, TASK, contents

pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
pytestmark = pytest.mark.ray

HERE = Path(__file__).parent
# One prompt at a time, so that a kill comes in the midst of a run.
SLOWLY = (*SETTINGS, "--batch-size", 1)
SHARDS = 2


@pytest.fixture(scope="module")
def environment():
    """That of processes which find genbench and the targets of these tests."""
    places = [str(HERE.parent), *filter(None, sys.path)]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(places),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",  # else a cluster is joined with its token alone
    }


@pytest.fixture(scope="module")
def head(environment):
    """The process of a cluster with two workers, and its address."""
    process = subprocess.Popen(
        [sys.executable, HERE / "ray_head.py", "2"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    address = process.stdout.readline().strip()
    assert ":" in address
    yield process, address
    process.stdin.close()
    process.wait(60)


@pytest.fixture(scope="module")
def whole(series, tmp_path_factory):
    """The sweep by one process at a time."""
    from genbench.models.interface import LoadOptions
    from genbench.sweep import plan_sweep, play_sweep

    output = tmp_path_factory.mktemp("whole")
    options = LoadOptions(device="cpu", batch_size=1)
    plan = plan_sweep([series / "trainings"], [SCORING], output, options=options)
    assert play_sweep(plan) == []
    return output


def starting(series, output, environment, *more):
    return subprocess.Popen(
        [
            sys.executable, "-m", "genbench", "sweep", series / "trainings", "--task", TASK,
            "--output", output, *map(str, SLOWLY), *map(str, more),
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def at_work(head):
    """The workers that are carrying a job out; what one of them is about to start has, for a
    moment, its name."""
    found, parents = [], {}
    for process in psutil.Process(head.pid).children(recursive=True):
        try:
            if process.cmdline()[:1] == ["ray::_carried_out"]:
                found.append(process)
                parents[process.pid] = process.ppid()
        except psutil.NoSuchProcess:
            continue
    return [process for process in found if parents.get(process.pid) not in parents]


def turns(output):
    journals = output.glob("runs/*/*/*/shards/*/journal.jsonl")
    return sum(path.read_bytes().count(b"\n") for path in journals)


def test_two_workers_of_a_cluster_make_the_files_of_one_process(
    head, series, whole, environment, tmp_path
):
    process = starting(series, tmp_path, environment, "--ray", head[1], "--shards", SHARDS)
    most = 0
    while process.poll() is None:
        most = max(most, len(at_work(head[0])))
        time.sleep(0.05)
    assert process.returncode == 0, process.stderr.read()
    assert most == 2
    assert contents(tmp_path) == contents(whole)


def test_a_killed_worker_loses_no_episode_and_doubles_none(
    head, series, whole, environment, tmp_path
):
    process = starting(series, tmp_path, environment, "--ray", head[1], "--shards", SHARDS)
    killed = []
    deadline = time.monotonic() + 300
    while process.poll() is None:
        assert time.monotonic() < deadline
        found = at_work(head[0])
        if len(killed) < 3 and found and turns(tmp_path) > 4 * len(killed):
            before = turns(tmp_path)
            os.kill(found[0].pid, signal.SIGKILL)
            killed.append(before)
            time.sleep(1)
        time.sleep(0.01)
    assert process.returncode == 0, process.stderr.read()
    assert len(killed) == 3
    assert max(killed) > 0
    assert contents(tmp_path) == contents(whole)


def test_a_laptop_is_a_cluster_of_one_node(series, whole, environment, tmp_path):
    process = starting(series, tmp_path, environment, "--ray", "--workers", 1)
    _, said = process.communicate(timeout=500)
    assert process.returncode == 0, said
    assert contents(tmp_path) == contents(whole)


def test_more_gpus_than_a_node_has_are_refused(head, series, environment, tmp_path):
    process = starting(series, tmp_path, environment, "--ray", head[1], "--gpus-per-job", 2)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 2
    assert f"--gpus-per-job 2: the nodes of the Ray cluster at {head[1]} have" in said
    assert not list(tmp_path.rglob("run.json"))


JOBS = """
import sys, json
from pathlib import Path
import job_targets
from genbench.cluster import Cluster
from genbench.jobs import Job

told = []
jobs = [
    Job("dies", job_targets.die, ()),
    Job("refuses", job_targets.refuse, ()),
    Job("crashes", job_targets.crash, ()),
    Job("works", job_targets.work, (Path("file"), 0.0)),
]
with Cluster(sys.argv[1]) as cluster:
    over = cluster.run_jobs(jobs, told=lambda job, what: told.append((job.name, what)))
print(json.dumps([{one.job.name: one.error for one in over}, told]))
"""


def test_a_job_whose_workers_all_die_is_given_up_and_the_others_go_on(head, environment, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", JOBS, head[1]], capture_output=True, text=True, env=environment,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    errors, told = json.loads(done.stdout.splitlines()[-1])
    assert errors["dies"].startswith("its worker died 4 times: ")
    assert errors["refuses"] == "this cannot be"
    assert errors["crashes"] == "RuntimeError: two"
    assert errors["works"] is None
    assert (tmp_path / "file").read_text() == "done"  # a relative path, in the caller's folder
    assert sum("it is run again" in what for name, what in told if name == "dies") == 3
    assert ["works", "working"] in told
