"""What a sweep is going to do, with every fault found that can be found without loading a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.checkpoints import Base, FoundCheckpoint, find_base, find_checkpoints
from genbench.errors import ModelError
from genbench.evaluation import prepare
from genbench.models.interface import LoadOptions
from genbench.registry import load_task


@dataclass(frozen=True)
class Scoring:
    """A task under one set of run settings; `questions` are what the task is loaded with."""

    task: str
    questions: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """A checkpoint that is scored: its model name, and its name in a table."""

    model: str
    label: str
    record: Mapping[str, Any]
    is_base: bool
    folders: tuple[Path, ...] = ()
    """The run folder of every scoring, in their order."""


@dataclass(frozen=True)
class SweepPlan:
    """The checkpoints, the base first, and how each is scored."""

    subjects: tuple[Subject, ...]
    scorings: tuple[Scoring, ...]
    output: Path
    options: LoadOptions
    backend: str | None = None
    unusable: tuple[tuple[str, str], ...] = ()
    """Checkpoints that cannot be scored, and why."""

    @property
    def runs(self) -> Path:
        return self.output / "runs"


def plan_sweep(
    paths: Sequence[Path],
    scorings: Sequence[Scoring],
    output: Path,
    *,
    base: str | None = None,
    options: LoadOptions | None = None,
    backend: str | None = None,
    checkpoints: Sequence[FoundCheckpoint] | None = None,
) -> SweepPlan:
    """Find the checkpoints below `paths` (or take `checkpoints`) and their base, and check all.

    Raises UsageError and TaskError; what is wrong with one checkpoint alone is in `unusable`.
    """
    for scoring in scorings:
        load_task(scoring.task, **scoring.questions).check_instances()
    found = list(checkpoints) if checkpoints is not None else find_checkpoints(paths)
    start = find_base(found, base)
    plan = SweepPlan((), tuple(scorings), output, options or LoadOptions(), backend)
    subjects, unusable = [], []
    for subject in _subjects(found, start):
        try:
            subjects.append(_checked(subject, plan))
        except ModelError as error:
            if subject.is_base:
                raise
            unusable.append((subject.label, str(error)))
    return SweepPlan(tuple(subjects), plan.scorings, output, plan.options, backend, tuple(unusable))


def _subjects(found: Sequence[FoundCheckpoint], base: Base | None) -> list[Subject]:
    labels = _labels([one.folder for one in found])
    subjects = [
        Subject(
            str(one.folder),
            label,
            one.record,
            base is not None and str(one.folder) == base.name,
        )
        for one, label in zip(found, labels, strict=True)
    ]
    if base is not None and not any(one.is_base for one in subjects):
        subjects.append(Subject(base.name, base.name, {}, True))
    return sorted(subjects, key=lambda one: not one.is_base)


def _labels(folders: Sequence[Path]) -> list[str]:
    """The folders without what they share at their beginning; a whole last part is left."""
    parts = [folder.parts for folder in folders]
    shared = 0
    while all(len(one) > shared + 1 and one[shared] == parts[0][shared] for one in parts):
        shared += 1
    if len(parts) == 1 or all(len(one) == shared + 1 for one in parts):
        shared = max(0, shared - 1)  # steps alone would not say of which training
    return ["/".join(one[shared:]) for one in parts]


def _checked(subject: Subject, plan: SweepPlan) -> Subject:
    """With its run folders, which are made. Raises ModelError where the checkpoint is faulty."""
    folders = []
    for scoring in plan.scorings:
        evaluation, _ = prepare(
            subject.model,
            load_task(scoring.task, **scoring.questions),
            output=plan.runs,
            backend=plan.backend,
            options=plan.options,
            **scoring.settings,
        )
        bound = subject.record.get("weights_fingerprint")
        if bound is not None and bound != evaluation.identity.weights_fingerprint:
            raise ModelError(
                f"{subject.model}: its training record is of other weights than those beside it"
            )
        folders.append(evaluation.folder.path)
    return Subject(subject.model, subject.label, subject.record, subject.is_base, tuple(folders))
