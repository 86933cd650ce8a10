"""Success against verification iterations (VIter): a small panel a checkpoint."""

from __future__ import annotations

import math

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genbench.report.figures.gaps import counts, upper_limit
from genbench.report.figures.style import (
    NORMAL,
    SMALL,
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
from genbench.report.text import clean

_COLUMNS = 4


def draw_attempts(group: Group, theme: Theme) -> Figure | None:
    """Success within k attempts on the ID and the OOD splits; None where all had one attempt."""
    labels = short_labels([run.label for run in group.runs])
    shown = [
        (run, label)
        for run, label in zip(group.runs, labels, strict=True)
        if run.settings.verify_iters > 1
    ]
    if not shown:
        return None
    note = (
        "Share solved within so many attempts, each after the verifier's feedback; "
        f"{counts(group)}; bands are 95% intervals."
    )
    names = list(shown[0][0].compared_splits)
    columns = min(_COLUMNS, max(2, len(shown)))
    lines = math.ceil(len(shown) / columns)
    wide, right, between = 1.45, widest([clean(name) for name in names], SMALL) + 0.14, 0.16
    tall = max(1.25, 0.13 * len(names) + 0.2)
    left, over, below = 0.45, 0.24, 0.24
    width = left + columns * (wide + right) + (columns - 1) * between + 0.05
    height = title_height(note, width) + lines * (over + tall + below) + 0.16
    figure = new_figure(width, height)
    used = title(figure, "Success against verification iterations (VIter)", note, theme)
    limit = upper_limit(
        [
            rate
            for run, _ in shown
            for split in run.compared_splits.values()
            for rate in split.success_at.values()
        ]
    )
    for index, (run, label) in enumerate(shown):
        line, column = divmod(index, columns)
        axes = axes_at(
            figure,
            left + column * (wide + right + between),
            height - used - (line + 1) * (over + tall) - line * below,
            wide,
            tall,
        )
        ends = []
        for name in names:
            colour = theme.split(name, group.ood_splits)
            success = run.results.splits[name].success_at
            k, rates = [int(key) for key in success], list(success.values())
            low, high = [rate.ci95[0] for rate in rates], [rate.ci95[1] for rate in rates]
            axes.fill_between(k, low, high, color=colour, alpha=0.16, linewidth=0)
            axes.plot(
                k, [rate.value for rate in rates], "o-", color=colour, markersize=2.8,
                linewidth=1.2, clip_on=False, zorder=4,
            )  # fmt: skip
            ends.append(rates[-1].value)
        axes.set_xlim(1, run.settings.verify_iters)
        axes.set_ylim(0, limit)
        percent_axis(axes, "y")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        if column:
            axes.tick_params(labelleft=False)
        axes.set_title(fitted(label, wide + right - 0.05, NORMAL), loc="left", pad=5)
        places = spread(ends, 0.125 * limit / tall, 0.0, limit)
        for name, place in zip(names, places, strict=True):
            axes.annotate(
                clean(name), (1, place), (6, 0), xycoords=("axes fraction", "data"),
                color=theme.split(name, group.ood_splits), textcoords="offset points",
                size=SMALL, va="center", annotation_clip=False,
            )  # fmt: skip
    figure.text(left / width, 0.05 / height, "attempts", size=SMALL, color=theme.muted, va="bottom")
    return figure
