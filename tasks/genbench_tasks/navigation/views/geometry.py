"""Boxes, triangles and lines on the ground of a city, in metres."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genbench_tasks.navigation.cities import Point

Array = NDArray[np.float64]

MARGIN = 0.4
"""How far buildings keep away from lines of sight and from other streets' houses."""


@dataclass(frozen=True)
class Building:
    """A box. `corners` run counterclockwise, the first two along the front; `tall` and `tint` are
    0..255: what a look makes of them is its business. `mark` names the landmark that it houses."""

    corners: tuple[Point, Point, Point, Point]
    tall: int
    tint: int
    seed: int
    mark: str = ""


def unit(heading: float) -> Point:
    """The direction of a heading, rounded beyond what any library's last bit could change."""
    angle = math.radians(heading)
    return round(math.sin(angle) * 2**20) / 2**20, round(math.cos(angle) * 2**20) / 2**20


def counterclockwise(corners: Sequence[Point]) -> tuple[Point, Point, Point, Point]:
    """The same box from the same front, its corners in counterclockwise order."""
    (x0, y0), (x1, y1), (x2, y2), _ = corners
    turned = (x1 - x0) * (y2 - y1) - (y1 - y0) * (x2 - x1)
    a, b, c, d = corners
    return (a, b, c, d) if turned > 0 else (b, a, d, c)


def offsets(points: Array, starts: Array, ends: Array) -> tuple[Array, Array]:
    """How far points lie along and across lines, each of shape (points, lines)."""
    step = ends - starts
    length = np.sqrt((step**2).sum(axis=1))
    dx, dy = step[:, 0] / length, step[:, 1] / length
    x = points[:, :1] - starts[:, 0]
    y = points[:, 1:2] - starts[:, 1]
    return x * dx + y * dy, x * dy - y * dx


def inside_triangles(points: Array, triangles: Array, margin: float = MARGIN) -> NDArray[np.bool_]:
    """Whether points are in triangles or within a margin of them; (points, triangles)."""
    sides = []
    for k in range(3):
        a, b = triangles[:, k], triangles[:, (k + 1) % 3]
        sides.append(offsets(points, a, b)[1])
    least = np.minimum(np.minimum(sides[0], sides[1]), sides[2])
    most = np.maximum(np.maximum(sides[0], sides[1]), sides[2])
    found: NDArray[np.bool_] = (least >= -margin) | (most <= margin)
    return found


def in_box(points: Array, building: Building, margin: float) -> NDArray[np.bool_]:
    """Whether points are in a building or within a margin of it."""
    corners = np.array(building.corners)
    across = offsets(points, corners, np.roll(corners, -1, axis=0))[1]
    return np.asarray((across <= margin).all(axis=1))


def samples(building: Building) -> Array:
    """Points all over a building, half a metre apart or less at its borders."""
    a, b, _, d = (np.array(corner) for corner in building.corners)
    u = np.linspace(0, 1, 13)
    grid = [a + i * (b - a) + j * (d - a) for i in u for j in u]
    return np.array(grid)
