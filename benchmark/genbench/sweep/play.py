"""Playing a sweep: a process a checkpoint, one thread each, so that no number depends on how many
are at work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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

PRELOAD = "genbench.sweep.preload"


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
    preload: tuple[str, ...] = (PRELOAD,),
    report: Callable[[Played], None] = lambda played: None,
) -> list[Fault]:
    """Play what is not yet played, so many checkpoints at once; returns what could not be.

    Finished runs are left as they are, and killed ones go on.
    """
    total = sum(len(one.folders) for one in plan.subjects)
    done = sum((folder / RESULTS).is_file() for one in plan.subjects for folder in one.folders)
    report(Played(done, total, ""))
    jobs = [
        Job(one.label, score, (one, plan.scorings, plan.runs, plan.backend, plan.options))
        for one in plan.subjects
        if not all((folder / RESULTS).is_file() for folder in one.folders)
    ]

    def told(job: Job, what: Any) -> None:
        nonlocal done
        done += what == RESULTS
        report(Played(done, total, job.name if what == RESULTS else f"{job.name}: {what}"))

    ended: list[Ended] = run_jobs(jobs, workers, preload=preload, told=told)
    faults = [Fault(*one) for one in plan.unusable]
    return [*faults, *(Fault(one.job.name, one.error) for one in ended if one.error)]


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
