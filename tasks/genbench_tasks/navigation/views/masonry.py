"""Draws the parts of houses' fronts, in whole numbers: walls, windows, ground floors, roofs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genbench_tasks.navigation.views.looks import Colour, Look

Pixels = NDArray[np.int32]

SIZE = 64
"""Pixels a side of a tile: one bay of one storey."""
#: the tiles of a tint: two ground floors, four upper ones, the top of the wall, a wall without
#: windows, the roof
SHOP, DOOR, PLAIN, CURTAINS, LIT, OTHER, TOP, BLIND, ROOF = range(9)
KINDS = 9

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
_LAMPLIGHT = (255, 205, 118)


@dataclass(frozen=True)
class Style:
    """An architecture: metres a storey and a bay; `surface` names how walls are made, `window` the
    upper windows, `shop` the ground floor; `roof` is flat, hip or gable, `rise` its metres."""

    storey: float
    bay: float
    surface: str
    window: str
    shop: str
    roof: str
    rise: float
    tiled: Colour = (92, 96, 104)


STYLES = {
    "brick walk-up": Style(3.2, 2.9, "brick", "sash", "store", "flat", 0.9),
    "glass tower": Style(3.7, 2.3, "glass", "curtain wall", "lobby", "flat", 0.5),
    "brownstone": Style(3.4, 3.0, "ashlar", "tall", "stoop", "flat", 1.1),
    "limestone": Style(3.4, 2.8, "ashlar", "french", "arcade", "hip", 3.0, (84, 94, 112)),
    "stucco": Style(3.3, 3.2, "plaster", "shutters", "store", "hip", 1.6, (168, 92, 66)),
    "half-timbered": Style(2.7, 2.6, "timber", "leaded", "cottage", "gable", 3.6, (142, 66, 48)),
    "whitewashed": Style(2.9, 3.6, "plaster", "small", "cottage", "flat", 0.4),
    "rubble stone": Style(2.8, 3.0, "rubble", "small", "cottage", "hip", 2.6, (86, 84, 82)),
    "red brick": Style(3.1, 2.8, "brick", "arched", "store", "gable", 2.8, (104, 74, 66)),
    "art nouveau": Style(3.5, 3.1, "plaster", "oval", "arcade", "hip", 2.4, (70, 112, 98)),
    "concrete slab": Style(3.0, 3.4, "panels", "ribbon", "lobby", "flat", 0.5),
    "adobe": Style(3.0, 3.8, "plaster", "small", "cottage", "flat", 0.5),
    "tile front": Style(3.1, 2.5, "tiles", "ribbon", "store", "flat", 0.6),
    "clapboard": Style(2.9, 2.9, "boards", "shutters", "store", "gable", 3.0, (96, 84, 84)),
}


def mixed(one: Sequence[int], other: Sequence[int], share: int) -> Colour:
    """`share` hundredths of the other colour."""
    r, g, b = ((a * (100 - share) + c * share + 50) // 100 for a, c in zip(one, other, strict=True))
    return r, g, b


def grain(height: int, width: int, salt: int) -> NDArray[np.int64]:
    """Numbers 0..255 that look random, by place: a hash of whole numbers."""
    y, x = np.mgrid[0:height, 0:width].astype(np.uint64)
    mix = (x * 374761393 + y * 668265263 + salt * 2246822519) % 4294967296
    mix = (mix ^ (mix >> np.uint64(13))) * 1274126177 % 4294967296
    found: NDArray[np.int64] = ((mix ^ (mix >> np.uint64(16))) % 256).astype(np.int64)
    return found


class Mason:
    """Draws the tiles of one wall colour."""

    def __init__(self, look: Look, style: Style, wall: Colour) -> None:
        self.look, self.style, self.wall = look, style, wall
        self.night = look.light in ("dusk", "night")
        self.trim = mixed(wall, WHITE, 55)
        self.frame = mixed(wall, WHITE, 80)
        self.shade = mixed(wall, BLACK, 35)
        self.glass = mixed(look.sky, (26, 36, 50), 62 if not self.night else 85)
        self.snow = look.weather == "snow"

    def tile(self, kind: int, *, house: bool) -> Pixels:
        """One tile; a landmark's house is plain, so that its sign stands out."""
        canvas = np.empty((SIZE, SIZE, 3), dtype=np.int32)
        canvas[:] = self.wall
        surface: Callable[[Pixels], None] = (
            self._plaster if house else getattr(self, "_" + self.style.surface)
        )
        if kind == ROOF:
            self._roof(canvas)
        elif kind == TOP:
            surface(canvas)
            self._top(canvas)
        elif kind == BLIND:
            surface(canvas)
        elif kind in (SHOP, DOOR):
            surface(canvas)
            self._ground_floor(canvas, kind, "store" if house else self.style.shop)
        else:
            surface(canvas)
            self._window(canvas, kind, "sash" if house else self.style.window)
        return canvas

    # -- walls ----------------------------------------------------------------------------------

    def _brick(self, canvas: Pixels) -> None:
        rows = SIZE // 4
        tones = grain(rows, SIZE // 8 + 1, 7)
        for row in range(rows):
            shift = 4 * (row % 2)
            for column in range(-1, SIZE // 8 + 1):
                left, right = max(0, 8 * column + shift), min(SIZE, 8 * column + shift + 7)
                if left < right:
                    tone = int(tones[row, column % (SIZE // 8)]) // 14
                    colour = mixed(self.wall, BLACK, tone)
                    canvas[4 * row : 4 * row + 3, left:right] = colour
                    canvas[4 * row : 4 * row + 3, right : right + 1] = mixed(self.wall, WHITE, 24)
            canvas[4 * row + 3] = mixed(self.wall, WHITE, 24)

    def _ashlar(self, canvas: Pixels) -> None:
        for row in range(4):
            canvas[16 * row : 16 * row + 16] = mixed(self.wall, BLACK, (0, 5, 2, 7)[row])
            canvas[16 * row + 15] = mixed(self.wall, BLACK, 22)
            canvas[16 * row : 16 * row + 16, (32 * (row % 2)) : (32 * (row % 2)) + 1] = mixed(
                self.wall, BLACK, 20
            )

    def _plaster(self, canvas: Pixels) -> None:
        spots = (grain(SIZE // 4, SIZE // 4, 3) - 128) // 22
        canvas += np.repeat(np.repeat(spots, 4, axis=0), 4, axis=1)[:, :, None].astype(np.int32)
        np.clip(canvas, 0, 255, out=canvas)

    def _rubble(self, canvas: Pixels) -> None:
        y, x = np.mgrid[0:SIZE, 0:SIZE]
        seeds = grain(8, 8, 11)
        nearest = np.full((SIZE, SIZE), 1 << 20)
        second = nearest.copy()
        tone = np.zeros((SIZE, SIZE), dtype=np.int64)
        for row in range(-1, 9):
            for column in range(-1, 9):
                seed = int(seeds[row % 8, column % 8])
                distance = (x - 8 * column - seed % 8) ** 2 + (2 * (y - 8 * row) - seed // 16) ** 2
                nearer = distance < nearest
                second = np.where(nearer, nearest, np.minimum(second, distance))
                nearest = np.where(nearer, distance, nearest)
                tone = np.where(nearer, seed, tone)
        scale = 78 + tone * 40 // 255
        canvas[:] = np.clip(canvas * scale[:, :, None] // 100, 0, 255)
        canvas[second - nearest < 14] = mixed(self.wall, BLACK, 38)

    def _timber(self, canvas: Pixels) -> None:
        self._plaster(canvas)
        beam = mixed(self.look.accent, (40, 26, 18), 62)
        canvas[0:6] = beam
        canvas[:, 0:5] = beam
        canvas[:, 60:64] = beam
        if sum(self.wall) % 2 == 0:
            y, x = np.mgrid[0:SIZE, 0:SIZE]
            canvas[(np.abs(x + y - 64) < 4) & ((x < 16) | (x > 48))] = beam
        else:
            canvas[52:56] = beam

    def _panels(self, canvas: Pixels) -> None:
        self._plaster(canvas)
        canvas[:3] = self.shade
        canvas[:, :2] = self.shade
        canvas[46:, :] = mixed(self.wall, self.look.accent, 12)

    def _tiles(self, canvas: Pixels) -> None:
        tones = grain(8, 8, 5)
        for row in range(8):
            for column in range(8):
                tone = int(tones[row, column]) // 16
                canvas[8 * row : 8 * row + 7, 8 * column : 8 * column + 7] = mixed(
                    self.wall, WHITE, tone
                )
                canvas[8 * row + 7, 8 * column : 8 * column + 8] = self.shade
                canvas[8 * row : 8 * row + 8, 8 * column + 7] = self.shade

    def _boards(self, canvas: Pixels) -> None:
        for row in range(0, SIZE, 6):
            canvas[row : row + 5] = mixed(self.wall, WHITE, 8)
            canvas[row + 5 : row + 6] = mixed(self.wall, BLACK, 26)

    def _glass(self, canvas: Pixels) -> None:
        y = np.arange(SIZE)[:, None, None]
        top, low = np.array(mixed(self.glass, WHITE, 22)), np.array(self.glass)
        canvas[:] = top + (low - top) * y // SIZE
        canvas[52:60] = mixed(self.glass, self.wall, 60)
        canvas[:, :3] = mixed(self.wall, WHITE, 35)
        canvas[:2] = mixed(self.wall, WHITE, 30)

    # -- windows --------------------------------------------------------------------------------

    def _pane(self, kind: int) -> Colour:
        if kind == LIT:
            return _LAMPLIGHT if self.night else mixed(self.glass, _LAMPLIGHT, 45)
        if kind == CURTAINS:
            return mixed(self.glass, (226, 220, 208), 38 if not self.night else 14)
        return self.glass

    def _window(self, canvas: Pixels, kind: int, form: str) -> None:
        getattr(self, "_" + form.replace(" ", "_"))(canvas, kind, self._pane(kind))

    def _box(
        self,
        canvas: Pixels,
        pane: Colour,
        left: int,
        top: int,
        right: int,
        bottom: int,
        *,
        frame: int = 2,
        bars: Sequence[int] = (32,),
        cross: Sequence[int] = (),
    ) -> None:
        """A window: the hole's shadow, the frame, panes and bars."""
        canvas[top:bottom, left:right] = self.frame
        inner = canvas[top + frame : bottom - frame, left + frame : right - frame]
        inner[:] = pane
        half = inner[: (bottom - top) // 2]
        half += (np.array(WHITE) - half) * 12 // 100
        inner[:2] = mixed(pane, BLACK, 40)
        for bar in bars:
            canvas[top:bottom, bar - 1 : bar + 1] = self.frame
        for bar in cross:
            canvas[bar - 1 : bar + 1, left:right] = self.frame

    def _sash(self, canvas: Pixels, kind: int, pane: Colour) -> None:
        self._box(canvas, pane, 19, 12, 45, 52, bars=(), cross=(32,))
        canvas[8:12, 16:48] = self.trim
        canvas[52:56, 15:49] = self.trim
        if kind == OTHER:  # an awning over the window
            canvas[12:22, 17:47] = self.look.accent

    def _tall(self, canvas: Pixels, kind: int, pane: Colour) -> None:
        self._box(canvas, pane, 20, 10, 44, 56, cross=(24,))
        canvas[5:9, 15:49] = self.trim
        canvas[9:11, 18:46] = self.shade
        canvas[56:60, 17:47] = self.trim

    def _french(self, canvas: Pixels, kind: int, pane: Colour) -> None:
        self._box(canvas, pane, 20, 10, 44, 60, cross=(22, 41))
        canvas[5:9, 17:47] = self.trim
        if kind != OTHER:
            iron = (38, 40, 46)
            canvas[44:46, 14:50] = iron
            canvas[60:63, 12:52] = mixed(self.wall, BLACK, 30)
            canvas[46:60, 14:50:4] = iron

    def _shutters(self, canvas: Pixels, kind: int, pane: Colour) -> None:
        self._box(canvas, pane, 22, 14, 42, 50, cross=(32,))
        leaf = self.look.accent
        for left in (12, 43):
            canvas[14:50, left : left + 9] = leaf
            canvas[16:50:4, left + 1 : left + 8] = mixed(leaf, BLACK, 28)
        canvas[50:54, 19:45] = self.trim

    def _leaded(self, canvas: Pixels, kind: int, pane: Colour) -> None:
        self._box(canvas, pane, 20, 16, 44, 46, bars=(28, 36), cross=(26, 36))
        if kind == OTHER:  # a box of flowers
            canvas[46:52, 18:46] = (96, 72, 50)
            canvas[43:48, 18:46:3] = (196, 60, 70)
            canvas[44:48, 19:46:3] = (72, 118, 60)

    def _small(self, canvas: Pixels, kind: int, pane: Colour) -> None:
        if kind == OTHER:
            return
        edge = self.look.accent if self.style.surface == "plaster" else self.trim
        canvas[17:48, 21:43] = edge
        self._box(canvas, pane, 23, 19, 41, 46, cross=(32,))
        canvas[46:50, 19:45] = edge

    def _arched(self, canvas: Pixels, kind: int, pane: Colour) -> None:
        y, x = np.mgrid[0:SIZE, 0:SIZE]
        ring = (x - 32) ** 2 + (y - 22) ** 2
        canvas[(ring < 17**2) & (y < 22)] = self.trim
        canvas[22:54, 17:47] = self.trim
        hole = ((ring < 13**2) & (y < 22)) | ((y >= 22) & (y < 54) & (np.abs(x - 32) < 13))
        canvas[hole] = pane
        canvas[hole & (y < 26)] = mixed(pane, WHITE, 12)
        canvas[10:54, 31:33] = self.frame
        canvas[30:32, 19:45] = self.frame
        canvas[54:58, 14:50] = self.trim

    def _oval(self, canvas: Pixels, kind: int, pane: Colour) -> None:
        y, x = np.mgrid[0:SIZE, 0:SIZE]
        ring = 9 * (x - 32) ** 2 + 3 * (y - 34) ** 2
        leaf = mixed(self.look.accent, self.wall, 30)
        canvas[ring < 9 * 14**2] = leaf
        canvas[ring < 9 * 12**2] = self.frame
        canvas[ring < 9 * 10**2] = pane
        canvas[(ring < 9 * 10**2) & (y < 30)] = mixed(pane, WHITE, 12)
        canvas[(np.abs(x - 32) < 1) & (ring < 9 * 10**2)] = self.frame
        canvas[(ring < 9 * 10**2) & (np.abs(y - 34) < 1)] = self.frame
        canvas[2:6] = leaf

    def _ribbon(self, canvas: Pixels, kind: int, pane: Colour) -> None:
        canvas[14:44] = self.frame
        canvas[16:42] = pane
        canvas[16:28] = mixed(pane, WHITE, 12)
        canvas[16:42, 31:33] = self.frame
        canvas[16:42, 0:2] = self.frame
        if kind == OTHER:  # a balcony
            canvas[36:56, 4:60] = mixed(self.look.accent, self.wall, 35)
            canvas[36:38, 4:60] = self.frame
            canvas[56:60, 2:62] = self.shade

    def _curtain_wall(self, canvas: Pixels, kind: int, pane: Colour) -> None:
        if kind == LIT:
            canvas[4:52, 4:] = mixed(pane, self.glass, 12)
            canvas[4:52, 33:35] = mixed(self.wall, WHITE, 20)
        elif kind == CURTAINS:
            canvas[4:52, 3:] = mixed(self.glass, WHITE, 18)
        elif kind == OTHER:
            canvas[4:52, 3:] = mixed(self.glass, BLACK, 22)

    # -- ground floors and roofs ----------------------------------------------------------------

    def _ground_floor(self, canvas: Pixels, kind: int, form: str) -> None:
        inside = mixed(self.glass, _LAMPLIGHT, 62 if self.night else 14)
        door = mixed(self.look.accent, BLACK, 45)
        canvas[60:] = self.shade
        if form == "lobby":
            canvas[8:60, 3:61] = inside
            canvas[8:60, 31:33] = self.frame
            canvas[3:9] = mixed(self.wall, WHITE, 40)
            if kind == DOOR:
                canvas[18:62, 14:50] = mixed(inside, BLACK, 30)
                canvas[18:62, 31:33] = self.frame
                canvas[14:18, 8:56] = self.look.accent
        elif form in ("store", "arcade") and kind == SHOP:
            canvas[8:16, 2:62] = mixed(self.look.accent, BLACK, 12)
            canvas[20:58, 5:59] = self.frame
            canvas[22:54, 7:57] = inside
            canvas[22:54, 31:33] = self.frame
            canvas[40:54, 9:30] = mixed(inside, self.look.accent, 40)
            if form == "store":
                stripes = np.arange(3, 61)
                bright = (stripes // 6) % 2 == 0
                canvas[16:25, stripes[bright]] = self.look.accent
                canvas[16:25, stripes[~bright]] = (240, 236, 226)
        elif form == "stoop" and kind == SHOP:
            self._box(canvas, inside, 16, 14, 48, 48, cross=(24,))
            canvas[10:14, 13:51] = self.trim
        elif form == "cottage" and kind == SHOP:
            self._box(canvas, inside, 14, 20, 50, 48, bars=(23, 32, 41), cross=(34,))
            canvas[48:52, 12:52] = self.trim
        else:
            y, x = np.mgrid[0:SIZE, 0:SIZE]
            if form in ("arcade", "cottage"):
                canvas[
                    ((x - 32) ** 2 + (y - 24) ** 2 < 16**2) | ((y > 24) & (abs(x - 32) < 16))
                ] = self.trim
                canvas[
                    ((x - 32) ** 2 + (y - 24) ** 2 < 12**2) | ((y > 24) & (abs(x - 32) < 12))
                ] = door
            else:
                canvas[8:64, 18:46] = self.trim
                canvas[12:22, 21:43] = inside
                canvas[24:64, 21:43] = door
                canvas[28:44, 24:40] = mixed(door, WHITE, 14)
            canvas[42:46, 38:41] = (222, 190, 92)
            if form == "stoop":
                for step in range(3):
                    canvas[55 + 3 * step : 58 + 3 * step, 16 - 3 * step : 48 + 3 * step] = mixed(
                        self.wall, WHITE, 20 + 12 * step
                    )

    def _top(self, canvas: Pixels) -> None:
        canvas[:30] = self.trim
        canvas[22:30, ::6] = self.shade
        canvas[22:30, 1::6] = self.shade
        canvas[30:40] = self.shade
        if self.style.surface in ("plaster", "panels", "glass", "tiles"):
            canvas[14:40] = mixed(self.wall, BLACK, 12)
        if self.snow:
            canvas[:18] = (238, 242, 248)

    def _roof(self, canvas: Pixels) -> None:
        tiled = self.style.tiled
        tones = grain(16, 16, 13)
        for row in range(16):
            for column in range(16):
                left = 4 * column
                canvas[4 * row : 4 * row + 3, left : left + 4] = mixed(
                    tiled, WHITE, int(tones[row, column]) // 18
                )
            canvas[4 * row + 3] = mixed(tiled, BLACK, 30)
        if self.style.roof == "hip" and self.style.rise > 2.5:  # a dormer
            canvas[14:52, 22:42] = self.trim
            canvas[20:50, 25:39] = self.glass
            canvas[10:15, 19:45] = mixed(tiled, BLACK, 20)
        canvas[60:] = mixed(tiled, BLACK, 45)
        if self.snow:
            canvas[:54] = (canvas[:54] + 6 * np.array((240, 244, 250))) // 7
            for column in range(0, SIZE, 4):  # it has begun to slide
                edge = 52 + int(tones[3, column // 4]) // 32
                canvas[50:edge, column : column + 4] = (238, 242, 248)
