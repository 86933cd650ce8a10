"""Synthetic cities: streets, landmarks and looks, all a function of the city's name.

A city is named `<family>-<number>`. Its part (train, dev, test) is a function of its name too, so
that the parts share no city by construction. Distances are metres; x is east and y north.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Any

from genbench.task import TaskError, closest, derive_seed, fingerprint, seeded
from genbench_tasks.navigation.headings import heading_between, wrapped
from genbench_tasks.navigation.names import (
    ARCHITECTURES,
    LANDMARK_KINDS,
    LANDMARK_NAMES,
    LIGHTS,
    PALETTES,
    STREET_KINDS,
    WEATHERS,
)

if TYPE_CHECKING:
    import networkx as nx

Point = tuple[float, float]
Edge = tuple[int, int]

FAMILIES = tuple(STREET_KINDS)
PARTS = ("train", "dev", "test")
_PART_OF_TEN = ("test", "test", "test", "dev", "dev", *("train",) * 5)
_NUMBERS = 1_000_000

_AT_JUNCTIONS = 0.75
"""Share of the junctions with a landmark; a third of them have two."""
_ALONG_STREETS = 0.6
"""Share of the streets with a landmark between their junctions."""


@dataclass(frozen=True)
class Landmark:
    """A named place; `facing` is the heading of its front."""

    name: str
    at: Point
    facing: float


@dataclass(frozen=True)
class City:
    """See the module. `junctions[i]` is where junction i lies, `ways[i]` its streets as
    (heading, junction at the other end) by heading; `near` lists the landmarks at a junction
    (an int) and along a street between two (a pair, the lower junction first)."""

    name: str
    family: str
    junctions: tuple[Point, ...]
    ways: tuple[tuple[tuple[float, int], ...], ...]
    streets: Mapping[Edge, str]
    near: Mapping[int | Edge, tuple[Landmark, ...]]
    appearance: Mapping[str, Any]

    def length(self, edge: Edge) -> float:
        """The length of the street between two junctions."""
        return math.dist(self.junctions[edge[0]], self.junctions[edge[1]])

    @property
    def landmarks(self) -> Iterator[Landmark]:
        for found in self.near.values():
            yield from found

    def description(self) -> dict[str, Any]:
        """The whole city as JSON values: what a map or a renderer needs."""
        return {
            "name": self.name,
            "family": self.family,
            "part": part_of(self.name),
            "junctions": [list(point) for point in self.junctions],
            "streets": [
                {"between": list(edge), "name": name} for edge, name in sorted(self.streets.items())
            ],
            "landmarks": [
                {"name": mark.name, "at": list(mark.at), "facing": mark.facing}
                for mark in self.landmarks
            ],
            "appearance": dict(self.appearance),
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the description."""
        return fingerprint(self.description())


def family_of(name: str) -> str:
    """The family of a city. Raises TaskError for a name that no city has."""
    family, _, number = name.rpartition("-")
    if family not in FAMILIES or not (number.isascii() and number.isdigit() and len(number) == 6):
        raise TaskError(
            f"there is no city '{name}'; a city is <family>-<six digits>, and the family one of "
            f"{', '.join(FAMILIES)}"
        )
    return family


def part_of(name: str) -> str:
    """The part (`train`, `dev`, `test`) that a city belongs to, with all its routes."""
    return _PART_OF_TEN[derive_seed("navigation part", name) % 10]


def city_names(family: str, part: str, seed: int = 0) -> Iterator[str]:
    """The cities of a family in a part, in an order that depends on the seed: 200,000 or more."""
    if family not in FAMILIES:
        raise TaskError(f"there is no family of cities '{family}'; {closest(family, FAMILIES)}")
    if part not in PARTS:
        raise TaskError(f"there is no part '{part}'; {closest(part, PARTS)}")
    stream = seeded("navigation cities", family, part, seed)
    seen: set[int] = set()
    while len(seen) < _NUMBERS:
        number = stream.randrange(_NUMBERS)
        name = f"{family}-{number:06d}"
        if number not in seen and part_of(name) == part:
            yield name
        seen.add(number)


