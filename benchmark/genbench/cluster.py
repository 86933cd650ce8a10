"""Jobs on a Ray cluster: placed where there is room, run again where a worker dies.

The cluster's nodes share the file system that the jobs write to, and have the same genbench.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from genbench.errors import UsageError
from genbench.jobs import Ended, Job, fault_text, usable_cores

#: the address that means a cluster of this machine alone, for this process alone
LOCAL = "local"
#: how often a job is run again whose worker died
RERUNS = 3
_OBJECTS = 80 * 2**20  # bytes of the object store; Ray's least, since a job returns a sentence
_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 120
_PROBE = """
import ray, sys
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
except Exception as error:
    sys.exit(f"{error}: {error.__cause__}" if error.__cause__ else str(error))
"""


class Cluster:
    """A Ray cluster, joined or started for the length of a `with` block.

    `address` is `host:port` of a cluster's head, `auto` (the one that runs on this machine),
    `local` (one of this machine's cores, started here), or None: RAY_ADDRESS if that is set, else
    `local`. Each job takes a core and `gpus_per_job` GPUs; at most `workers` run at once, by
    default as many as there is room for. Raises UsageError where Ray is not installed, where no
    cluster answers, and where no node has so many GPUs.
    """

    def __init__(
        self, address: str | None = None, *, gpus_per_job: float = 0, workers: int | None = None
    ) -> None:
        self._ray = _imported()
        self._address = address or os.environ.get("RAY_ADDRESS") or LOCAL
        self._gpus = gpus_per_job
        self._workers = workers
        if self._address != LOCAL:
            _check_address(self._address)

    def __enter__(self) -> Cluster:
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        if self._address == LOCAL:
            # What is said to Ray's own processes, which start here.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            self._ray.init(
                address=LOCAL,
                num_cpus=self._workers or usable_cores(),
                object_store_memory=_OBJECTS,
                include_dashboard=False,
                **quiet,
            )
        else:
            _join_in_another_process(self._address)
            self._ray.init(address=self._address, **quiet)
        try:
            self._check_gpus()
        except BaseException:
            self._ray.shutdown()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ray.shutdown()

    def _check_gpus(self) -> None:
        """Ray would wait without end for what no node has."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        most = max((node.get("GPU", 0) for node in nodes), default=0)
        if self._gpus > most:
            raise UsageError(
                f"--gpus-per-job {self._gpus:g}: the nodes of the Ray cluster at {self._address} "
                f"have {most:g} GPUs at most; ask for fewer, or start a node with more"
            )

    def run_jobs(
        self,
        jobs: Sequence[Job],
        *,
        told: Callable[[Job, Any], None] = lambda job, what: None,
        ended: Callable[[Ended], None] = lambda job: None,
    ) -> list[Ended]:
        """Run the jobs in order; returns them as they ended. As `genbench.jobs.run_jobs`, but that
        of what a job tells only the last reaches the caller, once it has ended.

        A job whose worker or node dies is run again, `RERUNS` times at most: it must go on where
        it was, as a run does. One that fails leaves the others alone.
        """
        ray = self._ray
        remote = ray.remote(_carried_out).options(num_cpus=1, num_gpus=self._gpus, max_retries=0)
        waiting = deque((job, 0) for job in jobs)
        running: dict[Any, tuple[Job, int, float]] = {}
        over: list[Ended] = []
        # More than has room: a worker that is free need not wait for this process.
        most = self._workers or 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        try:
            while waiting or running:
                while waiting and len(running) < most:
                    job, deaths = waiting.popleft()
                    reference = remote.remote(job.target, job.arguments, os.getcwd())
                    running[reference] = (job, deaths, time.monotonic())
                (ready,), _ = ray.wait(list(running), num_returns=1)
                job, deaths, started = running.pop(ready)
                try:
                    error, last = ray.get(ready)
                except ray.exceptions.RayTaskError as failure:  # before the job's first line
                    error, last = f"it could not begin: {_first_line(failure.cause)}", None
                except ray.exceptions.RayError as death:
                    if deaths < RERUNS:
                        told(job, f"its worker died ({_first_line(death)}); it is run again")
                        waiting.append((job, deaths + 1))
                        continue
                    error, last = f"its worker died {deaths + 1} times: {_first_line(death)}", None
                if last is not None:
                    told(job, last)
                over.append(Ended(job, error, time.monotonic() - started))
                ended(over[-1])
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
        return over


def _carried_out(
    target: Callable[..., None], arguments: tuple[Any, ...], folder: str
) -> tuple[str | None, Any]:
    """What a worker does: the error of a job, or None, and what it told last."""
    try:
        os.chdir(folder)  # the job's paths may be relative
    except OSError as error:
        return (
            f"{folder} is not on the node {socket.gethostname()} ({error.strerror}): all nodes "
            "need the file system that holds checkpoints and output",
            None,
        )
    last: deque[Any] = deque(maxlen=1)
    try:
        target(*arguments, last.append)
    except Exception as error:
        return fault_text(error), None
    return None, last[0] if last else None


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    text = lines[0].partition(". ")[0] if lines else ""
    return f"{type(error).__name__}: {text}"


# -- reaching a cluster ----------------------------------------------------------------------------


def _imported() -> Any:
    try:
        import ray
    except ImportError:
        raise UsageError(
            "--ray: Ray is not installed; pip install -e '.[ray]' in genbench's clone, on all "
            "nodes alike"
        ) from None
    return ray


_SAID = "start one with `ray start --head`, or leave the address out for this machine alone"


def _check_address(address: str) -> None:
    """Raise UsageError where it is none, and where nothing listens there."""
    if address == "auto":
        return
    if "://" in address:
        raise UsageError(
            f"--ray {address}: run genbench on a node of the cluster (`ray job submit` does that) "
            "and give host:port of its head; addresses of Ray Client are not taken"
        )
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 2**16):
        raise UsageError(
            f"--ray {address}: an address is host:port of a Ray cluster's head (its port is mostly "
            "6379), auto, or local"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise UsageError(
            f"--ray {address}: no Ray cluster can be reached there ({error}); {_SAID}"
        ) from None


def _join_in_another_process(address: str) -> None:
    """Raise UsageError unless a Ray cluster answers. Where none does, `ray.init` waits for minutes
    and may end its process."""
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE, address],
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"--ray {address}: what listens there did not answer as a Ray cluster within "
            f"{_ANSWER_SECONDS} s; {_SAID}"
        ) from None
    if probe.returncode:
        lines = probe.stderr.strip().splitlines() or ["no reason was given"]
        told = [line for line in lines if "onnect" in line or "rror" in line] or lines
        raise UsageError(f"--ray {address}: the cluster cannot be joined: {told[-1]}; {_SAID}")
