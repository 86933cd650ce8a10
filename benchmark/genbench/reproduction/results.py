"""The schema of `conclusion.json`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from genbench.comparison_results import Kind, Measure, Reading
from genbench.reproduction.preset import Role
from genbench.results import DifferenceResult, Rate

SCHEMA_VERSION = 2

Unit = Literal["training seeds", "instances"]
Family = Literal["readings", "further", "controls"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Tested(_Strict):
    """A change with its interval and test."""

    kind: Kind
    measure: Measure
    split: str
    base: float | None = Field(description="before, or of the second of two methods; mean of seeds")
    value: float | None = Field(description="after, or of the first of two methods")
    change: DifferenceResult = Field(description="n counts seeds where the unit is seeds")
    family: Family
    tests: int = Field(default=0, description="of the family, on this task in this decoding")
    sd: float | None = Field(default=None, description="over the training seeds")
    seeds_needed: int | None = Field(
        default=None, description="of each of two methods, to tell 4 points apart with 80% power"
    )
    detectable: float | None = Field(
        default=None, description="the difference of two methods that as many seeds as here tell"
    )


class Decomposed(_Strict):
    """The gap's two parts before and after; means over seeds, described and not tested."""

    split: str
    number: tuple[float, float] = Field(description="base, trained")
    rule: tuple[float, float]


class ChangeParts(_Strict):
    """The change on a split = number + rule, by its control split: the same numbers as numerals."""

    split: str
    control: str
    number: Tested = Field(description="the change on the control split")
    rule: Tested = Field(description="the change of (split - control): reading the rule")


class PassAtK(_Strict):
    """Any of k samples right, of the base and of the last checkpoints (mean over seeds)."""

    split: str
    k: int
    base: float
    value: float


class TrainingConclusion(_Strict):
    """The last checkpoints of one recipe against the base."""

    training: str
    method: str
    role: Role
    why: str
    settings: dict[str, Any] = Field(description="what the preset set in the recipe, and its rate")
    seeds: list[int]
    step: int
    flops: float = Field(description="mean over the seeds")
    unit: Unit
    id_rate: float
    ood_rates: dict[str, float]
    quantities: list[Tested]
    readings: list[Reading]
    decomposition: list[Decomposed]
    parts: list[ChangeParts] = Field(description="empty where the task has no control splits")
    pass_at_k: list[PassAtK]


class ContrastConclusion(_Strict):
    """Training `a` minus training `b`."""

    a: str
    b: str
    kind: Literal["matched compute", "matched ID success"]
    unit: Unit | None
    detail: str
    matched: bool = Field(description="False where no checkpoint comes near the other's ID success")
    quantities: list[Tested]
    sentence: str
    reason: str | None = Field(description="why there is no contrast; null where there is one")


class GroupConclusion(_Strict):
    """One task in one way of decoding."""

    task: str
    task_version: str
    decoding: str
    cluster: str
    base: str
    base_id: Rate
    base_ood: dict[str, Rate]
    trainings: list[TrainingConclusion]
    contrasts: list[ContrastConclusion]
    notes: list[str]


class Conclusion(_Strict):
    """What a reproduction concludes, and from which tests."""

    schema_version: int = SCHEMA_VERSION
    genbench_version: str
    preset: str
    summary: str
    seeds: int
    alpha: float
    correction: str
    groups: list[GroupConclusion]
    notes: list[str]
