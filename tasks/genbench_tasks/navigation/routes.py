"""Routes: a start, what to do at every place on the way, and the instructions that say so.

A route is JSON values (`Route.json`), so that a stored one needs no city to be walked on its rail;
synthetic and real ones (`virl`) have the same form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from genbench.task import TaskError, seeded
from genbench_tasks.navigation.actions import Action
from genbench_tasks.navigation.cities import City, Edge, city
from genbench_tasks.navigation.headings import (
    RELATIVE,
    STRAIGHT,
    compass,
    heading_between,
    turn_class,
)
from genbench_tasks.navigation.walking import Observation, Place, Streets

SHORTEST, LONGEST = 3, 12
_STRAIGHT_ON = 0.5
"""How often a route goes straight through a junction where it can."""
_LEAST_APART = 60.0
"""The goal lies farther from the start than this, more than twice the radius of success."""
_TRIES = 400


@dataclass(frozen=True)
class Step:
    """What is observed at a place and done there: `action` is `turn`, `forward` or `stop`; a turn
    has both words; `instruction` numbers the one that is carried out, from 1."""

    observation: Observation
    action: str
    instruction: int
    heading: float
    at: tuple[float, float]
    absolute: str = ""
    relative: str = ""

    def json(self) -> dict[str, Any]:
        """As JSON values."""
        found: dict[str, Any] = {
            **self.observation.json(),
            "action": self.action,
            "instruction": self.instruction,
            "heading": self.heading,
            "at": list(self.at),
        }
        if self.action == "turn":
            found |= {"absolute": self.absolute, "relative": self.relative}
        return found


@dataclass(frozen=True)
class Leg:
    """A stretch between two turns: the turn at its beginning, and where it ends.

    `landmark` and `sector` say what is observed at its end, empty where nothing is.
    """

    absolute: str
    relative: str
    landmark: str
    sector: str

    def json(self) -> dict[str, str]:
        """As JSON values."""
        return {
            "absolute": self.absolute,
            "relative": self.relative,
            "landmark": self.landmark,
            "sector": self.sector,
        }


@dataclass(frozen=True)
class Route:
    """A route of a synthetic city; `streets` is what it is walked in."""

    streets: Streets
    number: int
    range: tuple[int, int]
    start: Place
    heading: float
    goal: Place
    legs: tuple[Leg, ...]
    steps: tuple[Step, ...]
    places: tuple[Place, ...]
    """Where the steps are taken."""

    @property
    def intersections(self) -> int:
        """The junctions on the way, turned at or passed."""
        return sum(step.observation.intersection for step in self.steps)

    def json(self) -> dict[str, Any]:
        """As JSON values: all that a walk on the rail needs."""
        town = self.streets.city
        return {
            "city": town.name,
            "city_fingerprint": town.fingerprint,
            "number": self.number,
            "intersections": list(self.range),
            "legs": [leg.json() for leg in self.legs],
            "steps": [step.json() for step in self.steps],
        }


class _DeadEndError(Exception):
    """The walk that was tried makes no route."""


@lru_cache(maxsize=512)
def route(city_name: str, number: int, shortest: int = SHORTEST, longest: int = LONGEST) -> Route:
    """The route of that number in a city, with `shortest` to `longest` junctions on the way.

    Raises TaskError where the city has none.
    """
    town = city(city_name)
    stream = seeded("navigation route", city_name, number, shortest, longest)
    wanted = stream.randint(shortest, longest)
    for attempt in range(_TRIES):
        try:
            return _tried(town, number, (shortest, longest), f"{number}/{attempt}", wanted, stream)
        except _DeadEndError:
            continue
    raise TaskError(f"{city_name} has no route {number} of {wanted} intersections")


def _tried(
    town: City, number: int, limits: tuple[int, int], salt: str, wanted: int, stream: Random
) -> Route:
    """One attempt. Raises _DeadEndError."""
    path = _path(town, wanted, stream)
    first, last = _edge(path[0], path[1]), _edge(path[-2], path[-1])
    ending = town.near.get(last)
    if first == last or not ending:
        raise _DeadEndError
    mark = stream.choice(ending)
    goal = Place(last, _share_of(town, last, mark.at))
    start = Place(first, round(stream.uniform(0.3, 0.7), 4))
    streets = Streets(town, salt, {first: (start.share,), last: (goal.share,)})
    heading = _first_heading(streets.heading(path[0], path[1]), stream)
    if math.dist(streets.point(start), streets.point(goal)) < _LEAST_APART:
        raise _DeadEndError
    walk = _Walk(streets)
    walk.along(path, start, heading, goal)
    walk.arrive(goal, mark.name)
    legs = tuple(
        Leg(*words, *ending) for words, ending in zip(walk.turns, walk.endings, strict=True)
    )
    places, steps = tuple(walk.places), tuple(walk.steps)
    return Route(streets, number, limits, start, heading, goal, legs, steps, places)


def _edge(a: int, b: int) -> Edge:
    return (a, b) if a < b else (b, a)


def _share_of(town: City, edge: Edge, at: tuple[float, float]) -> float:
    """Where on a street a landmark beside it lies."""
    (x, y), (u, v) = (town.junctions[end] for end in edge)
    along = (at[0] - x) * (u - x) + (at[1] - y) * (v - y)
    return round(along / town.length(edge) ** 2, 4)


def _path(town: City, wanted: int, stream: Random) -> list[int]:
    """Junctions of a walk that meets none twice: one before the start, `wanted` on the way, one
    after the goal."""
    path = [stream.randrange(len(town.junctions))]
    path.append(stream.choice(town.ways[path[0]])[1])
    while len(path) < wanted + 2:
        before, here = path[-2:]
        arrived = heading_between(town.junctions[before], town.junctions[here])
        onward = [(way, end) for way, end in town.ways[here] if end not in path]
        if not onward:
            raise _DeadEndError
        straight = [end for way, end in onward if turn_class(arrived, way) == STRAIGHT]
        turns = [end for way, end in onward if turn_class(arrived, way) in RELATIVE]
        if straight and (not turns or stream.random() < _STRAIGHT_ON):
            path.append(straight[0])
        elif turns:
            # Slight turns are rare in most layouts: half of the time they are taken first.
            rare = [end for way, end in onward if turn_class(arrived, way).startswith("slightly")]
            path.append(stream.choice(rare if rare and stream.random() < 0.5 else turns))
        else:
            raise _DeadEndError
    return path


def _first_heading(ahead: float, stream: Random) -> float:
    """A heading from which the first turn has a word in both vocabularies."""
    while True:
        heading = float(stream.randrange(360))
        if turn_class(heading, ahead) in RELATIVE:
            return heading


class _Walk:
    """The expert's walk. Raises _DeadEndError where an instruction would not say what is done."""

    def __init__(self, streets: Streets) -> None:
        self.streets = streets
        self.places: list[Place] = []
        self.steps: list[Step] = []
        self.turns: list[tuple[str, str]] = []
        """Of every leg: its turn in both vocabularies."""
        self.endings: list[tuple[str, str]] = []
        """Of every leg that is done: the landmark and sector at its end."""
        self._heading = 0.0
        self._passed: list[Observation] = []  # at the junctions of this leg

    def along(self, path: Sequence[int], start: Place, heading: float, goal: Place) -> None:
        """From the start through the junctions of the path to the goal."""
        ahead = iter(path[1:])
        end, place, self._heading = next(ahead), start, heading
        while place != goal:
            if place.junction is not None:
                end = next(ahead)
            place = self._on(place, _way(self.streets, place, end))

    def arrive(self, goal: Place, mark: str) -> None:
        """The last step, at the goal, which its landmark tells from all places before."""
        observation = self.streets.observe(goal, self._heading)
        seen = [item for item in observation.landmarks if item[0] == mark]
        if not seen or any(seen[0] in step.observation.landmarks for step in self.steps):
            raise _DeadEndError
        self._add(goal, observation, "stop", 2 * len(self.turns))
        self.endings.append(seen[0])

    def _on(self, place: Place, way: tuple[float, Place]) -> Place:
        """One action, to the next place on a way."""
        observation = self.streets.observe(place, self._heading)
        kind = turn_class(self._heading, way[0])
        if kind == STRAIGHT:
            actions = [Action("forward")]
            if place.junction is not None:
                self._passed.append(observation)
            self._add(place, observation, "forward", 2 * len(self.turns))
        else:
            if self.turns:
                self.endings.append(_ending(observation, self._passed))
            self._passed.clear()
            words = (compass(way[0]), kind)
            actions = [Action("turn", word) for word in words]
            self.turns.append(words)
            self._add(place, observation, "turn", 2 * len(self.turns) - 1, *words)
        if any(self.streets.after(place, self._heading, action) != way for action in actions):
            raise _DeadEndError
        self._heading = way[0]
        return way[1]

    def _add(
        self,
        place: Place,
        observation: Observation,
        action: str,
        instruction: int,
        absolute: str = "",
        relative: str = "",
    ) -> None:
        x, y = self.streets.point(place)
        at = (round(x, 1), round(y, 1))
        self.places.append(place)
        self.steps.append(
            Step(observation, action, instruction, self._heading, at, absolute, relative)
        )


def _way(streets: Streets, place: Place, end: int) -> tuple[float, Place]:
    """The way from a place towards the junction `end`."""
    node = place.junction
    if node is not None:
        heading = streets.heading(node, end)
        return next(way for way in streets.ways(place) if way[0] == heading)
    up, down = streets.ways(place)
    return up if end == place.edge[1] else down


def _ending(observation: Observation, passed: Sequence[Observation]) -> tuple[str, str]:
    """How the end of a leg is told apart: by its landmark, or as the very next intersection."""
    ending = observation.landmarks[0] if observation.landmarks else ("", "")
    if any(ending in one.landmarks for one in passed) or (passed and not ending[0]):
        raise _DeadEndError
    return ending
