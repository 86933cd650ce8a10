"""Checkpoints held against a base checkpoint, instance by instance, on one task or several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genbench import stats
from genbench.changes import Changes, change, difference_in_differences
from genbench.comparison_results import (
    Checkpoint,
    CheckpointComparison,
    ComparedTask,
    Comparison,
    Kind,
    Measure,
    PerceptionReading,
    Quantity,
    Reading,
    SeedQuantity,
)
from genbench.grouping import question_settings
from genbench.pairing import PairedRuns, pair
from genbench.reading import Word, direction, read
from genbench.results import DifferenceResult
from genbench.scores import ScoredRun
from genbench.selection import TaskRuns, notes_of_tasks, select_comparison
from genbench.training_seeds import method_comparisons, seed_comparisons

ALPHA, POWER = 0.05, 0.8
_DIGITS = 10

_COLUMNS: dict[Measure, str] = {
    "success": "first",
    "success at VIter": "last",
    "perception": "perception",
    "stickiness": "sticks",
    "rule read": "rule_read",
}


@dataclass(frozen=True)
class Planned:
    """A comparison that is to be tested."""

    kind: Kind
    measure: Measure
    split: str
    changes: Changes

    @property
    def name(self) -> str:
        subject = self.split if self.kind == "split" else f"{self.split} - id"
        return subject if self.measure == "success" else f"{self.measure}, {subject}"

    def tested(self, tests: int) -> Quantity:
        """Without its detectable change, which takes the number of all tests."""
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
            mde=None,
        )

    def detectable(self, found: DifferenceResult, tests: int) -> float | None:
        """At the discordance seen (at least one pair) and its design effect."""
        if self.kind != "split":
            return None
        value = stats.minimum_detectable_difference(
            found.n,
            max(found.discordance or 0.0, 1 / found.n),
            alpha=ALPHA / tests,
            power=POWER,
            design_effect=stats.design_effect(self.changes.values, self.changes.clusters),
        )
        return None if value is None else _round(value)


def compare(
    paths: Sequence[Path], base: Path | None = None, *, skip_unfinished: bool = False
) -> Comparison:
    """Hold the runs in and below `paths` against those of the base checkpoint, task by task.

    The base is the checkpoint of the first run, or of `base`. Every quantity that is shown is
    tested, and Holm's correction runs over all of them, those over training seeds included.
    Raises StoreError and UsageError as `select_comparison` and `pair` do.
    """
    selection = select_comparison(paths, base, skip_unfinished=skip_unfinished)
    selected = selection.tasks
    paired = [pair([task.base, *task.others]) for task in selected]
    tests = [[list(planned(found.runs[0], other)) for other in found.runs[1:]] for found in paired]
    paired_tests = sum(len(of_run) for of_task in tests for of_run in of_task)
    checkpoints = [
        _compared(task, number, run, [one.tested(paired_tests) for one in of_run])
        for task, found, of_task in zip(selected, paired, tests, strict=True)
        for number, (run, of_run) in enumerate(zip(found.runs[1:], of_task, strict=True), start=1)
    ]
    seeds, seed_notes = seed_comparisons(checkpoints)
    found = _comparison(selected, paired)
    found.checkpoints = checkpoints
    found.training_seeds = seeds
    found.methods = method_comparisons(seeds, checkpoints)
    found.notes += [*seed_notes, *selection.notes]
    _correct(found)
    plans = [one for of_task in tests for of_run in of_task for one in of_run]
    quantities = [one for of_run in found.checkpoints for one in of_run.quantities]
    for plan, quantity in zip(plans, quantities, strict=True):
        quantity.mde = plan.detectable(quantity.change, found.tests)
    _read_all(found)
    return found


def _comparison(selected: Sequence[TaskRuns], paired: Sequence[PairedRuns]) -> Comparison:
    """What is known before anything is tested."""
    tasks = [
        ComparedTask(
            label=task.label,
            task=task.base.results.task,
            settings=question_settings(task.base),
            verify_iters=found.runs[0].verify_iters,
            base=_checkpoint(found.runs[0]),
        )
        for task, found in zip(selected, paired, strict=True)
    ]
    only = tasks[0] if len(tasks) == 1 else None
    notes = notes_of_tasks(
        [
            (
                task.label,
                [
                    *found.notes,
                    *([f"stickiness is not compared: {found.regraded}"] if found.regraded else []),
                    *_saw_all(found.runs),
                ],
            )
            for task, found in zip(tasks, paired, strict=True)
        ]
    )
    return Comparison(
        task=None if only is None else only.task,
        verify_iters=None if only is None else only.verify_iters,
        alpha=ALPHA,
        correction="",
        tests=0,
        base=None if only is None else only.base,
        checkpoints=[],
        notes=notes,
        tasks=tasks,
        training_seeds=[],
        methods=[],
    )


def _saw_all(runs: Sequence[ScoredRun]) -> Iterator[str]:
    """That there is nothing to compare in what pictures were taken for."""
    splits = ("id", *runs[0].named("ood"))
    shown = any(run.stored.results.sampling.get("images") for run in runs)
    shares = np.concatenate([run.splits[name].perception for run in runs for name in splits])
    known = shares[~np.isnan(shares)]
    if shown and known.size and (known == 1).all():
        yield (
            "perception is not compared: no first response, of any run, that says what it saw "
            "missed any of it"
        )


def _correct(found: Comparison) -> None:
    """Holm's correction over the whole call."""
    together = found.changes()
    found.tests = len(together)
    found.correction = f"holm over the {found.tests} tests of this call"
    for tested, adjusted in zip(
        together, stats.holm([one.p_value for one in together]), strict=True
    ):
        tested.p_value_holm = _round(float(adjusted))


