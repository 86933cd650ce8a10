"""Words on signs and maps: outlines of a font that matplotlib ships, filled by our own rasteriser.

As in the pictures of cards, no font of the system is used and no font library renders anything; the
outlines are known by their hash, so that words have the same pixels everywhere.
"""

from __future__ import annotations

import hashlib
import string
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from genbench.task import TaskError
from genbench_tasks.general_points.pictures.glyphs import contours_of, font_path
from genbench_tasks.general_points.pictures.raster import UNIT, Contour, fill, joined

_FILE = "DejaVuSans-Bold.ttf"
_LETTERS = string.ascii_letters + string.digits + ".,;:()-_'/ "
_SHA256 = "a76f4f3186b1a3593d1efe4d84dda1d0b1a24fb27cc5a32161bbeb41dd3c6f0a"
_NARROW = 840
"""Thousandths of a letter's width: signs have little room."""


def width_of(text: str, cap: int) -> int:
    """How many pixels wide a line is with capitals of `cap` pixels."""
    letters, _ = _font()
    return -(-sum(letters[letter][1] for letter in text) * cap // 1000)


def outlines(text: str, cap: int) -> list[Contour]:
    """A line's outlines in device units: from x = 0, standing on y = 0, y down."""
    letters, _ = _font()
    found: list[Contour] = []
    x = 0
    for letter in text:
        shapes, advance = letters[letter]
        for points in shapes:
            placed = (points[:, 0] + x) * cap * UNIT // 1000, points[:, 1] * cap * UNIT // 1000
            found.append(np.stack(placed, axis=1))
        x += advance
    return found


@lru_cache(maxsize=2048)
def line(text: str, cap: int) -> NDArray[np.uint8]:
    """A line's coverage, 0..255, in capitals of `cap` pixels: shape (height, width). There is a
    row above the capitals, and room below for what hangs there."""
    _, drop = _font()
    height, width = 1 + cap + -(-drop * cap // 1000), width_of(text, cap)
    shapes = [points + np.array((0, (cap + 1) * UNIT)) for points in outlines(text, cap)]
    found = np.zeros((height, width), dtype=np.uint8)
    left, top, mask = fill(joined(shapes), width, height)
    found[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    found.flags.writeable = False
    return found


def wrapped(text: str, cap: int, room: int) -> list[str]:
    """A paragraph as lines of at most that many pixels."""
    lines: list[str] = []
    for word in text.split():
        if lines and width_of(f"{lines[-1]} {word}", cap) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


@cache
def _font() -> tuple[dict[str, tuple[list[Contour], int]], int]:
    """Every letter's outlines (capitals are 1000 high and stand on y = 0, y down) and its advance;
    and how far letters hang below the line. Raises TaskError."""
    raw = contours_of(_FILE, _LETTERS)
    digest = hashlib.sha256()
    for letter, (shapes, advance) in raw.items():
        digest.update(f"{letter} {advance} {[points.tolist() for points in shapes]}".encode())
    if digest.hexdigest() != _SHA256:
        raise TaskError(
            f"the letters of {font_path(_FILE)} are not those that street views are made with "
            f"({digest.hexdigest()[:12]}, not {_SHA256[:12]}), so pictures would differ from "
            "everyone else's; install the matplotlib of constraints.txt"
        )
    tall = max(-int(points[:, 1].min()) for points in raw["H"][0])
    found = {}
    for letter, (shapes, advance) in raw.items():
        scaled = [
            np.stack([points[:, 0] * _NARROW // tall, points[:, 1] * 1000 // tall], axis=1)
            for points in shapes
        ]
        found[letter] = scaled, advance * _NARROW // tall
    drop = max(int(points[:, 1].max()) for shapes, _ in found.values() for points in shapes)
    return found, drop
