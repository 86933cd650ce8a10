"""What our trainers add to TRL's: exact counts, states that survive a kill, milestones.

transformers writes a state in place and deletes the one before it at once, so a kill in between
leaves none: here a state counts once its mark (the counts) is written, last, and the older one goes
after.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from genbench.store import json_bytes, write_atomically
from genbench.training.counts import TokenCounts

_COUNTS = "genbench_counts.json"


def last_state(folder: Path) -> Path | None:
    """The newest whole state in a trainer's folder."""
    found = {
        int(path.parent.name.removeprefix("checkpoint-")): path.parent
        for path in folder.glob(f"checkpoint-*/{_COUNTS}")
    }
    return found[max(found)] if found else None


class WholeStates:
    """A mixin before a trainer of transformers: states of which the newest whole one is there
    whenever the process is killed."""

    # from the trainer
    accelerator: Any
    args: Any
    state: Any

    def mark(self) -> dict[str, Any]:
        """What is written last, and says that the state is whole; every process asks."""
        return {}

    def _save_checkpoint(self, *arguments: Any, **named: Any) -> None:
        super()._save_checkpoint(*arguments, **named)  # type: ignore[misc]
        mark = self.mark()
        self.accelerator.wait_for_everyone()
        if not self.args.should_save:
            return
        folder = Path(self.args.output_dir)
        newest = f"checkpoint-{self.state.global_step}"
        write_atomically(folder / newest / _COUNTS, [json_bytes(mark)])
        for path in folder.glob("checkpoint-*"):
            if path.name != newest:
                shutil.rmtree(path, ignore_errors=True)


class Tracked(WholeStates):
    """A mixin before a trainer of TRL."""

    counts: TokenCounts  # of this process; `totals` is over all of them

    def take_up(self, state: Path | None, counts: TokenCounts) -> None:
        """Set the counts: `counts` at the start of a training, those of the state resumed from."""
        if state is not None:
            counts = TokenCounts(**json.loads((state / _COUNTS).read_text()))
        self.counts = counts if self.accelerator.is_main_process else TokenCounts()

    def totals(self) -> TokenCounts:
        """The counts over all processes; every process must ask."""
        import torch

        mine = torch.tensor(list(self.counts.json().values()), device=self.accelerator.device)
        summed = self.accelerator.reduce(mine, reduction="sum").tolist()
        return TokenCounts(**dict(zip(TokenCounts.names(), map(int, summed), strict=True)))

    def mark(self) -> dict[str, Any]:
        """The counts so far."""
        return self.totals().json()


@dataclass
class Milestones(TrainerCallback):  # type: ignore[misc]
    """Calls `publish` and `monitor` with the step, at their steps."""

    kept: frozenset[int]
    publish: Callable[[int], None]
    monitor_every: int = 0
    monitor: Callable[[int], None] = field(default=lambda step: None)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step = state.global_step
        if self.monitor_every and step % self.monitor_every == 0:
            self.monitor(step)
        if step in self.kept:
            self.publish(step)
