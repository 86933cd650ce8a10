"""A sweep in smaller parts than checkpoints: a job for each checkpoint, task and shard.

Shards are played below `<output>/shards`, merged into their run as soon as all of it are there,
and removed. A run's files are those of a single process.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, StoreError, UsageError
from genbench.evaluation import execute, prepare
from genbench.jobs import Ended, Job
from genbench.models.interface import LoadOptions
from genbench.models.loader import Loader
from genbench.registry import load_task
from genbench.runner import Progress
from genbench.sharding.merging import merge_shards
from genbench.sharding.playing import execute_shard
from genbench.sharding.shard import RESULT, Shard
from genbench.store import JOURNAL, RESULTS
from genbench.sweep.plan import Scoring, Subject, SweepPlan


@dataclass(frozen=True)
class Run:
    """A checkpoint under one scoring, and the shards that it is played in (none: as a whole)."""

    subject: Subject
    scoring: Scoring
    title: str
    folder: Path
    shards: tuple[Shard, ...]

    def folder_of(self, shard: Shard, plan: SweepPlan) -> Path:
        """Where a shard is played."""
        return shard.folder(_shards(plan) / self.folder.relative_to(plan.runs)).path


def _shards(plan: SweepPlan) -> Path:
    return plan.output / "shards"


def unfinished_runs(plan: SweepPlan, shards: int) -> list[Run]:
    """What is yet to be played; a run that was begun as a whole goes on as one.

    Raises UsageError where a task has fewer instances than there are to be shards.
    """
    every = tuple(Shard(index, shards) for index in range(1, shards + 1))
    for scoring in plan.scorings:
        every[0].check(load_task(scoring.task, **scoring.questions))
    names = [scoring.task for scoring in plan.scorings]
    found = []
    for subject in plan.subjects:
        for number, (scoring, folder) in enumerate(
            zip(plan.scorings, subject.folders, strict=True)
        ):
            if (folder / RESULTS).is_file():
                continue
            again = f" [{number + 1}]" if names.count(scoring.task) > 1 else ""
            whole = shards == 1 or (folder / JOURNAL).is_file()
            found.append(
                Run(
                    subject,
                    scoring,
                    f"{subject.label} on {scoring.task}{again}",
                    folder,
                    () if whole else every,
                )
            )
    return found


class Shares:
    """The jobs of a sweep's runs, and what is to be done as they end.

    `faults` are pairs of a checkpoint's label and what went wrong; `finished` is called for each
    run whose files are there.
    """

    def __init__(self, plan: SweepPlan, shards: int, finished: Callable[[], None]) -> None:
        self._plan = plan
        self._finished = finished
        self.faults: list[tuple[str, str]] = []
        self._runs: dict[str, Run] = {}
        self._missing: dict[str, set[str]] = {}
        self.jobs: list[Job] = []
        for run in unfinished_runs(plan, shards):
            jobs = self._jobs(run)
            self.jobs += jobs
            self._runs |= {job.name: run for job in jobs}
            self._missing[run.title] = {job.name for job in jobs}
            if not jobs:  # all shards are there, but were not merged
                self._conclude(run)

    def _jobs(self, run: Run) -> list[Job]:
        plan = self._plan
        if not run.shards:
            arguments = (run.subject.model, run.scoring, run.folder, plan.runs, None)
            return [Job(run.title, play_share, (*arguments, plan.backend, plan.options))]
        return [
            Job(
                f"{run.title}, shard {shard}",
                play_share,
                (
                    *(run.subject.model, run.scoring, run.folder_of(shard, plan), _shards(plan)),
                    *(shard, plan.backend, plan.options),
                ),
            )
            for shard in run.shards
            if not (run.folder_of(shard, plan) / RESULT).is_file()
        ]

    def ended(self, job: Ended) -> None:
        """Called when a job is over; the last shard's run is merged."""
        run = self._runs[job.job.name]
        if job.error is not None:
            self.faults.append((run.subject.label, f"{job.job.name}: {job.error}"))
            return
        missing = self._missing[run.title]
        missing.discard(job.job.name)
        if not missing:
            self._conclude(run)

    def _conclude(self, run: Run) -> None:
        try:
            if run.shards:
                self._merge(run)
        except GenbenchError as error:
            self.faults.append((run.subject.label, f"{run.title}: {error}"))
            return
        self._finished()

    def _merge(self, run: Run) -> None:
        folders = [run.folder_of(shard, self._plan) for shard in run.shards]
        merge_shards(folders, self._plan.runs)
        if not (run.folder / RESULTS).is_file():
            raise StoreError(f"its shards were merged, but not into {run.folder}")
        for folder in folders:
            shutil.rmtree(folder)
        for folder in (*folders[0].parents,)[:3]:  # its task's, its model's, that of all shards
            try:
                folder.rmdir()
            except OSError:  # others are in it
                return


def play_share(
    model: str,
    scoring: Scoring,
    folder: Path,
    output: Path,
    shard: Shard | None,
    backend: str | None,
    options: LoadOptions,
    tell: Callable[[Any], None],
) -> None:
    """A job: a run, or a shard of one, in `folder` below `output`. Raises GenbenchError."""
    import torch

    torch.set_num_threads(1)
    task = load_task(scoring.task, **scoring.questions)
    evaluation, found = prepare(
        model, task, output=output, backend=backend, options=options, shard=shard,
        **scoring.settings,
    )  # fmt: skip
    if evaluation.folder.path.name != folder.name:
        evaluation.folder.abandon()
        raise UsageError(
            f"here it is another run ({evaluation.folder.path.name}, not {folder.name}): the "
            "checkpoint was changed, or genbench or the task pack has another version on this node"
        )

    def report(progress: Progress) -> None:
        tell(f"{progress.done} of {progress.episodes} episodes")

    loader = Loader(found, evaluation.identity)
    play: Callable[..., Any] = execute if shard is None else execute_shard
    play(evaluation, loader.load, options, report=report)
    loader.close()
