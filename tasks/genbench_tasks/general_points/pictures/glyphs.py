"""The letters and digits of cards, as outlines from the fonts that matplotlib ships.

No font of the system is used and nothing is hinted or rendered by a font library: the outlines
are filled as all others are. Each font's outlines are known by their hash, so that a card has the
same pixels everywhere or the font is refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from genbench.task import TaskError
from genbench_tasks.general_points.pictures.raster import Contour, flattened

_LETTERS = "A0123456789JQK"
_SCALE = 16  # font units are refined, so that midpoints between them are whole
_GAP = 70  # thousandths of the height between the letters of a label


@dataclass(frozen=True)
class Font:
    """A font file, the width of its letters in thousandths, and the hash of its outlines; `jack`
    is the file of its J, where its own hangs below the line."""

    file: str
    width: int
    sha256: str
    jack: str | None = None


#: by the names that a look's `font` may have
FONTS = {
    "sans": Font(
        "DejaVuSans-Bold.ttf",
        820,
        "fe429ea04fe90b5f34bb9fc8a11e847e6538021a51a283d7b6129582e2686b95",
        jack="DejaVuSansMono-Bold.ttf",
    ),
    "serif": Font(
        "STIXGeneralBol.ttf",
        1000,
        "0acc29738b3f0febd76aeb5ed625c5fccd38e1d6b5bfb2d80d90b20a25b5f55d",
    ),
    "mono": Font(
        "DejaVuSansMono-Bold.ttf",
        900,
        "6b0dfac1bfb34c9df778c46f3ce7a3e216537ba763b707a59b63cca3941d25ff",
    ),
    "italic": Font(
        "STIXGeneralBolIta.ttf",
        1000,
        "c6ff679a148e05eaf5d8af3cda60789b4308f1e82813e8ab5468df4fd584ee74",
    ),
    "light": Font(
        "DejaVuSans.ttf",
        900,
        "a6d55dbd800d9b5f72863dae85755854e8c808f585439876a620370cdf53dcda",
        jack="DejaVuSansMono.ttf",
    ),
}


def label(text: str, font: str, height: int) -> tuple[list[Contour], int]:
    """The outlines of a label whose digits and capitals are `height` units high, standing on
    y = 0 from x = 0, and its width. Raises TaskError."""
    letters = _letters(font)
    found: list[Contour] = []
    x = 0
    for position, letter in enumerate(text):
        if position:
            x += _GAP * height // 1000
        outlines, width = letters[letter]
        found += [points * height // 1000 + (x, 0) for points in outlines]
        x += width * height // 1000
    return found, x


@cache
def _letters(name: str) -> dict[str, tuple[list[Contour], int]]:
    """Every letter's outlines, of 1000 units' height and from x = 0, and its width."""
    font = FONTS[name]
    outlines = _outlines(font)
    tall = max(-int(points[:, 1].min()) for points in outlines["K"])
    found = {}
    for letter, contours in outlines.items():
        contours = _raised(letter, contours, tall)
        left = min(int(points[:, 0].min()) for points in contours)
        scaled = [
            np.stack(
                [
                    (points[:, 0] - left) * font.width // tall,
                    points[:, 1] * 1000 // tall,
                ],
                axis=1,
            )
            for points in contours
        ]
        found[letter] = scaled, max(int(points[:, 0].max()) for points in scaled)
    return found


def _raised(letter: str, contours: list[Contour], tall: int) -> list[Contour]:
    """J, which hangs below the line in some fonts, between the line and the height of capitals."""
    low = max(int(points[:, 1].max()) for points in contours)
    high = -min(int(points[:, 1].min()) for points in contours)
    if letter != "J" or low * 20 < tall:
        return contours
    return [
        np.stack([points[:, 0], (points[:, 1] - low) * tall // (low + high)], axis=1)
        for points in contours
    ]


def _outlines(font: Font) -> dict[str, list[Contour]]:
    """The flattened outlines of the letters in refined font units, y down. Raises TaskError."""
    found = {letter: shapes for letter, (shapes, _) in contours_of(font.file, _LETTERS).items()}
    if font.jack is not None:
        found["J"] = contours_of(font.jack, "J")["J"][0]
    digest = hashlib.sha256()
    for letter, contours in found.items():
        digest.update(f"{letter} {[points.tolist() for points in contours]}".encode())
    if digest.hexdigest() != font.sha256:
        raise TaskError(
            f"the letters of {font_path(font.file)} are not those that card pictures are "
            f"made with ({digest.hexdigest()[:12]}, not {font.sha256[:12]}), so pictures would "
            "differ from everyone else's; install the matplotlib of constraints.txt"
        )
    return found


def contours_of(file: str, letters: str) -> dict[str, tuple[list[Contour], int]]:
    """The flattened outlines of letters of a font, and how far each advances, in refined font
    units with y down. Raises TaskError where the font cannot be read."""
    from fontTools.ttLib import TTFont, TTLibError

    path = font_path(file)
    try:
        with TTFont(path, lazy=True) as font:
            glyphs, names = font.getGlyphSet(), font.getBestCmap()
            return {
                letter: (
                    _contours(glyphs, names[ord(letter)]),
                    int(glyphs[names[ord(letter)]].width) * _SCALE,
                )
                for letter in letters
            }
    except (OSError, TTLibError, KeyError) as error:
        raise TaskError(f"the font {path} cannot be read: {error}; reinstall matplotlib") from None


def font_path(file: str) -> Path:
    """Where matplotlib keeps a font; it is found without being imported. Raises TaskError."""
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        raise TaskError("pictures take their letters from matplotlib, which is not installed")
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / file


def _contours(glyphs: Any, name: str) -> list[Contour]:
    from fontTools.pens.recordingPen import DecomposingRecordingPen

    pen = DecomposingRecordingPen(glyphs)
    glyphs[name].draw(pen)
    found: list[Contour] = []
    parts: list[Contour] = []
    for operation, points in pen.value:
        refined = [_refined(point) for point in points if point is not None]
        if operation == "moveTo":
            parts = [np.array(refined, dtype=np.int64)]
        elif operation == "lineTo":
            parts.append(np.array(refined, dtype=np.int64))
        elif operation == "qCurveTo":
            parts += _quadratic(tuple(parts[-1][-1]), refined)
        else:
            assert operation == "closePath"  # TrueType outlines have no other
            found.append(np.concatenate(parts))
    return found


def _refined(point: Sequence[float]) -> tuple[int, int]:
    return int(point[0]) * _SCALE, -int(point[1]) * _SCALE


def _quadratic(start: Sequence[int], points: Sequence[Sequence[int]]) -> list[Contour]:
    """A TrueType curve: between two control points lies a point of it, in their middle."""
    *controls, end = points
    found = []
    for position, control in enumerate(controls):
        if position + 1 < len(controls):
            following = controls[position + 1]
            stop = [(a + b) // 2 for a, b in zip(control, following, strict=True)]
        else:
            stop = list(end)
        found.append(flattened(start, control, stop, steps=6))
        start = stop
    return found
