"""What stands along a street: rows of houses, and trees, lamps, cars and lights."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genbench.task import seeded
from genbench_tasks.navigation.cities import Point
from genbench_tasks.navigation.headings import heading_between, wrapped
from genbench_tasks.navigation.views.geometry import (
    MARGIN,
    Array,
    Building,
    counterclockwise,
    in_box,
    inside_triangles,
    unit,
)
from genbench_tasks.navigation.walking import NEAR

if TYPE_CHECKING:
    from genbench_tasks.navigation.views.plan import Plan

DEEPEST = 12
"""Metres of the deepest building behind its front."""
_SHALLOWEST = 4
_NARROW = 3.4
"""Where the kerb is nearer, no cars are parked."""


@dataclass(frozen=True)
class Thing:
    """What stands in a street: a `tree`, a `lamp`, a `car` or `lights` of a crossing; `along` is
    the heading of its street."""

    kind: str
    at: Point
    along: float
    seed: int


def things_along(plan: Plan, index: int) -> list[Thing]:
    """Of one street: trees and lamps by turns, parked cars, the lights at its crossings."""
    (a, b), width = plan.edges[index], plan.width
    start, length = plan.city.junctions[a], plan.city.length((a, b))
    heading = heading_between(start, plan.city.junctions[b])
    (dx, dy), (nx, ny) = unit(heading), unit(heading + 90)
    stream = seeded("navigation furniture", plan.city.name, a, b)

    def thing(kind: str, s: float, o: float) -> Thing:
        at = (start[0] + s * dx + o * nx, start[1] + s * dy + o * ny)
        return Thing(kind, at, heading, stream.getrandbits(32))

    first, last = plan.clearance(a, b) + 5, length - plan.clearance(b, a) - 5
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
    for mark, triangles in plan.sights:
        near = math.dist(mark.at, start) < length + 2 * NEAR
        if near and len(triangles) and len(found):
            hidden |= inside_triangles(points, triangles, 1.6).any(axis=1)
    kept = [one for one, bad in zip(found, hidden, strict=True) if one.kind != "tree" or not bad]
    for node, s, way in ((a, 0.0, 1), (b, length, -1)):
        if len(plan.city.ways[node]) > 2:
            clear = plan.clearance(*((a, b) if way > 0 else (b, a)))
            lights = thing("lights", s + way * (clear + 3.6), way * (width.kerb + 0.7))
            kept.append(replace(lights, along=wrapped(heading + (0 if way > 0 else 180))))
    return kept


def houses_along(plan: Plan, index: int, side: int) -> list[Building]:
    """The buildings along one side of a street."""
    edge = plan.edges[index]
    start, end = plan.starts[index], plan.ends[index]
    length = float(np.sqrt(((end - start) ** 2).sum()))
    dx, dy = ((end - start) / length).tolist()
    nx, ny = side * dy, -side * dx
    steps = int(length)
    s = np.arange(steps) + 0.5
    o = plan.width.front + np.arange(DEEPEST + 1) + 0.25
    grid_s, grid_o = np.meshgrid(s, o, indexing="ij")
    points = np.stack(
        [start[0] + grid_s * dx + grid_o * nx, start[1] + grid_s * dy + grid_o * ny], axis=-1
    ).reshape(-1, 2)
    taken = _taken(plan, points, index, ((start + end) / 2, length / 2 + 30))
    blocked = taken.reshape(steps, len(o))
    # How deep the ground is free behind the front, metre by metre along the street.
    depth = np.where(blocked.any(axis=1), blocked.argmax(axis=1), len(o)) - 1
    stream = seeded("navigation lots", plan.city.name, *edge, side)
    found, at = [], 0
    while at < steps:
        wide = stream.randint(8, 15)
        room = 0
        while room < wide and at + room < steps and depth[at + room] >= _SHALLOWEST:
            room += 1
        if room < 3:
            at += 1
            continue
        deep = min(int(depth[at : at + room].min()), stream.randint(8, DEEPEST))
        back = stream.choice((0.0, 0.0, 0.0, 0.4, 0.8))
        s0, s1 = at + 0.0, at + room + 0.0
        o0, o1 = plan.width.front + back, plan.width.front + deep

        def point(s: float, o: float) -> Point:
            return (
                float(start[0]) + s * dx + o * nx,
                float(start[1]) + s * dy + o * ny,
            )

        corners = counterclockwise((point(s0, o0), point(s1, o0), point(s1, o1), point(s0, o1)))
        found.append(
            Building(corners, stream.randrange(256), stream.randrange(256),
                     stream.getrandbits(32))
        )  # fmt: skip
        at += room
        if stream.random() < 0.12:
            at += stream.randint(1, 3)
    return found


def _taken(plan: Plan, points: Array, index: int, disc: tuple[Array, float]) -> NDArray[np.bool_]:
    """Whether points are on other streets, in sight of a landmark or in a landmark's house."""
    centre = (float(disc[0][0]), float(disc[0][1]))
    reach = disc[1]
    edges = plan.near(centre, reach)
    taken = plan.on_streets(points, edges[edges != index], plan.width.front - MARGIN)
    for mark, triangles in plan.sights:
        if math.dist(mark.at, centre) > reach + NEAR:
            continue
        if len(triangles):
            taken = taken | inside_triangles(points, triangles).any(axis=1)
        house = plan.houses.get(mark.name)
        if house is not None:
            taken = taken | in_box(points, house, 0.8)
    return taken
