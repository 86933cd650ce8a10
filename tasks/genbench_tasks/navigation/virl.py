"""Routes of V-IRL: its published route files as routes of ours.

A file holds `[routes, number]`, a list of routes, or one route. Of a route this reads
`start_place`, `dest_place`, `route_results.geocode_list` (latitude and longitude of the turning
points, the goal last), `init_heading` and `milestone_info`: text blocks, one a stretch, with the
landmark at its end and the heading along it. The free text `instruction` of the files is not read:
it says right where the headings turn left. Instructions follow from the headings, as for synthetic
routes.

Between two turning points lie up to five way-points, each dropped with probability one half (the
paper's settings), 8 m or more from either end. A file's `init_heading` is used where its first turn
has a word in both vocabularies, and else one is drawn. An intersection where a route goes straight
on is passed. Left out is a route with a turn that the relative vocabulary cannot say (`behind`), or
with an intersection to turn at that nothing tells from those before it.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from genbench.task import TaskError, fingerprint, seeded
from genbench_tasks.navigation.headings import (
    BEHIND,
    COMPASS,
    RELATIVE,
    SECTORS,
    STRAIGHT,
    compass,
    heading_between,
    turn,
    turn_class,
)

Point = tuple[float, float]

_MOST_BYTES = 256 * 2**20
_POINTS, _DROPPED, _APART = 5, 0.5, 8.0
_DEGREE = math.radians(1) * 6_371_000.0  # metres, along a meridian
_LEAST_STRETCH = 1.0
_LARGEST_DEVIATION = 90.0
"""Between the stated heading of a stretch and that of its ends: streets bend, files do not lie."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BLOCK = re.compile(r"\{([^{}]*)\}")
_LINE = re.compile(r'\s*"([^"]+)"\s*:\s*"?(.*?)"?\s*,?\s*')
_HEADING = re.compile(r"(-?[0-9]{1,4}(?:\.[0-9]+)?)\s*\(\s*([a-z]+)\s*\)")
_WHERE = re.compile(
    r"(?:the destination |your destination )?(.+?),? is (?:on|to|in) (?:your|the) "
    rf"({'|'.join(sorted(SECTORS, key=len, reverse=True))})(?: of you)?\.?",
    re.IGNORECASE,
)
_NOTHING = re.compile(r"(?:there (?:is|are) )?no landmarks?\b.*", re.IGNORECASE)
_MILESTONE_KEYS = ("landmarks", "to_next_intersection_heading")


@dataclass(frozen=True)
class _Stretch:
    """From one turning point to the next: its ends in metres, its heading, what is at its end."""

    start: Point
    end: Point
    heading: float
    landmark: tuple[str, str] | None


def path_of(value: Any, setting: str, what: str) -> Path:
    """The path that a setting names, perhaps by `${VARIABLE}`; `what` it is of, as in `a route file
    of V-IRL`. Raises TaskError."""
    if not isinstance(value, str) or not value:
        raise TaskError(
            f"source virl: the setting {setting} is missing; give the path of {what}, or "
            "${VARIABLE} for an environment variable that holds it"
        )

    def replaced(match: re.Match[str]) -> str:
        name = match[1]
        if not os.environ.get(name):
            raise TaskError(
                f"source virl: the environment variable {name} is not set; it holds the path of "
                f"{what}, which is not distributed with genbench"
            )
        return os.environ[name]

    return Path(_VARIABLE.sub(replaced, value)).expanduser()


