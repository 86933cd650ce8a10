"""Figures with one row a checkpoint: names at the left, panels side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genbench.report.figures.style import (
    NORMAL,
    SMALL,
    Key,
    Theme,
    axes_at,
    key_line,
    key_lines,
    new_figure,
    text_width,
    title,
    title_height,
    widest,
    wrapped,
)

_LINE = 0.15
_NARROWEST = 5.2


@dataclass(frozen=True)
class Panel:
    """A panel: its title, and its width and the room at its right (for texts) in inches."""

    title: str
    width: float
    right: float = 0.0


def draw_rows(
    heading: str,
    note: str,
    labels: Sequence[str],
    panels: Sequence[Panel],
    theme: Theme,
    *,
    row: float = 0.26,
    keys: Sequence[Key] = (),
) -> tuple[Figure, list[Axes]]:
    """The figure and its axes: row i is at y = i, from the top down, each `row` inches high."""
    left, between, below = 0.1 + widest(labels, NORMAL) + 0.16, 0.22, 0.26
    width = left + sum(panel.width + panel.right for panel in panels)
    width = max(width + between * (len(panels) - 1) + 0.15, _NARROWEST)
    titles = [wrapped(panel.title, panel.width + panel.right, NORMAL) for panel in panels]
    above = title_height(note, width)
    if keys:
        above += 0.16 * key_lines(keys, width - 0.2) + 0.08
    over = _LINE * max(map(len, titles)) + 0.06
    tall = row * len(labels)
    figure = new_figure(width, above + over + tall + below)
    used = title(figure, heading, note, theme)
    if keys:
        key_line(figure, keys, 0.1, used, theme)
    found: list[Axes] = []
    for panel, lines in zip(panels, titles, strict=True):
        axes = axes_at(figure, left, below, panel.width, tall)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_yticks(range(len(labels)))
        if found:
            axes.tick_params(labelleft=False)
        else:
            axes.set_yticklabels(labels, fontsize=NORMAL, color=theme.ink)
        axes.tick_params(axis="both", length=0)
        axes.tick_params(axis="y", pad=6)  # clear of a marker at 0
        axes.spines["left"].set_visible(False)
        for number, line in enumerate(reversed(lines)):
            axes.annotate(
                line, (0, 1), (0, 72 * (0.05 + _LINE * number)), xycoords="axes fraction",
                textcoords="offset points", size=NORMAL, va="bottom",
            )  # fmt: skip
        left += panel.width + panel.right + between
        found.append(axes)
    return figure, found


def beside(axes: Axes, y: float, text: str, theme: Theme, *, colour: str | None = None) -> None:
    """A text at the right of a panel, in row y."""
    axes.annotate(
        text, (1, y), (5, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
        size=SMALL, va="center_baseline", color=colour or theme.muted, annotation_clip=False,
    )  # fmt: skip


def room_for(texts: Sequence[str]) -> float:
    """The inches that `beside` needs at the right of a panel."""
    return max((text_width(text, SMALL) for text in texts), default=0.0) + 0.10
