"""Where things stand in a city: buildings along its streets, landmarks' houses, what can be seen.

Everything is a function of the city alone, in metres. Nothing that is built stands on a street, nor
between a landmark and a place from which it is observed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from genbench.task import derive_seed
from genbench_tasks.navigation.cities import City, Edge, Landmark, Point, city
from genbench_tasks.navigation.headings import turn
from genbench_tasks.navigation.views.geometry import (
    Array,
    Building,
    counterclockwise,
    inside_triangles,
    offsets,
    samples,
    unit,
)
from genbench_tasks.navigation.views.rows import DEEPEST, Thing, houses_along, things_along
from genbench_tasks.navigation.walking import NEAR, Place, Streets, point_shares

_AROUND = 45.0
"""Streets farther than this from a street cannot be built into from it."""


@dataclass(frozen=True)
class Width:
    """Of a street, from its middle: where the kerb is, and where the houses begin."""

    kerb: float
    front: float


WIDTHS = {
    "grid": Width(3.9, 6.7),
    "diagonal": Width(4.3, 7.1),
    "organic": Width(2.9, 5.2),
    "radial": Width(3.6, 6.3),
}


class Plan:
    """See the module."""

    def __init__(self, town: City) -> None:
        self.city = town
        self.width = WIDTHS[town.family]
        self.edges: list[Edge] = sorted(town.streets)
        at = np.array(town.junctions, dtype=np.float64)
        self.starts: Array = at[[a for a, _ in self.edges]]
        self.ends: Array = at[[b for _, b in self.edges]]
        self._lots: dict[int, tuple[Building, ...]] = {}
        self._things: dict[int, tuple[Thing, ...]] = {}

    def place(self, at: Point) -> Place:
        """The junction or the point of a street that lies at a position, or the nearest one."""
        distances = [(math.dist(at, point), node) for node, point in enumerate(self.city.junctions)]
        distance, node = min(distances)
        if distance <= 0.15:
            return Place((node, node))
        along, across = offsets(np.array([at]), self.starts, self.ends)
        lengths = np.sqrt(((self.ends - self.starts) ** 2).sum(axis=1))
        gaps = across[0] ** 2 + (along[0] - np.clip(along[0], 0, lengths)) ** 2
        index = int(gaps.argmin())
        exact = float(np.clip(along[0, index] / lengths[index], 0.0, 1.0))
        # Positions are given to a tenth of a metre: a point where walkers stop is meant, if one
        # is as near as that.
        known = [share for share in self._stops(index) if self._rounds(index, share, at)]
        return Place(self.edges[index], known[0] if known else round(exact, 4))

    def _stops(self, index: int) -> list[float]:
        """Where on a street way-points and goals can lie, as shares of its length."""
        edge = self.edges[index]
        (x, y), (u, v) = (self.city.junctions[end] for end in edge)
        length = self.city.length(edge)
        goals = [
            round(((mark.at[0] - x) * (u - x) + (mark.at[1] - y) * (v - y)) / length**2, 4)
            for mark in self.city.near.get(edge, ())
        ]
        return goals + point_shares(length)

    def _rounds(self, index: int, share: float, at: Point) -> bool:
        x, y = Streets(self.city, "").point(Place(self.edges[index], share))
        return abs(round(x, 1) - at[0]) < 0.01 and abs(round(y, 1) - at[1]) < 0.01

    def observed(self, at: Point) -> list[Landmark]:
        """The landmarks that an observation at a position lists, the nearest first."""
        marks = {mark.name: mark for mark in self.city.landmarks}
        seen = Streets(self.city, "").observe(self.place(at), 0.0)
        found = [marks[name] for name, _ in seen.landmarks]
        # Beside the streets, where nobody walks, the nearest point of one may be far.
        return [mark for mark in found if math.dist(at, mark.at) < NEAR + 1]

    def near(self, at: Point, reach: float) -> NDArray[np.intp]:
        """The streets of which any part is within that distance."""
        along, across = offsets(np.array([at]), self.starts, self.ends)
        lengths = np.sqrt(((self.ends - self.starts) ** 2).sum(axis=1))
        beyond = along[0] - np.clip(along[0], 0, lengths)
        return np.flatnonzero(across[0] ** 2 + beyond**2 <= reach**2)

    def buildings(self, at: Point, reach: float) -> list[Building]:
        """The buildings of the streets within that distance, and the landmarks' houses there."""
        found = [
            house
            for house in self.houses.values()
            if math.dist(house.corners[0], at) <= reach + DEEPEST
        ]
        for index in self.near(at, reach):
            found += self.lots(int(index))
        return found

    def clearance(self, node: int, end: int) -> float:
        """How far from a junction the street towards another one is clear of all others there."""
        ways = self.city.ways[node]
        mine = next(heading for heading, other in ways if other == end)
        found = self.width.kerb
        for heading, other in ways:
            if other != end:
                half = abs(turn(mine, heading)) / 2
                if half < 80:
                    x, y = unit(half)
                    found = max(found, self.width.kerb * y / x)
        return min(found + 0.8, 12.0)

    @cached_property
    def sights(self) -> list[tuple[Landmark, Array]]:
        """Every landmark with the triangles that must be free: from it to each stretch of street
        that it is observed from."""
        found = []
        for key, marks in self.city.near.items():
            if isinstance(key, int):
                edges = [(key, end) for _, end in self.city.ways[key]]
            else:
                edges = [key]
            for mark in marks:
                stretches = [self._stretch(mark.at, edge) for edge in edges]
                found.append(
                    (mark, np.array([[mark.at, *one] for one in stretches if one is not None]))
                )
        return found

    def _stretch(self, at: Point, edge: Edge) -> tuple[Point, Point] | None:
        """The part of a street from which a landmark there is observed."""
        (x, y), (u, v) = (self.city.junctions[end] for end in edge)
        length = self.city.length(edge)
        dx, dy = (u - x) / length, (v - y) / length
        along = (at[0] - x) * dx + (at[1] - y) * dy
        half = math.sqrt(max(0.0, (NEAR + 1) ** 2 - (at[0] - x - along * dx) ** 2
                             - (at[1] - y - along * dy) ** 2))  # fmt: skip
        low, high = max(0.0, along - half), min(length, along + half)
        if low >= high:
            return None
        return (x + low * dx, y + low * dy), (x + high * dx, y + high * dy)

    @cached_property
    def houses(self) -> dict[str, Building]:
        """The house of every landmark, behind it as it faces; smaller where there is little room,
        and none where it would stand in the way."""
        found = {}
        for mark, _ in self.sights:
            for half, depth in ((4.5, 8), (3.5, 7), (2.5, 6), (1.6, 4), (1.2, 2)):
                house = self._house(mark, half, depth)
                if self._is_free(house, mark):
                    found[mark.name] = house
                    break
        return found

    def _house(self, mark: Landmark, half: float, depth: float) -> Building:
        x, y = unit(mark.facing)
        ahead = 0.5
        front = (mark.at[0] - ahead * x, mark.at[1] - ahead * y)
        back = (front[0] - depth * x, front[1] - depth * y)
        # Seen from its front the left end comes first: corners run counterclockwise from above.
        corners = (
            (front[0] - half * y, front[1] + half * x),
            (front[0] + half * y, front[1] - half * x),
            (back[0] + half * y, back[1] - half * x),
            (back[0] - half * y, back[1] + half * x),
        )
        seed = derive_seed("navigation house", self.city.name, mark.name)
        return Building(counterclockwise(corners), 0, seed % 256, seed, mark.name)

    def _is_free(self, house: Building, mark: Landmark) -> bool:
        points = samples(house)
        near = self.near(mark.at, _AROUND)
        if self.on_streets(points, near, self.width.kerb + 0.8).any():
            return False
        return not any(
            inside_triangles(points, triangles).any()
            for other, triangles in self.sights
            if other is not mark and math.dist(other.at, mark.at) < 2 * NEAR and len(triangles)
        )

    def on_streets(self, points: Array, edges: NDArray[np.intp], reach: float) -> NDArray[np.bool_]:
        """Whether points are that near to the middle of one of the streets."""
        if not len(edges):
            return np.zeros(len(points), dtype=bool)
        starts, ends = self.starts[edges], self.ends[edges]
        along, across = offsets(points, starts, ends)
        lengths = np.sqrt(((ends - starts) ** 2).sum(axis=1))
        beyond = along - np.clip(along, 0, lengths)
        return np.asarray(((across**2 + beyond**2) < reach**2).any(axis=1))

    def lots(self, index: int) -> tuple[Building, ...]:
        """The buildings along a street, by its number in `edges`."""
        found = self._lots.get(index)
        if found is None:
            found = self._lots[index] = tuple(
                building for side in (1, -1) for building in houses_along(self, index, side)
            )
        return found

    def things(self, at: Point, reach: float) -> list[Thing]:
        """What stands in the streets within that distance."""
        found = []
        for index in self.near(at, reach):
            mine = self._things.get(int(index))
            if mine is None:
                mine = self._things[int(index)] = tuple(things_along(self, int(index)))
            found += [thing for thing in mine if math.dist(thing.at, at) <= reach]
        return found


@lru_cache(maxsize=16)
def plan(city_name: str) -> Plan:
    """The plan of a city. Raises TaskError."""
    return Plan(city(city_name))
