"""Filling outlines in whole numbers: the same pixels, bit for bit, on every machine.

A contour is a closed polygon, an array of (x, y) of shape (n, 2). Where a curve was flattened and
where an edge crosses a scanline is integer arithmetic, so neither a processor's way with floats
nor a library's version can move a pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Contour = NDArray[np.int64]
Coverage = NDArray[np.uint8]

#: device units a pixel: contours to be filled have their coordinates in these
UNIT = 256
_SCANLINES = 8  # a pixel; across it, coverage is exact
_STEP = UNIT // _SCANLINES
_FULL = UNIT * _SCANLINES
_FAR = 1 << 40  # beyond any coordinate


@dataclass(frozen=True)
class Outline:
    """Contours taken together: all their points, and the place of each one's successor."""

    points: Contour
    following: NDArray[np.intp]


def joined(contours: Iterable[Contour]) -> Outline:
    """Contours as one outline."""
    kept = [points for points in contours if len(points) > 2]
    following, start = [np.zeros(0, dtype=np.intp)], 0
    for points in kept:
        following.append(np.roll(np.arange(start, start + len(points)), -1))
        start += len(points)
    return Outline(
        np.concatenate([np.zeros((0, 2), dtype=np.int64), *kept]), np.concatenate(following)
    )


def fill(outline: Outline, width: int, height: int) -> tuple[int, int, Coverage]:
    """The coverage (0..255) of an outline's contours, united, on a canvas of that many pixels.

    Points are in device units; what counts is the nonzero winding rule. Returns the left and the
    top pixel of the array, which holds the outline's part of the canvas alone.
    """
    empty = 0, 0, np.zeros((0, 0), dtype=np.uint8)
    if not len(outline.points):
        return empty
    first, second = outline.points, outline.points[outline.following]
    left = max(0, int(first[:, 0].min()) // UNIT)
    right = min(width, -(-int(first[:, 0].max()) // UNIT))
    top = max(0, int(first[:, 1].min()) // UNIT)
    bottom = min(height, -(-int(first[:, 1].max()) // UNIT))
    if left >= right or top >= bottom:
        return empty
    rows, crossings, windings = _crossings(first, second, top * _SCANLINES, bottom * _SCANLINES)
    columns = np.clip(crossings - left * UNIT, 0, (right - left) * UNIT)
    mask = _spans(rows - top * _SCANLINES, columns, windings, right - left, bottom - top)
    return left, top, mask


def _crossings(
    first: Contour, second: Contour, begin: int, end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where edges cross scanlines `begin` to `end`: scanline, x in device units, winding."""
    kept = first[:, 1] != second[:, 1]
    first, second = first[kept], second[kept]
    down = second[:, 1] > first[:, 1]
    upper = np.where(down[:, None], first, second)
    lower = np.where(down[:, None], second, first)
    half = _STEP // 2
    # Scanline k lies at k * _STEP + half; an edge crosses those in [its upper end, its lower end).
    start = np.clip(-((half - upper[:, 1]) // _STEP), begin, end)
    stop = np.clip(-((half - lower[:, 1]) // _STEP), begin, end)
    counts = np.maximum(stop - start, 0)
    edge = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    row = start[edge] + within
    rise = row * _STEP + half - upper[edge, 1]
    run = lower[edge] - upper[edge]
    crossing = upper[edge, 0] + rise * run[:, 0] // run[:, 1]
    winding = np.where(down, 1, -1)[edge]
    # Of crossings at one place any may come first: between them lies nothing.
    order = np.argsort(row * _FAR + crossing)
    return row[order], crossing[order], winding[order]


def _spans(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    windings: NDArray[np.int64],
    width: int,
    height: int,
) -> Coverage:
    """Coverage from sorted crossings: on every scanline, where the winding number is not 0."""
    after = np.cumsum(windings)
    before = after - windings
    begins, ends = (before == 0) & (after != 0), (before != 0) & (after == 0)
    sign = begins.astype(np.int64) - ends.astype(np.int64)
    pixel, rest = columns // UNIT, columns % UNIT
    place = rows // _SCANLINES * (width + 2) + pixel
    size = height * (width + 2)
    # Running sums along a row: from its pixel on, a boundary changes what is covered.
    steps = np.bincount(place, sign * (UNIT - rest), size) + np.bincount(
        place + 1, sign * rest, size
    )
    covered = np.cumsum(steps.astype(np.int64).reshape(height, width + 2), axis=1)[:, :width]
    return ((covered * 255 + _FULL // 2) // _FULL).astype(np.uint8)


def paint(canvas: NDArray[np.uint8], outline: Outline, colour: Sequence[int]) -> None:
    """Paint an outline on an array of shape (height, width, channels)."""
    left, top, mask = fill(outline, canvas.shape[1], canvas.shape[0])
    if mask.size:
        blend(canvas, left, top, mask, np.asarray(colour, dtype=np.uint16))


def blend(
    canvas: NDArray[np.uint8],
    left: int,
    top: int,
    mask: Coverage,
    colour: NDArray[np.uint16] | NDArray[np.uint8],
) -> None:
    """Lay a colour, or an array of colours, on a part of the canvas with that opacity (0..255)."""
    place = canvas[top : top + mask.shape[0], left : left + mask.shape[1]]
    opacity = mask[:, :, None].astype(np.uint16)
    # At most 255 * 255 + 127, which 16 bits hold.
    place[:] = (place * (255 - opacity) + colour * opacity + np.uint16(127)) // 255


def flattened(start: Sequence[int], *controls: Sequence[int], steps: int = 12) -> Contour:
    """The points after the start of a Bezier curve, by its further control points (1 to 3)."""
    points = [start, *controls]
    degree = len(points) - 1
    if degree == 1:
        return np.array([points[1]], dtype=np.int64)
    t = np.arange(1, steps + 1, dtype=np.int64)
    binomials = {2: (1, 2, 1), 3: (1, 3, 3, 1)}[degree]
    total = np.zeros((steps, 2), dtype=np.int64)
    for power, (binomial, point) in enumerate(zip(binomials, points, strict=True)):
        weight = binomial * t**power * (steps - t) ** (degree - power)
        total += weight[:, None] * np.asarray(point, dtype=np.int64)
    scale: int = steps**degree
    return (total + scale // 2) // scale
