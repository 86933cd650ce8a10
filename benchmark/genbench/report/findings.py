"""One line of the table of training compute: what was found, over what, or why nothing was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["slope", "forgetting", "matched compute", "last compute", "last difference"]
Unit = Literal["training runs", "instances"]

TARGET = 0.04
"""The difference between two methods that the number of seeds is stated for."""


@dataclass(frozen=True)
class Measured:
    """A number with its 95% interval and, where something is tested, its two-sided p-value."""

    value: float
    low: float
    high: float
    p_value: float | None
    method: str


@dataclass(frozen=True)
class Seeds:
    """The spread over training runs, and how many of each method would tell `TARGET` apart with
    80% power in a two-sided test at 5%."""

    sd: float
    needed: int | None
    reason: str | None


@dataclass(frozen=True)
class Finding:
    """One line of the table of training compute.

    `split` is `id`, an OOD split, or `<ood> - id`. `unit` is what interval and test are over.
    `flops` is the range, or twice the one amount, that the finding is about.
    """

    kind: Kind
    subjects: tuple[str, ...]
    """The method or training run; of a contrast, the one that the other is taken from first."""
    split: str
    unit: Unit
    training_runs: int
    checkpoints: int
    instances: int
    """Pairs where `pairs`."""
    clusters: int
    pairs: bool = False
    flops: tuple[float, float] | None = None
    found: Measured | None = None
    reason: str | None = None
    note: str = ""
    best: str | None = None
    """Of forgetting: the best earlier checkpoint."""
    seeds: Seeds | None = None
    p_holm: float | None = None
    """Adjusted over all tests of training compute in the report."""

    @property
    def subject(self) -> str:
        return " minus ".join(self.subjects)
