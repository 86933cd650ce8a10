"""Outlines in whole numbers: the suits, and the parts that cards are drawn with.

Suits fill a box of 1000 x 1000 units around (0, 0); y points down. All own drawings.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import cos, isqrt, radians, sin

import numpy as np

from genbench_tasks.general_points.pictures.raster import Contour, flattened

#: the fixed point of sines, cosines and scales
FIXED = 1 << 16
Point = tuple[int, int]


def contour(start: Point, *curves: Sequence[Point]) -> Contour:
    """A contour from Bezier curves, each given by the points that follow its start."""
    parts = [np.array([start], dtype=np.int64)]
    for curve in curves:
        parts.append(flattened(tuple(parts[-1][-1]), *curve))
    return np.concatenate(parts)


def mirrored(start: Point, *curves: Sequence[Point]) -> Contour:
    """A contour that is its own mirror image: its right half, from x = 0 to x = 0, is given."""
    half = contour(start, *curves)
    return np.concatenate([half, half[::-1] * (-1, 1)])


def polygon(*points: Point) -> Contour:
    return np.array(points, dtype=np.int64)


def box(left: int, top: int, right: int, bottom: int) -> Contour:
    return polygon((left, top), (right, top), (right, bottom), (left, bottom))


def ellipse(x: int, y: int, across: int, down: int) -> Contour:
    """An ellipse around (x, y) with those radii, of four cubic curves (within 0.03% of it)."""
    a, b = across * 552 // 1000, down * 552 // 1000
    return contour(
        (x + across, y),
        [(x + across, y + b), (x + a, y + down), (x, y + down)],
        [(x - a, y + down), (x - across, y + b), (x - across, y)],
        [(x - across, y - b), (x - a, y - down), (x, y - down)],
        [(x + a, y - down), (x + across, y - b), (x + across, y)],
    )


def disc(x: int, y: int, radius: int) -> Contour:
    return ellipse(x, y, radius, radius)


def rounded(left: int, top: int, right: int, bottom: int, radius: int) -> Contour:
    """A rectangle with round corners."""
    r, k = radius, radius * 448 // 1000
    return contour(
        (left + r, top),
        [(right - r, top)],
        [(right - k, top), (right, top + k), (right, top + r)],
        [(right, bottom - r)],
        [(right, bottom - k), (right - k, bottom), (right - r, bottom)],
        [(left + r, bottom)],
        [(left + k, bottom), (left, bottom - k), (left, bottom - r)],
        [(left, top + r)],
        [(left, top + k), (left + k, top), (left + r, top)],
    )


def stroke(points: Sequence[Point], width: int, *, closed: bool = False) -> list[Contour]:
    """A line through the points, with round ends and joints."""
    line = [(int(x), int(y)) for x, y in points]
    if closed:
        line.append(line[0])
    joint = disc(0, 0, width // 2)[::4]
    found = [joint + np.array((x, y)) for x, y in line]
    for (x0, y0), (x1, y1) in pairwise(line):
        dx, dy = x1 - x0, y1 - y0
        length = isqrt((dx * dx + dy * dy) << 20)  # finer than the points, for short pieces
        if length:
            a, b = -dy * (width << 9) // length, dx * (width << 9) // length
            # As discs run, so that the winding numbers of the union never cancel.
            found.append(
                polygon((x0 - a, y0 - b), (x1 - a, y1 - b), (x1 + a, y1 + b), (x0 + a, y0 + b))
            )
    return found


def outlined(contours: Sequence[Contour], width: int) -> list[Contour]:
    """What is `width` larger than the contours on every side."""
    found = [*contours]
    for points in contours:
        found += stroke(points.tolist(), 2 * width, closed=True)
    return found


def frame(left: int, top: int, right: int, bottom: int, width: int) -> list[Contour]:
    """The border of a rectangle, inside it."""
    return [
        box(left, top, right, top + width),
        box(left, bottom - width, right, bottom),
        box(left, top, left + width, bottom),
        box(right - width, top, right, bottom),
    ]


def placed(
    contours: Sequence[Contour], x: int, y: int, size: int = 1000, *, turned: bool = False
) -> list[Contour]:
    """The contours at (x, y), `size` thousandths as large; `turned` stands them on their head."""
    factor = -size if turned else size
    return [points * factor // 1000 + (x, y) for points in contours]


@lru_cache(maxsize=1024)
def turn(degrees: int) -> tuple[int, int]:
    """(cosine, sine) in fixed point. Rounded so far from any library's last bit, they are the
    same everywhere."""
    angle = radians(degrees)
    return round(cos(angle) * FIXED), round(sin(angle) * FIXED)


_STEM = mirrored(
    (0, 40),
    [(60, 40)],
    [(64, 270), (120, 400), (250, 480)],
    [(0, 480)],
)

_HEART = mirrored(
    (0, 490),
    [(70, 350), (190, 220), (300, 80)],
    [(400, -50), (460, -140), (460, -260)],
    [(460, -400), (360, -490), (235, -490)],
    [(110, -490), (30, -400), (0, -290)],
)

_SPADE = mirrored(
    (0, -490),
    [(40, -370), (150, -260), (280, -130)],
    [(390, -20), (450, 50), (450, 150)],
    [(450, 275), (360, 345), (255, 345)],
    [(160, 345), (60, 290), (0, 170)],
)

_DIAMOND = mirrored(
    (0, -495),
    [(90, -310), (220, -130), (375, 0)],
    [(220, 130), (90, 310), (0, 495)],
)

_CLUB = [
    disc(0, -262, 222),
    disc(-238, 96, 222),
    disc(238, 96, 222),
    disc(0, -30, 150),
]

#: every suit's outline
SUITS = {
    "spades": [_SPADE, _STEM],
    "hearts": [_HEART],
    "diamonds": [_DIAMOND],
    "clubs": [*_CLUB, _STEM],
}
