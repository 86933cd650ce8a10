"""What stands in the streets: parked cars, trees, lamps, the lights of crossings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genbench_tasks.general_points.pictures.raster import UNIT, blend, fill, joined
from genbench_tasks.navigation.cities import Point
from genbench_tasks.navigation.views.air import Air, air
from genbench_tasks.navigation.views.camera import EYE, Cameras, Floats
from genbench_tasks.navigation.views.geometry import unit
from genbench_tasks.navigation.views.looks import Colour, Look
from genbench_tasks.navigation.views.masonry import grain, mixed
from genbench_tasks.navigation.views.plan import Plan
from genbench_tasks.navigation.views.rows import Thing

Canvas = NDArray[np.uint8]
Spot = tuple[float, float, float]
"""Metres to the right, ahead and up of a view."""

_REACH = 55.0
_NEAREST = 0.5
_PAINTS: Sequence[Colour] = (
    (172, 36, 38), (32, 62, 112), (226, 226, 222), (60, 62, 66), (150, 154, 158), (28, 84, 70),
    (214, 170, 60), (92, 40, 48),
)  # fmt: skip
_IRON = (52, 54, 58)
_TREE = 64
_LEAVES = {"adobe": (92, 118, 60), "brownstone": (176, 104, 40), "whitewashed": (96, 120, 70)}
_TREELESS = ("half-timbered", "tile front")


class Painter:
    """Paints on one view, behind what is nearer."""

    def __init__(
        self, canvas: Canvas, depths: Floats, views: Cameras, view: int, look: Look
    ) -> None:
        self.canvas, self.depths, self.views, self.look = canvas, depths, views, look
        self._ahead, self._right = views.axes(view)
        self._air: Air = air(look)
        self.night = look.light in ("dusk", "night")

    def seen(self, east: float, north: float, up: float) -> Spot:
        """A point relative to the walker, as this view has it."""
        aside = east * self._right[0] + north * self._right[1]
        return aside, east * self._ahead[0] + north * self._ahead[1], up

    def pixel(self, spot: Spot) -> Point:
        aside, depth, up = spot
        focal = self.views.focal
        return (
            self.views.pixels / 2 + focal * aside / depth,
            self.views.horizon + focal * (EYE - up) / depth,
        )

    def tone(self, colour: Sequence[int], depth: float, light: float = 1.0) -> NDArray[np.uint16]:
        """A colour in this light, from that far away."""
        lit = np.array([colour], dtype=np.float32) * np.float32(light)
        lit = lit * (self._air.ambient + self._air.sun * np.float32(0.5))
        return self._rounded(lit, depth)

    def glow(self, colour: Sequence[int], depth: float) -> NDArray[np.uint16]:
        """A light's colour, which no other light changes."""
        lit = np.array([colour], dtype=np.float32)
        return self._rounded(lit, depth)

    def _rounded(self, lit: Floats, depth: float) -> NDArray[np.uint16]:
        away = self._air.fogged(lit, np.array([depth], dtype=np.float32))
        found: NDArray[np.uint16] = np.rint(np.clip(away[0], 0, 255)).astype(np.uint16)
        return found

    def polygon(self, spots: Sequence[Spot], colour: NDArray[np.uint16], depth: float) -> None:
        """Fill a flat polygon, hidden where something is nearer than `depth`."""
        clipped = _before(spots)
        if len(clipped) < 3:
            return
        points = np.array([self.pixel(spot) for spot in clipped])
        limit = 8.0 * self.views.pixels
        contour = np.rint(np.clip(points, -limit, limit) * UNIT).astype(np.int64)
        side = self.views.pixels
        left, top, mask = fill(joined([contour]), side, side)
        if mask.size:
            behind = self.depths[top : top + mask.shape[0], left : left + mask.shape[1]]
            blend(self.canvas, left, top, np.where(behind > depth, mask, 0), colour)

    def box(
        self,
        corners: Sequence[Spot],
        low: float,
        high: float,
        colours: tuple[Colour, Colour, Colour],
        depth: float,
    ) -> None:
        """An upright box over four corners (counterclockwise from above): the colours of its
        sides, its ends (the first and the third side are ends) and its top."""
        for k in range(4):
            (x0, z0, _), (x1, z1, _) = corners[k], corners[(k + 1) % 4]
            if x0 * z1 - z0 * x1 >= 0:  # it shows its back
                continue
            face = [(x0, z0, low), (x1, z1, low), (x1, z1, high), (x0, z0, high)]
            colour = colours[1] if k % 2 == 0 else colours[0]
            self.polygon(face, self.tone(colour, depth, 0.92 if k % 2 == 0 else 1.0), depth - 3)
        if high < EYE:
            top = [(x, z, high) for x, z, _ in corners]
            self.polygon(top, self.tone(colours[2], depth, 1.1), depth - 3)


