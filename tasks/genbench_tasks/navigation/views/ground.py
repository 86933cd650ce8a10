"""The ground: roadways with their markings, kerbs, pavements, and what lies between houses."""

from __future__ import annotations

import numpy as np

from genbench_tasks.navigation.cities import Point
from genbench_tasks.navigation.views.camera import EYE, Cameras, Floats
from genbench_tasks.navigation.views.looks import Look
from genbench_tasks.navigation.views.plan import Plan

_FAR = 75.0
"""Metres: streets beyond are too flat to be seen as such."""
_KERB = 0.25
_SLAB = 1.25
"""The side of a paving stone."""
_GREEN, _DRY, _PAVED = (98, 116, 78), (164, 138, 98), (138, 132, 122)
_YARDS = {
    "adobe": _DRY, "whitewashed": _DRY, "glass tower": _PAVED, "tile front": _PAVED,
    "limestone": _PAVED, "half-timbered": _GREEN, "rubble stone": _GREEN,
}  # fmt: skip


def ground_colours(
    plan: Plan, at: Point, east: Floats, north: Floats, depth: Floats, views: Cameras, look: Look
) -> Floats:
    """The colours of points on the ground in plain light; they are relative to the walker, and
    `depth` away along the axes of their views."""
    # How many metres a pixel is across, and along the line of sight.
    across = depth / np.float32(views.focal)
    away = np.minimum(depth * depth / np.float32(EYE * views.focal), 8)
    blur = (across + away) / 2
    far = np.full(len(east), 1e6, dtype=np.float32)
    paint = np.zeros(len(east), dtype=np.float32)
    slabs = np.zeros(len(east), dtype=np.float32)
    width = plan.width
    for index in plan.near(at, _FAR):
        start, end = plan.starts[index] - np.array(at), plan.ends[index] - np.array(at)
        length = np.float32(np.sqrt(((end - start) ** 2).sum()))
        dx, dy = (np.float32(value) / length for value in (end - start))
        x, y = east - np.float32(start[0]), north - np.float32(start[1])
        along, side = x * dx + y * dy, x * dy - y * dx
        beyond = along - np.clip(along, 0, length)
        distance = np.sqrt(side * side + beyond * beyond)
        nearer = distance < far
        far = np.where(nearer, distance, far)
        here = np.flatnonzero(nearer & (distance < width.front + 0.3))
        if not len(here):
            continue
        along, side, distance = along[here], np.abs(side[here]), distance[here]
        joint = np.minimum(
            _from_line(along, _SLAB), _from_line(side - np.float32(width.kerb), _SLAB)
        )
        fine = np.clip(np.float32(0.10) / blur[here], 0, 1)
        slabs[here] = fine * _soft(np.float32(0.035) - joint, blur[here])
        a, b = plan.edges[index]
        ends = plan.clearance(a, b), plan.clearance(b, a)
        on = distance < width.kerb
        mark = _markings(along, side, float(length), ends, width.kerb, blur[here], across[here])
        paint[here] = np.where(on, np.maximum(paint[here], mark), paint[here])
    return _coloured(plan, look, far, paint, slabs, blur, _grit(at, east, north, blur))


def _coloured(
    plan: Plan, look: Look, far: Floats, paint: Floats, slabs: Floats, blur: Floats, grit: Floats
) -> Floats:
    """Colours by how far points are from the middle of a street, and what lies on them."""
    road = np.array(look.ground, dtype=np.float32)
    walk = road + (np.float32(205) - road) * np.float32(0.5)
    yard = np.array(_YARDS.get(look.architecture, _GREEN), dtype=np.float32)
    white = np.array([238, 236, 228], dtype=np.float32)
    if look.weather == "snow":
        snow = np.array([236, 240, 247], dtype=np.float32)
        road, walk = road + (snow - road) * np.float32(0.35), walk + (snow - walk) * np.float32(0.8)
        yard = yard + (snow - yard) * np.float32(0.95)
        white = snow
    elif look.weather == "rain":
        road, walk, yard = (one * np.float32(0.72) for one in (road, walk, yard))
    width = plan.width
    kerb = walk + (np.float32(255) - walk) * np.float32(0.42)
    gutter = road * np.float32(0.7)
    stone = (walk - slabs[:, None] * walk * np.float32(0.28)).astype(np.float32)
    found = np.empty((len(far), 3), dtype=np.float32)
    found[:] = yard
    for limit, colour in (
        (width.front + 0.3, stone),
        (width.kerb + _KERB, kerb),
        (width.kerb, gutter),
        (width.kerb - 0.22, road),
    ):
        inside = np.clip((np.float32(limit) - far) / blur + np.float32(0.5), 0, 1)[:, None]
        found += (colour - found) * inside
    found += (white - found) * (paint * np.float32(0.92))[:, None]
    found *= (1 + grit)[:, None]
    return found


def _grit(at: Point, east: Floats, north: Floats, blur: Floats) -> Floats:
    """Lighter and darker spots of a tenth of a metre, which lie still as the walker moves."""
    x = np.floor((east + np.float32(at[0] % 1024)) * 10).astype(np.int64)
    y = np.floor((north + np.float32(at[1] % 1024)) * 10).astype(np.int64)
    mix = (x * 374761393 + y * 668265263) % 4294967296
    mix = ((mix ^ (mix >> 13)) * 1274126177 % 4294967296) >> 24
    weight = np.minimum(np.float32(0.05), np.float32(0.004) / blur)
    found: Floats = (mix.astype(np.float32) / np.float32(128) - 1) * weight
    return found


def _from_line(value: Floats, apart: float) -> Floats:
    """How far values are from the nearest multiple."""
    rest = value / np.float32(apart)
    found: Floats = np.abs(rest - np.rint(rest)) * np.float32(apart)
    return found


def _soft(inside: Floats, blur: Floats) -> Floats:
    """1 well inside (metres), 0 well outside, over the width of a pixel."""
    found: Floats = np.clip(inside / blur + np.float32(0.5), 0, 1)
    return found


def _markings(
    along: Floats,
    side: Floats,
    length: float,
    ends: tuple[float, float],
    kerb: float,
    blur: Floats,
    across: Floats,
) -> Floats:
    """How much paint lies on points of a roadway: crosswalks at its ends, stop lines behind them,
    dashes in the middle."""
    found = np.zeros(len(along), dtype=np.float32)
    for where, clear in ((along, ends[0]), (np.float32(length) - along, ends[1])):
        strip = _soft(np.minimum(where - np.float32(clear), np.float32(clear + 3) - where), blur)
        stripe = np.abs(side - np.rint(side / np.float32(1.2)) * np.float32(1.2))
        on = _soft(np.minimum(np.float32(0.3) - stripe, np.float32(kerb - 0.35) - side), across)
        # Stripes finer than pixels are half of the paint.
        on = np.where(across > np.float32(0.6), np.float32(0.5), on)
        stop = _soft(
            np.minimum(where - np.float32(clear + 4), np.float32(clear + 4.5) - where), blur
        )
        stop = stop * np.minimum(np.float32(0.5) / blur, 1) * (side < np.float32(kerb - 0.3))
        found = np.maximum(found, np.maximum(strip * on, stop * np.float32(0.8)))
    dash = np.float32(1.5) - _from_line(along, 6.0)
    inner = np.minimum(along - np.float32(ends[0] + 7), np.float32(length - ends[1] - 7) - along)
    line = _soft(np.minimum(dash, inner), blur)
    thin = np.minimum(np.float32(0.16) / across, 1) * _soft(np.float32(0.08) - side, across)
    painted: Floats = np.maximum(found, line * thin).astype(np.float32)
    return painted
