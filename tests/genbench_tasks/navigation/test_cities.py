"""Synthetic cities: reproducible, disjoint by part, and of different shapes."""

from collections import Counter
from itertools import islice

import networkx as nx
import pytest

from genbench.task import TaskError
from genbench_tasks.navigation.cities import (
    FAMILIES,
    PARTS,
    city,
    city_names,
    family_of,
    part_of,
    partition_fingerprint,
)


def some(family, part="train", count=8):
    return [city(name) for name in islice(city_names(family, part), count)]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_city_follows_from_its_name(family):
    name = next(city_names(family, "test"))
    again = city.__wrapped__(name)
    assert again == city(name)
    assert again.fingerprint == city(name).fingerprint
    assert family_of(name) == family


@pytest.mark.parametrize("family", FAMILIES)
def test_two_cities_share_no_fingerprint(family):
    assert len({town.fingerprint for town in some(family)}) == 8


def test_parts_share_no_city_and_the_test_part_is_large():
    names = {
        part: {name for family in FAMILIES for name in islice(city_names(family, part), 500)}
        for part in PARTS
    }
    assert sum(map(len, names.values())) == 3 * 4 * 500
    assert not names["train"] & names["test"]
    assert not names["train"] & names["dev"]
    assert not names["dev"] & names["test"]
    assert all(part_of(name) == part for part in PARTS for name in names[part])


def test_another_seed_gives_other_cities():
    first, second = (set(islice(city_names("grid", "test", seed), 300)) for seed in (0, 1))
    assert len(first & second) < 10


@pytest.mark.parametrize("family", FAMILIES)
def test_streets_form_one_network_without_dead_ends(family):
    for town in some(family):
        graph = nx.Graph((node, end) for node, ways in enumerate(town.ways) for _, end in ways)
        assert nx.is_connected(graph)
        assert set(graph) == set(range(len(town.junctions)))
        assert min(degree for _, degree in graph.degree) >= 2
        assert {tuple(sorted(edge)) for edge in graph.edges} == set(town.streets)
        assert min(town.length(edge) for edge in town.streets) > 30
        assert len(town.junctions) >= 20


@pytest.mark.parametrize("family", FAMILIES)
def test_streets_do_not_cross_between_junctions(family):
    def side(p, q, r):
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    for town in some(family, count=3):
        edges = sorted(town.streets)
        for number, one in enumerate(edges):
            for other in edges[number + 1 :]:
                if set(one) & set(other):
                    continue
                a, b = (town.junctions[end] for end in one)
                c, d = (town.junctions[end] for end in other)
                crosses = side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
                assert not crosses, (town.name, one, other)


@pytest.mark.parametrize("family", FAMILIES)
def test_landmarks_have_names_of_their_own_and_lie_near_their_streets(family):
    for town in some(family):
        names = [mark.name for mark in town.landmarks]
        assert len(names) == len(set(names)) > 30
        for key, marks in town.near.items():
            ends = (key,) if isinstance(key, int) else key
            for mark in marks:
                xs, ys = zip(*(town.junctions[end] for end in ends), strict=True)
                assert min(xs) - 17 <= mark.at[0] <= max(xs) + 17
                assert min(ys) - 17 <= mark.at[1] <= max(ys) + 17


def test_a_street_keeps_its_name_straight_through_junctions():
    for town in some("grid"):
        for node, ways in enumerate(town.ways):
            for heading, end in ways:
                for other, beyond in ways:
                    if abs((other - heading) % 360 - 180) <= 0.2:
                        names = {town.streets[tuple(sorted((node, one)))] for one in (end, beyond)}
                        assert len(names) == 1


def test_families_differ_in_shape():
    """Junctions of a grid are mostly of right angles, those of an old town rarely; avenues make
    junctions of six streets and more, which an old town has none of."""

    def right_angles(town):
        gaps = [
            (after - here) % 360
            for ways in town.ways
            for (here, _), (after, _) in zip(ways, [*ways[1:], ways[0]], strict=True)
        ]
        return sum(abs(gap - 90) < 3 or abs(gap - 180) < 3 for gap in gaps) / len(gaps)

    def share(family, measure):
        towns = some(family)
        return sum(map(measure, towns)) / len(towns)

    assert share("grid", right_angles) > 0.7 > 0.3 > share("organic", right_angles)
    wide = {
        family: Counter(len(ways) >= 6 for town in some(family) for ways in town.ways)[True]
        for family in FAMILIES
    }
    assert wide["organic"] == 0
    assert wide["diagonal"] > wide["grid"] > 0


def test_appearance_is_of_the_family_and_varies():
    looks = {
        family: {town.appearance["architecture"] for town in some(family)} for family in FAMILIES
    }
    assert all(len(found) > 1 for found in looks.values())
    assert not looks["organic"] & looks["radial"]
    found = some("grid")[0].description()["appearance"]
    assert set(found) == {"architecture", "storeys", "light", "sun", "weather", "palette"}
    assert all(color.startswith("#") and len(color) == 7 for color in found["palette"].values())


@pytest.mark.parametrize("name", ["grid-1", "gird-000001", "grid", "grid-00000a", "-000001"])
def test_a_name_that_no_city_has_is_refused(name):
    with pytest.raises(TaskError, match=f"there is no city '{name}'"):
        city(name)


def test_an_unknown_family_or_part_is_named_with_the_closest():
    with pytest.raises(TaskError, match="did you mean 'grid'"):
        next(city_names("gridd", "test"))
    with pytest.raises(TaskError, match="did you mean 'test'"):
        next(city_names("grid", "tset"))


def test_what_is_held_out_does_not_change_unseen():
    """A checkpoint's certificate holds against this partition alone: changing it is a release."""
    assert partition_fingerprint().startswith("76b1ee14252a4fcf")
