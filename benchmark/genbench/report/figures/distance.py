"""Success against the distance from ID, where a task grades its shift: a panel a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genbench.report.figures.gaps import counts
from genbench.report.figures.style import (
    NORMAL,
    SMALL,
    Key,
    Theme,
    axes_at,
    fitted,
    key_line,
    key_lines,
    new_figure,
    percent_axis,
    short_labels,
    title,
    title_height,
)
from genbench.report.loading import Group, ReportRun
from genbench.results import Rate, SplitResult

_COLUMNS = 4
_FEWEST = 10
_WIDE, _TALL = 1.75, 1.35
_MEASURES: Mapping[str, Callable[[SplitResult], Rate | None]] = {
    "success": lambda split: split.success_rate,
    "perception": lambda split: split.checks.get("perception"),
    "success given perception": lambda split: split.success_given_perception,
}
# Of lines that coincide, all are seen.
_STYLES = {"success": "o-", "perception": "s--", "success given perception": "^:"}


def graded(run: ReportRun) -> list[SplitResult]:
    """The ID split and the OOD splits that have a level, nearest first; none where fewer than two
    do."""
    found = [split for split in run.compared_splits.values() if split.level is not None]
    ordered = sorted(found, key=lambda split: split.level or 0.0)
    return [run.results.splits["id"], *ordered] if len(found) > 1 else []


def _shown(measure: str, split: SplitResult) -> tuple[float, float, float]:
    """A rate and its interval; no number where a check is of too few, so that its line has a
    hole."""
    rate = _MEASURES[measure](split)
    if rate is None or (measure != "success" and rate.n < _FEWEST):
        return (math.nan,) * 3
    return rate.value, *rate.ci95


def draw_distance(group: Group, theme: Theme) -> Figure | None:
    """First attempts at every level; None where the task's shift has no levels."""
    if not graded(group.runs[0]):
        return None
    labels = short_labels([run.label for run in group.runs])
    note = (
        f"First attempts at every level of the shift, level 0 the ID split; {counts(group)}; bands "
        "are 95% intervals. Perception and success given it: of responses that expose the check, "
        f"left out where fewer than {_FEWEST} do."
    )
    seen = any(split.checks.get("perception") for run in group.runs for split in graded(run))
    colours = dict(zip(_MEASURES, (theme.ood[0], theme.id, theme.control), strict=True))
    measures = list(_MEASURES) if seen else ["success"]
    keys = [Key(colours[measure], measure) for measure in measures]
    columns = min(_COLUMNS, max(2, len(labels)))
    lines = math.ceil(len(labels) / columns)
    left, between, over, below = 0.45, 0.3, 0.24, 0.24
    width = left + columns * _WIDE + (columns - 1) * between + 0.15
    legend = 0.24 * key_lines(keys, width) + 0.05
    height = title_height(note, width) + legend + lines * (over + _TALL + below) + 0.16
    figure = new_figure(width, height)
    used = title(figure, "Success against the distance from ID", note, theme)
    key_line(figure, keys, 0.08, used, theme)
    used += legend
    for index, (run, label) in enumerate(zip(group.runs, labels, strict=True)):
        line, column = divmod(index, columns)
        axes = axes_at(
            figure,
            left + column * (_WIDE + between),
            height - used - (line + 1) * (over + _TALL) - line * below,
            _WIDE,
            _TALL,
        )
        for measure in measures:
            levels = [split.level or 0.0 for split in graded(run)]
            values, low, high = zip(*(_shown(measure, split) for split in graded(run)), strict=True)
            axes.fill_between(levels, low, high, color=colours[measure], alpha=0.16, linewidth=0)
            axes.plot(
                levels, values, _STYLES[measure],
                color=colours[measure], markersize=5.5 - 1.2 * measures.index(measure),
                linewidth=1.2, clip_on=False, zorder=4,
            )  # fmt: skip
        axes.set_ylim(0, 1)
        percent_axis(axes, "y")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        if column:
            axes.tick_params(labelleft=False)
        axes.set_title(fitted(label, _WIDE, NORMAL), loc="left", pad=5)
    figure.text(left / width, 0.05 / height, "level", size=SMALL, color=theme.muted, va="bottom")
    return figure
