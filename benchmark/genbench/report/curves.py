"""Checkpoints along training compute: the points of the scaling curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from genbench.report.loading import Group, ReportRun
from genbench.report.text import clean

BASE = "base"


@dataclass(frozen=True)
class Series:
    """The checkpoints of one training run, by FLOPs."""

    method: str
    name: str
    runs: tuple[ReportRun, ...]
    recipe: str = ""
    seed: str = ""

    @property
    def flops(self) -> tuple[float, ...]:
        return tuple(flops_of(run) or 0.0 for run in self.runs)


@dataclass(frozen=True)
class TrainingMethod:
    """A method by one recipe: its training runs differ in nothing but the seed."""

    method: str
    name: str
    series: tuple[Series, ...]


def flops_of(run: ReportRun) -> float | None:
    """Training FLOPs by the checkpoint's own record, None where it has none."""
    training = run.results.model.training or {}
    flops = training.get("flops")
    if isinstance(flops, bool) or not isinstance(flops, int | float):
        return None
    return float(flops) if 0 < flops < 1e300 and training.get("method") else None


def training_series(group: Group) -> list[Series]:
    """A series a method, recipe and seed; what tells two of one method apart is in its name."""
    found: dict[tuple[str, str, str], list[ReportRun]] = {}
    for run in group.runs:
        training = run.results.model.training or {}
        if flops_of(run) is not None:
            method, recipe, seed = (
                str(training.get(part, "")) for part in ("method", "recipe", "seed")
            )
            found.setdefault((method.lower(), recipe, seed), []).append(run)
    series = []
    for (method, recipe, seed), runs in found.items():
        alike = [key for key in found if key[0] == method]
        name = _method_name(method, recipe, [key[1] for key in alike])
        if len({key[2] for key in alike}) > 1:
            name += f", seed {clean(seed)}"
        runs.sort(key=lambda run: (flops_of(run) or math.inf, run.label))
        series.append(Series(method, name, tuple(runs), recipe, seed))
    return series


def _method_name(method: str, recipe: str, recipes: Sequence[str]) -> str:
    name = method.upper() if method in ("sft", "rl") else clean(method)
    return f"{name} {clean(recipe)}" if len(set(recipes)) > 1 else name


def on_the_axis(every: Sequence[Series]) -> list[Series]:
    """The series whose compute is comparable: beside post-trained checkpoints not the bases, whose
    FLOPs are those of pretraining."""
    return [series for series in every if series.method != BASE] or list(every)


def training_methods(every: Sequence[Series]) -> list[TrainingMethod]:
    """The methods of the series, RL first, which is what SFT is held against."""
    found: dict[tuple[str, str], list[Series]] = {}
    for series in every:
        found.setdefault((series.method, series.recipe), []).append(series)
    methods = [
        TrainingMethod(
            method,
            _method_name(method, recipe, [key[1] for key in found if key[0] == method]),
            tuple(of_method),
        )
        for (method, recipe), of_method in found.items()
    ]
    return sorted(methods, key=lambda one: one.method != "rl")


def parent_of(series: Series, group: Group) -> ReportRun | None:
    """The checkpoint that the training run began from, by the record of its first checkpoint;
    None where the record names none, or none or several of the group's runs."""
    parent = (series.runs[0].results.model.training or {}).get("parent")
    values = parent.values() if isinstance(parent, dict) else [parent]
    names = {value for value in values if isinstance(value, str) and value}
    found = [
        run
        for run in group.runs
        if not any(run is one for one in series.runs)
        and names & {run.results.model.name, run.results.model.weights_fingerprint or ""}
    ]
    return found[0] if len(found) == 1 else None
