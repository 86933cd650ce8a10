"""Street views and maps of synthetic cities, drawn from plain arithmetic: the same pixels on every
machine.

What stands where (`geometry`, `rows`, `plan`) -> what four cameras see of it (`camera`) -> houses
(`masonry`, `facades`, `houses`), the `ground`, sky and weather (`air`), cars and trees (`things`),
signs (`lettering`, `signs`) -> pictures (`render`), in a city's own looks or a skin's (`looks`).
Beside them: a route on its map (`maps`), its steps on a sheet (`sheets`), and the command that
draws both.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

from genbench.task import TaskError
from genbench_tasks.navigation.cities import Point
from genbench_tasks.navigation.cities import city as city_of
from genbench_tasks.navigation.views.looks import SKINS, appearance_of

VERSION = 1
"""Of the renderer: raised with every change of a pixel."""
SMALLEST, LARGEST = 96, 1024
"""Pixels a side of a view."""


def street_grid(
    city: str, at: Point, heading: float, *, pixels: int, skin: str | None = None
) -> bytes:
    """What is seen at a place of a city, as a PNG of 2 x 2 views of `pixels` a side: front and
    right, behind and left.

    `at` is in metres (x east, y north), `heading` in degrees from north. `skin` puts the looks of
    one of SKINS, or of the city of that name, on the same streets. Raises TaskError.
    """
    from PIL import Image

    from genbench_tasks.navigation.views.render import draw_grid

    check(city, at, heading, pixels, skin)
    buffer = io.BytesIO()
    canvas = draw_grid(city, at, heading, pixels, skin)
    Image.fromarray(canvas).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def visible_signs(
    city: str, at: Point, heading: float, pixels: int
) -> Mapping[str, list[dict[str, Any]]]:
    """Of every landmark whose name is shown: its signs as `view` (front, right, behind, left),
    `box` (left, top, right, bottom in the view's pixels) and `height` of its capitals in pixels.
    Raises TaskError."""
    from genbench_tasks.navigation.views.camera import VIEWS, cameras
    from genbench_tasks.navigation.views.plan import plan
    from genbench_tasks.navigation.views.signs import signs

    check(city, at, heading, pixels, None)
    found: dict[str, list[dict[str, Any]]] = {}
    for sign in reversed(signs(plan(city), at, cameras(heading, pixels))):
        found.setdefault(sign.mark.name, []).append(
            {"view": VIEWS[sign.view], "box": list(sign.box), "height": sign.cap}
        )
    return found


def check(city: str, at: Point, heading: float, pixels: int, skin: str | None) -> None:
    """Raise TaskError for what no picture can be made of."""
    city_of(city)
    if skin is not None:
        appearance_of(skin)
    if type(pixels) is not int or not SMALLEST <= pixels <= LARGEST:
        raise TaskError(
            f"views have {pixels!r} pixels a side; names can be read, and pictures be handled, "
            f"from {SMALLEST} to {LARGEST}"
        )
    if not all(math.isfinite(value) for value in (*at, heading)):
        raise TaskError(f"{at} with heading {heading} is no place to look from")


__all__ = ["LARGEST", "SKINS", "SMALLEST", "VERSION", "check", "street_grid", "visible_signs"]
