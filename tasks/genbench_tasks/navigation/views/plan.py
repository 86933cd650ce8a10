"""Where things stand in a city: buildings along its streets, landmarks' houses, what can be seen.

Everything is a function of the city alone, in metres. Nothing that is built stands on a street, nor
between a landmark and a place from which it is observed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from genbench.task import derive_seed, seeded
from genbench_tasks.navigation.cities import City, Edge, Landmark, Point, city
from genbench_tasks.navigation.headings import heading_between, turn, wrapped
from genbench_tasks.navigation.walking import NEAR, Place, Streets, point_shares

Array = NDArray[np.float64]

_DEPTH = 12
"""The deepest building behind its front."""
_SHALLOWEST = 4
_MARGIN = 0.4
_AROUND = 45.0
"""Streets farther than this from a street cannot be built into from it."""


_NARROW = 3.4
"""Where the kerb is nearer, no cars are parked."""


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


@dataclass(frozen=True)
class Thing:
    """What stands in a street: a `tree`, a `lamp`, a `car` or `lights` of a crossing; `along` is
    the heading of its street."""

    kind: str
    at: Point
    along: float
    seed: int


@dataclass(frozen=True)
class Building:
    """A box. `corners` run counterclockwise, the first two along the front; `tall` and `tint` are
    0..255: what a look makes of them is its business. `mark` names the landmark that it houses."""

    corners: tuple[Point, Point, Point, Point]
    tall: int
    tint: int
    seed: int
    mark: str = ""


def unit(heading: float) -> Point:
    """The direction of a heading, rounded beyond what any library's last bit could change."""
    angle = math.radians(heading)
    return round(math.sin(angle) * 2**20) / 2**20, round(math.cos(angle) * 2**20) / 2**20


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
        return [marks[name] for name, _ in seen.landmarks]

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
            if math.dist(house.corners[0], at) <= reach + _DEPTH
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
        return Building(_counterclockwise(corners), 0, seed % 256, seed, mark.name)

    def _is_free(self, house: Building, mark: Landmark) -> bool:
        points = _samples(house)
        near = self.near(mark.at, _AROUND)
        if self._on_streets(points, near, self.width.kerb + 0.8).any():
            return False
        return not any(
            _inside(points, triangles).any()
            for other, triangles in self.sights
            if other is not mark and math.dist(other.at, mark.at) < 2 * NEAR and len(triangles)
        )

    def _on_streets(
        self, points: Array, edges: NDArray[np.intp], reach: float
    ) -> NDArray[np.bool_]:
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
                building for side in (1, -1) for building in self._row(index, side)
            )
        return found

    def things(self, at: Point, reach: float) -> list[Thing]:
        """What stands in the streets within that distance."""
        found = []
        for index in self.near(at, reach):
            mine = self._things.get(int(index))
            if mine is None:
                mine = self._things[int(index)] = tuple(self._furniture(int(index)))
            found += [thing for thing in mine if math.dist(thing.at, at) <= reach]
        return found

    def _furniture(self, index: int) -> list[Thing]:
        """Of one street: trees and lamps by turns, parked cars, the lights at its crossings."""
        (a, b), width = self.edges[index], self.width
        start, length = self.city.junctions[a], self.city.length((a, b))
        heading = heading_between(start, self.city.junctions[b])
        (dx, dy), (nx, ny) = unit(heading), unit(heading + 90)
        stream = seeded("navigation furniture", self.city.name, a, b)

        def thing(kind: str, s: float, o: float) -> Thing:
            at = (start[0] + s * dx + o * nx, start[1] + s * dy + o * ny)
            return Thing(kind, at, heading, stream.getrandbits(32))

        first, last = self.clearance(a, b) + 5, length - self.clearance(b, a) - 5
        found = []
        for side in (1, -1):
            s, turn_ = first + stream.uniform(0, 4), stream.randrange(2)
            while s < last:
                found.append(thing("lamp" if turn_ % 2 else "tree", s, side * (width.kerb + 0.8)))
                s, turn_ = s + stream.uniform(6, 10), turn_ + 1
            s = first + stream.uniform(1, 12)
            while width.kerb > _NARROW and s < last - 2:
                found.append(thing("car", s, side * (width.kerb - 1.05)))
                s += stream.choice((5.7, 6.2, 12.0, 19.0, 28.0))
        points = np.array([one.at for one in found]).reshape(-1, 2)
        hidden = np.zeros(len(found), dtype=bool)
        for mark, triangles in self.sights:
            near = math.dist(mark.at, start) < length + 2 * NEAR
            if near and len(triangles) and len(found):
                hidden |= _inside(points, triangles, 1.6).any(axis=1)
        kept = [
            one for one, bad in zip(found, hidden, strict=True) if one.kind != "tree" or not bad
        ]
        for node, s, way in ((a, 0.0, 1), (b, length, -1)):
            if len(self.city.ways[node]) > 2:
                clear = self.clearance(*((a, b) if way > 0 else (b, a)))
                lights = thing("lights", s + way * (clear + 3.6), way * (width.kerb + 0.7))
                kept.append(replace(lights, along=wrapped(heading + (0 if way > 0 else 180))))
        return kept

    def _row(self, index: int, side: int) -> list[Building]:
        """The buildings along one side of a street."""
        edge = self.edges[index]
        start, end = self.starts[index], self.ends[index]
        length = float(np.sqrt(((end - start) ** 2).sum()))
        dx, dy = ((end - start) / length).tolist()
        nx, ny = side * dy, -side * dx
        steps = int(length)
        s = np.arange(steps) + 0.5
        o = self.width.front + np.arange(_DEPTH + 1) + 0.25
        grid_s, grid_o = np.meshgrid(s, o, indexing="ij")
        points = np.stack(
            [start[0] + grid_s * dx + grid_o * nx, start[1] + grid_s * dy + grid_o * ny], axis=-1
        ).reshape(-1, 2)
        taken = self._taken(points, index, ((start + end) / 2, length / 2 + 30))
        blocked = taken.reshape(steps, len(o))
        # How deep the ground is free behind the front, metre by metre along the street.
        depth = np.where(blocked.any(axis=1), blocked.argmax(axis=1), len(o)) - 1
        stream = seeded("navigation lots", self.city.name, *edge, side)
        found, at = [], 0
        while at < steps:
            wide = stream.randint(8, 15)
            room = 0
            while room < wide and at + room < steps and depth[at + room] >= _SHALLOWEST:
                room += 1
            if room < 3:
                at += 1
                continue
            deep = min(int(depth[at : at + room].min()), stream.randint(8, _DEPTH))
            back = stream.choice((0.0, 0.0, 0.0, 0.4, 0.8))
            s0, s1 = at + 0.0, at + room + 0.0
            o0, o1 = self.width.front + back, self.width.front + deep

            def point(s: float, o: float) -> Point:
                return (
                    float(start[0]) + s * dx + o * nx,
                    float(start[1]) + s * dy + o * ny,
                )

            corners = _counterclockwise(
                (point(s0, o0), point(s1, o0), point(s1, o1), point(s0, o1))
            )
            found.append(
                Building(corners, stream.randrange(256), stream.randrange(256),
                         stream.getrandbits(32))
            )  # fmt: skip
            at += room
            if stream.random() < 0.12:
                at += stream.randint(1, 3)
        return found

    def _taken(self, points: Array, index: int, disc: tuple[Array, float]) -> NDArray[np.bool_]:
        """Whether points are on other streets, in sight of a landmark or in a landmark's house."""
        centre = (float(disc[0][0]), float(disc[0][1]))
        reach = disc[1]
        edges = self.near(centre, reach)
        taken = self._on_streets(points, edges[edges != index], self.width.front - _MARGIN)
        for mark, triangles in self.sights:
            if math.dist(mark.at, centre) > reach + NEAR:
                continue
            if len(triangles):
                taken = taken | _inside(points, triangles).any(axis=1)
            house = self.houses.get(mark.name)
            if house is not None:
                taken = taken | _in_box(points, house, 0.8)
        return taken


