"""What a training is, ready to start: the recipe with its parent and data, and how it is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.training.counts import TokenCounts
from genbench.training.data import TrainingData
from genbench.training.folders import make_record, publish, step_folder, write_record
from genbench.training.recipe import RLRecipe, SFTRecipe

if TYPE_CHECKING:
    from genbench.training.monitoring import DevelopmentSet
    from genbench.training.parent import Parent


@dataclass(frozen=True)
class Job:
    """How a training is run, which changes nothing of what it is; `say` speaks to the user."""

    device: str = "auto"
    threads: int | None = None
    say: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Plan:
    """A training that may start. `identity` goes into its records, and what `start` counts was
    spent before the first step. Another trainer gets this and a Job; see `keep`."""

    recipe: SFTRecipe | RLRecipe
    parent: Parent
    data: TrainingData
    development: DevelopmentSet | None
    output: Path
    identity: Mapping[str, Any]
    start: TokenCounts

    def staging(self, step: int) -> Path:
        """Where the files of a step's checkpoint are written before `keep`."""
        return self.output / f".step-{step}.partial"

    def keep(self, step: int, parameters: int, counts: TokenCounts) -> Path:
        """Complete the checkpoint in `staging(step)` with its record; returns its final folder.

        `counts` are those from the start to this step; the first `step * batch_size` items of
        the data are what was trained on.
        """
        staged, folder = self.staging(step), step_folder(self.output, step)
        record = make_record(
            self.recipe,
            self.identity,
            step=step,
            parameters=parameters,
            counts=counts,
            weights=staged,
            problems=self.data.record(step * self.recipe.schedule.batch_size),
            ancestors=self.parent.ancestors(),
            parent_flops=self.parent.flops,
        )
        write_record(staged, record)
        publish(staged, folder)
        return folder
