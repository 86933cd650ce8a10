"""The steps of episodes of many steps: accuracy and gap by step, all together and by kind.

Where the walk goes on past a failure every step is asked under the expert's history (teacher
forcing), so that early steps weigh no more than late ones, and the two sides of a pair hold the
same steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from genbench import stats
from genbench.analysis import (
    UNPAIRED,
    Played,
    answered_right,
    detectable,
    difference_of,
    rate_of,
    rounded,
    share_of_steps,
    steps_of,
)
from genbench.results import GeneralizationResult, SplitResult, StepRate, StepsGap, StepsResult
from genbench.steps import Step, has_steps
from genbench.task import Task

_Place = tuple[str, int]


def add_steps(
    task: Task,
    played: Mapping[str, Sequence[Played]],
    splits: Mapping[str, SplitResult],
    generalization: Mapping[str, GeneralizationResult],
) -> None:
    """Set `steps` of the results, where the task's episodes have many."""
    if not has_steps(task.environment):
        return
    for name, split in splits.items():
        split.steps = _of_split(task, played[name])
    for name, found in generalization.items():
        found.steps = _gap(task, played, name)


def _of_split(task: Task, played: Sequence[Played]) -> StepsResult | None:
    whole = _rate(task, played, None)
    if whole is None:
        return None
    turns = [
        (turn.verdict.correct, item.instance.cluster)
        for item in played
        for episode in item.episodes
        for turn in episode.turns
    ]
    every = stats.proportion([float(one) for one, _ in turns], [cluster for _, cluster in turns])
    kinds = {kind: _rate(task, played, kind) for kind in task.environment.step_kinds}
    return StepsResult(
        accuracy=whole.accuracy,
        chance=whole.chance,
        every_attempt=rate_of(every),
        kinds={kind: found for kind, found in kinds.items() if found is not None},
    )


def _rate(task: Task, played: Sequence[Played], kind: str | None) -> StepRate | None:
    """First attempts at the steps of a kind (None: of any); None where there is no such step."""

    def score(step: Step) -> float | None:
        return answered_right(step) if step.kind and kind in (None, step.kind) else None

    accuracy = share_of_steps(played, score)
    if accuracy is None:
        return None
    states = [step.state for item in played for step in steps_of(item) if score(step) is not None]
    chance = _mean([task.environment.chance(state) for state in states])
    return StepRate(accuracy=accuracy, chance=None if chance is None else rounded(chance))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _by_place(played: Sequence[Played]) -> dict[_Place, tuple[list[Step], str]]:
    """The steps by pair and number, one a sample, and their cluster."""
    found: dict[_Place, tuple[list[Step], str]] = {}
    for item in played:
        for step in steps_of(item):
            place = (item.instance.pair_id, step.number)
            found.setdefault(place, ([], item.instance.cluster))[0].append(step)
    return found


def _gap(task: Task, played: Mapping[str, Sequence[Played]], name: str) -> StepsGap:
    """First attempts at the same steps of the same pairs."""
    if not task.protocol.paired:
        return _no_gap(UNPAIRED)
    inside, out = (_by_place(played[side]) for side in ("id", name))
    asked = [{place: len(steps) for place, (steps, _) in side.items()} for side in (inside, out)]
    if asked[0] != asked[1]:
        return _no_gap("the two splits were not asked the same steps")

    def gap(places: Sequence[_Place]) -> stats.Difference:
        return stats.paired_difference(
            _scores(inside, places),
            _scores(out, places),
            [inside[place][1] for place in places],
        )

    every = list(inside)
    whole, clusters = gap(every), [inside[place][1] for place in every]
    scores = [_scores(side, every) for side in (inside, out)]
    kinds = {
        kind: [place for place in every if inside[place][0][0].kind == kind]
        for kind in task.environment.step_kinds
    }
    chances = [
        _mean([task.environment.chance(steps[0].state) for steps, _ in side.values()])
        for side in (inside, out)
    ]
    chance_gap = None
    if chances[0] is not None and chances[1] is not None:
        chance_gap = rounded(chances[0] - chances[1])
    sampled = any(count > 1 for count in asked[0].values())
    return StepsGap(
        gap=difference_of(whole),
        kinds={kind: difference_of(gap(places)) for kind, places in kinds.items() if places},
        chance_gap=chance_gap,
        mde=detectable(np.array(scores[0]) - np.array(scores[1]), clusters, whole, sampled),
        reason=None,
    )


def _scores(
    side: Mapping[_Place, tuple[Sequence[Step], str]], places: Sequence[_Place]
) -> list[float]:
    """The means over the samples of each step."""
    return [sum(map(answered_right, side[place][0])) / len(side[place][0]) for place in places]


def _no_gap(reason: str) -> StepsGap:
    return StepsGap(gap=None, kinds=None, chance_gap=None, mde=None, reason=reason)
