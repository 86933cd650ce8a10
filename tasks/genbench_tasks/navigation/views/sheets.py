"""A route in pictures: every step's views, what is observed there and done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbench_tasks.general_points.pictures.raster import UNIT, joined, paint
from genbench_tasks.navigation.prompts import observation_text
from genbench_tasks.navigation.views.lettering import outlines, wrapped
from genbench_tasks.navigation.views.render import draw_grid

Canvas = NDArray[np.uint8]
_GAP = 10


def drawn_steps(
    route: Mapping[str, Any], steps: Sequence[int], *, pixels: int = 224, skin: str | None = None
) -> dict[int, Canvas]:
    """The views of steps of a route, by their numbers, from 1. Raises TaskError."""
    found = {}
    for number in steps:
        step = route["steps"][number - 1]
        at = tuple(step["at"])
        found[number] = draw_grid(route["city"], at, step["heading"], pixels, skin)
    return found


def route_sheet(
    route: Mapping[str, Any],
    drawn: Mapping[int, Canvas],
    *,
    columns: int = 3,
    skin: str | None = None,
) -> Canvas:
    """The views of a route's steps side by side as RGB, over what is observed there and what the
    expert does."""
    looks = f" ({skin})" if skin else ""
    cells = []
    for number, views in drawn.items():
        step = route["steps"][number - 1]
        observed = observation_text(step["landmarks"], step["intersection"])
        done = f"{route['city']}{looks}: {action_text(step)}"
        cells.append(captioned_cell(views, [f"{number}. {observed}", done]))
    return tiled(cells, columns)


def action_text(step: Mapping[str, Any]) -> str:
    """What the expert does, in both vocabularies."""
    if step["action"] != "turn":
        return str(step["action"])
    return f"turn {step['relative']}, to {step['absolute']}"


def captioned_cell(views: Canvas, paragraphs: Sequence[str], lines: int = 3) -> Canvas:
    """A grid of views over paragraphs of text, with room for so many lines."""
    height, width = views.shape[:2]
    cap = 9 if width > 300 else 7
    cell = np.full((height + lines * (cap + 6) + 4, width, 3), 255, dtype=np.uint8)
    cell[:height] = views
    texts = [text for one in paragraphs for text in wrapped(one, cap, width - 8)]
    for number, text in enumerate(texts[:lines], 1):
        shift = (4 * UNIT, (height + number * (cap + 6)) * UNIT)
        paint(cell, joined([points + shift for points in outlines(text, cap)]), (40, 42, 48))
    return cell


def tiled(cells: Sequence[Canvas], columns: int) -> Canvas:
    """Pictures of one size in rows."""
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    columns = min(columns, len(cells))
    sheet = np.full(
        (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 255, dtype=np.uint8
    )
    for number, cell in enumerate(cells):
        top, left = number // columns * (height + _GAP), number % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = cell
    return sheet