def _before(spots: Sequence[Spot]) -> list[Spot]:
    """The part of a polygon that lies before the camera."""
    found: list[Spot] = []
    for one, other in zip(spots, [*spots[1:], spots[0]], strict=True):
        if one[1] >= _NEAREST:
            found.append(one)
        if (one[1] >= _NEAREST) != (other[1] >= _NEAREST):
            share = (_NEAREST - one[1]) / (other[1] - one[1])
            found.append(
                (
                    one[0] + share * (other[0] - one[0]),
                    _NEAREST,
                    one[2] + share * (other[2] - one[2]),
                )
            )
    return found


def place_things(
    canvas: Canvas, depths: Floats, views: Cameras, look: Look, there: Plan, at: Point
) -> None:
    """Draw what stands in the streets, the farthest first, on views that lie side by side."""
    things = there.things(at, _REACH)
    for view in range(4):
        part = slice(view * views.pixels, (view + 1) * views.pixels)
        painter = Painter(canvas[:, part], depths[:, part], views, view, look)
        seen = []
        for thing in things:
            aside, depth, _ = painter.seen(thing.at[0] - at[0], thing.at[1] - at[1], 0)
            if depth > -2.5 and abs(aside) < 1.5 * max(depth, 0) + 4:
                seen.append((depth, thing.seed, thing))
        for depth, _, thing in sorted(seen, key=lambda one: (-one[0], one[1])):
            east, north = thing.at[0] - at[0], thing.at[1] - at[1]
            if thing.kind == "car":
                _car(painter, thing, east, north, max(depth, _NEAREST))
            elif depth > 1.0:
                _STANDING[thing.kind](painter, thing, east, north, depth)


def _car(painter: Painter, thing: Thing, east: float, north: float, depth: float) -> None:
    (dx, dy), (nx, ny) = unit(thing.along), unit(thing.along + 90)

    def around(back: float, front: float, half: float) -> list[Spot]:
        return [
            painter.seen(east + s * dx + o * nx, north + s * dy + o * ny, 0.0)
            for s, o in ((back, half), (front, half), (front, -half), (back, -half))
        ]

    def ends_first(spots: list[Spot]) -> list[Spot]:
        return [spots[3], *spots[:3]]

    paint = _PAINTS[thing.seed % len(_PAINTS)]
    glass = mixed(painter.look.sky, (20, 26, 34), 70)
    shadow = [(x, z, 0.02) for x, z, _ in around(-2.2, 2.2, 1.0)]
    painter.polygon(shadow, painter.tone((30, 30, 34), depth), depth - 3)
    body = ends_first(around(-2.1, 2.1, 0.88))
    painter.box(body, 0.28, 0.86, (paint, mixed(paint, (0, 0, 0), 18), paint), depth)
    for s in (-1.3, 1.3):  # wheels
        for o in (-0.89, 0.89):
            centre = painter.seen(east + s * dx + o * nx, north + s * dy + o * ny, 0.0)
            outward = painter.seen(east + s * dx + 2 * o * nx, north + s * dy + 2 * o * ny, 0.0)
            if outward[0] ** 2 + outward[1] ** 2 > centre[0] ** 2 + centre[1] ** 2:
                continue  # on the far side
            wheel = [
                painter.seen(
                    east + (s + 0.33 * x) * dx + o * nx, north + (s + 0.33 * x) * dy + o * ny,
                    0.33 + 0.33 * y,
                )
                for x, y in _ROUND
            ]  # fmt: skip
            painter.polygon(wheel, painter.tone((24, 24, 26), depth), depth - 3)
    cabin = ends_first(around(-1.5, 0.9, 0.76))
    painter.box(cabin, 0.86, 1.40, (glass, glass, paint), depth)


_ROUND = ((1, 0), (0.7, 0.7), (0, 1), (-0.7, 0.7), (-1, 0), (-0.7, -0.7), (0, -1), (0.7, -0.7))


def _post(painter: Painter, spot: Spot, wide: float, low: float, high: float,
          colour: NDArray[np.uint16]) -> None:  # fmt: skip
    aside, depth, _ = spot
    half = max(wide / 2, 0.35 * depth / painter.views.focal)  # of two thirds of a pixel at least
    painter.polygon(
        [(aside - half, depth, low), (aside + half, depth, low),
         (aside + half, depth, high), (aside - half, depth, high)],
        colour, depth,
    )  # fmt: skip


def _lamp(painter: Painter, thing: Thing, east: float, north: float, depth: float) -> None:
    spot = painter.seen(east, north, 0)
    _post(painter, spot, 0.12, 0, 4.3, painter.tone(_IRON, depth))
    if painter.night:
        _halo(painter, spot, 4.4, (255, 214, 140), 1.3)
        _post(painter, spot, 0.45, 4.2, 4.75, painter.glow((255, 236, 190), depth))
    else:
        _post(painter, spot, 0.42, 4.25, 4.75, painter.tone((206, 206, 196), depth))
        _post(painter, spot, 0.5, 4.75, 4.85, painter.tone(_IRON, depth))


