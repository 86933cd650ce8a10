"""The stages of a reproduction. Its files are its state: nothing finished is redone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.checkpoints import FoundCheckpoint
from genbench.errors import IncompleteError, StoreError, UsageError
from genbench.jobs import Ended, Job, run_jobs
from genbench.models import find_backend, identify
from genbench.models.files import TRAINING_RECORD, read_json
from genbench.models.interface import LoadOptions
from genbench.reproduction.conclusion import conclude
from genbench.reproduction.pages import conclusion_markdown, reproduction_page
from genbench.reproduction.plan import Plan
from genbench.reproduction.results import Conclusion
from genbench.store import json_bytes, write_atomically
from genbench.sweep import SweepPlan, plan_sweep, play_sweep
from genbench.sweep.play import Played
from genbench.training.recipe import BaseRecipe, RLRecipe, SFTRecipe

if TYPE_CHECKING:
    from genbench.report.build import Report

CONCLUSION, PAGE = "conclusion", "page"
_TABLES = ("scaling.csv", "compute.csv")  # every checkpoint's rates; methods along compute
_PRELOAD = ("genbench.preload", "genbench.reproduction.preload")
_STAGES = 5


@dataclass(frozen=True)
class Reproduced:
    """What came of it."""

    conclusion: Conclusion
    sweep: SweepPlan
    report: Path


def reproduce(
    plan: Plan,
    *,
    say: Callable[[str], None] = lambda text: None,
    report: Callable[[Played], None] = lambda played: None,
) -> Reproduced:
    """Do what is not yet done; `say` is told a line a stage.

    Raises IncompleteError where a training or a checkpoint failed: the others are finished.
    """
    try:
        (plan.output / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{plan.output} cannot be written: {error.strerror}") from None
    with _locked(plan.output):
        _train_base(plan, say)
        _train(plan, say)
        say(f"[3/{_STAGES}] scoring {1 + len(plan.checkpoints)} checkpoints")
        sweep = plan_sweep(
            [],
            plan.scorings,
            plan.output,
            base=plan.base,
            options=LoadOptions(device=plan.device),
            checkpoints=_checkpoints(plan),
        )
        faults = play_sweep(sweep, plan.workers, preload=_PRELOAD, report=report)
        if faults:
            listed = "; ".join(f"{one.label}: {one.reason}" for one in faults)
            raise IncompleteError(f"not every checkpoint could be scored: {listed}")
        say(f"[4/{_STAGES}] testing")
        found = conclude(plan, sweep)
        say(f"[5/{_STAGES}] report")
        from genbench.report import build_report

        folders = [folder for one in sweep.subjects for folder in one.folders]
        made = build_report(
            folders, plan.output / "report", title=f"genbench reproduce, preset {plan.preset.name}"
        )
        write_atomically(
            plan.output / f"{CONCLUSION}.json", [json_bytes(found.model_dump(mode="json"))]
        )
        _write(plan.output / f"{CONCLUSION}.md", conclusion_markdown(found))
        _write_page(plan, found, made)
    return Reproduced(found, sweep, made.page)


def _checkpoints(plan: Plan) -> list[FoundCheckpoint]:
    """Raises UsageError where a training of an earlier call began from other weights."""
    found = [
        FoundCheckpoint(folder, read_json(folder / TRAINING_RECORD)) for folder in plan.checkpoints
    ]
    weights = identify(plan.base, find_backend(plan.base), LoadOptions()).weights_fingerprint
    for one in found:
        if one.parent is None or one.parent[1] != weights:
            raise UsageError(
                f"{one.training} was not trained from what {plan.base} is now; choose another "
                "--output"
            )
    return found


def _write_page(plan: Plan, found: Conclusion, report: Report) -> None:
    """A folder that says everything but the episodes, to be published as it is."""
    page = plan.output / PAGE
    page.mkdir(exist_ok=True)
    for name in report.files:
        if Path(name).name in _TABLES:
            # Names of checkpoints, not where this machine keeps them.
            content = (report.folder / name).read_bytes().replace(f"{plan.output}/".encode(), b"")
            write_atomically(page / Path(name).name, [content])
    figures = []
    for slug in dict.fromkeys(row.group.slug for row in report.rows):
        drawn = report.folder / "figures" / slug / "scaling.png"
        if drawn.is_file():
            figures.append(f"{slug}-scaling.png")
            write_atomically(page / figures[-1], [drawn.read_bytes()])
    write_atomically(page / f"{CONCLUSION}.json", [json_bytes(found.model_dump(mode="json"))])
    _write(page / "README.md", reproduction_page(plan, found, figures))


def _write(path: Path, text: str) -> None:
    write_atomically(path, [text.encode()])


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    descriptor = os.open(output, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError(
                f"another process is working in {output}; wait for it, or choose another --output"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _train_base(plan: Plan, say: Callable[[str], None]) -> None:
    if plan.base_recipe is None:
        say(f"[1/{_STAGES}] base: {plan.base}")
        return
    folder = Path(plan.base)
    say(f"[1/{_STAGES}] base: training {plan.base_recipe.name}")
    log = plan.output / "logs" / "base.log"
    job = Job("the base", train_base_job, (plan.base_recipe, folder, plan.device), log)
    _refuse_failed(run_jobs([job], 1, preload=_PRELOAD))


def _train(plan: Plan, say: Callable[[str], None]) -> None:
    waiting = [one for one in plan.trainings if not one.finished()]
    finished = len(plan.trainings) - len(waiting)
    say(
        f"[2/{_STAGES}] {len(plan.trainings)} trainings"
        + (f", {finished} of them finished before" if finished else "")
    )
    jobs = [
        Job(
            one.name,
            train_job,
            (one.recipe, one.folder, plan.device),
            plan.output / "logs" / f"{one.label}-seed-{one.seed}.log",
        )
        for one in waiting
    ]

    def ended(one: Ended) -> None:
        if one.error is None:
            say(f"  {one.job.name}: trained in {one.seconds:.0f} s")

    _refuse_failed(run_jobs(jobs, plan.workers, preload=_PRELOAD, ended=ended))


def _refuse_failed(ended: list[Ended]) -> None:
    failed = [one for one in ended if one.error]
    if failed:
        listed = "; ".join(f"{one.job.name}: {one.error} (see {one.job.log})" for one in failed)
        raise IncompleteError(
            f"{len(failed)} of {len(ended)} trainings failed; the others are on disk. {listed}"
        )


def train_base_job(
    recipe: BaseRecipe, output: Path, device: str, tell: Callable[[Any], None]
) -> None:
    """The base, in a process of its own. Raises GenbenchError."""
    from genbench.training.base import train_base

    train_base(recipe, output, device=device, threads=1, say=_say)


def train_job(
    recipe: SFTRecipe | RLRecipe, output: Path, device: str, tell: Callable[[Any], None]
) -> None:
    """One training, in a process of its own. Raises GenbenchError."""
    from genbench.training.plan import Job as TuningJob
    from genbench.training.tuning import tune

    tune(recipe, output, TuningJob(device, 1, _say))


def _say(text: str) -> None:
    print(text, flush=True)  # to the log of the process