def read_routes(value: Any, seed: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(name, route) of the routes of a file that both vocabularies can say.

    Way-points and headings that the file leaves open are drawn from `seed`. Raises TaskError with
    the file, the route and what is wrong or missing.
    """
    path = path_of(value, "route_infos", "a route file of V-IRL (route_infos.json)")
    routes = _content(path)
    found = 0
    seen: set[str] = set()
    for number, raw in enumerate(routes):
        where = f"{path}, route {number}"
        if not isinstance(raw, Mapping):
            raise TaskError(f"{where} is {type(raw).__name__}, not an object")
        name = f"virl-{fingerprint(dict(raw))[:12]}"
        route = _route(raw, where, name, seed)
        if route is not None and name not in seen:
            found += 1
            seen.add(name)
            yield name, route
    if not found:
        raise TaskError(
            f"{path}: none of its {len(routes)} routes has turns that both vocabularies can say"
        )


def _content(path: Path) -> Sequence[Any]:
    """The routes of a file. Raises TaskError."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise TaskError(f"{path} has more than {_MOST_BYTES // 2**20} MiB: no route file")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TaskError(f"the route file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise TaskError(f"the route file {path} is not UTF-8 text: {error}") from None
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TaskError(f"the route file {path} is not JSON: {error}") from None
    if isinstance(raw, Mapping):
        return [raw]
    if isinstance(raw, list) and len(raw) == 2 and isinstance(raw[0], list):
        raw = raw[0]  # the number beside the routes is how far their collection had come
    if not isinstance(raw, list) or not raw:
        raise TaskError(f"{path} holds no routes: it is neither [routes, number] nor one route")
    return raw


def _route(raw: Mapping[str, Any], where: str, name: str, seed: int) -> dict[str, Any] | None:
    """The route as `routes.Route.json` has it; None where it cannot be told unambiguously."""
    stream = seeded("virl route", name, seed)
    groups = _between_turns(_stretches(raw, where))
    heading = _first_heading(raw, groups[0][0].heading, where, stream)
    legs: list[dict[str, str]] = []
    steps: list[dict[str, Any]] = []
    seen: tuple[str, str] | None = None
    for number, group in enumerate(groups):
        words = {
            "absolute": compass(group[0].heading),
            "relative": turn_class(heading, group[0].heading),
        }
        nameless = group[-1].landmark is None and number < len(groups) - 1
        if words["relative"] == BEHIND or (nameless and len(group) > 1):
            return None
        here = _seen(seen, number > 0, heading, group[0].start)
        steps.append({**here, "action": "turn", "instruction": 2 * number + 1, **words})
        for place in _on_the_way(group, stream):
            steps.append({**place, "action": "forward", "instruction": 2 * number + 2})
        heading, seen = group[-1].heading, group[-1].landmark
        landmark, sector = seen or ("", "")
        legs.append({**words, "landmark": landmark, "sector": sector})
    here = _seen(seen, False, heading, groups[-1][-1].end)
    steps.append({**here, "action": "stop", "instruction": 2 * len(groups)})
    return {"city": _region(raw), "origin": list(_origin(raw, where)), "legs": legs, "steps": steps}


def _on_the_way(group: Sequence[_Stretch], stream: Random) -> Iterator[dict[str, Any]]:
    """The places between two turns: way-points, and the intersections that are passed."""
    for number, stretch in enumerate(group):
        if number:
            yield _seen(group[number - 1].landmark, True, stretch.heading, stretch.start)
        for point in _points(stretch, stream):
            yield _seen(None, False, stretch.heading, point)


def _seen(
    landmark: tuple[str, str] | None, intersection: bool, heading: float, at: Point
) -> dict[str, Any]:
    return {
        "landmarks": [] if landmark is None else [list(landmark)],
        "intersection": intersection,
        "heading": heading,
        "at": [round(at[0], 1), round(at[1], 1)],
    }


def _region(raw: Mapping[str, Any]) -> str:
    """The part of town that a route lies in, as the file names it."""
    place = raw.get("dest_place")
    region = place.get("region") if isinstance(place, Mapping) else None
    return str(region)[:80] if isinstance(region, str) and region else "unnamed"


def _between_turns(stretches: Sequence[_Stretch]) -> list[list[_Stretch]]:
    """The stretches, those together that go straight on."""
    groups = [[stretches[0]]]
    for stretch in stretches[1:]:
        if turn_class(groups[-1][-1].heading, stretch.heading) == STRAIGHT:
            groups[-1].append(stretch)
        else:
            groups.append([stretch])
    return groups


def _first_heading(raw: Mapping[str, Any], ahead: float, where: str, stream: Random) -> float:
    given = raw.get("init_heading", 0)
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) <= 3600:
        raise TaskError(f"{where}: init_heading is {given!r}, not a number of degrees")
    heading = float(given) % 360
    while turn_class(heading, ahead) not in RELATIVE:
        heading = float(stream.randrange(360))
    return heading


def _points(stretch: _Stretch, stream: Random) -> Iterator[Point]:
    """The way-points of a stretch that are kept, the ends left out."""
    length = math.dist(stretch.start, stretch.end)
    for number in range(1, _POINTS + 1):
        share = number / (_POINTS + 1)
        kept = stream.random() >= _DROPPED
        if kept and min(share, 1 - share) * length >= _APART:
            yield (
                stretch.start[0] + share * (stretch.end[0] - stretch.start[0]),
                stretch.start[1] + share * (stretch.end[1] - stretch.start[1]),
            )


# -- what the file says -------------------------------------------------------------------------


def _stretches(raw: Mapping[str, Any], where: str) -> list[_Stretch]:
    """The stretches of a route, checked against each other. Raises TaskError."""
    points = _geocodes(raw, where)
    milestones = _milestones(raw, where)
    if len(milestones) != len(points) - 1:
        raise TaskError(
            f"{where}: milestone_info has {len(milestones)} blocks, and "
            f"route_results.geocode_list {len(points) - 1} points; there is one block a point"
        )
    found: list[_Stretch] = []
    for number, block in enumerate(milestones):
        start, end = points[number], points[number + 1]
        place = f"{where}, milestone {number + 1}"
        heading = _heading(block["to_next_intersection_heading"], place)
        if math.dist(start, end) >= _LEAST_STRETCH:
            measured = heading_between(start, end)
            if abs(turn(measured, heading)) > _LARGEST_DEVIATION:
                raise TaskError(
                    f"{place}: it leads {heading:g} degrees ({compass(heading)}), and its points "
                    f"{measured:.0f} ({compass(measured)}): the file does not fit together"
                )
        found.append(_Stretch(start, end, heading, _landmark(block["landmarks"])))
    return found


def _geocodes(raw: Mapping[str, Any], where: str) -> list[Point]:
    """The start and the points of a route, in metres east and north of the start."""
    results = _part(raw, "route_results", where)
    listed = results.get("geocode_list")
    if not isinstance(listed, list) or not listed:
        raise TaskError(f"{where}: route_results.geocode_list is missing: it holds the points")
    codes = [
        _origin(raw, where),
        *(
            _geocode(code, f"{where}: route_results.geocode_list[{number}]")
            for number, code in enumerate(listed)
        ),
    ]
    latitude, longitude = codes[0]
    across = math.cos(math.radians(latitude))
    return [
        ((lon - longitude) * _DEGREE * across, (lat - latitude) * _DEGREE) for lat, lon in codes
    ]


def _origin(raw: Mapping[str, Any], where: str) -> Point:
    """The latitude and longitude of the start, where a route's metres are counted from."""
    start = _part(raw, "start_place", where)
    first = start.get("relocated_geocode", start.get("geocode"))
    return _geocode(first, f"{where}: start_place.relocated_geocode")


def geocode_of(origin: Sequence[float], at: Sequence[float]) -> Point:
    """The latitude and longitude of a place, in metres east and north of a route's `origin`."""
    latitude, longitude = origin
    across = math.cos(math.radians(latitude))
    return latitude + at[1] / _DEGREE, longitude + at[0] / (_DEGREE * max(across, 1e-9))


def _geocode(value: Any, where: str) -> Point:
    if (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(item, int | float) and not isinstance(item, bool) for item in value)
        and abs(value[0]) <= 90
        and abs(value[1]) <= 180
    ):
        return float(value[0]), float(value[1])
    raise TaskError(f"{where} is {str(value)[:60]}, not [latitude, longitude]")