def _read_all(found: Comparison) -> None:
    """The words, once the tests are corrected."""
    splits: dict[str, list[str]] = {}
    for one in found.checkpoints:
        splits[one.task] = [reading.split for reading in one.readings]
        one.readings = [_reading(one.quantities, name) for name in splits[one.task]]
        one.perception = list(_perception_readings(one.quantities))
    for of_seeds in found.training_seeds:
        of_seeds.readings = [
            _seed_reading(of_seeds.quantities, name) for name in splits[of_seeds.task]
        ]


def _compared(
    task: TaskRuns, number: int, run: ScoredRun, quantities: list[Quantity]
) -> CheckpointComparison:
    """A run with its tests; its readings have the splits, and no words yet."""
    return CheckpointComparison(
        **_checkpoint(run).model_dump(),
        task=task.label,
        checkpoint=task.names[number],
        quantities=quantities,
        readings=[
            Reading(split=name, word="no change shown", sentence="") for name in run.named("ood")
        ],
        perception=[],
    )


def _round(value: float) -> float:
    return round(float(value), _DIGITS)


def _checkpoint(run: ScoredRun) -> Checkpoint:
    results = run.stored.results
    return Checkpoint(
        folder=str(run.folder), model=results.model, settings_hash=results.settings_hash
    )


def _all_seen(changes: Iterable[Changes | None]) -> bool:
    """Whether no first response that says what it saw missed any of it."""
    return all(found is None or found.earlier == found.later == 1 for found in changes)


def planned(base: ScoredRun, run: ScoredRun) -> Iterator[Planned]:
    """Everything that is tested of one checkpoint, in the order of the table.

    Perception where some first response did not see the problem: two runs that saw everything show
    no change, and a test that says so would cost the others power.
    """
    measures: list[Measure] = ["success"]
    if base.verify_iters > 1:
        measures.append("success at VIter")
    for measure in measures:
        for split in ("id", *base.named("ood")):
            if (found := change(base, run, split, _COLUMNS[measure])) is not None:
                yield Planned("split", measure, split, found)
        for ood in base.named("ood"):
            yield Planned(
                "difference in differences",
                measure,
                ood,
                difference_in_differences(base, run, ood, _COLUMNS[measure]),
            )
    seen = {split: change(base, run, split, "perception") for split in ("id", *base.named("ood"))}
    if not _all_seen(seen.values()):
        for split, found in seen.items():
            if found is not None:
                yield Planned("split", "perception", split, found)
    extra: tuple[Measure, ...] = ("rule read", "stickiness")
    for measure in extra:
        for ood in base.named("ood"):
            if (found := change(base, run, ood, _COLUMNS[measure])) is not None:
                yield Planned("split", measure, ood, found)
    for control in base.named("control"):
        if (found := change(base, run, control)) is not None:
            yield Planned("split", "success", control, found)


