"""The ground: roadways with their markings, kerbs, pavements, and what lies between houses."""

from __future__ import annotations

import numpy as np

from genbench_tasks.navigation.cities import Point
from genbench_tasks.navigation.views.camera import EYE, Cameras, Floats
from genbench_tasks.navigation.views.looks import Look
from genbench_tasks.navigation.views.plan import Plan

_FAR = 75.0
_KERB = 0.25


def ground_colours(
    plan: Plan, at: Point, east: Floats, north: Floats, depth: Floats, views: Cameras, look: Look
) -> Floats:
    """The colours of points on the ground, relative to the walker; `depth` is theirs."""
    road = np.array(look.ground, dtype=np.float32)
    walk = road + (255 - road) * np.float32(0.35)
    yard = np.array([104, 116, 86], dtype=np.float32)
    paint = np.array([236, 234, 226], dtype=np.float32)
    # How many metres a pixel is across, and along the line of sight.
    across = depth / np.float32(views.focal)
    away = np.minimum(depth * depth / np.float32(EYE * views.focal), 8)
    blur = (across + away) / 2
    least = np.full(len(east), 1e6, dtype=np.float32)
    mark = np.zeros(len(east), dtype=np.float32)
    width = plan.width
    for index in plan.near(at, _FAR):
        start, end = plan.starts[index] - np.array(at), plan.ends[index] - np.array(at)
        length = float(np.sqrt(((end - start) ** 2).sum()))
        dx, dy = ((end - start) / length).astype(np.float32)
        x, y = east - np.float32(start[0]), north - np.float32(start[1])
        along, side = x * dx + y * dy, x * dy - y * dx
        beyond = along - np.clip(along, 0, np.float32(length))
        distance = np.sqrt(side * side + beyond * beyond)
        np.minimum(least, distance, out=least)
        on = np.flatnonzero(distance < width.kerb)
        if not len(on):
            continue
        a, b = plan.edges[index]
        near, far = plan.clearance(a, b), plan.clearance(b, a)
        mark[on] = np.maximum(
            mark[on],
            _markings(
                along[on], np.abs(side[on]), length, near, far, width.kerb, blur[on], across[on]
            ),
        )
    found = np.empty((len(east), 3), dtype=np.float32)
    found[:] = yard
    for limit, colour in (
        (width.front + 0.3, walk),
        (width.kerb + _KERB, walk + (255 - walk) * np.float32(0.45)),
        (width.kerb, road),
    ):
        inside = np.clip((np.float32(limit) - least) / blur + np.float32(0.5), 0, 1)[:, None]
        found += (colour - found) * inside
    found += (paint - found) * mark[:, None]
    return found


def _soft(inside: Floats, blur: Floats) -> Floats:
    """1 well inside (metres), 0 well outside, over the width of a pixel."""
    found: Floats = np.clip(inside / blur + np.float32(0.5), 0, 1)
    return found


def _markings(
    along: Floats,
    side: Floats,
    length: float,
    near: float,
    far: float,
    kerb: float,
    blur: Floats,
    across: Floats,
) -> Floats:
    """How much paint lies on points of a roadway: crosswalks at its ends, a line in its middle."""
    found = np.zeros(len(along), dtype=np.float32)
    for where, clear in ((along, near), (np.float32(length) - along, far)):
        strip = _soft(np.minimum(where - np.float32(clear), np.float32(clear + 3) - where), blur)
        stripe = np.abs(side % np.float32(1.2) - np.float32(0.6)) - np.float32(0.3)
        on = _soft(np.minimum(stripe, np.float32(kerb - 0.35) - side), across)
        # Stripes finer than pixels are half of the paint.
        on = np.where(across > 0.6, np.float32(0.5), on)
        np.maximum(found, strip * on, out=found)
    dash = np.float32(1.5) - np.abs(along % np.float32(6) - np.float32(3))
    inner = np.minimum(along - np.float32(near + 5), np.float32(length - far - 5) - along)
    line = _soft(np.minimum(np.minimum(dash, inner), np.float32(9)), blur)
    thin = np.minimum(np.float32(0.16) / across, 1) * _soft(np.float32(0.08) - side, across)
    return np.maximum(found, line * np.minimum(thin * 1, 1))
