"""What checkpoints do: stickiness, and the outcomes of responses."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from genbench.report.figures.gaps import row_labels
from genbench.report.figures.rows import Panel, beside, draw_rows, room_for
from genbench.report.figures.style import (
    SMALL,
    Key,
    Theme,
    percent_axis,
    short_labels,
    text_width,
)
from genbench.report.loading import Group
from genbench.report.text import clean, interval, percent, span
from genbench.task import CORRECT, TRUNCATED

_READINGS = (
    ("as_stated", "as stated"),
    ("as_in_training", "as in training"),
    ("other", "otherwise"),
)
_SHARES = 1.75


def draw_stickiness(group: Group, theme: Theme) -> Figure | None:
    """The share right under the training rule, and how the rule's symbols were read."""
    rows = [(run.ood[ood], ood) for run in group.runs for ood in group.ood_splits]
    known = [found.stickiness for found, _ in rows if found.stickiness is not None]
    if not known:
        return None
    texts = [
        f"{percent(found.stickiness.value)} {interval(found.stickiness)}  n {found.stickiness.n}"
        if found.stickiness
        else "not defined"
        for found, _ in rows
    ]
    totals = [sum(found.rule_readings.values()) if found.rule_readings else 0 for found, _ in rows]
    amounts = [f"n {total:,}" if total else "none exposed" for total in totals]
    note = (
        "First attempts on OOD instances where no response can be right under both rules (n = "
        f"{span([one.n for one in known])}), 95% intervals. Right: the symbols that the rules read "
        "differently, n readings."
    )
    colours = (theme.id, theme.ood[0], theme.control)
    figure, axes = draw_rows(
        "Rule stickiness",
        note,
        row_labels(group),
        [
            Panel("right under the training rule", 2.2, room_for(texts)),
            Panel("reading of the rule's symbols", 2.0, room_for(amounts)),
        ],
        theme,
        keys=[
            Key(colour, f"read {words}")
            for colour, (_, words) in zip(colours, _READINGS, strict=True)
        ],
    )
    for one in axes:
        one.set_xlim(0, 1)
        percent_axis(one, "x")
    for y, (found, ood) in enumerate(rows):
        if found.stickiness is not None:
            low_high, value = found.stickiness.ci95, found.stickiness.value
            colour = theme.split(ood, group.ood_splits)
            axes[0].plot(low_high, (y, y), color=colour, linewidth=1.3, clip_on=False)
            axes[0].plot(value, y, "o", color=colour, markersize=4.5, clip_on=False, zorder=4)
        beside(axes[0], y, texts[y], theme, colour=theme.ink)
        start = 0.0
        for colour, (kind, _) in zip(colours, _READINGS, strict=True):
            if found.rule_readings and totals[y]:
                share = found.rule_readings.get(kind, 0) / totals[y]
                axes[1].barh(
                    y, share, left=start, height=0.6, color=colour, edgecolor=theme.paper,
                    linewidth=0.6,
                )  # fmt: skip
                start += share
        beside(axes[1], y, amounts[y], theme)
    return figure


def draw_outcomes(group: Group, theme: Theme) -> Figure | None:
    """The outcomes of first attempts as stacked shares, a panel a split."""
    splits = [split for run in group.runs for split in run.results.splits.values()]
    # Colours go by the environment's whole list, so that an outcome keeps its own in every report.
    every = list(dict.fromkeys(code for split in splits for code in split.outcomes))
    names = [code for code in every if any(split.outcomes.get(code) for split in splits)]
    colours = outcome_colours(every, theme)
    amounts = [f"n {sum(split.outcomes.values()):,}" for split in splits]
    figure, axes = draw_rows(
        "Outcomes of first attempts",
        "Shares of all first responses (n a split; samples counted each). The intervals of the "
        "success rates stand in the other figures and the tables.",
        short_labels([run.label for run in group.runs]),
        [Panel(clean(name), _SHARES, room_for(amounts)) for name in group.splits],
        theme,
        keys=[Key(colours[name], clean(name).replace("_", " ")) for name in names],
    )
    for one, split_name in zip(axes, group.splits, strict=True):
        one.set_xlim(0, 1)
        one.set_xticks([0, 0.5, 1])
        percent_axis(one, "x")
        for y, run in enumerate(group.runs):
            outcomes = run.results.splits[split_name].outcomes
            total = sum(outcomes.values())
            start = 0.0
            for code in names:
                share = outcomes.get(code, 0) / total if total else 0.0
                if not share:
                    continue
                one.barh(
                    y, share, left=start, height=0.66, color=colours[code],
                    edgecolor=theme.paper, linewidth=0.6,
                )  # fmt: skip
                text = f"{100 * share:.0f}"
                if _SHARES * share > text_width(text, SMALL) + 0.10:
                    one.annotate(
                        text, (start + share / 2, y), ha="center", va="center_baseline",
                        size=SMALL, color=readable_on(colours[code]),
                    )  # fmt: skip
                start += share
            beside(one, y, f"n {total:,}", theme)
    return figure


def outcome_colours(names: Sequence[str], theme: Theme) -> dict[str, str]:
    """A colour an outcome; `correct` and `truncated` have their own."""
    others = [name for name in names if name not in (CORRECT, TRUNCATED)]
    found = {name: theme.outcomes[i % len(theme.outcomes)] for i, name in enumerate(others)}
    return {**found, CORRECT: theme.correct, TRUNCATED: theme.truncated}


def readable_on(colour: str) -> str:
    """Black or white, whichever reads better on the colour (WCAG relative luminance)."""
    channels = [
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4
        for value in to_rgb(colour)
    ]
    luminance = 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]
    return "#000000" if luminance > 0.179 else "#ffffff"
