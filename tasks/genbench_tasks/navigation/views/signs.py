"""Landmark signs: where each one is drawn, and how large; and the words in the views' corners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genbench.task import derive_seed
from genbench_tasks.general_points.pictures.raster import blend
from genbench_tasks.navigation.cities import Landmark, Point
from genbench_tasks.navigation.views.camera import EYE, VIEWS, Cameras
from genbench_tasks.navigation.views.lettering import line, width_of
from genbench_tasks.navigation.views.looks import Colour, Look
from genbench_tasks.navigation.views.plan import Plan

Canvas = NDArray[np.uint8]
Box = tuple[int, int, int, int]

_REACH = 52.0
"""A view shows a sign up to this many degrees from its axis: 45 and a little of its neighbours'."""
_HIGH = 4.6
"""Metres above the street: the middle of a sign."""
_POST = (46, 48, 52)
_COLOURS: Sequence[tuple[Colour, Colour]] = (
    ((150, 28, 38), (255, 255, 255)),
    ((22, 60, 130), (255, 255, 255)),
    ((12, 94, 62), (255, 255, 255)),
    ((250, 204, 60), (30, 24, 20)),
    ((245, 242, 232), (30, 40, 70)),
    ((40, 36, 44), (255, 226, 150)),
    ((104, 44, 118), (255, 255, 255)),
    ((214, 92, 28), (255, 255, 255)),
)


@dataclass(frozen=True)
class Sign:
    """A sign in a view: `box` is (left, top, right, bottom) in the view's pixels, `cap` the height
    of its capitals."""

    mark: Landmark
    view: int
    box: Box
    cap: int
    lines: tuple[str, str]
    depth: float


def least_cap(pixels: int) -> int:
    """The smallest capitals of a name that is to be read."""
    return max(7, pixels // 25)


def signs(plan: Plan, at: Point, views: Cameras) -> list[Sign]:
    """The signs of the landmarks that are observed at a place, in every view that shows them; the
    farthest first."""
    found: list[Sign] = []
    for mark in plan.observed(at):
        for view in range(4):
            sign = _sign(mark, view, at, views, [one for one in found if one.view == view])
            if sign is not None:
                found.append(sign)
    return sorted(found, key=lambda sign: -sign.depth)


def _sign(
    mark: Landmark, view: int, at: Point, views: Cameras, taken: Sequence[Sign]
) -> Sign | None:
    column, depth = views.seen(view, mark.at[0] - at[0], mark.at[1] - at[1])
    edge = views.focal * 1.28  # the tangent of _REACH
    if depth <= 0.3 or abs(column - views.pixels / 2) > edge:
        return None
    pixels = views.pixels
    cap = max(least_cap(pixels), min(int(0.62 * views.focal / depth), pixels // 16))
    name, kind = split_name(mark.name)
    wide = max(width_of(name, cap), width_of(kind, cap)) + cap
    while wide > pixels - 4 and cap > 5:
        cap -= 1
        wide = max(width_of(name, cap), width_of(kind, cap)) + cap
    tall = 2 * line("H", cap).shape[0] + cap // 2
    left = min(max(round(column - wide / 2), 1), pixels - wide - 1)
    middle = views.horizon - (_HIGH - EYE) * views.focal / depth
    top = min(
        max(round(middle - tall / 2), line("H", least_cap(pixels)).shape[0] + 4), pixels - tall
    )
    for other in sorted(taken, key=lambda one: one.depth):
        beside = left >= other.box[2] + 2 or other.box[0] - 2 >= left + wide
        if not beside and top < other.box[3] + 2 and other.box[1] - 2 < top + tall:
            top = other.box[1] - tall - 2
    return Sign(mark, view, (left, top, left + wide, top + tall), cap, (name, kind), depth)


def colours_of(name: str) -> tuple[Colour, Colour]:
    """The colours of a landmark's sign: its ground and its letters."""
    return _COLOURS[derive_seed("navigation sign", name) % len(_COLOURS)]


def split_name(name: str) -> tuple[str, str]:
    """A landmark's name as the two lines of its sign."""
    first, _, rest = name.partition(" ")
    return first, rest


def hang_signs(canvas: Canvas, views: Cameras, plan: Plan, at: Point, look: Look) -> None:
    """Draw the signs on the views, which lie side by side."""
    for sign in signs(plan, at, views):
        left, top, right, bottom = sign.box
        shift = sign.view * views.pixels
        back, ink = colours_of(sign.mark.name)
        # Its post, so that it is seen where it stands.
        foot = min(round(views.horizon + EYE * views.focal / sign.depth), views.pixels)
        column, _ = views.seen(sign.view, sign.mark.at[0] - at[0], sign.mark.at[1] - at[1])
        post = shift + min(max(round(column), left + 1), right - 2)
        canvas[bottom:foot, post - 1 : post + 1] = _POST
        canvas[top:bottom, shift + left : shift + right] = ink
        canvas[top + 1 : bottom - 1, shift + left + 1 : shift + right - 1] = back
        y = top + sign.cap // 4
        for text in sign.lines:
            mask = line(text, sign.cap)
            x = shift + (left + right - mask.shape[1]) // 2
            blend(canvas, x, y, mask, np.asarray(ink, dtype=np.uint16))
            y += mask.shape[0]


def captioned(canvas: Canvas, pixels: int) -> None:
    """Write on every view which one it is."""
    cap = max(6, pixels // 32)
    for view, name in enumerate(VIEWS):
        mask = line(name, cap)
        tall, wide = mask.shape[0] + 2, mask.shape[1] + 6
        part = canvas[:tall, view * pixels : view * pixels + wide]
        part[:] = part // 3
        blend(canvas, view * pixels + 3, 1, mask, np.asarray((255, 255, 255), dtype=np.uint16))
