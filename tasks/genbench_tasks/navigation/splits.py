"""From a task file's settings to the routes of a split, and what training may see.

Settings (of the task, overridden by the split's):
  source         synthetic (cities of ours) or virl (route files of V-IRL; `virl`)
  part           test, dev or train: which cities
  families       the city families, in turn: grid, diagonal, organic, radial
  intersections  [least, most] junctions on the way, turned at or passed
  n              how many routes
  per_city       routes of one city
  frames         both: instructions give a turn in both vocabularies; matching: in the rule's alone
  episodes       rail, rail-stop or free (`episodes`)
  radius         metres from the goal within which a free walk is a success
  seed           another seed, other cities
  route_infos    of source virl: the path of a route file, or ${VARIABLE} that holds it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from genbench.task import Instance, SplitSpec, TaskError, closest, hash_order
from genbench_tasks.navigation.actions import named_rule
from genbench_tasks.navigation.cities import (
    FAMILIES,
    PARTS,
    city_names,
    part_of,
    partition_fingerprint,
)
from genbench_tasks.navigation.episodes import EPISODES
from genbench_tasks.navigation.prompts import FRAMES
from genbench_tasks.navigation.routes import LONGEST, SHORTEST, Route, route

SOURCES = ("synthetic", "virl")
DEFAULTS: Mapping[str, Any] = {
    "source": "synthetic",
    "part": "test",
    "families": ["grid"],
    "intersections": [SHORTEST, LONGEST],
    "n": 250,
    "per_city": 1,
    "frames": "both",
    "episodes": "rail",
    "radius": 25,
    "seed": 0,
    "route_infos": None,
}
_CHOICES = {"source": SOURCES, "part": PARTS, "frames": FRAMES, "episodes": EPISODES}
_KEYS = {*DEFAULTS, "reward"}
_MOST_ROUTES = 100_000
_MOST_IN_A_CITY = 100


def check_settings(settings: Mapping[str, Any], where: str, more: Sequence[str] = ()) -> None:
    """Raise TaskError for a setting that navigation does not know, or a value it cannot take;
    `more` are known and looked at elsewhere."""
    known = {*_KEYS, *more}
    for key, value in settings.items():
        if key not in known:
            raise TaskError(f"{where}: navigation has no setting '{key}'; {closest(key, known)}")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise TaskError(f"{where}: {key} is '{value}'; {closest(str(value), _CHOICES[key])}")
    found = {**DEFAULTS, **settings}
    _check_numbers(found, where)
    families = found["families"]
    if not isinstance(families, list) or not families:
        raise TaskError(f"{where}: families is {families!r}, not a list of city families")
    for family in families:
        if family not in FAMILIES:
            raise TaskError(
                f"{where}: there is no family '{family}'; {closest(str(family), FAMILIES)}"
            )
    if found["source"] == "virl" and found["episodes"] == "free":
        raise TaskError(
            f"{where}: V-IRL's route files hold routes and no map, so that nobody can walk off "
            "them: episodes is rail or rail-stop there"
        )


def _check_numbers(found: Mapping[str, Any], where: str) -> None:
    limits = found["intersections"]
    if not (
        isinstance(limits, list)
        and len(limits) == 2
        and all(type(limit) is int for limit in limits)
        and SHORTEST <= limits[0] <= limits[1] <= LONGEST
    ):
        raise TaskError(
            f"{where}: intersections is {limits!r}, not [least, most] from {SHORTEST} to {LONGEST}"
        )
    ranges = (("n", 1, _MOST_ROUTES), ("per_city", 1, _MOST_IN_A_CITY), ("seed", 0, 2**31))
    for key, least, most in ranges:
        if type(found[key]) is not int or not least <= found[key] <= most:
            raise TaskError(f"{where}: {key} is {found[key]!r}, not {least} to {most}")
    radius = found["radius"]
    if not isinstance(radius, int | float) or isinstance(radius, bool) or not 1 <= radius <= 50:
        raise TaskError(f"{where}: radius is {radius!r}, not 1 to 50 metres")


def draw(settings: Mapping[str, Any], split: SplitSpec, more: Sequence[str] = ()) -> list[Instance]:
    """The routes of a split as instances, in hash order; `more` as for `check_settings`."""
    where = f"split '{split.name}'"
    merged = {**DEFAULTS, **settings, **split.settings}
    check_settings(merged, where, more)
    rule = named_rule(split.rule, where)
    if merged["source"] == "virl":
        from genbench_tasks.navigation.virl import read_routes

        routes = list(read_routes(merged["route_infos"], merged["seed"]))
    else:
        routes = _synthetic(
            merged["part"],
            tuple(merged["families"]),
            tuple(merged["intersections"]),
            merged["n"],
            merged["per_city"],
            merged["seed"],
        )
    found = [
        Instance(
            id=f"{split.name}/{name}",
            pair_id=name,
            cluster=name.partition("/")[0],
            data={
                "rule": rule,
                "frames": merged["frames"],
                "episodes": merged["episodes"],
                "radius": merged["radius"],
                "route": data,
            },
        )
        for name, data in routes
    ]
    return hash_order(found, "order", merged["seed"])


@lru_cache(maxsize=4)
def _synthetic(
    part: str, families: tuple[str, ...], limits: tuple[int, int], n: int, per_city: int, seed: int
) -> list[tuple[str, Mapping[str, Any]]]:
    """(name, route) of n routes, so many a city, the families in turn. A route is named as its
    city, which is its cluster; where there are more, with its number: `grid-000042/1`."""
    cities = -(-n // per_city)
    wanted = {
        family: len(range(number, cities, len(families))) for number, family in enumerate(families)
    }
    names = [
        name
        for family, count in wanted.items()
        for name in islice(city_names(family, part, seed), count)
    ]
    found: list[tuple[str, Mapping[str, Any]]] = [
        (name if per_city == 1 else f"{name}/{number}", route(name, number, *limits).json())
        for number in range(per_city)
        for name in names
    ]
    return found[:n]


def stored_route(data: Mapping[str, Any]) -> Route:
    """The route that a stored one is of, with its city. Raises TaskError where that has changed."""
    found = route(data["city"], data["number"], *data["intersections"])
    if found.streets.city.fingerprint != data["city_fingerprint"]:
        raise TaskError(f"the city {data['city']} is no longer what it was when the route was made")
    return found


def certificate(splits: Mapping[str, Sequence[Instance]]) -> dict[str, Any]:
    """Per split: routes whose city our recipes may train on. Real cities they never do."""
    return {
        "partition_fingerprint": partition_fingerprint(),
        "splits": {
            name: {
                "n": len(instances),
                "problem_may_be_trained": sum(_may_train(instance) for instance in instances),
            }
            for name, instances in splits.items()
        },
    }


def _may_train(instance: Instance) -> bool:
    data = instance.data["route"]
    return "city_fingerprint" in data and part_of(data["city"]) == "train"


def refuse_held_out(city: str, where: str) -> None:
    """Raise TaskError for a city that no training may show."""
    if part_of(city) != "train":
        raise TaskError(
            f"{where}: the city {city} belongs to the part {part_of(city)}, which is held out: it "
            "may not be trained on"
        )


def seen_in_training(
    splits: Mapping[str, Sequence[Instance]], training: Mapping[str, Any]
) -> Mapping[str, int] | None:
    """Routes of each split in a city of the training record, or of one of its ancestors'."""
    known: set[str] = set()
    for member in [training, *(training.get("ancestors") or [])]:
        problems = (member.get("problems") if isinstance(member, Mapping) else None) or {}
        cities = problems.get("cities")
        if problems.get("environment") != "navigation" or not isinstance(cities, list):
            return None
        known |= {str(city) for city in cities}
    return {
        name: sum(instance.data["route"]["city"] in known for instance in instances)
        for name, instances in splits.items()
    }
