"""The steps of played episodes: what was asked at each, and the first attempt at it.

Most episodes have one step. Where there are many, what was asked at a later one is known by
playing the stored responses again; `answers` of a step after the first are retries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genbench.records import EpisodeRecord, Turn
from genbench.settings import RunSettings
from genbench.task import Environment, Instance, SplitSpec, Task
from genbench.thinking import visible_text


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an episode (`number` from 0), the first attempt at it, and its kind."""

    number: int
    state: Instance
    turn: Turn
    kind: str | None = None


def has_steps(environment: Environment) -> bool:
    """Whether the environment's episodes have many steps."""
    return bool(environment.step_kinds)


def attempts_of(task: Task, settings: RunSettings, split: str) -> int:
    """Attempts a step. Controls decompose the gap of first attempts, so they are asked once."""
    return 1 if task.splits[split].spec.role == "control" else settings.verify_iters


def first_attempts(
    task: Task, settings: RunSettings, instance: Instance, episode: EpisodeRecord
) -> Sequence[Step]:
    """The steps that the episode came to."""
    if not has_steps(task.environment):
        return (Step(0, instance, episode.turns[0]),)
    environment = task.environment
    live = environment.episode(instance, attempts_of(task, settings, episode.split))
    found = []
    for turn in episode.turns:
        if live.done:
            break
        if turn.attempt == 1:
            found.append(Step(turn.step, live.state, turn, environment.step_kind(live.state)))
        live.step(
            visible_text(turn.response.text, settings.thinking),
            truncated=turn.response.finish_reason == "length",
        )
    return found


def sticks(task: Task, settings: RunSettings, training: SplitSpec, step: Step) -> float | None:
    """1 where the first attempt is right under the training rule, else 0; None where the step is
    no matter of the rule."""
    under_training = task.environment.under_rule(step.state, training)
    if under_training is None:
        return None
    text = visible_text(step.turn.response.text, settings.thinking)
    return float(task.verify(under_training, text).correct)
