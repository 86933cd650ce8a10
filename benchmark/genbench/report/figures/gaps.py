"""ID against OOD: the scatter with its diagonal, and the gaps with what they are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from genbench.report.figures.rows import Panel, beside, draw_rows, room_for
from genbench.report.figures.style import (
    NORMAL,
    SMALL,
    Key,
    Theme,
    axes_at,
    fitted,
    new_figure,
    percent_axis,
    short_labels,
    spread,
    title,
    title_height,
    widest,
)
from genbench.report.loading import Group
from genbench.report.text import clean, difference, p_value, span
from genbench.results import Rate

_SIDE = 3.0


def counts(group: Group) -> str:
    """`n = 261 instances a split (80 clusters)`."""
    splits = [split for run in group.runs for split in run.compared_splits.values()]
    n = span([split.n for split in splits])
    clusters = span([split.clusters for split in splits])
    return f"n = {n} instances a split ({clusters} clusters)"


def upper_limit(rates: Sequence[Rate]) -> float:
    """The end of an axis of shares: the next tenth above every interval."""
    return min(1.0, max(0.1, math.ceil(10 * max(rate.ci95[1] for rate in rates) - 1e-9) / 10))


def row_labels(group: Group) -> list[str]:
    """A row a checkpoint and OOD split; the split is named where there are more."""
    labels = short_labels([run.label for run in group.runs])
    if len(group.ood_splits) == 1:
        return labels
    return [f"{label}, {clean(ood)}" for label in labels for ood in group.ood_splits]


def draw_id_vs_ood(group: Group, theme: Theme) -> Figure | None:
    """Success on OOD against success on ID, a panel an OOD split, names at the right."""
    labels = short_labels([run.label for run in group.runs])
    note = (
        f"First attempts, {counts(group)}; bars are 95% intervals of each rate. Below the dashed "
        "diagonal a checkpoint does worse out of distribution."
    )
    columns = min(2, len(group.ood_splits))
    lines = math.ceil(len(group.ood_splits) / columns)
    side = max(_SIDE, 0.15 * len(labels) + 0.1)
    left, names, below, over = 0.62, widest(labels, SMALL) + 0.45, 0.48, 0.10
    width = columns * (left + side + names) + 0.05
    height = title_height(note, width) + lines * (over + side + below)
    figure = new_figure(width, height)
    used = title(figure, "Success in and out of distribution", note, theme)
    for index, ood in enumerate(group.ood_splits):
        line, column = divmod(index, columns)
        axes = axes_at(
            figure,
            column * (left + side + names) + left,
            height - used - (line + 1) * (over + side) - line * below,
            side,
            side,
        )
        pairs = [
            (run.results.splits["id"].success_rate, run.results.splits[ood].success_rate)
            for run in group.runs
        ]
        limit = upper_limit([rate for pair in pairs for rate in pair])
        edge = 0.03 * limit
        axes.set_xlim(-edge, limit + edge)
        axes.set_ylim(-edge, limit + edge)
        axes.plot([0, limit], [0, limit], color=theme.muted, linewidth=0.8, linestyle=(0, (4, 3)))
        for which in ("x", "y"):
            percent_axis(axes, which)
        axes.grid(True, axis="both")
        axes.set_xlabel("success on id", fontsize=NORMAL)
        name = fitted(f"success on {clean(ood)}", side, NORMAL)
        axes.set_ylabel(name, fontsize=NORMAL)
        gap = 0.14 * (limit + 2 * edge) / side
        # Of points at one height the left ones get the upper labels: fewer lines cross.
        wanted = [out.value - 1e-6 * inside.value for inside, out in pairs]
        places = spread(wanted, gap, 0.0, limit)
        colour = theme.split(ood, group.ood_splits)
        for (in_distribution, out), label, place in zip(pairs, labels, places, strict=True):
            x, y = in_distribution.value, out.value
            axes.plot(in_distribution.ci95, (y, y), color=colour, linewidth=0.9, alpha=0.75)
            axes.plot((x, x), out.ci95, color=colour, linewidth=0.9, alpha=0.75)
            axes.plot(
                x, y, "o", color=colour, markersize=4.5, markeredgecolor=theme.paper,
                markeredgewidth=0.6, zorder=4, clip_on=False,
            )  # fmt: skip
            axes.annotate(
                label, (x, y), (limit + edge + 0.25 * limit / side, place), textcoords="data",
                size=SMALL, va="center", annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": theme.muted, "linewidth": 0.4,
                            "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 3},
            )  # fmt: skip
    return figure


def draw_gaps(group: Group, theme: Theme) -> Figure | None:
    """The gap of every checkpoint as a bar, and its number and rule parts where they are known."""
    rows = [(run, ood) for run in group.runs for ood in group.ood_splits]
    gaps = [run.ood[ood].gap for run, ood in rows]
    texts = [f"{difference(gap)}   p {_equals(p_value(gap.p_value))}" for gap in gaps]
    parts = [run.ood[ood].decomposition for run, ood in rows]
    known = [part for part in parts if part is not None]
    panels = [Panel("gap: ID minus OOD, percentage points", 2.6, room_for(texts))]
    keys = []
    if known:
        panels.append(Panel("what it is made of, percentage points", 2.4))
        keys = [Key(theme.parts[0], "other numbers"), Key(theme.parts[1], "reading the rule")]
    methods = " / ".join(sorted({clean(gap.method) for gap in gaps}))
    paired = all(run.ood[ood].paired for run, ood in rows)
    note = (
        f"First attempts, n = {span([gap.n for gap in gaps])} {'pairs' if paired else 'instances'} "
        f"({span([gap.clusters for gap in gaps])} clusters), 95% intervals; p of each row on its "
        f"own, not corrected across rows. Method: {methods}."
    )
    figure, axes = draw_rows(
        "Generalization gap", note, row_labels(group), panels, theme, row=0.27, keys=keys
    )
    ends = [end for gap in gaps for end in gap.ci95]
    ends += [end for part in known for one in (part.number, part.rule) for end in one.ci95]
    low, high = min(0.0, *ends), max(0.0, *ends)
    margin = 0.06 * max(high - low, 0.05)
    for one in axes:
        one.set_xlim(low - margin, high + margin)
        percent_axis(one, "x", signed=True)
        one.axvline(0, color=theme.muted, linewidth=0.8)
    for y, ((_, ood), gap, text, part) in enumerate(zip(rows, gaps, texts, parts, strict=True)):
        colour = theme.split(ood, group.ood_splits)
        axes[0].barh(y, gap.value, height=0.55, color=colour, alpha=0.55, linewidth=0)
        axes[0].plot(gap.ci95, (y, y), color=theme.ink, linewidth=1.1, solid_capstyle="butt")
        axes[0].plot(gap.value, y, "|", color=theme.ink, markersize=6, markeredgewidth=1.1)
        beside(axes[0], y, text, theme, colour=theme.ink)
        if part is None:
            continue
        halves = ((-0.16, part.number), (0.16, part.rule))
        for (shift, half), hue in zip(halves, theme.parts, strict=True):
            axes[1].plot(half.ci95, (y + shift, y + shift), color=hue, linewidth=1.1)
            axes[1].plot(half.value, y + shift, "o", color=hue, markersize=3.6)
    return figure


def _equals(text: str) -> str:
    return text if text.startswith("<") else f"= {text}"
