"""Playing a sweep: a process a checkpoint, one thread each, so that no number depends on how many
are at work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from genbench.errors import StoreError
from genbench.evaluation import execute, prepare
from genbench.jobs import Ended, Job, run_jobs
from genbench.models.interface import LoadOptions
from genbench.models.loader import Loader
from genbench.process import use_one_thread
from genbench.registry import load_task
from genbench.runner import Progress
from genbench.sharding.shard import Shard, begun_shards
from genbench.sharding.shares import SharedRun, Shares, divide
from genbench.store import RESULTS, RunFolder
from genbench.sweep.plan import Scoring, Subject, SweepPlan

PRELOAD = "genbench.preload"

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
    are left as they are, and killed ones go on, in the shards that they were begun in. Raises
    UsageError where a task has fewer instances than there are to be shards.
    """
    total = sum(len(one.folders) for one in plan.subjects)
    done = sum((folder / RESULTS).is_file() for one in plan.subjects for folder in one.folders)
    report(Played(done, total, ""))

    def finished() -> None:
        nonlocal done
        done += 1

    def told(job: Job, what: Any) -> None:
        if isinstance(what, Progress):
            what = f"{what.done} of {what.episodes} episodes"
        elif what == RESULTS:
            finished()
        report(Played(done, total, job.name if what == RESULTS else f"{job.name}: {what}"))

    faults = [Fault(*one) for one in plan.unusable]
    chosen = run or partial(run_jobs, workers=workers, preload=preload)
    divided = any(begun_shards(folder) for one in plan.subjects for folder in one.folders)
    if shards > 1 or run is not None or divided:
        labels, runs, refused = _unfinished(plan, shards)
        shares = Shares(runs, lambda run: finished())

        def ended(job: Ended) -> None:
            shares.ended(job)
            report(Played(done, total, job.job.name))

        chosen(shares.jobs, told=told, ended=ended)
        faults += [
            Fault(labels[one.run.title], f"{one.place}: {one.said}") for one in shares.faults
        ]
        return [*faults, *refused]
    jobs = [
        Job(one.label, score, (one, plan.scorings, plan.runs, plan.backend, plan.options))
        for one in plan.subjects
        if not all((folder / RESULTS).is_file() for folder in one.folders)
    ]
    over = chosen(jobs, told=told)
    return [*faults, *(Fault(one.job.name, one.error) for one in over if one.error)]


def _unfinished(
    plan: SweepPlan, shards: int
) -> tuple[dict[str, str], list[SharedRun], list[Fault]]:
    """The checkpoints' labels by their runs' titles; the runs that are not yet played; and those
    that others are at work on."""
    tasks = [load_task(scoring.task, **scoring.questions) for scoring in plan.scorings]
    for task in tasks:
        Shard(1, shards).check(task)
    names = [scoring.task for scoring in plan.scorings]
    labels, found, refused = {}, [], []
    for subject in plan.subjects:
        for number, folder in enumerate(subject.folders):
            if (folder / RESULTS).is_file():
                continue
            again = f" [{number + 1}]" if names.count(names[number]) > 1 else ""
            title = f"{subject.label} on {names[number]}{again}"
            labels[title] = subject.label
            try:
                parts = divide(RunFolder(folder), tasks[number], shards)
            except StoreError as error:
                refused.append(Fault(subject.label, f"{title}: {error}"))
                continue
            found.append(
                SharedRun(
                    title,
                    subject.model,
                    tasks[number],
                    plan.scorings[number].settings,
                    folder,
                    plan.runs,
                    plan.backend,
                    plan.options,
                    parts,
                )
            )
    return labels, found, refused


def score(
    subject: Subject,
    scorings: tuple[Scoring, ...],
    output: Path,
    backend: str | None,
    options: LoadOptions,
    tell: Callable[[Any], None],
) -> None:
    """All scorings of a checkpoint, in a process of its own. Raises GenbenchError."""
    use_one_thread()
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
