"""A place in a city as four views: sky, ground, buildings, signs, and the air between."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genbench_tasks.navigation.cities import Point
from genbench_tasks.navigation.views.camera import (
    DEEPEST,
    EYE,
    VIEWS,
    Cameras,
    Floats,
    Hits,
    Walls,
    cameras,
    met,
    walls_of,
)
from genbench_tasks.navigation.views.facades import (
    BLIND,
    CURTAINS,
    DOOR,
    KINDS,
    LEVELS,
    LIT,
    PLAIN,
    SHOP,
    SIZE,
    TINTS,
    TOP,
    Tiles,
    tiles,
)
from genbench_tasks.navigation.views.ground import ground_colours
from genbench_tasks.navigation.views.looks import Look, look_of
from genbench_tasks.navigation.views.plan import Building, plan
from genbench_tasks.navigation.views.signs import captioned, hang_signs

REACH = 130.0
"""Buildings along streets farther than this are not drawn."""
Canvas = NDArray[np.uint8]


def draw_grid(city: str, at: Point, heading: float, pixels: int, skin: str | None) -> Canvas:
    """The four views as RGB, shape (2 * pixels, 2 * pixels, 3): front and right, behind and left.
    Raises TaskError."""
    look = look_of(city, skin)
    there = plan(city)
    views = cameras(heading, pixels)
    buildings = there.buildings(at, REACH)
    walls = walls_of(buildings, at)
    hits = met(walls, views)
    colours = np.empty((pixels, 4 * pixels, 3), dtype=np.float32)
    free = _paint_walls(colours, views, look, buildings, walls, hits)
    _paint_rest(colours, free, views, look, city, at)
    canvas = np.rint(np.clip(colours, 0, 255)).astype(np.uint8)
    hang_signs(canvas, views, there, at, look)
    captioned(canvas, pixels)
    front, right, behind, left = (canvas[:, k * pixels : (k + 1) * pixels] for k in range(4))
    assert VIEWS == ("front", "right", "behind", "left")
    return np.concatenate(
        [np.concatenate([front, right], axis=1), np.concatenate([behind, left], axis=1)]
    )


def _paint_walls(
    colours: Floats,
    views: Cameras,
    look: Look,
    buildings: list[Building],
    walls: Walls,
    hits: Hits,
) -> Floats:
    """Add the buildings' part of every pixel; return what share of it is still free."""
    rows = np.arange(views.pixels, dtype=np.float32)[:, None]
    colours[:] = 0
    free = np.ones(colours.shape[:2], dtype=np.float32)
    heights = _heights(buildings, look)
    shop = tiles(look)
    focal, horizon = np.float32(views.focal), np.float32(views.horizon)
    tints = np.array([TINTS if one.mark else one.tint % TINTS for one in buildings])
    seeds = np.array([one.seed % 2**31 for one in buildings], dtype=np.int64)
    shades = _shades(walls, look)
    for k in range(DEEPEST):
        wall = hits.wall[:, k]
        if (wall < 0).all():
            break
        depth = hits.depth[:, k]
        building = walls.building[wall]
        high = heights[building]
        top = horizon - (high - np.float32(EYE)) * focal / depth
        bottom = horizon + np.float32(EYE) * focal / depth
        part = np.clip(np.minimum(rows + 1, bottom) - np.maximum(rows, top), 0, 1)
        part = np.where(wall < 0, np.float32(0), part) * free
        y, x = np.nonzero(part > np.float32(0.002))
        if not len(y):
            continue
        share = part[y, x]
        free[y, x] -= share
        above = (
            np.float32(EYE) + (horizon - y.astype(np.float32) - np.float32(0.5)) * depth[x] / focal
        )
        found = _wall_colours(shop, walls, hits, k, x, above, building[x], high[x], tints, seeds)
        light = shades[wall[x]]
        colours[y, x] += found * (light * share)[:, None]
    return free


def _heights(buildings: list[Building], look: Look) -> Floats:
    """Of the buildings, in metres: whole storeys."""
    least, most = look.storeys
    return np.array(
        [
            6.6 if one.mark else 3.1 * (least + one.tall * (most - least + 1) // 256) + 0.6
            for one in buildings
        ],
        dtype=np.float32,
    )


def _shades(walls: Walls, look: Look) -> Floats:
    return np.where(walls.side % 2 == 0, np.float32(1.0), np.float32(0.8))


def _wall_colours(
    shop: Tiles,
    walls: Walls,
    hits: Hits,
    k: int,
    x: NDArray[np.intp],
    above: Floats,
    building: NDArray[np.int64],
    high: Floats,
    tints: NDArray[np.int64],
    seeds: NDArray[np.int64],
) -> Floats:
    wall = hits.wall[x, k]
    along, spread = hits.along[x, k], hits.spread[x, k]
    length = walls.lengths[wall]
    bays = np.maximum(1, np.rint(length / np.float32(shop.bay)))
    u = along * bays / length
    v = np.maximum(above, 0) / np.float32(shop.storey)
    bay = np.floor(u).astype(np.int64)
    storey = np.floor(v).astype(np.int64)
    mix = seeds[building] * 7919 + bay * 104729 + storey * 1299709 + wall * 0
    mix = (mix ^ (mix >> 7)) * 2654435761 % 4294967296 >> 16
    kind = np.where(
        storey == 0,
        np.where(mix % 3 == 0, DOOR, SHOP),
        np.where(mix % 10 < 6, PLAIN, np.where(mix % 10 < 9, CURTAINS, LIT)),
    )
    kind = np.where(walls.side[wall] % 2 == 1, np.where(mix % 3 == 0, kind, BLIND), kind)
    kind = np.where(above > high - np.float32(0.6), TOP, kind)
    tile = tints[building] * KINDS + kind
    fu, fv = u - np.floor(u), 1 - (v - np.floor(v))
    i = _level(spread * bays / length * SIZE)
    j = _level(hits.depth[x, k] / 78 / np.float32(shop.storey) * SIZE)
    across, down = SIZE >> i, SIZE >> j
    tx = np.minimum((fu * across).astype(np.int64), across - 1)
    ty = np.minimum((fv * down).astype(np.int64), down - 1)
    index = shop.starts[i, j] + (tile * down + ty) * across + tx
    return shop.texels[index].astype(np.float32)


_STEPS = np.array([1.4 * 2**k for k in range(LEVELS - 1)], dtype=np.float32)


def _level(texels: Floats) -> NDArray[np.int64]:
    """The level whose texels are about as large as that many of the finest."""
    return np.searchsorted(_STEPS, texels).astype(np.int64)


def _paint_rest(
    colours: Floats, free: Floats, views: Cameras, look: Look, city: str, at: Point
) -> None:
    """Sky above the horizon and ground below it, where no building stands."""
    y, x = np.nonzero(free > 0)
    sky = y < int(views.horizon)
    up = (views.horizon - y[sky]) / views.horizon
    tone = np.array(look.sky, dtype=np.float32)
    pale = tone + (255 - tone) * np.float32(0.5)
    found = pale + (tone - pale) * up.astype(np.float32)[:, None]
    colours[y[sky], x[sky]] += found * free[y[sky], x[sky]][:, None]
    y, x = y[~sky], x[~sky]
    depth = np.float32(EYE * views.focal) / (y + np.float32(0.5) - np.float32(views.horizon))
    found = ground_colours(
        plan(city), at, depth * views.east[x], depth * views.north[x], depth, views, look
    )
    colours[y, x] += found * free[y, x][:, None]
