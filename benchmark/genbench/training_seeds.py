"""Runs that differ in their training seed alone: what a method changes, and not one lucky run.

The unit is a training run. Everything here is about other seeds of the recipe, held against the
same base on the same instances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from genbench import stats
from genbench.comparison_results import (
    CheckpointComparison,
    Kind,
    MethodComparison,
    Quantity,
    SeedComparison,
    SeedMean,
    SeedQuantity,
)
from genbench.labels import clean
from genbench.results import DifferenceResult

TARGET = 0.04
"""The difference between two methods whose number of seeds is stated."""

_DIGITS = 10


@dataclass(frozen=True)
class _Recipe:
    task: str
    method: str
    recipe: str | None
    step: int

    @property
    def label(self) -> str:
        recipe = f" {clean(self.recipe)}" if self.recipe else ""
        return f"{clean(self.method)}{recipe}, step {self.step}"


def seed_comparisons(
    checkpoints: Sequence[CheckpointComparison],
) -> tuple[list[SeedComparison], list[str]]:
    """The mean change of every method, recipe and step with two seeds or more; and notes.

    Of the quantities, those that a reading is made of: success on ID and OOD, and their
    difference. `readings` are left for when the tests are corrected.
    """
    found: dict[_Recipe, dict[int, CheckpointComparison]] = {}
    notes = []
    for one in checkpoints:
        place = _trained(one)
        if place is None:
            continue
        recipe, seed = place
        of_recipe = found.setdefault(recipe, {})
        if seed in of_recipe:
            notes.append(
                f"{one.folder} is another run of {recipe.label}, seed {seed}, and left out of the "
                "mean over seeds"
            )
        else:
            of_recipe[seed] = one
    return [
        SeedComparison(
            task=recipe.task,
            label=recipe.label,
            method=recipe.method,
            recipe=recipe.recipe,
            step=recipe.step,
            seeds=list(of_recipe),
            folders=[one.folder for one in of_recipe.values()],
            quantities=[_mean(same) for same in _same_quantities(list(of_recipe.values()))],
            readings=[],
        )
        for recipe, of_recipe in found.items()
        if len(of_recipe) > 1
    ], notes


def method_comparisons(
    seeds: Sequence[SeedComparison], checkpoints: Sequence[CheckpointComparison]
) -> list[MethodComparison]:
    """Two methods or recipes on one task, at each step that both have; where each has one step
    alone, at these."""
    by_folder = {one.folder: one for one in checkpoints}
    made: dict[tuple[str, str, str | None], dict[int, SeedComparison]] = {}
    for one in seeds:
        made.setdefault((one.task, one.method, one.recipe), {})[one.step] = one
    found = []
    for (first, first_steps), (second, second_steps) in combinations(made.items(), 2):
        if first[0] != second[0]:
            continue
        steps = [(step, step) for step in first_steps if step in second_steps]
        if not steps and len(first_steps) == len(second_steps) == 1:
            steps = list(zip(first_steps, second_steps, strict=True))
        for at_first, at_second in steps:
            a, b = first_steps[at_first], second_steps[at_second]
            sides = [
                _same_quantities([by_folder[folder] for folder in side.folders]) for side in (a, b)
            ]
            found.append(
                MethodComparison(
                    task=a.task,
                    a=a.label,
                    b=b.label,
                    quantities=[_difference(one, other) for one, other in zip(*sides, strict=True)],
                )
            )
    return found


def _trained(one: CheckpointComparison) -> tuple[_Recipe, int] | None:
    """What a checkpoint's record says of its training; None where it does not say enough."""
    record = one.model.training or {}
    method, recipe, step, seed = (record.get(key) for key in ("method", "recipe", "step", "seed"))
    if not isinstance(method, str) or not isinstance(recipe, str | None):
        return None
    if not isinstance(step, int) or not isinstance(seed, int):
        return None
    return _Recipe(one.task, method, recipe, step), seed


def _same_quantities(checkpoints: Sequence[CheckpointComparison]) -> list[list[Quantity]]:
    """For every quantity of success, those of all checkpoints; controls are no part of it."""
    compared = {reading.split for reading in checkpoints[0].readings} | {"id"}
    rows = [
        [one for one in of.quantities if one.measure == "success" and one.split in compared]
        for of in checkpoints
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _values(same: Sequence[Quantity]) -> list[float]:
    return [one.change.value for one in same]


def _bound(kind: Kind) -> float:
    return 2.0 if kind == "difference in differences" else 1.0


def _mean(same: Sequence[Quantity]) -> SeedMean:
    return seed_mean(same[0].name, same[0].kind, same[0].split, _values(same))


def seed_mean(name: str, kind: Kind, split: str, values: Sequence[float]) -> SeedMean:
    """The mean of changes, one a training seed, with its test; two or more."""
    bound = _bound(kind)
    sd = float(np.std(values, ddof=1))
    found = stats.seed_change(values, low=-bound, high=bound)
    try:
        needed = stats.required_seeds(sd, TARGET) if sd > 1e-9 else None
    except ValueError:  # more seeds than anyone trains
        needed = None
    return SeedMean(
        name=name,
        kind=kind,
        split=split,
        change=_result(found),
        sd=round(sd, _DIGITS),
        seeds_needed=needed,
    )


def _difference(same: Sequence[Quantity], other: Sequence[Quantity]) -> SeedQuantity:
    return seed_contrast(same[0].name, same[0].kind, same[0].split, _values(same), _values(other))


def seed_contrast(
    name: str,
    kind: Kind,
    split: str,
    a: Sequence[float],
    b: Sequence[float],
    *,
    rates: bool = False,
) -> SeedQuantity:
    """The mean of `a` minus that of `b`, one value a training seed; two or more each.

    Values are changes, or, with `rates`, success (or OOD minus ID) itself.
    """
    bound = _bound(kind)
    low, high = (1 - bound, 1.0) if rates else (-bound, bound)
    found = stats.seed_difference(a, b, low=low, high=high)
    return SeedQuantity(name=name, kind=kind, split=split, change=_result(found))


def _result(found: stats.Difference) -> DifferenceResult:
    return DifferenceResult(
        value=round(found.value, _DIGITS),
        ci95=(round(found.low, _DIGITS), round(found.high, _DIGITS)),
        n=found.n,
        clusters=found.clusters,
        method=found.method,
        p_value=round(found.p_value, _DIGITS),
        discordance=None,
    )
