"""Headings: degrees clockwise from north, always modulo 360, and the words for them.

A turn of a walker is `straight` (no turn), `slightly left|right`, `left|right`, or `behind`: the
first and the last are classes of their own, which the relative vocabulary cannot say. The limit of
45 degrees between `slightly left` and `left` is the paper's; landmarks lie in eight sectors of 45
degrees around the walker, as in V-IRL's route files.
"""

from __future__ import annotations

import math

COMPASS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
RELATIVE = ("left", "right", "slightly left", "slightly right")
STRAIGHT, BEHIND = "straight", "behind"
SECTORS = (
    "front", "right front", "right", "right behind", "behind", "left behind", "left", "left front",
)  # fmt: skip

STRAIGHT_WITHIN = 15.0
"""A way whose heading differs by at most this is straight on."""
SLIGHT_WITHIN = 45.0
BEHIND_FROM = 157.5

#: The turn in degrees that a relative word stands for where several ways would do.
NOMINAL = {"left": -90.0, "right": 90.0, "slightly left": -30.0, "slightly right": 30.0}


def wrapped(degrees: float) -> float:
    """The same direction in [0, 360)."""
    turned = degrees % 360.0
    return 0.0 if turned == 360.0 else turned  # -1e-17 % 360.0 is 360.0


def turn(heading: float, target: float) -> float:
    """The signed turn from a heading to another, in (-180, 180]; positive is to the right."""
    degrees = wrapped(target - heading)
    return degrees - 360.0 if degrees > 180.0 else degrees


def compass(heading: float) -> str:
    """The nearest of the eight compass directions; a border belongs to the next one clockwise."""
    return COMPASS[int(wrapped(heading + 22.5) // 45.0)]


def compass_heading(word: str) -> float:
    """The heading that a compass word stands for."""
    return 45.0 * COMPASS.index(word)


def turn_class(heading: float, target: float) -> str:
    """What turning from a heading to another is called: one of RELATIVE, STRAIGHT or BEHIND."""
    degrees = turn(heading, target)
    size = abs(degrees)
    if size <= STRAIGHT_WITHIN:
        return STRAIGHT
    if size >= BEHIND_FROM:
        return BEHIND
    side = "right" if degrees > 0 else "left"
    return f"slightly {side}" if size <= SLIGHT_WITHIN else side


def sector(heading: float, bearing: float) -> str:
    """Where something at a bearing is for a walker with a heading: one of SECTORS."""
    return SECTORS[int(wrapped(bearing - heading + 22.5) // 45.0)]


def heading_between(start: tuple[float, float], end: tuple[float, float]) -> float:
    """The heading from a point to another; x is east and y north, in metres."""
    return wrapped(math.degrees(math.atan2(end[0] - start[0], end[1] - start[1])))
