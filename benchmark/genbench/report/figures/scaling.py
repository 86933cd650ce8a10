"""Success against training compute: ID and OOD panels, SFT and RL in one figure."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genbench.report.compute_table import limits_text, value_text
from genbench.report.curves import Series, on_the_axis, training_methods, training_series
from genbench.report.figures.gaps import counts, upper_limit
from genbench.report.figures.style import (
    NORMAL,
    SMALL,
    Theme,
    axes_at,
    fitted,
    new_figure,
    percent_axis,
    spread,
    title,
    title_height,
    widest,
)
from genbench.report.loading import Group
from genbench.report.text import clean, shorten

_MARKERS = {"sft": "s", "rl": "o", "base": "D"}
_COLUMNS = 3
_MOST_TICKS = 5


def draw_scaling(group: Group, theme: Theme) -> Figure | None:
    """Unsmoothed points with intervals; None with fewer than two checkpoints that carry FLOPs.

    Beside post-trained checkpoints a base is a level line: its FLOPs are those of pretraining and
    have no place on this axis.
    """
    every = training_series(group)
    if sum(len(series.runs) for series in every) < 2:
        return None
    curves = on_the_axis(every)
    bases = [series for series in every if series not in curves]
    names = list(group.runs[0].compared_splits)
    note = (
        f"First attempts, {counts(group)}; unsmoothed points, one a checkpoint, with 95% intervals."
        " FLOPs by the checkpoints' training records."
        + (" Dashed: the base checkpoint, with its interval." if bases else "")
    )
    texts = [shorten(series.name, 30) for series in [*curves, *bases]]
    columns = min(_COLUMNS, len(names))
    lines = math.ceil(len(names) / columns)
    slopes = _slopes(group, curves)
    slope_lines = max(map(len, slopes.values()), default=0)
    wide, left, over, below = 2.45, 0.5, 0.26, 0.48 + 0.14 * slope_lines
    right = widest(texts, SMALL) + 0.26
    tall = max(2.1, 0.14 * len(texts) + 0.1)
    width = columns * (left + wide + right) + 0.05
    height = title_height(note, width) + lines * (over + tall + below)
    figure = new_figure(width, height)
    used = title(figure, "Success against training compute", note, theme)
    runs = [run for series in [*curves, *bases] for run in series.runs]
    limit = upper_limit([run.results.splits[name].success_rate for run in runs for name in names])
    flops = [math.log10(value) for series in curves for value in series.flops]
    margin = max(0.06 * (max(flops) - min(flops)), 0.05)
    for index, name in enumerate(names):
        line, column = divmod(index, columns)
        axes = axes_at(
            figure,
            column * (left + wide + right) + left,
            height - used - (line + 1) * (over + tall) - line * below,
            wide,
            tall,
        )
        axes.set_xscale("log")
        axes.set_xlim(10 ** (min(flops) - margin), 10 ** (max(flops) + margin))
        axes.set_ylim(-0.02 * limit, 1.02 * limit)
        ticks = compute_ticks(min(flops) - margin, max(flops) + margin)
        axes.set_xticks(ticks, [compute_label(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
        ends = [_draw_series(axes, series, name, theme) for series in curves]
        ends += [_draw_level(axes, series, name, theme) for series in bases]
        percent_axis(axes, "y")
        heading = fitted(_heading(name), wide + right, NORMAL)
        axes.set_title(
            heading, loc="left", pad=5, color=theme.split(name, group.ood_splits), weight="bold"
        )
        axes.set_xlabel("training FLOPs", fontsize=SMALL, color=theme.muted, labelpad=2)
        for number, (text, colour) in enumerate(slopes.get(name, [])):
            axes.annotate(
                fitted(text, wide + right, SMALL), (0, 0), (0, -28 - 10 * number),
                xycoords="axes fraction", textcoords="offset points", size=SMALL, va="top",
                color=method_colour(colour, theme), annotation_clip=False,
            )  # fmt: skip
        places = spread(ends, 0.14 * 1.04 * limit / tall, 0.0, limit)
        for series, text, place in zip([*curves, *bases], texts, places, strict=True):
            axes.annotate(
                text, (1, place), (6, 0), xycoords=("axes fraction", "data"),
                textcoords="offset points", size=SMALL, va="center", annotation_clip=False,
                color=method_colour(series.method, theme),
            )  # fmt: skip
    return figure


def _heading(split: str) -> str:
    return split.upper() if split in ("id", "ood") else f"OOD: {clean(split)}"


def _slopes(group: Group, curves: list[Series]) -> dict[str, list[tuple[str, str]]]:
    """Split -> the slope of each method as the table of training compute has it, and the method."""
    methods = {one.name: one.method for one in training_methods(curves)}
    found: dict[str, list[tuple[str, str]]] = {}
    for one in group.compute:
        if one.kind == "slope" and one.found is not None:
            text = f"{shorten(one.subject, 24)} {value_text(one)} {limits_text(one)}"
            found.setdefault(one.split, []).append((text, methods[one.subject]))
    return found


def compute_ticks(low: float, high: float) -> list[float]:
    """At most five round numbers of FLOPs between 10**low and 10**high."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [step * 10.0**decade for decade in decades for step in steps]
        found = [tick for tick in found if low <= math.log10(tick) <= high]
        if len(found) <= _MOST_TICKS:
            return found or [10 ** ((low + high) / 2)]
    return found[:: math.ceil(len(found) / _MOST_TICKS)]


def compute_label(flops: float) -> str:
    """`2·10¹⁴`; written out, since names must never be read as formulas."""
    exponent = math.floor(math.log10(flops) + 1e-9)
    digits = round(flops / 10.0**exponent, 1)
    power = "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if digits == 1 else f"{digits:g}·{power}"


def _draw_series(axes: Axes, series: Series, split: str, theme: Theme) -> float:
    """Draw the points of a series; returns the last rate."""
    colour = method_colour(series.method, theme)
    rates = [run.results.splits[split].success_rate for run in series.runs]
    values = [rate.value for rate in rates]
    axes.plot(series.flops, values, color=colour, linewidth=0.9, alpha=0.7)
    axes.errorbar(
        series.flops, values, color=colour, linestyle="none", linewidth=0.9, markersize=4,
        yerr=[
            [max(rate.value - rate.ci95[0], 0.0) for rate in rates],
            [max(rate.ci95[1] - rate.value, 0.0) for rate in rates],
        ],
        marker=_MARKERS.get(series.method, "^"), clip_on=False, zorder=4,
    )  # fmt: skip
    return values[-1]


def _draw_level(axes: Axes, series: Series, split: str, theme: Theme) -> float:
    """Draw a checkpoint that has no place on the axis; returns its rate."""
    rate = series.runs[-1].results.splits[split].success_rate
    colour = method_colour(series.method, theme)
    axes.axhspan(*rate.ci95, color=colour, alpha=0.13, linewidth=0)
    axes.axhline(rate.value, color=colour, linewidth=0.9, linestyle=(0, (4, 3)))
    return rate.value


def method_colour(method: str, theme: Theme) -> str:
    """The colour of a training method; unknown methods share one."""
    return theme.methods.get(method, theme.ood[3])
