"""Checkpoints held against a base checkpoint, instance by instance."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from genbench import stats
from genbench.changes import Changes, change, difference_in_differences
from genbench.errors import UsageError
from genbench.pairing import read_runs
from genbench.reading import Word, direction, read
from genbench.results import DifferenceResult, ModelResult, TaskResult
from genbench.scores import ScoredRun

SCHEMA_VERSION = 1
ALPHA, POWER = 0.05, 0.8
_DIGITS = 10

Measure = Literal["success", "success at VIter", "stickiness", "rule read"]
_COLUMNS: dict[Measure, str] = {
    "success": "first",
    "success at VIter": "last",
    "stickiness": "sticks",
    "rule read": "rule_read",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Quantity(_Strict):
    """One paired comparison with the base. `change` is later minus earlier."""

    name: str
    kind: Literal["split", "difference in differences"]
    measure: Measure
    split: str = Field(description="the split; of a difference in differences, the OOD split")
    base: float = Field(description="rate of the base; OOD - ID for a difference in differences")
    value: float = Field(description="the same of this checkpoint")
    change: DifferenceResult = Field(description="Holm over every quantity of the call")
    mde: float | None = Field(
        description="smallest true change that 80% of runs like this would show at alpha over the "
        "number of tests; null where none would, and for a difference in differences"
    )


class Reading(_Strict):
    """What the changes on ID and one OOD split amount to; the rules are `genbench.reading`'s."""

    split: str
    word: Word
    sentence: str


class Checkpoint(_Strict):
    """A run: where it is and what was scored."""

    folder: str
    model: ModelResult
    settings_hash: str


class CheckpointComparison(Checkpoint):
    """A run against the base."""

    quantities: list[Quantity]
    readings: list[Reading]


class Comparison(_Strict):
    """What `genbench compare --json` prints."""

    schema_version: int = SCHEMA_VERSION
    task: TaskResult
    verify_iters: int
    alpha: float
    correction: str
    tests: int
    base: Checkpoint
    checkpoints: list[CheckpointComparison]
    notes: list[str]


@dataclass(frozen=True)
class _Planned:
    """A comparison that is to be tested."""

    kind: Literal["split", "difference in differences"]
    measure: Measure
    split: str
    changes: Changes

    @property
    def name(self) -> str:
        subject = self.split if self.kind == "split" else f"{self.split} - id"
        return subject if self.measure == "success" else f"{self.measure}, {subject}"

    def tested(self, tests: int) -> Quantity:
        changes = self.changes
        # The smallest p-value of a random test must survive the correction with room to spare.
        permutations = max(20_000, 200 * tests)
        found = changes.tested(permutations)
        return Quantity(
            name=self.name,
            kind=self.kind,
            measure=self.measure,
            split=self.split,
            base=_round(changes.earlier),
            value=_round(changes.later),
            change=DifferenceResult(
                value=_round(found.value),
                ci95=(_round(found.low), _round(found.high)),
                n=found.n,
                clusters=found.clusters,
                method=found.method,
                p_value=_round(found.p_value),
                discordance=None if found.discordance is None else _round(found.discordance),
            ),
            mde=self._detectable(found, tests) if self.kind == "split" else None,
        )

    def _detectable(self, found: stats.Difference, tests: int) -> float | None:
        """At the discordance seen (at least one pair) and its design effect."""
        value = stats.minimum_detectable_difference(
            found.n,
            max(found.discordance or 0.0, 1 / found.n),
            alpha=ALPHA / tests,
            power=POWER,
            design_effect=stats.design_effect(self.changes.values, self.changes.clusters),
        )
        return None if value is None else _round(value)


def compare(folders: Sequence[Path], base: Path | None = None) -> Comparison:
    """Hold runs against `base` (by default the first of them).

    Every quantity that is shown is tested, and Holm's correction runs over all of them. Raises
    StoreError and UsageError as `read_runs` does, and UsageError for fewer than two runs.
    """
    ordered = list(folders)
    if base is not None:
        ordered = [base, *(one for one in ordered if one.resolve() != base.resolve())]
    if len(ordered) < 2:
        raise UsageError("a comparison takes two run folders or more: a base and a checkpoint")
    paired = read_runs(ordered)
    first, *others = paired.runs
    planned = [list(_planned(first, other)) for other in others]
    tests = sum(map(len, planned))
    quantities = [[one.tested(tests) for one in of_run] for of_run in planned]
    together = [one.change for of_run in quantities for one in of_run]
    for tested, adjusted in zip(
        together, stats.holm([one.p_value for one in together]), strict=True
    ):
        tested.p_value_holm = _round(float(adjusted))
    notes = list(paired.notes)
    if paired.regraded is not None:
        notes.append(f"stickiness is not compared: {paired.regraded}")
    return Comparison(
        task=first.stored.results.task,
        verify_iters=first.verify_iters,
        alpha=ALPHA,
        correction=f"holm over the {tests} tests of this call",
        tests=tests,
        base=_checkpoint(first),
        checkpoints=[
            CheckpointComparison(
                **_checkpoint(run).model_dump(),
                quantities=found,
                readings=[_reading(found, name) for name in first.named("ood")],
            )
            for run, found in zip(others, quantities, strict=True)
        ],
        notes=notes,
    )


