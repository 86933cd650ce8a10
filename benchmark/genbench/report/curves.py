"""Checkpoints along training compute: the points of the scaling curves."""

from __future__ import annotations

import math
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

    @property
    def flops(self) -> tuple[float, ...]:
        return tuple(flops_of(run) or 0.0 for run in self.runs)


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
        name = method.upper() if method in ("sft", "rl") else clean(method)
        if len({key[1] for key in alike}) > 1:
            name += f" {clean(recipe)}"
        if len({key[2] for key in alike}) > 1:
            name += f", seed {clean(seed)}"
        runs.sort(key=lambda run: (flops_of(run) or math.inf, run.label))
        series.append(Series(method, name, tuple(runs)))
    return series
