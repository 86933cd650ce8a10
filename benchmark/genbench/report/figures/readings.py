"""The confusion of rule readings: which value each symbol was given."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from genbench.report.figures.behaviour import readable_on
from genbench.report.figures.rows import beside
from genbench.report.figures.style import (
    NORMAL,
    SMALL,
    Theme,
    axes_at,
    fitted,
    new_figure,
    short_labels,
    text_width,
    title,
    title_height,
    widest,
)
from genbench.report.loading import Group
from genbench.report.text import clean, shorten

_LISTED_VALUES = 5
_LONGEST_NAME = 1.2
_ROW, _OVER, _BELOW = 0.22, 0.26, 0.26
_WIDEST = 9.0
_RULED = (
    "How the rule's symbols were read",
    "Values that first responses on the OOD splits gave the symbols whose value depends on the "
    "rule: shares of each row in percent, n readings. Outlined: the value under the stated rule.",
)
_UNRULED = (
    "What each symbol was taken for",
    "What first responses on the OOD splits took each symbol for: shares of each row in percent, n "
    "readings. Outlined: the right one.",
)


@dataclass(frozen=True)
class _Row:
    name: str
    stated: str
    given: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.given.values())


def draw_readings(group: Group, theme: Theme) -> Figure | None:
    """A matrix a checkpoint and OOD split; None where no response exposes a reading."""
    matrices = _matrices(group)
    if not matrices:
        return None
    rows = [row for _, matrix in matrices for row in matrix]
    columns, rest = _columns(rows)
    heads = [shorten(clean(value), 6) for value in columns] + (["other"] if rest else [])
    cell = max(0.36, widest(heads, SMALL) + 0.08)
    left = 0.1 + widest([row.name for row in rows], SMALL) + 0.08
    right = max(text_width(f"n {row.total:,}", SMALL) for row in rows)
    wide = cell * len(heads)
    block = left + wide + right + 0.25
    across = max(1, min(len(matrices), int(_WIDEST / block)))
    tallest = max(len(matrix) for _, matrix in matrices) * _ROW
    ruled = any(run.results.splits[ood].rule for run in group.runs for ood in group.ood_splits)
    heading, note = _RULED if ruled else _UNRULED
    width = max(across * block + 0.1, 5.2)
    step = _OVER + tallest + _BELOW
    height = title_height(note, width) + math.ceil(len(matrices) / across) * step
    figure = new_figure(width, height)
    used = title(figure, heading, note, theme)
    for index, (name, matrix) in enumerate(matrices):
        line, column = divmod(index, across)
        tall = _ROW * len(matrix)
        top = height - used - line * step - _OVER
        axes = axes_at(figure, column * block + left, top - tall, wide, tall)
        shown = fitted(name, wide + right + 0.1, NORMAL)
        axes.set_title(shown, loc="left", pad=5, color=theme.ink)
        _draw_matrix(axes, matrix, columns, heads, theme)
    return figure


def _matrices(group: Group) -> list[tuple[str, list[_Row]]]:
    found = []
    for run, label in zip(group.runs, short_labels([run.label for run in group.runs]), strict=True):
        for ood in group.ood_splits:
            readings = run.results.splits[ood].readings
            rows = [
                _Row(
                    fitted(
                        clean(symbol if symbol == stated else f"{symbol} = {stated}"),
                        _LONGEST_NAME,
                        SMALL,
                    ),
                    stated,
                    given,
                )
                for symbol in sorted(readings, key=_numeric)
                for stated, given in readings[symbol].items()
            ]
            if rows:
                name = label if len(group.ood_splits) == 1 else f"{label}, {clean(ood)}"
                found.append((name, rows))
    return found


def _columns(rows: list[_Row]) -> tuple[list[str], bool]:
    """The values that have a column (stated ones and the most frequent), and whether others are
    left."""
    stated = {row.stated for row in rows}
    totals: Counter[str] = Counter()
    for row in rows:
        totals.update({value: count for value, count in row.given.items() if value not in stated})
    frequent = sorted(totals, key=lambda value: (-totals[value], value))
    shown = sorted([*stated, *frequent[:_LISTED_VALUES]], key=_numeric)
    return shown, len(frequent) > _LISTED_VALUES


def _numeric(value: str) -> tuple[bool, float, str]:
    """Numbers by their value, other texts after them."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    return (False, number, value) if math.isfinite(number) else (True, 0.0, value)


def _draw_matrix(
    axes: Axes, matrix: list[_Row], columns: list[str], heads: list[str], theme: Theme
) -> None:
    shades = matplotlib.colormaps[theme.shades]
    axes.set_xlim(0, len(heads))
    axes.set_ylim(len(matrix), 0)
    axes.set_xticks([i + 0.5 for i in range(len(heads))], heads)
    axes.set_yticks([i + 0.5 for i in range(len(matrix))], [row.name for row in matrix])
    axes.tick_params(length=0, pad=2, labelcolor=theme.ink)
    for side in axes.spines.values():
        side.set_visible(False)
    for y, row in enumerate(matrix):
        shown = [row.given.get(value, 0) for value in columns]
        shown += [row.total - sum(shown)] * (len(heads) - len(columns))
        for x, count in enumerate(shown):
            share = count / row.total if row.total else 0.0
            colour = to_hex(shades(0.04 + 0.86 * share))
            stated = x < len(columns) and columns[x] == row.stated
            axes.add_patch(
                Rectangle(
                    (x + 0.03, y + 0.04), 0.94, 0.92, facecolor=colour,
                    edgecolor=theme.ink if stated else "none", linewidth=0.9,
                )
            )  # fmt: skip
            if count:
                axes.annotate(
                    f"{100 * share:.0f}" if share >= 0.005 else "<1", (x + 0.5, y + 0.5),
                    ha="center", va="center_baseline", size=SMALL, color=readable_on(colour),
                )  # fmt: skip
        beside(axes, y + 0.5, f"n {row.total:,}", theme)
