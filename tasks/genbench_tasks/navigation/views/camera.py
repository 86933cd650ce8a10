"""Four cameras at a place, and what each of their columns meets: buildings as upright planes.

Numbers are IEEE floats, and every operation on them is one whose result the standard fixes (plus,
minus, times, divide, square root, compare, round), so that pictures do not depend on a machine;
sines and cosines are rounded before they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genbench_tasks.navigation.cities import Point
from genbench_tasks.navigation.views.geometry import Building, unit

Floats = NDArray[np.float32]

VIEWS = ("front", "right", "behind", "left")
EYE = 2.3
"""Metres above the street: a camera on the roof of a car."""
FOCAL = 0.7002
"""The focal length in halves of the picture's side: 110 degrees are seen."""
HORIZON = 0.55
_NEAREST = 0.4
DEEPEST = 8
"""So many buildings are drawn one behind another."""


@dataclass(frozen=True)
class Cameras:
    """The columns of the four views, one view after another. Positions are relative to the walker;
    `east` and `north` are where a column looks, of length 1 along its view's axis."""

    pixels: int
    heading: float
    focal: float
    horizon: float
    east: Floats
    north: Floats
    azimuth: NDArray[np.int64]
    """Of every column: where it looks, in 1024ths of the whole round from north."""

    def axes(self, view: int) -> tuple[Point, Point]:
        """Of a view: the directions ahead and to the right."""
        return unit(self.heading + 90 * view), unit(self.heading + 90 * view + 90)

    def seen(self, view: int, east: float, north: float) -> tuple[float, float]:
        """The column (from the view's left border, in pixels) and the depth of a point."""
        (ax, ay), (rx, ry) = self.axes(view)
        depth = east * ax + north * ay
        aside = east * rx + north * ry
        return self.pixels / 2 + self.focal * aside / depth if depth > 0 else float("inf"), depth


def cameras(heading: float, pixels: int) -> Cameras:
    """The four cameras of a walker with that heading."""
    focal = FOCAL * pixels / 2
    tangents = (np.arange(pixels) + 0.5 - pixels / 2) / focal
    east, north, azimuth = [], [], []
    # Rounded, so that no library's last bit decides.
    aside = np.round(np.degrees(np.arctan(tangents)), 6)
    for view in range(4):
        (ax, ay), (rx, ry) = unit(heading + 90 * view), unit(heading + 90 * view + 90)
        east.append(ax + tangents * rx)
        north.append(ay + tangents * ry)
        azimuth.append(np.floor((heading + 90 * view + aside) * 1024 / 360).astype(np.int64) % 1024)
    return Cameras(
        pixels,
        heading,
        focal,
        round(HORIZON * pixels) + 0.0,
        np.concatenate(east).astype(np.float32),
        np.concatenate(north).astype(np.float32),
        np.concatenate(azimuth),
    )


@dataclass(frozen=True)
class Hits:
    """What the columns meet, the nearest first, each array of shape (columns, DEEPEST): the number
    of the wall or -1, its depth, how far along it (metres), and metres along it a pixel."""

    wall: NDArray[np.int64]
    depth: Floats
    along: Floats
    spread: Floats


@dataclass(frozen=True)
class Walls:
    """The sides of buildings, seen from outside, relative to the walker."""

    starts: Floats
    steps: Floats
    lengths: Floats
    building: NDArray[np.int64]
    side: NDArray[np.int64]


def walls_of(buildings: Sequence[Building], at: Point) -> Walls:
    """The sides of buildings that face the walker."""
    corners = np.array([one.corners for one in buildings], dtype=np.float64).reshape(-1, 4, 2)
    corners = corners - np.array(at)
    starts = corners.reshape(-1, 2)
    ends = corners[:, [1, 2, 3, 0]].reshape(-1, 2)
    steps = ends - starts
    # Counterclockwise corners have the outside on the right of each side.
    facing = np.flatnonzero(starts[:, 0] * steps[:, 1] - starts[:, 1] * steps[:, 0] < -1e-3)
    lengths = np.sqrt(steps[:, 0] ** 2 + steps[:, 1] ** 2)
    return Walls(
        starts[facing].astype(np.float32),
        steps[facing].astype(np.float32),
        lengths[facing].astype(np.float32),
        facing // 4,
        facing % 4,
    )


def met(walls: Walls, views: Cameras) -> Hits:
    """What every column meets."""
    columns, count = len(views.east), len(walls.building)
    if not count:
        nothing = np.zeros((columns, DEEPEST), dtype=np.float32)
        return Hits(np.full(nothing.shape, -1), nothing + np.float32(np.inf), nothing, nothing)
    px, py = walls.starts[:, 0], walls.starts[:, 1]
    ex, ey = walls.steps[:, 0], walls.steps[:, 1]
    dx, dy = views.east[:, None], views.north[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        across = dx * ey - dy * ex
        depth = (px * ey - py * ex) / across
        share = (px * dy - py * dx) / across
    hit = (depth > _NEAREST) & (share >= 0) & (share < 1)
    depth = np.where(hit, depth, np.float32(np.inf))
    most = min(DEEPEST, count)
    first = np.argpartition(depth, most - 1, axis=1)[:, :most] if most < count else None
    if first is None:
        first = np.broadcast_to(np.arange(count), (columns, count))
    near = np.take_along_axis(depth, first, axis=1)
    order = np.lexsort((first, near), axis=1)
    first, near = np.take_along_axis(first, order, axis=1), np.take_along_axis(near, order, axis=1)
    lengths = walls.lengths[first]
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.take_along_axis(share, first, axis=1) * lengths
        slant = np.abs(np.take_along_axis(across, first, axis=1)) / lengths
        spread = near / (slant * np.float32(views.focal))
    there = np.isfinite(near)
    pad = ((0, 0), (0, DEEPEST - most))
    return Hits(
        np.pad(np.where(there, first, -1), pad, constant_values=-1),
        np.pad(near, pad, constant_values=np.inf),
        np.pad(np.where(there, along, np.float32(0)), pad).astype(np.float32),
        np.pad(np.where(there, spread, np.float32(0)), pad).astype(np.float32),
    )
