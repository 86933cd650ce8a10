"""Where the cards lie: the table and its cloth, the layouts, and what covers the cards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from random import Random

import numpy as np
from numpy.typing import NDArray

from genbench_tasks.general_points.pictures.decks import (
    DECKS,
    HEIGHT,
    WIDTH,
    Sprite,
    transformed,
)
from genbench_tasks.general_points.pictures.raster import (
    UNIT,
    Contour,
    blend,
    joined,
    paint,
)
from genbench_tasks.general_points.pictures.shapes import FIXED, box, disc, polygon, turn

Canvas = NDArray[np.uint8]

_PLAIN = {"green": (53, 101, 77), "blue": (38, 70, 120), "burgundy": (112, 34, 46)}
_WOOD = ((150, 104, 62), (140, 96, 56), (158, 112, 70))
_GRAIN = (118, 78, 44)
_CHECKER = ((206, 200, 188), (92, 98, 110))
_CLUTTER = (
    (214, 92, 64), (236, 190, 72), (84, 150, 98), (66, 118, 178), (150, 96, 168), (96, 74, 60),
    (62, 66, 80), (222, 150, 170),
)  # fmt: skip

#: the greatest angle, in degrees, and the cards' size, in hundredths, by level
ROTATIONS = (0, 4, 8, 12, 16, 20)
SIZES = (100, 84, 72, 62, 54, 47)
_CHIP_RADIUS = 950  # card units
_IVORY = (245, 245, 240)
_CHIPS = ((176, 38, 48), (28, 60, 120), (34, 110, 66), (60, 60, 66))
_TRIES = 400


@dataclass(frozen=True)
class Place:
    """Where a card lies: its middle in pixels, its width in device units, its turn in degrees."""

    x: int
    y: int
    width: int
    degrees: int = 0


def cloth(name: str, pixels: int, random: Random) -> Canvas:
    """The empty table."""
    canvas = np.empty((pixels, pixels, 3), dtype=np.uint8)
    canvas[:] = _PLAIN.get(name, _PLAIN["green"])
    if name == "wood":
        _planks(canvas, random)
    elif name == "checker":
        _squares(canvas)
    elif name == "clutter":
        _shapes(canvas, random)
    return canvas


def _planks(canvas: Canvas, random: Random) -> None:
    side = canvas.shape[0] * UNIT
    for plank in range(6):
        top, bottom = side * plank // 6, side * (plank + 1) // 6
        paint(canvas, joined([box(0, top, side, bottom)]), random.choice(_WOOD))
        for _ in range(7):
            y = random.randrange(top, bottom)
            x, length = random.randrange(side), random.randrange(side // 6, side // 2)
            paint(canvas, joined([box(x, y, x + length, y + side // 500)]), _GRAIN)
        paint(canvas, joined([box(0, top, side, top + side // 260)]), _GRAIN)


def _squares(canvas: Canvas) -> None:
    side = canvas.shape[0] * UNIT
    cuts = [side * i // 8 for i in range(9)]
    canvas[:] = _CHECKER[0]
    paint(
        canvas,
        joined(
            box(cuts[x], cuts[y], cuts[x + 1], cuts[y + 1])
            for x in range(8)
            for y in range(8)
            if (x + y) % 2
        ),
        _CHECKER[1],
    )


def _shapes(canvas: Canvas, random: Random) -> None:
    """Discs, bars and triangles of many colours, none of them a card's white."""
    side = canvas.shape[0] * UNIT
    for _ in range(60):
        x, y, size = random.randrange(side), random.randrange(side), random.randrange(20, 90)
        reach = side * size // 1000
        kind = random.randrange(3)
        if kind == 0:
            found: Contour = disc(x, y, reach)
        elif kind == 1:
            found = box(x - reach, y - reach // 3, x + reach, y + reach // 3)
        else:
            found = polygon((x - reach, y + reach), (x + reach, y + reach // 2), (x, y - reach))
        paint(canvas, joined([found]), random.choice(_CLUTTER))


def places(layout: str, count: int, pixels: int) -> list[Place]:
    """Where `count` cards lie before anything is turned, shrunk or moved."""
    if layout == "row":
        return _row(count, pixels)
    if layout == "fan":
        return _fan(count, pixels)
    return _grid(count, pixels)


def _grid(count: int, pixels: int) -> list[Place]:
    columns = isqrt(count - 1) + 1
    rows = -(-count // columns)
    # 86% of a cell, whichever side is the tighter one.
    width = min(pixels * UNIT * 86 // (100 * columns), pixels * UNIT * 86 * 5 // (100 * rows * 7))
    found = []
    for number in range(count):
        row, column = divmod(number, columns)
        in_row = min(columns, count - row * columns)
        x = pixels * (2 * column + 1 + columns - in_row) // (2 * columns)
        found.append(Place(x, pixels * (2 * row + 1) // (2 * rows), width))
    return found


def _row(count: int, pixels: int) -> list[Place]:
    width = min(pixels * UNIT * 90 // (100 * count), pixels * UNIT * 60 // 100)
    return [
        Place(pixels * (2 * number + 1) // (2 * count), pixels // 2, width)
        for number in range(count)
    ]


def _fan(count: int, pixels: int) -> list[Place]:
    """Held in a hand: each card covers a part of the one before, and no index."""
    step = 48 // max(count - 1, 3)
    radius = pixels * 68 // 100
    found = []
    for number in range(count):
        degrees = (2 * number - (count - 1)) * step // 2
        c, s = turn(degrees)
        x = pixels // 2 + radius * s // FIXED
        y = pixels * 112 // 100 - radius * c // FIXED
        found.append(Place(x, y, pixels * UNIT * 27 // 100, degrees))
    return found


def moved(
    found: Sequence[Place],
    look: Mapping[str, str | int],
    pixels: int,
    stream: Callable[[str], Random],
) -> list[Place]:
    """The places after the shifts of layout `scatter`, `rotation` and `size`."""
    if look["layout"] == "scatter":
        found = _scattered(found, pixels, stream("layout"))
    most = ROTATIONS[int(look["rotation"])]
    if most:  # no card stands straight: half the angle at least, to either side
        random = stream("rotation")
        found = [
            replace(
                place,
                degrees=place.degrees
                + random.choice((-1, 1)) * random.randint((most + 1) // 2, most),
            )
            for place in found
        ]
    size = SIZES[int(look["size"])]
    return [_inside(replace(place, width=place.width * size // 100), pixels) for place in found]


def _inside(place: Place, pixels: int) -> Place:
    """The place moved so far that the whole card lies on the table."""
    corners = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], dtype=np.int64)
    reach = np.abs(transformed(corners, place.width, place.degrees)).max(axis=0)
    across, down = (int(-(-side // UNIT)) for side in reach)
    return replace(
        place,
        x=min(max(place.x, across), pixels - across),
        y=min(max(place.y, down), pixels - down),
    )


def _scattered(found: Sequence[Place], pixels: int, random: Random) -> list[Place]:
    """Smaller, and anywhere in their cells, a little turned."""
    shift = pixels * 6 // 100
    return [
        Place(
            place.x + random.randint(-shift, shift),
            place.y + random.randint(-shift // 2, shift // 2),
            place.width * 78 // 100,
            random.randint(-14, 14),
        )
        for place in found
    ]


def lay(canvas: Canvas, card: Sprite, place: Place) -> None:
    """Put a card on the table, as far as it lies on the canvas."""
    height, width = card.opacity.shape
    left, top = place.x - width // 2, place.y - height // 2
    x0, y0 = max(0, -left), max(0, -top)
    x1, y1 = min(width, canvas.shape[1] - left), min(height, canvas.shape[0] - top)
    if x0 < x1 and y0 < y1:
        blend(canvas, left + x0, top + y0, card.opacity[y0:y1, x0:x1], card.colours[y0:y1, x0:x1])


def cover(
    canvas: Canvas, found: Sequence[Place], level: int, deck_style: str, random: Random
) -> None:
    """Lay up to `level` chips on each card, such that the upper left index of every card stays
    free."""
    index = DECKS[deck_style].index_circle
    free = [_on_canvas(index, place) for place in found]
    for _ in range(level):  # a level has the chips of the one before, and one more on each card
        for place in found:
            for _ in range(_TRIES):
                chip = random.randrange(WIDTH), random.randrange(HEIGHT), _CHIP_RADIUS
                x, y, radius = _on_canvas(chip, place)
                if all((x - a) ** 2 + (y - b) ** 2 > (radius + r) ** 2 for a, b, r in free):
                    _chip(canvas, x, y, radius, random.choice(_CHIPS))
                    break


def _on_canvas(circle: tuple[int, int, int], place: Place) -> tuple[int, int, int]:
    """A circle of a card in device units of the canvas."""
    x, y, radius = circle
    point = transformed(np.array([[x, y]], dtype=np.int64), place.width, place.degrees)[0]
    return (
        int(point[0]) + place.x * UNIT,
        int(point[1]) + place.y * UNIT,
        radius * place.width // WIDTH,
    )


def _chip(canvas: Canvas, x: int, y: int, radius: int, colour: tuple[int, int, int]) -> None:
    marks = []
    for degrees in range(0, 360, 60):
        c, s = turn(degrees)
        reach = radius * 80 // 100
        marks.append(disc(x + c * reach // FIXED, y + s * reach // FIXED, radius * 13 // 100))
    paint(canvas, joined([disc(x, y, radius)]), _IVORY)
    paint(canvas, joined([disc(x, y, radius * 90 // 100)]), colour)
    paint(canvas, joined([*marks, disc(x, y, radius * 52 // 100)]), _IVORY)
    paint(canvas, joined([disc(x, y, radius * 45 // 100)]), colour)