def _of(quantities: Sequence[Quantity], ood: str) -> tuple[Quantity, Quantity, Quantity]:
    """Success on ID, on that OOD split, and the difference in differences."""
    found = {(one.kind, one.split): one for one in quantities if one.measure == "success"}
    return (
        found["split", "id"],
        found["split", ood],
        found["difference in differences", ood],
    )


def _reading(quantities: Sequence[Quantity], ood: str) -> Reading:
    inside, out, apart = _of(quantities, ood)
    word, sentence = _read(inside.change, out.change, apart.change, ood)
    if word == "no change shown":
        detectable = [
            f"{'none on ' if one.mde is None else ''}{label}"
            + ("" if one.mde is None else f" {100 * one.mde:.1f} pp")
            for label, one in (("ID", inside), ("OOD", out))
        ]
        sentence += f"; changes that 80% of such runs would show: {', '.join(detectable)}"
    return Reading(split=ood, word=word, sentence=sentence)


_MOVED = {"up": "rose", "down": "fell"}


def _perception_readings(quantities: Sequence[Quantity]) -> Iterator[PerceptionReading]:
    """Perception beside success, split by split, where a test shows that either changed."""
    found = {(one.measure, one.split): one.change for one in quantities if one.kind == "split"}
    for (measure, split), seen in found.items():
        if measure != "perception":
            continue
        solved = found["success", split]
        success, perception = (
            direction(one.value, _corrected(one), ALPHA) for one in (solved, seen)
        )
        if success == perception == "flat":
            continue
        if perception == "flat":
            words = f"not shown to have changed, success {_MOVED[success]}"
        elif success == "flat":
            words = f"{_MOVED[perception]}, success is not shown to have changed"
        else:
            joined = "with success" if success == perception else f"success {_MOVED[success]}"
            words = f"{_MOVED[perception]}{' ' if success == perception else ', '}{joined}"
        where = "ID" if split == "id" else _ood_name(split)
        of = (
            f"; of {seen.n} instances of {solved.n}, where both say it" if seen.n < solved.n else ""
        )
        yield PerceptionReading(
            split=split,
            success=success,
            perception=perception,
            sentence=f"perception on {where} {_points(seen)}: {words}; corrected {_p(seen)}{of}",
        )


def _seed_reading(quantities: Sequence[SeedQuantity], ood: str) -> Reading:
    found = {(one.kind, one.split): one.change for one in quantities}
    word, sentence = _read(
        found["split", "id"],
        found["split", ood],
        found["difference in differences", ood],
        ood,
    )
    return Reading(split=ood, word=word, sentence=sentence)


def _read(
    inside: DifferenceResult, out: DifferenceResult, apart: DifferenceResult, ood: str
) -> tuple[Word, str]:
    word = read(*(direction(one.value, _corrected(one), ALPHA) for one in (inside, out, apart)))
    return word, (
        f"ID {_points(inside)}, {_ood_name(ood)} {_points(out)}: {word}; corrected "
        f"{_p(inside)} (ID), {_p(out)} (OOD), {_p(apart)} (OOD - ID)"
    )


def _ood_name(split: str) -> str:
    return "OOD" if split == "ood" else f"OOD ({split})"


def _corrected(change: DifferenceResult) -> float:
    assert change.p_value_holm is not None  # set for all before anything is read
    return change.p_value_holm


def _points(change: DifferenceResult) -> str:
    return f"{100 * change.value:+.1f} pp"


def _p(change: DifferenceResult) -> str:
    value = _corrected(change)
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