def csv_rows(comparison: Comparison) -> Iterator[dict[str, object]]:
    """One row a checkpoint and quantity; training metadata where it is known."""
    for one in comparison.checkpoints:
        training = one.model.training or {}
        words = {reading.split: reading.word for reading in one.readings}
        for found in one.quantities:
            change = found.change
            yield {
                "checkpoint": one.model.name,
                "folder": one.folder,
                "weights_fingerprint": one.model.weights_fingerprint,
                "method": training.get("method"),
                "step": training.get("step"),
                "flops": training.get("flops"),
                "base": comparison.base.model.name,
                "task": comparison.task.name,
                "quantity": found.name,
                "kind": found.kind,
                "measure": found.measure,
                "split": found.split,
                "n": change.n,
                "clusters": change.clusters,
                "base_rate": found.base,
                "rate": found.value,
                "change": change.value,
                "ci95_low": change.ci95[0],
                "ci95_high": change.ci95[1],
                "p_value": change.p_value,
                "p_value_holm": change.p_value_holm,
                "tests": comparison.tests,
                "discordance": change.discordance,
                "mde": found.mde,
                "test": change.method,
                "reading": words.get(found.split),
            }


def write_csv(comparison: Comparison, path: Path) -> None:
    """Write `csv_rows`. Raises UsageError where the file cannot be written."""
    rows = list(csv_rows(comparison))
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _round(value: float) -> float:
    return round(float(value), _DIGITS)


def _checkpoint(run: ScoredRun) -> Checkpoint:
    results = run.stored.results
    return Checkpoint(
        folder=str(run.folder), model=results.model, settings_hash=results.settings_hash
    )


def _planned(base: ScoredRun, run: ScoredRun) -> Iterator[_Planned]:
    """Everything that is tested of one checkpoint, in the order of the table."""
    measures: list[Measure] = ["success"]
    if base.verify_iters > 1:
        measures.append("success at VIter")
    for measure in measures:
        for split in ("id", *base.named("ood")):
            if (found := change(base, run, split, _COLUMNS[measure])) is not None:
                yield _Planned("split", measure, split, found)
        for ood in base.named("ood"):
            yield _Planned(
                "difference in differences",
                measure,
                ood,
                difference_in_differences(base, run, ood, _COLUMNS[measure]),
            )
    extra: tuple[Measure, ...] = ("rule read", "stickiness")
    for measure in extra:
        for ood in base.named("ood"):
            if (found := change(base, run, ood, _COLUMNS[measure])) is not None:
                yield _Planned("split", measure, ood, found)
    for control in base.named("control"):
        if (found := change(base, run, control)) is not None:
            yield _Planned("split", "success", control, found)


def _reading(quantities: Sequence[Quantity], ood: str) -> Reading:
    def of(kind: str, split: str) -> Quantity:
        return next(
            one
            for one in quantities
            if (one.kind, one.measure, one.split) == (kind, "success", split)
        )

    inside, out = of("split", "id"), of("split", ood)
    apart = of("difference in differences", ood)
    word = read(
        *(direction(one.change.value, _corrected(one), ALPHA) for one in (inside, out, apart))
    )
    sentence = (
        f"ID {_points(inside)}, {_ood_name(ood)} {_points(out)}: {word}; corrected "
        f"{_p(inside)} (ID), {_p(out)} (OOD), {_p(apart)} (OOD - ID)"
    )
    if word == "no change shown":
        detectable = [
            f"{'none on ' if one.mde is None else ''}{label}"
            + ("" if one.mde is None else f" {100 * one.mde:.1f} pp")
            for label, one in (("ID", inside), ("OOD", out))
        ]
        sentence += f"; changes that 80% of such runs would show: {', '.join(detectable)}"
    return Reading(split=ood, word=word, sentence=sentence)


def _ood_name(split: str) -> str:
    return "OOD" if split == "ood" else f"OOD ({split})"


def _corrected(found: Quantity) -> float:
    assert found.change.p_value_holm is not None  # set for all before anything is read
    return found.change.p_value_holm


def _points(found: Quantity) -> str:
    return f"{100 * found.change.value:+.1f} pp"


def _p(found: Quantity) -> str:
    value = _corrected(found)
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
