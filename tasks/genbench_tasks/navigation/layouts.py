"""Street layouts of the city families, as networkx graphs of points and straight streets.

Nodes are numbers with a position `at` (x east, y north; metres, to 0.1); edges join them and name
the street that they belong to. What is random comes from the stream alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any

import networkx as nx

from genbench_tasks.navigation.headings import STRAIGHT_WITHIN, heading_between, turn, wrapped
from genbench_tasks.navigation.names import STREET_KINDS, STREET_NAMES

Point = tuple[float, float]
Cell = tuple[int, int]
Layout = Callable[[Random], nx.Graph]

_MIN_STREET = 34.0
"""No two junctions of a street are nearer; shorter ones are joined into one."""
_STREET_GOES_ON = 30.0
"""A street keeps its name round a bend of at most so many degrees."""


def grid(stream: Random) -> nx.Graph:
    """Blocks of one size, turned by any angle; some blocks joined, a few diagonal avenues."""
    graph, position = _blocks(stream, missing=0.12, squares=0.04)
    for _ in range(stream.randint(2, 3)):
        _diagonal(graph, stream)
    return _placed(graph, position)


def diagonal(stream: Random) -> nx.Graph:
    """Small blocks cut by avenues that leave two squares in every diagonal direction."""
    graph, position = _blocks(stream, missing=0.06, squares=0.02)
    for column, row in stream.sample(sorted(graph), 2):
        for step in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            at = (column, row)
            while (onward := (at[0] + step[0], at[1] + step[1])) in graph:
                _cut_across(graph, at, onward)
                at = onward
    return _placed(graph, position)


def organic(stream: Random) -> nx.Graph:
    """An old town: blocks are the cells of scattered points, streets the borders between them."""
    import numpy as np
    from scipy.spatial import Voronoi

    size, spacing = 10, 88.0
    seeds = [
        (
            spacing * (column + 0.5 * (row % 2) + stream.uniform(-0.33, 0.33)),
            spacing * (row + stream.uniform(-0.33, 0.33)),
        )
        for row in range(size)
        for column in range(size)
    ]
    cells = Voronoi(np.array(seeds))
    inside = (0.5 * spacing, (size - 1) * spacing)
    graph: nx.Graph = nx.Graph()
    for start, end in cells.ridge_vertices:
        ends = [tuple(cells.vertices[index]) for index in (start, end) if index >= 0]
        if len(ends) == 2 and all(inside[0] <= v <= inside[1] for point in ends for v in point):
            graph.add_edge(start, end)
    position: dict[Any, Point] = {
        node: (float(x), float(y)) for node, (x, y) in enumerate(cells.vertices)
    }
    return _placed(graph, position)


def radial(stream: Random) -> nx.Graph:
    """Roads from a centre to the edge, ring roads across them; some pieces were never built."""
    spokes, rings = stream.randint(8, 11), stream.randint(5, 6)
    turned = stream.uniform(0, 360)
    angles = [turned + 360 * (k + stream.uniform(-0.18, 0.18)) / spokes for k in range(spokes)]
    radii = [70.0 + 78.0 * k * stream.uniform(0.97, 1.03) for k in range(rings)]
    graph: nx.Graph = nx.Graph()
    position: dict[Any, Point] = {(-1, 0): (0.0, 0.0)}
    for ring, radius in enumerate(radii):
        # Beyond the third ring a road between two others: blocks stay small outside, too.
        between = ring >= 3
        for spoke in range(2 * spokes if between else spokes):
            k, half = (spoke // 2, spoke % 2) if between else (spoke, 0)
            after = angles[(k + 1) % spokes] + (360 if k + 1 == spokes else 0)
            angle = math.radians(angles[k] + half * (after - angles[k]) / 2)
            key = (ring, 2 * k + half)
            position[key] = (radius * math.sin(angle), radius * math.cos(angle))
    for ring in range(rings):
        around = sorted(key for key in position if key[0] == ring)
        for here, beyond in zip(around, [*around[1:], around[0]], strict=True):
            if stream.random() > 0.1:
                graph.add_edge(here, beyond)
        for key in around:
            inner = (ring - 1, key[1]) if ring else (-1, 0)
            if inner in position and stream.random() > (0.1 if ring else 0.35):
                graph.add_edge(key, inner)
    return _placed(graph, position)


LAYOUTS: Mapping[str, Layout] = {
    "grid": grid, "diagonal": diagonal, "organic": organic, "radial": radial,
}  # fmt: skip


def _blocks(stream: Random, *, missing: float, squares: float) -> tuple[nx.Graph, dict[Any, Point]]:
    columns, rows = stream.randint(7, 9), stream.randint(7, 9)
    wide, deep = stream.uniform(62, 110), stream.uniform(62, 96)
    angle = math.radians(stream.uniform(0, 360))
    graph: nx.Graph = nx.grid_2d_graph(columns, rows)
    position: dict[Any, Point] = {}
    for column, row in graph:
        x, y = column * wide, row * deep
        position[column, row] = (
            x * math.cos(angle) - y * math.sin(angle),
            x * math.sin(angle) + y * math.cos(angle),
        )
    for edge in sorted(graph.edges):
        if stream.random() < missing:
            graph.remove_edge(*edge)
    for node in sorted(graph):
        if stream.random() < squares:
            graph.remove_node(node)
    return graph, position


def _diagonal(graph: nx.Graph, stream: Random) -> None:
    """A street across the blocks, from one border to another."""
    columns = 1 + max(column for column, _ in graph)
    rows = 1 + max(row for _, row in graph)
    rises = stream.choice((1, -1))
    column, row = stream.randint(-rows // 2, columns // 2), 0 if rises > 0 else rows - 1
    for _ in range(rows):
        onward = (column + 1, row + rises)
        if (column, row) in graph and onward in graph:
            _cut_across(graph, (column, row), onward)
        column, row = onward


def _cut_across(graph: nx.Graph, start: Cell, end: Cell) -> None:
    """A street across a block, unless one crosses it already."""
    if not graph.has_edge((start[0], end[1]), (end[0], start[1])):
        graph.add_edge(start, end)


def _placed(graph: nx.Graph, position: Mapping[Any, Point]) -> nx.Graph:
    """The largest connected part, tidied: no short streets, no bends without a junction."""
    whole: nx.Graph = nx.Graph(
        graph.subgraph(max(nx.connected_components(graph), key=lambda part: (len(part), min(part))))
    )
    at = {node: position[node] for node in whole}
    _join_close(whole, at)
    _straighten(whole, at)
    names = {node: number for number, node in enumerate(sorted(whole))}
    placed: nx.Graph = nx.Graph()
    for node in sorted(whole):
        placed.add_node(names[node], at=(round(at[node][0], 1), round(at[node][1], 1)))
    placed.add_edges_from(sorted(sorted((names[a], names[b])) for a, b in whole.edges))
    return placed


def _join_close(graph: nx.Graph, at: Mapping[Any, Point]) -> None:
    """Junctions that are too near to tell apart become one."""
    for a, b in sorted(tuple(sorted(edge)) for edge in graph.edges):
        if graph.has_edge(a, b) and math.dist(at[a], at[b]) < _MIN_STREET:
            others = [node for node in graph[b] if node != a]
            graph.remove_node(b)
            graph.add_edges_from(
                (a, node) for node in others if math.dist(at[a], at[node]) >= _MIN_STREET
            )


def _straighten(graph: nx.Graph, at: Mapping[Any, Point]) -> None:
    """Dead ends of one piece are cut off, and a straight street is one piece between junctions."""
    loose = [node for node in graph if graph.degree[node] == 1]
    while loose:
        graph.remove_nodes_from(loose)
        loose = [node for node in graph if graph.degree[node] <= 1]
    for node in sorted(graph):
        if graph.degree[node] != 2:
            continue
        before, after = sorted(graph[node])
        bend = turn(heading_between(at[before], at[node]), heading_between(at[node], at[after]))
        if abs(bend) <= STRAIGHT_WITHIN and not graph.has_edge(before, after):
            graph.remove_node(node)
            graph.add_edge(before, after)


def name_streets(graph: nx.Graph, family: str, stream: Random) -> None:
    """Give every edge the name of its street, which goes on straight through junctions."""
    at = {node: graph.nodes[node]["at"] for node in graph}
    streets: nx.Graph = nx.Graph()
    streets.add_nodes_from((a, b) if a < b else (b, a) for a, b in graph.edges)
    for node in graph:
        for a, b in _straight_pairs(at, node, sorted(graph[node])):
            streets.add_edge(
                (a, node) if a < node else (node, a), (b, node) if b < node else (node, b)
            )
    parts = sorted(sorted(part) for part in nx.connected_components(streets))
    kinds = STREET_KINDS[family]
    names = stream.sample(STREET_NAMES, min(len(parts), len(STREET_NAMES)))
    for number, part in enumerate(parts):
        a, b = part[0]
        along = wrapped(heading_between(at[a], at[b])) % 180 < 90
        kind = kinds[0] if len(kinds) == 1 or (len(kinds) == 2 and along) else stream.choice(kinds)
        for edge in part:
            again = number // len(names)
            graph.edges[edge]["street"] = f"{names[number % len(names)]} {kind}" + (
                f" {again + 1}" if again else ""
            )


def _straight_pairs(
    at: Mapping[int, Point], node: int, neighbours: Sequence[int]
) -> Iterable[tuple[int, int]]:
    """Pairs of neighbours that one street joins through a node, the straightest first."""
    bends = sorted(
        (abs(turn(heading_between(at[a], at[node]), heading_between(at[node], at[b]))), a, b)
        for position, a in enumerate(neighbours)
        for b in neighbours[position + 1 :]
    )
    used: set[int] = set()
    for bend, a, b in bends:
        if bend <= _STREET_GOES_ON and not {a, b} & used:
            used |= {a, b}
            yield a, b
