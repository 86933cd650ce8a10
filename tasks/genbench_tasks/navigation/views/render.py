"""A place in a city as four views: sky, ground, buildings, signs, and the air between."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genbench.task import derive_seed
from genbench_tasks.navigation.cities import Point
from genbench_tasks.navigation.views.air import Air, air, fall, sky_colours
from genbench_tasks.navigation.views.camera import (
    DEEPEST,
    EYE,
    VIEWS,
    Cameras,
    Floats,
    cameras,
    met,
    walls_of,
)
from genbench_tasks.navigation.views.ground import ground_colours
from genbench_tasks.navigation.views.houses import Houses
from genbench_tasks.navigation.views.looks import Look, look_of
from genbench_tasks.navigation.views.plan import Plan, plan
from genbench_tasks.navigation.views.signs import captioned, hang_signs
from genbench_tasks.navigation.views.things import place_things

REACH = 130.0
"""Buildings along streets farther than this are not drawn."""
Canvas = NDArray[np.uint8]


def draw_grid(city: str, at: Point, heading: float, pixels: int, skin: str | None) -> Canvas:
    """The four views as RGB, shape (2 * pixels, 2 * pixels, 3): front and right, behind and left.
    Raises TaskError."""
    look = look_of(city, skin)
    there = plan(city)
    views = cameras(heading, pixels)
    colours = np.zeros((pixels, 4 * pixels, 3), dtype=np.float32)
    depths = np.full(colours.shape[:2], np.inf, dtype=np.float32)
    free = _paint_houses(colours, depths, views, look, there, at)
    _paint_sky(colours, free, views, look)
    _paint_ground(colours, free, views, look, there, at)
    if look.weather == "rain":
        _reflect(colours, views)
    canvas = np.rint(np.clip(colours, 0, 255)).astype(np.uint8)
    place_things(canvas, depths, views, look, there, at)
    fall(
        canvas,
        look,
        views,
        derive_seed("navigation fall", city, *(f"{value:.2f}" for value in (*at, heading % 360))),
    )
    hang_signs(canvas, views, there, at, look)
    captioned(canvas, pixels)
    front, right, behind, left = (canvas[:, k * pixels : (k + 1) * pixels] for k in range(4))
    assert VIEWS == ("front", "right", "behind", "left")
    return np.concatenate(
        [np.concatenate([front, right], axis=1), np.concatenate([behind, left], axis=1)]
    )


def _paint_houses(
    colours: Floats, depths: Floats, views: Cameras, look: Look, there: Plan, at: Point
) -> Floats:
    """Add the buildings' part of every pixel, the nearest first, and note how far they are; return
    what share of every pixel is still free."""
    buildings = there.buildings(at, REACH)
    walls = walls_of(buildings, at)
    hits = met(walls, views)
    houses = Houses(buildings, walls, hits, look)
    rows = np.arange(views.pixels, dtype=np.float32)[:, None]
    free = np.ones(colours.shape[:2], dtype=np.float32)
    focal, horizon, eye = np.float32(views.focal), np.float32(views.horizon), np.float32(EYE)
    for k in range(DEEPEST):
        there_is = hits.wall[:, k] >= 0
        if not there_is.any():
            break
        depth = hits.depth[:, k]
        high = houses.heights(k)
        top = horizon - (high - eye) * focal / depth
        bottom = horizon + eye * focal / depth
        part = np.minimum(rows + 1, bottom) - np.maximum(rows, top)
        part = np.clip(part, 0, 1) * there_is * free
        y, x = np.nonzero(part > np.float32(0.004))
        if not len(y):
            continue
        share = part[y, x]
        free[y, x] -= share
        solid = share > np.float32(0.5)
        depths[y[solid], x[solid]] = depth[x[solid]]
        above = eye + (horizon - y.astype(np.float32) - np.float32(0.5)) * depth[x] / focal
        colours[y, x] += houses.colours(k, x, above, views) * share[:, None]
    return free


def _paint_sky(colours: Floats, free: Floats, views: Cameras, look: Look) -> None:
    """What no building hides above the horizon."""
    y, x = np.nonzero(free[: int(views.horizon)] > 0)
    colours[y, x] += sky_colours(look, views, y, x) * free[y, x][:, None]


def _paint_ground(
    colours: Floats, free: Floats, views: Cameras, look: Look, there: Plan, at: Point
) -> None:
    """What no building hides below the horizon."""
    y, x = np.nonzero(free[int(views.horizon) :] > 0)
    y += int(views.horizon)
    depth = np.float32(EYE * views.focal) / (y + np.float32(0.5) - np.float32(views.horizon))
    depth = depth.astype(np.float32)
    east, north = depth * views.east[x], depth * views.north[x]
    found = ground_colours(there, at, east, north, depth, views, look)
    around: Air = air(look)
    found *= around.ambient + around.sun * np.float32(min(1.0, around.slope / (1 + around.slope)))
    colours[y, x] += around.fogged(found, depth) * free[y, x][:, None]


def _reflect(colours: Floats, views: Cameras) -> None:
    """Wet ground: what stands above the horizon, upside down, a little of it and blurred."""
    horizon = int(views.horizon)
    count = min(horizon, views.pixels - horizon)
    mirrored = colours[horizon - count : horizon][::-1]
    blurred = (mirrored + np.roll(mirrored, 1, axis=0) + np.roll(mirrored, -1, axis=0)) / 3
    below = colours[horizon : horizon + count]
    below += (blurred - below) * np.float32(0.30)