def _part(raw: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = raw.get(key)
    if not isinstance(value, Mapping):
        raise TaskError(f"{where}: {key} is missing")
    return value


def _milestones(raw: Mapping[str, Any], where: str) -> list[dict[str, str]]:
    """The blocks of `milestone_info`: lines `"key": "value",` in braces. Raises TaskError."""
    text = raw.get("milestone_info")
    if not isinstance(text, str) or not text.strip():
        raise TaskError(
            f"{where}: milestone_info is missing: it holds the headings and landmarks that the "
            "instructions are made of. V-IRL's own files have it; route files that were never "
            "annotated do not"
        )
    found: list[dict[str, str]] = []
    for block in _BLOCK.finditer(text):
        lines = [_LINE.fullmatch(line) for line in block[1].splitlines()]
        fields = {match[1]: match[2] for match in lines if match is not None}
        for key in _MILESTONE_KEYS:
            if key not in fields:
                raise TaskError(f"{where}, milestone {len(found) + 1}: {key} is missing")
        found.append(fields)
    if not found:
        raise TaskError(f"{where}: milestone_info holds no block in braces")
    return found


def _heading(text: str, where: str) -> float:
    """`298 (northwest)`: degrees, and the word that must agree with them."""
    match = _HEADING.fullmatch(text.strip().lower())
    if match is None or match[2] not in COMPASS:
        raise TaskError(
            f"{where}: to_next_intersection_heading is '{text[:60]}', not like '298 (northwest)'"
        )
    degrees = float(match[1]) % 360
    if compass(degrees) != match[2]:
        raise TaskError(
            f"{where}: {match[1]} degrees are {compass(degrees)}, and the file says {match[2]}"
        )
    return degrees


def _landmark(text: str) -> tuple[str, str] | None:
    """`Aritzia is on your left front` as ("Aritzia", "left front"), None where there is none.

    What is said in another way is kept as it is, with no sector of its own.
    """
    text = " ".join(text.encode("utf-8", "replace").decode().split())[:160]
    if not text or _NOTHING.fullmatch(text):
        return None
    match = _WHERE.fullmatch(text)
    return (text, "") if match is None else (match[1], match[2].lower())