@lru_cache(maxsize=1)
def partition_fingerprint() -> str:
    """SHA-256 of what decides the parts: checkpoints trained against another one prove nothing."""
    sample = [f"{family}-{number:06d}" for family in FAMILIES for number in range(200)]
    return fingerprint({"parts": {name: part_of(name) for name in sample}})


@lru_cache(maxsize=256)
def city(name: str) -> City:
    """The city of that name, the same in every process. Raises TaskError."""
    from genbench_tasks.navigation.layouts import LAYOUTS, name_streets

    family = family_of(name)
    stream = seeded("navigation city", name)
    graph = LAYOUTS[family](stream)
    name_streets(graph, family, stream)
    junctions = tuple(graph.nodes[node]["at"] for node in range(len(graph)))
    ways = tuple(
        tuple(
            sorted((round(heading_between(junctions[node], junctions[end]), 1), end)
                   for end in graph[node])
        )
        for node in range(len(graph))
    )  # fmt: skip
    return City(
        name=name,
        family=family,
        junctions=junctions,
        ways=ways,
        streets={_edge(a, b): graph.edges[a, b]["street"] for a, b in graph.edges},
        near=_landmarks(graph, junctions, ways, stream),
        appearance=_appearance(family, stream),
    )


def _edge(a: int, b: int) -> Edge:
    return (a, b) if a < b else (b, a)


def _landmarks(
    graph: nx.Graph,
    junctions: Sequence[Point],
    ways: Sequence[Sequence[tuple[float, int]]],
    stream: Random,
) -> dict[int | Edge, tuple[Landmark, ...]]:
    """Landmarks on corners of junctions and at streets; every name comes once in a city."""
    edges = sorted(_edge(a, b) for a, b in graph.edges)
    most = 2 * len(junctions) + len(edges)
    kinds = len(LANDMARK_KINDS)
    names = (
        f"{LANDMARK_NAMES[number // kinds]} {LANDMARK_KINDS[number % kinds]}"
        for number in stream.sample(range(len(LANDMARK_NAMES) * kinds), most)
    )
    found: dict[int | Edge, tuple[Landmark, ...]] = {}
    for node, at in enumerate(junctions):
        if stream.random() < _AT_JUNCTIONS:
            corners = _corners([heading for heading, _ in ways[node]])
            count = min(len(corners), 1 + (stream.random() < 1 / 3))
            found[node] = tuple(
                _landmark(next(names), at, corner, stream.uniform(12, 16), corner + 180)
                for corner in stream.sample(corners, count)
            )
    for a, b in edges:
        if stream.random() < _ALONG_STREETS:
            (x, y), (u, v) = junctions[a], junctions[b]
            share = stream.uniform(0.38, 0.62)
            along = heading_between(junctions[a], junctions[b])
            side = stream.choice((90, -90))
            at = (x + share * (u - x), y + share * (v - y))
            found[a, b] = (
                _landmark(next(names), at, along + side, stream.uniform(8, 9.5), along - side),
            )
    return found


def _landmark(name: str, near: Point, heading: float, distance: float, facing: float) -> Landmark:
    angle = math.radians(heading)
    at = (near[0] + distance * math.sin(angle), near[1] + distance * math.cos(angle))
    return Landmark(name, (round(at[0], 1), round(at[1], 1)), round(wrapped(facing), 1))


def _corners(headings: Sequence[float]) -> list[float]:
    """The middles of the gaps between streets that are wide enough for a building."""
    corners = []
    for here, after in zip(headings, [*headings[1:], headings[0] + 360], strict=True):
        gap = after - here
        if gap >= 40:
            corners.append(wrapped(here + gap / 2))
    return corners


def _appearance(family: str, stream: Random) -> dict[str, Any]:
    """How the city looks: for renderers; no text depends on it."""
    ground, walls, accent, sky = stream.choice(PALETTES[family])
    return {
        "architecture": stream.choice(ARCHITECTURES[family]),
        "storeys": sorted(stream.sample(range(2, 9 if family in ("grid", "diagonal") else 5), 2)),
        "light": stream.choice(LIGHTS),
        "sun": stream.randrange(360),
        "weather": stream.choice(WEATHERS),
        "palette": {"ground": ground, "walls": walls, "accent": accent, "sky": sky},
    }