def _lights(painter: Painter, thing: Thing, east: float, north: float, depth: float) -> None:
    spot = painter.seen(east, north, 0)
    _post(painter, spot, 0.14, 0, 3.6, painter.tone(_IRON, depth))
    _post(painter, spot, 0.42, 2.5, 3.7, painter.tone((26, 28, 30), depth))
    bright = thing.seed % 2
    for number, (on, off) in enumerate(
        (((250, 60, 50), (92, 30, 28)), ((0, 0, 0), (96, 78, 26)), ((80, 230, 120), (24, 74, 44)))
    ):
        lit = number == 2 * bright
        tone = painter.glow(on, depth) if lit else painter.tone(off, depth)
        _post(painter, spot, 0.24, 3.30 - 0.36 * number, 3.56 - 0.36 * number, tone)


def _halo(painter: Painter, spot: Spot, up: float, colour: Colour, radius: float) -> None:
    """Light in the air around a lamp."""
    x, y = painter.pixel((spot[0], spot[1], up))
    reach = int(radius * painter.views.focal / spot[1])
    if reach < 2:
        return
    grid = np.arange(-reach, reach + 1)
    squares = grid[:, None] ** 2 + grid[None, :] ** 2
    mask = np.clip(110 * (reach * reach - squares) // (reach * reach), 0, 110)
    _stamp(painter, mask.astype(np.uint8), round(x) - reach, round(y) - reach, spot[1],
           np.asarray(colour, dtype=np.uint16))  # fmt: skip


def _stamp(painter: Painter, mask: NDArray[np.uint8], left: int, top: int, depth: float,
           colours: NDArray[np.uint16]) -> None:  # fmt: skip
    """Lay colours on a part of the view, hidden where something is nearer."""
    side = painter.views.pixels
    l, t = max(left, 0), max(top, 0)  # noqa: E741
    r, b = min(left + mask.shape[1], side), min(top + mask.shape[0], side)
    if l >= r or t >= b:
        return
    mask = mask[t - top : b - top, l - left : r - left]
    if colours.ndim == 3:
        colours = colours[t - top : b - top, l - left : r - left]
    behind = painter.depths[t:b, l:r] > depth
    blend(painter.canvas, l, t, np.where(behind, mask, 0).astype(np.uint8), colours)


@lru_cache(maxsize=8)
def _crown(kind: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A tree's crown: its opacity, and the light on its leaves in hundredths."""
    y, x = np.mgrid[0:_TREE, 0:_TREE]
    mask = np.zeros((_TREE, _TREE), dtype=bool)
    light = np.full((_TREE, _TREE), 62, dtype=np.int64)
    spots = grain(14, 3, 50 + kind)
    for a, b, c in spots.tolist():
        cx, cy, r = 32 + (a - 128) * 20 // 128, 32 + (b - 128) * 21 // 128, 8 + c * 7 // 255
        inside = (x - cx) ** 2 + (y - cy) ** 2 < r * r
        mask |= inside
        light = np.where(inside, 108 - (y - cy + r) * 42 // (2 * r) - cy // 3, light)
    speck = grain(_TREE, _TREE, 60 + kind)
    light = light + (speck - 128) * 16 // 128
    return np.where(mask & (speck > 18), 255, 0).astype(np.uint8), light


def _tree(painter: Painter, thing: Thing, east: float, north: float, depth: float) -> None:
    look = painter.look
    if look.architecture in _TREELESS:
        return
    spot = painter.seen(east, north, 0)
    tall = 5.2 + thing.seed % 64 / 32
    _post(painter, spot, 0.28, 0, tall - 1.6, painter.tone((84, 66, 50), depth))
    size = 3.4 + thing.seed // 64 % 64 / 48
    x, y = painter.pixel((spot[0], spot[1], tall))
    pixels = round(size * painter.views.focal / spot[1])
    if pixels < 3:
        return
    mask, light = _crown(thing.seed % 5)
    index = (np.arange(pixels) * _TREE + _TREE // 2) // pixels
    leaf = _LEAVES.get(look.architecture, (70, 106, 54))
    if look.weather == "snow":
        leaf = (196, 204, 212)
    tone = painter.tone(leaf, depth).astype(np.int64)
    colours = np.clip(tone * light[index][:, index][:, :, None] // 84, 0, 255).astype(np.uint16)
    opacity = mask[index][:, index]
    _stamp(painter, opacity, round(x - pixels / 2), round(y - pixels / 2), depth, colours)


_STANDING = {"lamp": _lamp, "lights": _lights, "tree": _tree}
