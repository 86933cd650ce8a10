"""Draws a route: its map, the views of every step, and all of them on one sheet.

python -m genbench_tasks.navigation.views --city organic-000123 --output pictures/
python -m genbench_tasks.navigation.views --city grid-000123 --skin timber-snow --pixels 448
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.task import TaskError
from genbench_tasks.navigation.actions import RULES
from genbench_tasks.navigation.prompts import FRAMES
from genbench_tasks.navigation.routes import route
from genbench_tasks.navigation.views import SKINS, check
from genbench_tasks.navigation.views.maps import route_map
from genbench_tasks.navigation.views.sheets import drawn_steps, route_sheet


def main(arguments: Sequence[str] | None = None) -> int:
    """The command of the module's head; 0, or 2 with what is wrong on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m genbench_tasks.navigation.views",
        description="Draws a route of a synthetic city: map.png, sheet.png, and step-NN.png.",
    )
    parser.add_argument("--city", required=True, help="<family>-<six digits>: grid-000123")
    parser.add_argument("--route", type=int, default=0, help="the number of the route (0)")
    parser.add_argument("--skin", help=f"another city, or one of {', '.join(SKINS)}")
    parser.add_argument("--pixels", type=int, default=224, help="a side of each view (224)")
    parser.add_argument("--rule", choices=sorted(RULES), default="absolute")
    parser.add_argument("--frames", choices=FRAMES, default="both")
    parser.add_argument("--output", type=Path, default=Path("."), help="the folder (this one)")
    chosen = parser.parse_args(arguments)
    try:
        check(chosen.city, (0.0, 0.0), 0.0, chosen.pixels, chosen.skin)
        found = route(chosen.city, chosen.route).json()
        chosen.output.mkdir(parents=True, exist_ok=True)
        drawn = route_map(found, rule=chosen.rule, frames=chosen.frames)
        (chosen.output / "map.png").write_bytes(drawn)
        _save_steps(found, chosen)
    except TaskError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{chosen.output} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{chosen.output / 'map.png'}, sheet.png and {len(found['steps'])} steps")
    return 0


def _save_steps(found: Mapping[str, Any], chosen: argparse.Namespace) -> None:
    """The views of every step, and all of them on a sheet."""
    from PIL import Image

    numbers = range(1, len(found["steps"]) + 1)
    drawn = drawn_steps(found, numbers, pixels=chosen.pixels, skin=chosen.skin)
    for number, views in drawn.items():
        Image.fromarray(views).save(chosen.output / f"step-{number:02d}.png", compress_level=3)
    sheet = route_sheet(found, drawn, skin=chosen.skin)
    Image.fromarray(sheet).save(chosen.output / "sheet.png", compress_level=6)


if __name__ == "__main__":
    raise SystemExit(main())
