"""The fronts of houses as tiles: one bay of one storey each, in every size that a picture needs.

Tiles are drawn in whole numbers, SIZE a side, and halved along either axis again and again, so that
a front seen at a slant is as smooth as one seen straight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genbench_tasks.navigation.views.looks import Look
from genbench_tasks.navigation.views.masonry import (
    BLACK,
    KINDS,
    STYLES,
    WHITE,
    Mason,
    Pixels,
    Style,
    mixed,
)

LEVELS = 7
TINTS = 4
"""How many colours the houses of a city have; landmarks' houses have one more."""


@dataclass(frozen=True)
class Tiles:
    """`texels` is (all texels of all levels, 3); the tile t at the levels (i, j) begins at
    `starts[i, j] + t * (SIZE >> i) * (SIZE >> j)`, its rows of SIZE >> i texels from the top."""

    texels: NDArray[np.uint8]
    starts: NDArray[np.int64]
    style: Style
    lit: int
    """Hundredths of the windows with a light."""


_LIT = {"morning": 4, "noon": 0, "evening": 12, "dusk": 40, "night": 55}


@lru_cache(maxsize=32)
def tiles(look: Look) -> Tiles:
    """The tiles of a look: KINDS of each tint, the landmarks' houses last."""
    style = STYLES[look.architecture]
    walls = [
        look.walls,
        mixed(look.walls, WHITE, 18),
        mixed(look.walls, look.accent, 22),
        mixed(look.walls, BLACK, 18),
        (214, 210, 204),
    ]
    drawn = []
    for tint, wall in enumerate(walls):
        mason = Mason(look, style, wall)
        drawn += [mason.tile(kind, house=tint == TINTS) for kind in range(KINDS)]
    return _mipped(np.stack(drawn), style, _LIT[look.light])


def _mipped(drawn: Pixels, style: Style, lit: int) -> Tiles:
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
    return Tiles(np.concatenate(parts), starts, style, lit)
