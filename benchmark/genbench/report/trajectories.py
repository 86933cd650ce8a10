"""Scores along training compute: the checkpoints of every training run on the same instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genbench.changes import Changes, ood_minus_id
from genbench.report.curves import (
    TrainingMethod,
    on_the_axis,
    parent_of,
    training_methods,
    training_series,
)
from genbench.report.loading import Group, ReportRun
from genbench.scores import Scores, SplitScores

OOD_MINUS_ID = "{} - id"


@dataclass(frozen=True)
class Quantity:
    """What is followed along compute: success on a split, or OOD minus ID (`is_gap`)."""

    name: str
    split: str
    is_gap: bool
    clusters: tuple[str, ...]
    bound: float
    """The largest size of the difference of two values of a unit."""
    paired: bool = False
    """Whether a unit is an ID instance and its OOD twin."""

    @property
    def lowest(self) -> float:
        """The lowest mean that is possible; the highest is 1."""
        return -1.0 if self.is_gap else 0.0

    @property
    def units(self) -> int:
        """Instances (or pairs of them)."""
        return len(self.clusters)

    @property
    def independent(self) -> int:
        return len(set(self.clusters))

    def change(self, earlier: Scores, later: Scores) -> Changes:
        """Later minus earlier, both one value a unit."""
        sides = None if self.is_gap else (earlier, later)
        means = float(earlier.mean()), float(later.mean())
        return Changes(later - earlier, self.clusters, self.bound, *means, sides=sides)


@dataclass(frozen=True)
class Trajectory:
    """The checkpoints of one training run, by FLOPs."""

    name: str
    seed: str
    checkpoints: tuple[str, ...]
    flops: tuple[float, ...]
    scores: Mapping[str, Scores]
    """Quantity -> first attempts, shape (checkpoints, units), the mean over an instance's samples;
    success lies in [0, 1]."""
    parent: str | None
    """The checkpoint that the training run began from, where it is among the runs."""
    parent_scores: Mapping[str, Scores]
    """Quantity -> one value a unit; empty where there is no parent."""

    def rates(self, quantity: Quantity) -> Scores:
        """The mean of each checkpoint."""
        rates = np.clip(self.scores[quantity.name].mean(axis=1), quantity.lowest, 1.0)
        return np.asarray(rates, dtype=np.float64)

    @property
    def repeated(self) -> float | None:
        """An amount of compute at which more than one checkpoint stands."""
        return next((one for one in self.flops if self.flops.count(one) > 1), None)


@dataclass(frozen=True)
class Followed:
    """A training method and its training runs."""

    training: TrainingMethod
    runs: tuple[Trajectory, ...]

    @property
    def name(self) -> str:
        return self.training.name

    @property
    def checkpoints(self) -> int:
        return sum(len(run.flops) for run in self.runs)


@dataclass(frozen=True)
class Trajectories:
    """All of a group: success on ID, then success and OOD minus ID for each OOD split."""

    quantities: tuple[Quantity, ...]
    methods: tuple[Followed, ...]


def trajectories(
    group: Group, scores: Mapping[Path, Mapping[str, SplitScores]]
) -> Trajectories | None:
    """The training runs of a group; `scores` by run folder. None where no checkpoint has FLOPs.

    Raises ValueError with a sentence where the runs do not hold the same instances.
    """
    every = training_series(group)
    if not every:
        return None
    reference = scores[every[0].runs[0].folder]
    for series in every:
        for run in series.runs:
            _check_instances(run, reference, scores[run.folder])
    paired = {ood: found.paired for ood, found in group.runs[0].ood.items()}
    quantities = tuple(_quantities(reference, paired))

    def values(run: ReportRun) -> dict[str, Scores]:
        of_run = scores[run.folder]
        return {one.name: _values(one, reference, paired, of_run) for one in quantities}

    methods = []
    for method in training_methods(on_the_axis(every)):
        runs = []
        for series in method.series:
            each = [values(run) for run in series.runs]
            parent = parent_of(series, group)
            if parent is not None and parent.folder not in scores:
                parent = None
            runs.append(
                Trajectory(
                    name=series.name,
                    seed=series.seed,
                    checkpoints=tuple(run.label for run in series.runs),
                    flops=series.flops,
                    scores={
                        one.name: np.stack([found[one.name] for found in each])
                        for one in quantities
                    },
                    parent=parent.label if parent else None,
                    parent_scores=values(parent) if parent else {},
                )
            )
        methods.append(Followed(method, tuple(runs)))
    return Trajectories(quantities, tuple(methods))


def _check_instances(
    run: ReportRun, reference: Mapping[str, SplitScores], found: Mapping[str, SplitScores]
) -> None:
    for name, split in reference.items():
        if name not in found or found[name].instance_ids != split.instance_ids:
            raise ValueError(
                f"{run.label} holds other instances of the split '{name}', or in another order"
            )


def _quantities(
    reference: Mapping[str, SplitScores], paired: Mapping[str, bool]
) -> Sequence[Quantity]:
    found = [Quantity("id", "id", False, reference["id"].clusters, 1.0)]
    for ood, is_paired in paired.items():
        found.append(Quantity(ood, ood, False, reference[ood].clusters, 1.0))
        both = reference["id"], reference[ood]
        joined = ood_minus_id(*both, is_paired, both[0].first, both[1].first)
        name = OOD_MINUS_ID.format(ood)
        # Means over seeds and compute may pass the bound by their rounding.
        bound = joined.bound * (1 + 1e-9)
        found.append(Quantity(name, ood, True, joined.clusters, bound, is_paired))
    return found


def _values(
    quantity: Quantity,
    reference: Mapping[str, SplitScores],
    paired: Mapping[str, bool],
    scores: Mapping[str, SplitScores],
) -> Scores:
    if not quantity.is_gap:
        return scores[quantity.split].first
    return ood_minus_id(
        reference["id"],
        reference[quantity.split],
        paired[quantity.split],
        scores["id"].first,
        scores[quantity.split].first,
    ).values
