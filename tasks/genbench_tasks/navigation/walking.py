"""A walker in a city's streets: where it stands, what it observes there, what an action does.

A walker stands at a junction or at a way-point of a street, and goes from each to the next.
`forward()` goes on straight ahead; `turn_direction(x)` turns to the way that x names, and goes on
along it; `stop()` ends the walk. Where there is no such way, the walker stays where it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genbench.task import seeded
from genbench_tasks.navigation.actions import Action
from genbench_tasks.navigation.cities import City, Edge, Landmark, Point
from genbench_tasks.navigation.headings import (
    NOMINAL,
    STRAIGHT,
    compass_heading,
    heading_between,
    sector,
    turn,
    turn_class,
)

NEAR = 25.0
"""Landmarks within so many metres are observed, the nearest first."""
MOST_OBSERVED = 2
_SPACING = 25.0
_MOST_POINTS = 3
_DROPPED = 0.5


@dataclass(frozen=True)
class Place:
    """A junction (`edge` is (j, j)), or the way-point at a share of the street from its lower
    junction to the other."""

    edge: Edge
    share: float = 0.0

    @property
    def junction(self) -> int | None:
        return self.edge[0] if self.edge[0] == self.edge[1] else None


def junction_place(number: int) -> Place:
    """The place of a junction."""
    return Place((number, number))


@dataclass(frozen=True)
class Observation:
    """What is observed at a place: (name, sector) of landmarks, and whether it is a junction."""

    landmarks: tuple[tuple[str, str], ...]
    intersection: bool

    def json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "landmarks": [list(item) for item in self.landmarks],
            "intersection": self.intersection,
        }


def point_shares(length: float) -> list[float]:
    """Where way-points of a street of that length can lie, as shares of it, ascending."""
    count = min(_MOST_POINTS, int(length / _SPACING) - 1)
    return [round((k + 1) / (count + 1), 4) for k in range(count)]


@dataclass
class Streets:
    """A city with the way-points of one route's walks.

    Of up to three points a street, 25 m apart or more, each is dropped with probability one half
    (the paper: 5 a stretch, dropped alike); `extra` names further ones.
    """

    city: City
    salt: str
    extra: Mapping[Edge, Sequence[float]] = field(default_factory=dict)
    _shares: dict[Edge, tuple[float, ...]] = field(default_factory=dict)

    def shares(self, edge: Edge) -> tuple[float, ...]:
        """Where the way-points of a street lie, as shares of its length, ascending."""
        found = self._shares.get(edge)
        if found is None:
            stream = seeded("navigation points", self.city.name, self.salt, *edge)
            possible = point_shares(self.city.length(edge))
            kept = [share for share in possible if stream.random() >= _DROPPED]
            more = self.extra.get(edge, ())
            apart = _SPACING / 2 / self.city.length(edge)
            kept = [share for share in kept if all(abs(share - one) > apart for one in more)]
            found = self._shares[edge] = tuple(sorted({*kept, *more}))
        return found

    def point(self, place: Place) -> Point:
        """The position of a place."""
        (x, y), (u, v) = (self.city.junctions[end] for end in place.edge)
        return (x + place.share * (u - x), y + place.share * (v - y))

    def ways(self, place: Place) -> list[tuple[float, Place]]:
        """The ways from a place: their headings, and the next place on each."""
        node = place.junction
        if node is not None:
            return [(heading, self._first(node, end)) for heading, end in self.city.ways[node]]
        low, high = place.edge
        shares = self.shares(place.edge)
        at = shares.index(place.share)
        up = Place(place.edge, shares[at + 1]) if at + 1 < len(shares) else junction_place(high)
        down = Place(place.edge, shares[at - 1]) if at else junction_place(low)
        return [(self.heading(low, high), up), (self.heading(high, low), down)]

    def heading(self, start: int, end: int) -> float:
        """The heading of the street from a junction to the next."""
        return next(heading for heading, other in self.city.ways[start] if other == end)

    def _first(self, node: int, end: int) -> Place:
        edge = (node, end) if node < end else (end, node)
        shares = self.shares(edge)
        if not shares:
            return junction_place(end)
        return Place(edge, shares[0] if node < end else shares[-1])

    def after(self, place: Place, heading: float, action: Action) -> tuple[float, Place] | None:
        """The heading and place that an action leads to; None where it leads nowhere."""
        ways = self.ways(place)
        if action.kind == "forward":
            fitting = [way for way in ways if turn_class(heading, way[0]) == STRAIGHT]
            wanted = heading
        elif action.word in NOMINAL:
            fitting = [way for way in ways if turn_class(heading, way[0]) == action.word]
            wanted = heading + NOMINAL[action.word]
        elif action.kind == "turn":
            wanted = compass_heading(action.word)
            fitting = [way for way in ways if abs(turn(wanted, way[0])) <= 22.5]
        else:
            return None
        return min(fitting, key=lambda way: abs(turn(wanted, way[0])), default=None)

    def observe(self, place: Place, heading: float) -> Observation:
        """What a walker with that heading observes."""
        here = self.point(place)
        seen = [
            (math.dist(here, mark.at), mark)
            for mark in self._around(place)
            if math.dist(here, mark.at) <= NEAR
        ]
        seen.sort(key=lambda item: (item[0], item[1].name))
        return Observation(
            tuple(
                (mark.name, sector(heading, heading_between(here, mark.at)))
                for _, mark in seen[:MOST_OBSERVED]
            ),
            place.junction is not None,
        )

    def _around(self, place: Place) -> list[Landmark]:
        node = place.junction
        keys: list[int | Edge] = [place.edge, *place.edge]
        if node is not None:
            ends = [end for _, end in self.city.ways[node]]
            keys = [node, *((node, end) if node < end else (end, node) for end in ends)]
        return [mark for key in keys for mark in self.city.near.get(key, ())]
