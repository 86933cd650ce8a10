"""Playing a sweep: a process a checkpoint, one thread each, so that no number depends on how many
are at work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from genbench.evaluation import execute, prepare
from genbench.jobs import Ended, Job, run_jobs
from genbench.models.interface import LoadOptions
from genbench.models.loader import Loader
from genbench.registry import load_task
from genbench.runner import Progress
from genbench.store import RESULTS
from genbench.sweep.plan import Scoring, Subject, SweepPlan
from genbench.sweep.shares import Shares

PRELOAD = "genbench.sweep.preload"

#: as `genbench.jobs.run_jobs`, where it is settled where and how many at once
RunJobs = Callable[..., list[Ended]]


@dataclass(frozen=True)
class Fault:
    """A checkpoint that could not be scored, or not on every task."""

    label: str
    reason: str


@dataclass(frozen=True)
class Played:
    """How far a sweep is: runs that are finished, of so many; the last checkpoint that ended."""

    finished: int
    runs: int
    now: str


def play_sweep(
    plan: SweepPlan,
    workers: int = 1,
    *,
    shards: int = 1,
    run: RunJobs | None = None,
    preload: tuple[str, ...] = (PRELOAD,),
    report: Callable[[Played], None] = lambda played: None,
) -> list[Fault]:
    """Play what is not yet played; returns what could not be.

    By default so many checkpoints at once, a process each. With more than one of `shards`, or with
    `run` (`Cluster.run_jobs`), a job is a checkpoint on a task, or a shard of that. Finished runs
    are left as they are, and killed ones go on.
    """
    total = sum(len(one.folders) for one in plan.subjects)
    done = sum((folder / RESULTS).is_file() for one in plan.subjects for folder in one.folders)
    report(Played(done, total, ""))

    def finished() -> None:
        nonlocal done
        done += 1

    def told(job: Job, what: Any) -> None:
        if what == RESULTS:
            finished()
        report(Played(done, total, job.name if what == RESULTS else f"{job.name}: {what}"))

    faults = [Fault(*one) for one in plan.unusable]
    chosen = run or partial(run_jobs, workers=workers, preload=preload)
    if shards > 1 or run is not None:
        shares = Shares(plan, shards, finished)

        def ended(job: Ended) -> None:
            shares.ended(job)
            report(Played(done, total, job.job.name))

        chosen(shares.jobs, told=told, ended=ended)
        return [*faults, *(Fault(*one) for one in shares.faults)]
    jobs = [
        Job(one.label, score, (one, plan.scorings, plan.runs, plan.backend, plan.options))
        for one in plan.subjects
        if not all((folder / RESULTS).is_file() for folder in one.folders)
    ]
    over = chosen(jobs, told=told)
    return [*faults, *(Fault(one.job.name, one.error) for one in over if one.error)]


def score(
    subject: Subject,
    scorings: tuple[Scoring, ...],
    output: Path,
    backend: str | None,
    options: LoadOptions,
    tell: Callable[[Any], None],
) -> None:
    """All scorings of a checkpoint, in a process of its own. Raises GenbenchError."""
    import torch

    torch.set_num_threads(1)
    loader = None
    for scoring, folder in zip(scorings, subject.folders, strict=True):
        finished = (folder / RESULTS).is_file()
        evaluation, found = prepare(
            subject.model,
            load_task(scoring.task, **scoring.questions),
            output=output,
            backend=backend,
            options=options,
            **scoring.settings,
        )
        loader = loader or Loader(found, evaluation.identity)

        def report(progress: Progress, task: str = scoring.task) -> None:
            tell(f"{task}, {progress.done} of {progress.episodes} episodes")

        execute(evaluation, loader.load, options, report=report)
        if not finished:
            tell(RESULTS)
    if loader is not None:
        loader.close()
