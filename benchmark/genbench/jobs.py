"""Work in processes of its own: several at once, each ending with its parent, none with another."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench import errors
from genbench.errors import GenbenchError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Tell = Callable[[Any], None]


@dataclass(frozen=True)
class Job:
    """`target(*arguments, tell)` in a process of its own; both can be pickled.

    What it tells reaches the parent. Its output goes to the end of `log`, where one is given.
    """

    name: str
    target: Callable[..., None]
    arguments: tuple[Any, ...]
    log: Path | None = None


@dataclass(frozen=True)
class Ended:
    """A job that is over; `error` is a sentence, None where it succeeded.

    `kind` is the class of that error where it is one of `genbench.errors`.
    """

    job: Job
    error: str | None
    seconds: float
    kind: type[GenbenchError] | None = None


def usable_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[Job],
    workers: int,
    *,
    preload: Sequence[str] = (),
    told: Callable[[Job, Any], None] = lambda job, what: None,
    ended: Callable[[Ended], None] = lambda job: None,
) -> list[Ended]:
    """Run the jobs in order, so many at once; returns them as they ended.

    `preload` are modules with heavy imports, done once for all processes. A job that fails, or
    whose process dies, leaves the others alone. An interrupt stops all of them.
    """
    import multiprocessing
    from multiprocessing import forkserver, resource_tracker
    from multiprocessing.connection import wait

    from genbench.process import let_idle_threads_sleep

    let_idle_threads_sleep()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    resource_tracker.ensure_running()  # the server starts it otherwise, and lets interrupts in
    with _interrupts_held():
        forkserver.ensure_running()
    waiting, over = list(jobs), []
    running: dict[Connection, tuple[Job, Any, float]] = {}
    faults: dict[str, tuple[str, type[GenbenchError] | None]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(
                    target=_main,
                    args=(job.target, job.arguments, theirs, job.log, os.getcwd()),
                )
                process.start()
                theirs.close()
                running[ours] = (job, process, time.monotonic())
            for ready in wait(list(running)):
                assert not isinstance(ready, int)
                connection: Any = ready
                job, process, started = running[connection]
                try:
                    kind, what = connection.recv()
                except (EOFError, OSError):  # the process is over, well or not
                    process.join()
                    del running[connection]
                    connection.close()
                    error, fault = faults.pop(job.name, (None, None))
                    if error is None and process.exitcode:
                        error = f"its process ended with {_exit_text(process.exitcode)}"
                    over.append(Ended(job, error, time.monotonic() - started, fault))
                    ended(over[-1])
                    continue
                if kind == "error":
                    faults[job.name] = what
                else:
                    told(job, what)
    finally:
        for _, process, _ in running.values():
            process.terminate()
        for _, process, _ in running.values():
            process.join()
    return over


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """What is started meanwhile never sees an interrupt, not even while it imports; this process
    has it afterwards."""
    import signal

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _exit_text(code: int) -> str:
    if code > 0:
        return f"exit code {code}"
    import signal

    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    more = ", as where memory runs out" if name == "SIGKILL" else ""
    return f"{name}{more}"


def _main(
    target: Callable[..., None],
    arguments: tuple[Any, ...],
    connection: Any,
    log: Path | None,
    folder: str,
) -> None:
    import signal

    os.chdir(folder)  # a process starts where its parent did, which may have gone elsewhere since
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its children itself
    _end_with_the_parent()
    if log is not None:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)

    def tell(what: Any) -> None:
        connection.send(("told", what))

    try:
        target(*arguments, tell)
    except Exception as error:  # a checkpoint of a stranger may break anything
        if log is not None and not isinstance(error, GenbenchError):
            import traceback

            traceback.print_exc()
        connection.send(("error", (fault_text(error), fault_kind(error))))


def fault_kind(error: Exception) -> type[GenbenchError] | None:
    """The class of `genbench.errors` that an error is of: one that every process knows."""
    return next((kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__), None)


def fault_text(error: Exception) -> str:
    """What is reported of a job that failed: a sentence of ours, or the first line of another."""
    if isinstance(error, GenbenchError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _end_with_the_parent() -> None:
    """A killed parent leaves no process behind that would hold its folders."""
    import multiprocessing
    import threading

    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
