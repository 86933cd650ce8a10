"""One run on several processes of this machine, one thread each: its shards, played side by side.

On a CPU this is faster than one process with as many threads, for small models above all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any, Literal

from genbench.errors import GenbenchError, IncompleteError, UsageError
from genbench.evaluation import Evaluation, execute
from genbench.jobs import Ended, Job, run_jobs, usable_cores
from genbench.models.interface import Backend, LoadOptions, Model
from genbench.results import Results
from genbench.runner import Progress
from genbench.sharding.shard import most_shards
from genbench.sharding.shares import SharedRun, ShareFault, Shares, divide

_PRELOAD = "genbench.preload"


def usable_workers(asked: int | Literal["auto"], backend: Backend, options: LoadOptions) -> int:
    """How many processes runs are shared out among; `auto`: as many as there are cores, or 1 where
    several are no way to be faster with this backend. Raises UsageError for a number there.
    """
    if asked == 1:
        return 1
    if asked != "auto" and not (isinstance(asked, int) and asked > 0):
        raise UsageError(f"--workers: a whole number from 1, or auto, not {asked!r}")
    _refuse_while_starting()
    try:
        backend.check_workers(options)
    except UsageError:
        if asked == "auto":
            return 1
        raise
    return usable_cores() if asked == "auto" else asked


def _refuse_while_starting() -> None:
    """Raise UsageError in a process that is importing the script which has started it."""
    import multiprocessing

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UsageError(
            "genbench.run(..., workers=N) starts processes which import this script: put the call "
            "below `if __name__ == '__main__':`"
        )


def execute_shared(
    evaluation: Evaluation,
    run: SharedRun,
    backend: Backend,
    load: Callable[[LoadOptions], Model],
    workers: int,
    *,
    resume: bool = True,
    report: Callable[[Progress], None] = lambda progress: None,
    note: Callable[[str], None] = lambda text: None,
) -> Results:
    """As `execute`, by so many processes where that is more than one: at most one an instance.

    A run that was begun goes on in the shards that it was begun in, or as a whole; `note` is told
    where that is not what `workers` asks for. Raises IncompleteError where responses failed or a
    process died, once the others are over: resumable.
    """
    workers = min(workers, most_shards(run.task))
    new = not (resume and (evaluation.finished or evaluation.folder.has_turns()))
    shards = divide(evaluation.folder, run.task, workers, resume=resume)
    if not shards:
        if workers > 1 and not evaluation.finished:
            note("it was begun by one process, and goes on in one")
        return execute(evaluation, load, run.options, resume=resume, report=report)
    if len(shards) != workers:
        at_once = min(workers, len(shards))
        note(f"it was begun in {len(shards)} shards, and goes on in these, {at_once} at once")
    run = replace(run, shards=shards)
    try:
        _play(evaluation, run, backend, workers, report)
    except GenbenchError:
        if new:
            evaluation.folder.abandon()
        raise
    return evaluation.stored_results()


def _play(
    evaluation: Evaluation,
    run: SharedRun,
    backend: Backend,
    workers: int,
    report: Callable[[Progress], None],
) -> None:
    """Play and merge the run's shards. What a shard refuses ends the others and is raised."""
    samples = evaluation.settings.samples
    at = {
        run.name_of(shard): Progress(len(shard.episodes(run.task, samples))) for shard in run.shards
    }
    shares = Shares([run], lambda run: None)
    for name in at.keys() - {job.name for job in shares.jobs}:
        at[name].done = at[name].episodes

    def told(job: Job, what: Any) -> None:
        at[job.name] = what
        report(_sum(at.values()))

    def ended(job: Ended) -> None:
        shares.ended(job)
        _raise_refused(shares.faults)

    preload = (_PRELOAD,) if backend.reads_folders else ()
    run_jobs(shares.jobs, workers, preload=preload, told=told, ended=ended)
    _raise_refused(shares.faults)  # by the merge of shards that were finished before
    if shares.faults:
        first, more = shares.faults[0], len(shares.faults) - 1
        others = f" (and {more} more)" if more else ""
        end = "" if first.kind else ". The finished turns are on disk: run the same command again"
        raise IncompleteError(f"{first.place}: {first.said}{others}{end}")


def _sum(parts: Iterable[Progress]) -> Progress:
    found = list(parts)
    return Progress(
        **{field.name: sum(getattr(one, field.name) for one in found) for field in fields(Progress)}
    )


def _raise_refused(faults: Iterable[ShareFault]) -> None:
    for fault in faults:
        if fault.kind is not None and not issubclass(fault.kind, IncompleteError):
            raise fault.kind(fault.said)
