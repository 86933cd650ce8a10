"""Runs in jobs of their own: a job for each run, or for each of its shards.

Shards are played in a folder of the run's own, merged as soon as all of them are there, and
removed. A run's files are those of a single process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, UsageError
from genbench.evaluation import Evaluation, execute, prepare
from genbench.jobs import Ended, Job
from genbench.models.interface import LoadOptions
from genbench.models.loader import Loader
from genbench.process import use_one_thread
from genbench.sharding.merging import merge_run
from genbench.sharding.playing import execute_shard
from genbench.sharding.shard import HEADER, RESULT, Shard, begun_shards, every_shard
from genbench.store import JOURNAL, RunFolder, read_json
from genbench.task import Task


@dataclass(frozen=True)
class SharedRun:
    """A run that is played in jobs: what `prepare` is given, and the run folder that it made.

    `shards` are what it is played in; none: as a whole, in one job.
    """

    title: str
    model: str
    task: Task
    settings: Mapping[str, Any]
    folder: Path
    output: Path
    backend: str | None
    options: LoadOptions
    shards: tuple[Shard, ...] = ()

    def name_of(self, shard: Shard) -> str:
        """The name of a shard's job."""
        return f"{self.title}, shard {shard}"

    def prepared(self) -> tuple[Evaluation, Loader]:
        """In the process that plays it. Raises GenbenchError."""
        evaluation, found = prepare(
            self.model, self.task, output=self.output, backend=self.backend, options=self.options,
            **self.settings,
        )  # fmt: skip
        if evaluation.folder.path != self.folder:
            evaluation.folder.abandon()
            raise UsageError(
                f"here it is another run ({evaluation.folder.path.name}, not {self.folder.name}): "
                "the checkpoint was changed, or genbench or the task pack has another version on "
                "this node"
            )
        return evaluation, Loader(found, evaluation.identity)


@dataclass(frozen=True)
class ShareFault:
    """What went wrong with a run: in which job, or at its merge; `kind` as in `Ended`."""

    run: SharedRun
    place: str
    said: str
    kind: type[GenbenchError] | None


def divide(folder: RunFolder, task: Task, count: int, *, resume: bool = True) -> tuple[Shard, ...]:
    """The shards that a run is to be played in, their folders made; none: it is to be a whole.

    `count` are asked for; but a run of which turns are on the disk goes on as it was begun, in so
    many shards or as a whole, and one that is finished is nothing to divide. Raises UsageError
    where there are fewer instances than shards, StoreError where another process works there.
    """
    if count > 1:
        Shard(1, count).check(task)
    elif not resume or not begun_shards(folder.path):
        return ()
    with folder.locked():
        if not resume:
            folder.clear()
        if folder.finished or (folder.path / JOURNAL).is_file():
            return ()
        found = begun_shards(folder.path)
        if len(found) != count and not folder.has_turns():
            folder.clear()
            found = every_shard(count) if count > 1 else ()
        for shard in found:
            shard.within(folder.path).create()
    return found


class Shares:
    """The jobs of runs, and what is to be done as they end.

    `finished` is called for each run whose files are there.
    """

    def __init__(self, runs: Sequence[SharedRun], finished: Callable[[SharedRun], None]) -> None:
        self._finished = finished
        self.faults: list[ShareFault] = []
        self._runs: dict[str, SharedRun] = {}
        self._missing: dict[str, set[str]] = {}
        self.jobs: list[Job] = []
        for run in runs:
            jobs = _jobs(run)
            self.jobs += jobs
            self._runs |= {job.name: run for job in jobs}
            self._missing[run.title] = {job.name for job in jobs}
            if not jobs:  # all shards are there, but were not merged
                self._conclude(run)

    def ended(self, job: Ended) -> None:
        """Called when a job is over; the last shard's run is merged."""
        run = self._runs[job.job.name]
        if job.error is not None:
            self.faults.append(ShareFault(run, job.job.name, job.error, job.kind))
            return
        missing = self._missing[run.title]
        missing.discard(job.job.name)
        if not missing:
            self._conclude(run)

    def _conclude(self, run: SharedRun) -> None:
        try:
            if run.shards:
                places = [shard.within(run.folder).path for shard in run.shards]
                merge_run(run.folder, run.task, places)
                RunFolder(run.folder).drop_journal()
        except GenbenchError as error:
            self.faults.append(ShareFault(run, run.title, str(error), type(error)))
            return
        self._finished(run)


def _jobs(run: SharedRun) -> list[Job]:
    if not run.shards:
        return [Job(run.title, play_share, (run, None))]
    return [
        Job(run.name_of(shard), play_share, (run, shard))
        for shard in run.shards
        if not (shard.within(run.folder).path / RESULT).is_file()
    ]


def play_share(run: SharedRun, shard: Shard | None, tell: Callable[[Any], None]) -> None:
    """A job: a run, or a shard of one; tells its `Progress`. Raises GenbenchError."""
    use_one_thread()
    evaluation, loader = run.prepared()
    if shard is None:
        execute(evaluation, loader.load, run.options, report=tell)
    else:
        of_shard = replace(evaluation, folder=shard.within(run.folder), shard=shard)
        of_shard.folder.create()
        alike = _plan_of_others(run)
        execute_shard(of_shard, loader.load, run.options, alike=alike, report=tell)
    loader.close()


def _plan_of_others(run: SharedRun) -> Mapping[str, Any] | None:
    """How shards of the run were begun, where one was. Raises StoreError."""
    for shard in run.shards:
        header = shard.within(run.folder).path / HEADER
        if header.is_file():
            plan: Mapping[str, Any] | None = read_json(header).get("execution", {}).get("plan")
            return plan
    return None
