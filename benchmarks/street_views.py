"""How many street views a core draws: grids of 2 x 2 views, as PNG files, by size, family and skin.

`python benchmarks/street_views.py` prints grids a second of CPU time: of the first steps of routes,
each in a city of its own, whose buildings must be laid out, and of the same steps again. The target
is 5 a second at 2 x 2 x 224 pixels.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice

from genbench_tasks.navigation.cities import FAMILIES, city_names
from genbench_tasks.navigation.routes import Step, route
from genbench_tasks.navigation.views import street_grid
from genbench_tasks.navigation.views.maps import route_map
from genbench_tasks.navigation.views.plan import plan

CITIES = 3
SIZES = (96, 224, 448)
SKINS = ("neon-night", "timber-snow", "limestone-morning")


def rate(places: list[tuple[str, Step]], pixels: int, skin: str | None) -> float:
    """Grids a second of CPU time."""
    started = time.process_time()
    for name, step in places:
        street_grid(name, step.at, step.heading, pixels=pixels, skin=skin)
    return len(places) / (time.process_time() - started)


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    print(f"{'family':<10}{'pixels':>7}  {'skin':<20}{'first/s':>8}{'then/s':>8}")
    for family in FAMILIES:
        names = list(islice(city_names(family, "dev", 1), CITIES))
        places = [(name, step) for name in names for step in route(name, 0).steps]
        rows = [(pixels, None) for pixels in SIZES] + [(224, skin) for skin in SKINS]
        for pixels, skin in rows if family == "grid" else [(224, None)]:
            plan.cache_clear()
            first, then = rate(places, pixels, skin), rate(places, pixels, skin)
            print(f"{family:<10}{pixels:>7}  {skin or 'own':<20}{first:>8.1f}{then:>8.1f}")
    started = time.process_time()
    for name in names:
        route_map(route(name, 0).json())
    print(f"a map of a route: {(time.process_time() - started) / len(names):.1f} s")


if __name__ == "__main__":
    main()
