"""Buildings as a look makes them: how high, what roof, and the colour of every point of a wall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genbench_tasks.navigation.views.air import air
from genbench_tasks.navigation.views.camera import Cameras, Floats, Hits, Walls
from genbench_tasks.navigation.views.facades import LEVELS, TINTS, tiles
from genbench_tasks.navigation.views.geometry import Building
from genbench_tasks.navigation.views.looks import Look
from genbench_tasks.navigation.views.masonry import (
    BLIND,
    CURTAINS,
    DOOR,
    KINDS,
    LIT,
    OTHER,
    PLAIN,
    ROOF,
    SHOP,
    SIZE,
    TOP,
)
from genbench_tasks.navigation.views.signs import colours_of

_STEPS = np.array([1.35 * 2**k for k in range(LEVELS - 1)], dtype=np.float32)
_STOREYS_OF_MARKS = 2
_PARAPET = 0.9


class Houses:
    """The buildings around a place, by what the cameras' columns meet."""

    def __init__(self, buildings: Sequence[Building], walls: Walls, hits: Hits, look: Look) -> None:
        self.walls, self.hits, self.look = walls, hits, look
        self.tiles = tiles(look)
        style = self.tiles.style
        least, most = look.storeys
        self._marked = np.array([bool(one.mark) for one in buildings], dtype=bool)
        storeys = np.array(
            [
                _STOREYS_OF_MARKS if one.mark else least + one.tall * (most - least + 1) // 256
                for one in buildings
            ],
            dtype=np.float32,
        )
        self._eaves = storeys * np.float32(style.storey)
        rises = np.array([one.tint for one in buildings], dtype=np.float32) / np.float32(640)
        self._rise = np.where(
            self._marked,
            np.float32(_PARAPET),
            np.float32(style.rise) * (rises + np.float32(0.8)),
        )
        seeds = [one.seed % 2**31 for one in buildings]
        self._seeds = np.array(seeds, dtype=np.int64)
        # Of a gabled house, whether the gable is on the street or beside it.
        self._turned = self._seeds // 64 % 2
        self._tints = np.array(
            [TINTS if one.mark else one.tint % TINTS for one in buildings], dtype=np.int64
        )
        tones = np.array([[230 + one.tint // 5] * 3 for one in buildings], dtype=np.float32)
        for number, one in enumerate(buildings):
            if one.mark:
                back, _ = colours_of(one.mark)
                tones[number] = [150 + channel * 100 // 255 for channel in back]
        self._tones = tones.reshape(-1, 3) / np.float32(256)
        self._light = self._lit_walls()

    def _lit_walls(self) -> Floats:
        """The light on every wall, by channel."""
        around = air(self.look)
        east, north = self.walls.steps[:, 1], -self.walls.steps[:, 0]
        facing = (east * np.float32(around.toward[0]) + north * np.float32(around.toward[1])) / (
            self.walls.lengths
        )
        found: Floats = around.ambient + around.sun * np.maximum(facing, 0)[:, None]
        return found

    def heights(self, k: int) -> Floats:
        """How high the k-th building of every column is where the column meets it."""
        wall = self.hits.wall[:, k]
        building = self.walls.building[wall]
        rise = self._rise[building]
        shape = self._roofs(wall, building)
        along, length = self.hits.along[:, k], self.walls.lengths[wall]
        ends = np.minimum(along, length - along)
        hip = np.minimum(ends / np.float32(0.9), rise)
        gable = np.float32(2) * ends / length * rise
        return self._eaves[building] + np.where(
            shape == 0, rise, np.where(shape == 1, hip, gable)
        ).astype(np.float32)

    def _roofs(self, wall: NDArray[np.int64], building: NDArray[np.int64]) -> NDArray[np.int64]:
        """The roof over walls: 0 a parapet, 1 its slope, 2 a gable."""
        if self.tiles.style.roof == "flat":
            return np.zeros(len(wall), dtype=np.int64)
        if self.tiles.style.roof == "gable":
            shape = np.where((self.walls.side[wall] + self._turned[building]) % 2 == 0, 2, 1)
        else:
            shape = np.ones(len(wall), dtype=np.int64)
        return np.where(self._marked[building], 0, shape)

    def colours(self, k: int, x: NDArray[np.intp], above: Floats, views: Cameras) -> Floats:
        """The colours of points of the k-th buildings, `above` metres over the ground."""
        style = self.tiles.style
        wall = self.hits.wall[x, k]
        building = self.walls.building[wall]
        along, depth = self.hits.along[x, k], self.hits.depth[x, k]
        length = self.walls.lengths[wall]
        bays = np.maximum(1, np.rint(length / np.float32(style.bay)))
        eaves = self._eaves[building]
        under = above < eaves
        u = along * bays / length
        v = np.where(
            under,
            np.maximum(above, 0) / np.float32(style.storey),
            np.minimum((above - eaves) / self._rise[building], np.float32(0.999)),
        )
        shape = self._roofs(wall, building)
        v = np.where((shape == 2) & ~under, above / np.float32(style.storey), v)
        kind = self._kinds(wall, building, u, v, under, shape)
        tile = self._tints[building] * KINDS + kind
        fu, fv = u - np.floor(u), 1 - (v - np.floor(v))
        i = _level(self.hits.spread[x, k] * bays / length * SIZE)
        high = np.where(under | (shape == 2), np.float32(style.storey), self._rise[building])
        j = _level(depth / np.float32(views.focal) / high * SIZE)
        across, down = SIZE >> i, SIZE >> j
        tx = np.minimum((fu * across).astype(np.int64), across - 1)
        ty = np.minimum((fv * down).astype(np.int64), down - 1)
        index = self.tiles.starts[i, j] + (tile * down + ty) * across + tx
        found = self.tiles.texels[index].astype(np.float32)
        light = self._light[wall] * self._tones[building]
        # The foot of a wall is darker, where light comes from one half only.
        light *= (np.float32(0.78) + np.minimum(above, 2) * np.float32(0.11))[:, None]
        if self.look.light in ("dusk", "night"):
            glows = ((kind == LIT) | (kind == SHOP) | (kind == DOOR)) & (
                (found[:, 0] > 180) & (found[:, 0] - found[:, 2] > 60)
            )
            light = np.where(glows[:, None], np.float32(0.95), light)
            # Landmarks are lit, so that they are found in the dark.
            lamps = self._tones[building] * np.array([0.72, 0.64, 0.52], dtype=np.float32)
            light = np.where(self._marked[building][:, None], np.maximum(light, lamps), light)
        return air(self.look).fogged(found * light, depth)

    def _kinds(
        self,
        wall: NDArray[np.int64],
        building: NDArray[np.int64],
        u: Floats,
        v: Floats,
        under: NDArray[np.bool_],
        shape: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """The kinds of the tiles at points of walls."""
        bay, storey = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
        side = self.walls.side[wall]
        mix = self._seeds[building] * 7919 + bay * 104729 + storey * 1299709 + side * 15485863
        mix = ((mix ^ (mix >> 9)) * 2654435761 % 4294967296) >> 11
        upper = np.where(
            mix % 100 < self.tiles.lit,
            LIT,
            np.where(mix % 7 < 4, PLAIN, np.where(mix % 7 < 6, CURTAINS, OTHER)),
        )
        door = np.where(self._marked[building], bay == 1, (bay + self._seeds[building]) % 3 == 0)
        kind = np.where(storey == 0, np.where(door, DOOR, SHOP), upper)
        # The sides of houses have few windows, and their ground floors none.
        few = (side % 2 == 1) & ~self._marked[building]
        kind = np.where(few & ((storey == 0) | (mix % 5 < 2)), BLIND, kind)
        return np.where(
            under, kind, np.where(shape == 0, TOP, np.where(shape == 1, ROOF, BLIND))
        ).astype(np.int64)


def _level(texels: Floats) -> NDArray[np.int64]:
    """The level whose texels are about as large as that many of the finest."""
    return np.searchsorted(_STEPS, texels).astype(np.int64)
