"""Draws the pictures of docs/navigation.md: cities, skins, and the map of a route.

`python benchmarks/street_sheets.py [FOLDER]` writes `navigation-views.jpg`, `navigation-skins.jpg`
and `navigation-map.png` (by default into docs/pictures).
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from genbench_tasks.navigation.routes import route
from genbench_tasks.navigation.views import SKINS
from genbench_tasks.navigation.views.maps import route_map
from genbench_tasks.navigation.views.render import draw_grid
from genbench_tasks.navigation.views.sheets import captioned_cell, drawn_steps, route_sheet, tiled

CITIES = ("grid-000012", "organic-000024", "radial-000020")
VIEWS = 10
MAPPED = "organic-000024"
PIXELS = 128


def views() -> Image.Image:
    """The first steps of a route in each of three cities."""
    sheets = []
    for name in CITIES:
        found = route(name, 0, 6, 12).json()
        drawn = drawn_steps(found, range(1, VIEWS + 1), pixels=PIXELS)
        sheets.append(route_sheet(found, drawn, columns=5))
    return Image.fromarray(np.concatenate(sheets))


def skins() -> Image.Image:
    """One crossing in its own looks and in every skin."""
    found = route(CITIES[0], 0, 6, 12).json()
    step = max(found["steps"], key=lambda one: len(one["landmarks"]) + one["intersection"])
    cells = [
        captioned_cell(
            draw_grid(found["city"], tuple(step["at"]), step["heading"], PIXELS, skin),
            [skin or f"{found['city']}, its own looks"],
            lines=1,
        )
        for skin in (None, *SKINS)
    ]
    return Image.fromarray(tiled(cells, 4))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/pictures"))
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, sheet in (("views", views()), ("skins", skins())):
        sheet.save(folder / f"navigation-{name}.jpg", quality=78)
    drawn = Image.open(io.BytesIO(route_map(route(MAPPED, 0, 6, 12).json())))
    few = drawn.quantize(200, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(folder / "navigation-map.png", optimize=True)


if __name__ == "__main__":
    main()
