"""Shares by split, a panel a measure: comprehension, and the steps of episodes of many steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.figure import Figure

from genbench.report.figures.rows import Panel, beside, draw_rows, room_for
from genbench.report.figures.style import Key, Theme, percent_axis, short_labels
from genbench.report.loading import Group
from genbench.report.text import clean
from genbench.results import Rate, SplitResult, StepRate

_Read = Callable[[SplitResult, str], tuple[Rate | None, float | None]]
"""(split, measure) -> its share and the chance level of it."""

_LINE = 0.15
_ALL = "all steps"
_GIVEN: Mapping[str, Callable[[SplitResult], Rate | None]] = {
    "success given perception": lambda split: split.success_given_perception,
    "success given comprehension": lambda split: split.success_given_comprehension,
}


def draw_comprehension(group: Group, theme: Theme) -> Figure | None:
    """The checks of first responses, and success where checks passed."""
    checks = list(
        dict.fromkeys(
            check
            for split in _compared(group)
            for check, rate in split.checks.items()
            if rate is not None
        )
    )
    if not checks:
        return None

    def read(split: SplitResult, measure: str) -> tuple[Rate | None, float | None]:
        return _GIVEN[measure](split) if measure in _GIVEN else split.checks.get(measure), None

    return _draw(
        group,
        theme,
        "Comprehension",
        "First responses that expose the check (n at the right), 95% intervals. Success given "
        "perception: where the perception check passed; given comprehension: where the rule check "
        "passed, too.",
        [*checks, *_GIVEN],
        read,
    )


def draw_steps(group: Group, theme: Theme) -> Figure | None:
    """The share of steps that were right at the first attempt, all together and by kind."""
    found = [split.steps for split in _compared(group) if split.steps is not None]
    if not found:
        return None

    def read(split: SplitResult, measure: str) -> tuple[Rate | None, float | None]:
        steps: StepRate | None = split.steps
        if split.steps is not None and measure != _ALL:
            steps = split.steps.kinds.get(measure)
        return (None, None) if steps is None else (steps.accuracy, steps.chance)

    return _draw(
        group,
        theme,
        "Accuracy by step",
        "First attempts at the steps that were asked (n at the right), 95% intervals over the "
        "task's clusters. The upright stroke in a split's colour is its chance level.",
        [_ALL, *dict.fromkeys(kind for steps in found for kind in steps.kinds)],
        read,
    )


def _compared(group: Group) -> list[SplitResult]:
    return [split for run in group.runs for split in run.compared_splits.values()]


def _draw(
    group: Group, theme: Theme, heading: str, note: str, measures: Sequence[str], read: _Read
) -> Figure:
    """A row a checkpoint, in it a line a split; a panel a measure."""
    names = list(group.runs[0].compared_splits)
    places = [
        (measure, y, name) for measure in measures for y in range(len(group.runs)) for name in names
    ]
    shares = {
        (measure, y, name): read(group.runs[y].results.splits[name], measure)
        for measure, y, name in places
    }
    texts = {place: f"n {rate.n:,}" if rate else "none" for place, (rate, _) in shares.items()}
    row = _LINE * len(names) + 0.08
    room = room_for(list(texts.values()))
    figure, axes = draw_rows(
        heading,
        note,
        short_labels([run.label for run in group.runs]),
        [Panel(clean(measure), 1.45, room) for measure in measures],
        theme,
        row=row,
        keys=[Key(theme.split(name, group.ood_splits), clean(name)) for name in names],
    )
    panels = dict(zip(measures, axes, strict=True))
    for one in axes:
        one.set_xlim(0, 1)
        one.set_xticks([0, 0.5, 1])
        percent_axis(one, "x")
    for measure, y, name in places:
        one, (rate, chance) = panels[measure], shares[measure, y, name]
        place = y + _LINE / row * (names.index(name) - (len(names) - 1) / 2)
        colour = theme.split(name, group.ood_splits)
        if rate is not None:
            one.plot(rate.ci95, (place, place), color=colour, linewidth=1.2, clip_on=False)
            one.plot(rate.value, place, "o", color=colour, markersize=3.6, clip_on=False)
        if chance is not None:
            half = 0.45 * _LINE / row
            one.plot((chance, chance), (place - half, place + half), color=colour, linewidth=1)
        text = texts[measure, y, name]
        beside(one, place, text, theme, colour=colour if rate is not None else None)
    return figure