def _counterclockwise(corners: Sequence[Point]) -> tuple[Point, Point, Point, Point]:
    """The same box from the same front, its corners in counterclockwise order."""
    (x0, y0), (x1, y1), (x2, y2), _ = corners
    turned = (x1 - x0) * (y2 - y1) - (y1 - y0) * (x2 - x1)
    a, b, c, d = corners
    return (a, b, c, d) if turned > 0 else (b, a, d, c)


def offsets(points: Array, starts: Array, ends: Array) -> tuple[Array, Array]:
    """How far points lie along and across lines, each of shape (points, lines)."""
    step = ends - starts
    length = np.sqrt((step**2).sum(axis=1))
    dx, dy = step[:, 0] / length, step[:, 1] / length
    x = points[:, :1] - starts[:, 0]
    y = points[:, 1:2] - starts[:, 1]
    return x * dx + y * dy, x * dy - y * dx


def _inside(points: Array, triangles: Array, margin: float = _MARGIN) -> NDArray[np.bool_]:
    """Whether points are in triangles or within a margin of them; (points, triangles)."""
    sides = []
    for k in range(3):
        a, b = triangles[:, k], triangles[:, (k + 1) % 3]
        sides.append(offsets(points, a, b)[1])
    least = np.minimum(np.minimum(sides[0], sides[1]), sides[2])
    most = np.maximum(np.maximum(sides[0], sides[1]), sides[2])
    inside: NDArray[np.bool_] = (least >= -margin) | (most <= margin)
    return inside


def _in_box(points: Array, building: Building, margin: float) -> NDArray[np.bool_]:
    corners = np.array(building.corners)
    across = offsets(points, corners, np.roll(corners, -1, axis=0))[1]
    return np.asarray((across <= margin).all(axis=1))


def _samples(building: Building) -> Array:
    """Points all over a building, half a metre apart or less at its borders."""
    a, b, _, d = (np.array(corner) for corner in building.corners)
    u = np.linspace(0, 1, 13)
    grid = [a + i * (b - a) + j * (d - a) for i in u for j in u]
    return np.array(grid)


@lru_cache(maxsize=16)
def plan(city_name: str) -> Plan:
    """The plan of a city. Raises TaskError."""
    return Plan(city(city_name))


def bearing(at: Point, mark: Point, heading: float) -> float:
    """Where something lies for a walker, degrees clockwise from straight ahead, in [0, 360)."""
    return wrapped(heading_between(at, mark) - heading)
