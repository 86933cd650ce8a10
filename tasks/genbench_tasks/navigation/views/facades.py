"""The fronts of houses as tiles: one bay of one storey each, in every size that a picture needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genbench_tasks.navigation.views.looks import Colour, Look

Pixels = NDArray[np.int32]

SIZE = 64
LEVELS = 7
TINTS = 4
#: the tiles of a tint: two ground floors, three upper ones, the cornice, a wall without windows
SHOP, DOOR, PLAIN, CURTAINS, LIT, TOP, BLIND = range(7)
KINDS = 7


@dataclass(frozen=True)
class Tiles:
    """`texels` is (all texels of all levels, 3); the tile t at the levels (i, j) begins at
    `starts[i, j] + t * (SIZE >> i) * (SIZE >> j)`, its rows of SIZE >> i texels from the top."""

    texels: NDArray[np.uint8]
    starts: NDArray[np.int64]
    storey: float
    bay: float


def mixed(one: Sequence[int], other: Sequence[int], share: int) -> Colour:
    """`share` hundredths of the other colour."""
    r, g, b = ((a * (100 - share) + c * share + 50) // 100 for a, c in zip(one, other, strict=True))
    return r, g, b


@lru_cache(maxsize=32)
def tiles(look: Look) -> Tiles:
    """The tiles of a look: KINDS of each tint, the landmarks' houses last."""
    white, black = (255, 255, 255), (0, 0, 0)
    walls = [
        look.walls,
        mixed(look.walls, white, 22),
        mixed(look.walls, look.accent, 18),
        mixed(look.walls, black, 20),
        mixed(look.walls, white, 45),
    ]
    drawn = np.stack([_tile(look, wall, kind) for wall in walls for kind in range(KINDS)])
    return _mipped(drawn, 3.1, 3.0)


def _tile(look: Look, wall: Colour, kind: int) -> Pixels:
    canvas = np.empty((SIZE, SIZE, 3), dtype=np.int32)
    canvas[:] = wall
    glass = mixed(look.sky, (30, 40, 55), 70)
    if kind in (PLAIN, CURTAINS, LIT):
        canvas[12:52, 18:46] = mixed(wall, (255, 255, 255), 55)
        pane = {PLAIN: glass, CURTAINS: mixed(glass, (230, 225, 215), 45), LIT: (255, 214, 120)}
        canvas[15:49, 21:43] = pane[kind]
    elif kind == SHOP:
        canvas[14:20, 2:62] = look.accent
        canvas[20:58, 6:58] = glass
    elif kind == DOOR:
        canvas[16:64, 22:42] = mixed(look.accent, (0, 0, 0), 45)
    elif kind == TOP:
        canvas[:24] = mixed(wall, (255, 255, 255), 40)
    return canvas


def _mipped(drawn: Pixels, storey: float, bay: float) -> Tiles:
    """Every tile halved in each direction, again and again."""
    parts, starts, begin = [], np.zeros((LEVELS, LEVELS), dtype=np.int64), 0
    wide = drawn
    for i in range(LEVELS):
        both = wide
        for j in range(LEVELS):
            starts[i, j] = begin
            flat = both.reshape(-1, 3)
            parts.append(flat.astype(np.uint8))
            begin += len(flat)
            both = (both[:, 0::2] + both[:, 1::2] + 1) // 2 if j < LEVELS - 1 else both
        wide = (wide[:, :, 0::2] + wide[:, :, 1::2] + 1) // 2 if i < LEVELS - 1 else wide
    return Tiles(np.concatenate(parts), starts, storey, bay)
