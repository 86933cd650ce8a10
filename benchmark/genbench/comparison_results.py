"""The schema of `genbench compare --json`.

Version 2 differs from version 1 in what was added: `tasks`, `training_seeds`, `methods`, and the
`task` and `checkpoint` of every entry. `task`, `verify_iters` and `base` are null where several
tasks were compared. Version 3 adds perception: a measure, and `perception` of every checkpoint.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from genbench.reading import Direction, Word
from genbench.results import DifferenceResult, ModelResult, TaskResult

SCHEMA_VERSION = 3

Measure = Literal["success", "success at VIter", "perception", "stickiness", "rule read"]
Kind = Literal["split", "difference in differences"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Quantity(_Strict):
    """One paired comparison with the base. `change` is later minus earlier."""

    name: str
    kind: Kind
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


class PerceptionReading(_Strict):
    """How perception changed beside success on a split where a test shows either to have changed.

    It says what went together, and not that the one is why the other changed.
    """

    split: str
    success: Direction
    perception: Direction
    sentence: str


class Checkpoint(_Strict):
    """A run: where it is and what was scored."""

    folder: str
    model: ModelResult
    settings_hash: str


class CheckpointComparison(Checkpoint):
    """A run against the base."""

    task: str = Field(description="the label of its entry in `tasks`")
    checkpoint: str = Field(description="equal for the runs of one checkpoint on all tasks")
    quantities: list[Quantity]
    readings: list[Reading]
    perception: list[PerceptionReading] = Field(
        description="by split, ID first; none where no first response missed the problem"
    )


class ComparedTask(_Strict):
    """A task, what was asked of it, and the base's run on it."""

    label: str
    task: TaskResult
    settings: dict[str, Any] = Field(description="those that decide the questions")
    verify_iters: int
    base: Checkpoint


class SeedQuantity(_Strict):
    """A change over training seeds; its interval is about other seeds, on the same instances."""

    name: str
    kind: Kind
    split: str
    change: DifferenceResult = Field(description="n counts seeds; Holm over the whole call")


class SeedMean(SeedQuantity):
    """The mean change over the seeds of one recipe."""

    sd: float = Field(description="over the seeds")
    seeds_needed: int | None = Field(
        description="seeds of each of two methods that show a difference of 4 points with 80% "
        "power at this SD; null where the seeds are all equal"
    )


class SeedComparison(_Strict):
    """The runs of one method and recipe at one step that differ in their training seed."""

    task: str
    label: str
    method: str
    recipe: str | None
    step: int
    seeds: list[int]
    folders: list[str]
    quantities: list[SeedMean]
    readings: list[Reading]


class MethodComparison(_Strict):
    """The seeds of one method against those of another: the mean change of `a` minus `b`'s."""

    task: str
    a: str = Field(description="the label of a seed comparison")
    b: str
    quantities: list[SeedQuantity]


class Comparison(_Strict):
    """What `genbench compare --json` prints."""

    schema_version: int = SCHEMA_VERSION
    task: TaskResult | None
    verify_iters: int | None
    alpha: float
    correction: str
    tests: int
    base: Checkpoint | None
    checkpoints: list[CheckpointComparison]
    notes: list[str]
    tasks: list[ComparedTask]
    training_seeds: list[SeedComparison]
    methods: list[MethodComparison]

    def on(self, task: ComparedTask) -> list[CheckpointComparison]:
        """The checkpoints that were scored on it."""
        return [one for one in self.checkpoints if one.task == task.label]

    def changes(self) -> list[DifferenceResult]:
        """Everything that is tested."""
        quantities: list[Quantity | SeedQuantity] = [
            quantity
            for group in (self.checkpoints, self.training_seeds, self.methods)
            for one in group
            for quantity in one.quantities
        ]
        return [one.change for one in quantities]
