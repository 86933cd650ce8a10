"""The script that sweeps on a Slurm allocation, where that is this machine: `srun` and `scontrol`
are stood in for, Ray is real."""

import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import psutil
import pytest
from test_sweep import SCORING, SETTINGS, TASK, contents

pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
pytestmark = pytest.mark.ray

SCRIPT = Path(__file__).parents[3] / "examples" / "slurm" / "sweep-ray.sh"
MARK = "GENBENCH_TEST_CLUSTER"
# Of one node: the command is run here. The options that the script gives are those of Slurm.
SRUN = """
[ "$1 $2 $3" = "--nodes=1 --ntasks-per-node=1 --cpu-bind=none" ] || exit 90
shift 3
exec "$@"
"""
SCONTROL = """
[ "$*" = "show hostnames node[7-7]" ] || exit 91
echo 127.0.0.1
"""
# `ray stop` ends all Ray processes of a machine; here it may end those of this test alone.
RAY = """
if [ "$1" = stop ]; then exec {python} {here} "${mark}"; fi
exec {python} -m ray.scripts.scripts "$@"
"""


def stop(mark):
    """End what a cluster has started: marked, and no ancestor of this process."""
    here = psutil.Process()
    kept = {here, *here.parents()}
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process not in kept:
                found += [process, *process.children(recursive=True)]
        except psutil.Error:
            continue
    for process in found:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(found, timeout=30)
    return found


@pytest.fixture
def submitted(tmp_path):
    """A function that runs the script with arguments, as a job of one node."""
    mark = uuid.uuid4().hex
    tools = tmp_path / "bin"
    tools.mkdir()
    ray = RAY.format(python=sys.executable, here=__file__, mark=MARK)
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("ray", ray)):
        (tools / name).write_text(f"#!/bin/bash\n{text}")
        (tools / name).chmod(0o755)
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # the paths of sockets are short
        environment = {
            **os.environ,
            MARK: mark,
            "PATH": os.pathsep.join(
                [str(tools), str(Path(sys.executable).parent), "/usr/bin:/bin"]
            ),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "RAY_AUTH_MODE": "disabled",
            "RAY_TMPDIR": short,
            "SLURM_JOB_ID": str(os.getpid()),
            "SLURM_JOB_NODELIST": "node[7-7]",
            "SLURM_JOB_NUM_NODES": "1",
        }

        def run(*arguments, **more):
            return subprocess.run(
                ["bash", SCRIPT, *map(str, arguments)], capture_output=True, text=True,
                env={**environment, **more}, cwd=tmp_path, timeout=500,
            )  # fmt: skip

        yield run
        stop(mark)


def test_a_sweep_on_an_allocation_has_the_files_of_one_process(series, submitted, tmp_path):
    from genbench.models.interface import LoadOptions
    from genbench.sweep import plan_sweep, play_sweep

    output = tmp_path / "sweep"
    asked = (series / "trainings", "--task", TASK, *SETTINGS, "--output", output)
    job = submitted(*asked, "--shards", 2)
    if "Ray is already started on this node" in job.stderr:
        pytest.skip("Ray runs on this machine: `ray symmetric-run` refuses to start another")
    assert job.returncode == 0, job.stdout + job.stderr
    assert "Head node started." in job.stdout
    assert f"{TASK}, greedy: first attempts, n=3" in job.stdout
    plan = plan_sweep(
        [series / "trainings"], [SCORING], tmp_path / "one", options=LoadOptions(device="cpu")
    )
    assert play_sweep(plan) == []
    assert contents(output / "runs") == contents(tmp_path / "one" / "runs")
    assert not list(tmp_path.glob(".genbench-sweep*"))


def test_the_job_has_the_exit_code_of_the_sweep(submitted, tmp_path):
    job = submitted(tmp_path, "--task", "no-such-task")
    if "Ray is already started on this node" in job.stderr:
        pytest.skip("Ray runs on this machine: `ray symmetric-run` refuses to start another")
    assert job.returncode == 2
    assert "there is no task 'no-such-task'" in job.stderr


def test_a_job_on_which_ray_does_not_start_fails(submitted, tmp_path):
    """`ray symmetric-run` itself ends with 0 there."""
    job = submitted(tmp_path, "--task", TASK, RAY_TMPDIR="/proc/none")
    assert job.returncode == 1
    assert "Failed to start Ray" in job.stderr
    assert not list(tmp_path.glob(".genbench-sweep*"))


if __name__ == "__main__":
    stop(sys.argv[1])
