"""Headings: every pair of whole degrees, and any floating-point number."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genbench_tasks.navigation.headings import (
    COMPASS,
    NOMINAL,
    RELATIVE,
    SECTORS,
    compass,
    compass_heading,
    heading_between,
    sector,
    turn,
    turn_class,
    wrapped,
)

EVERY = range(360)
ANY = st.floats(-1e6, 1e6, allow_nan=False)


def test_a_turn_is_the_shortest_way_round_for_every_pair_of_headings():
    for start in EVERY:
        for end in EVERY:
            degrees = turn(start, end)
            assert -180 < degrees <= 180
            assert (start + degrees - end) % 360 == 0
            # The angle between two directions, by their scalar product.
            cosine = math.cos(math.radians(start)) * math.cos(math.radians(end))
            cosine += math.sin(math.radians(start)) * math.sin(math.radians(end))
            assert math.isclose(
                abs(degrees), math.degrees(math.acos(max(-1, min(1, cosine)))), abs_tol=1e-4
            )


def test_a_turn_keeps_its_name_when_both_headings_turn_alike():
    """The reference code says left from 350 to 10: it takes the difference without modulo 360."""
    for start in EVERY:
        for degrees in EVERY:
            assert turn_class(start, start + degrees) == turn_class(0, degrees)
            assert sector(start, start + degrees) == sector(0, degrees)
    assert turn_class(350, 10) == "slightly right"
    assert turn_class(10, 350) == "slightly left"
    assert turn_class(350, 80) == "right"


def test_straight_and_behind_are_classes_of_their_own():
    names = [turn_class(0, degrees) for degrees in EVERY]
    assert {name: names.count(name) for name in set(names)} == {
        "straight": 31,  # -15 to 15
        "slightly right": 30,  # 16 to 45
        "slightly left": 30,
        "right": 112,  # 46 to 157
        "left": 112,
        "behind": 45,  # 158 to 202
    }
    assert turn_class(0, 180) == turn_class(90, 270) == "behind"


def test_left_and_right_are_mirror_images():
    mirrored = {"left": "right", "right": "left", "straight": "straight", "behind": "behind"}
    mirrored |= {"slightly left": "slightly right", "slightly right": "slightly left"}
    for degrees in EVERY:
        assert turn_class(0, -degrees) == mirrored[turn_class(0, degrees)]


def test_the_words_of_a_turn_stand_for_turns_of_that_name():
    assert set(NOMINAL) == set(RELATIVE)
    for word, degrees in NOMINAL.items():
        for heading in EVERY:
            assert turn_class(heading, heading + degrees) == word


@pytest.mark.parametrize(
    ("degrees", "word"),
    # The headings of the public V-IRL route files, with the words that stand beside them.
    [(298, "northwest"), (212, "southwest"), (120, "southeast"), (259, "west"), (170, "south")],
)
def test_compass_words_are_those_of_the_public_route_files(degrees, word):
    assert compass(degrees) == word


def test_a_compass_word_is_the_nearest_of_the_eight():
    for degrees in EVERY:
        word = compass(degrees)
        away = {name: abs(turn(compass_heading(name), degrees)) for name in COMPASS}
        assert away[word] == min(away.values())
    assert compass(22.4999) == "north"
    assert compass(22.5) == "northeast"
    assert compass(337.5) == "north"


@pytest.mark.parametrize(
    ("heading", "bearing", "where"),
    # Landmarks of the public files: their bearing and the walker's, and where the files say it is.
    [
        (298, 285.71551411805376, "front"),  # Prince St
        (212, 164.1762035021701, "left front"),  # Aritzia
        (259, 121.10357876421074, "left behind"),  # Starbucks
    ],
)
def test_sectors_are_those_of_the_public_route_files(heading, bearing, where):
    assert sector(heading, bearing) == where


@given(ANY, ANY)
def test_any_headings_have_names(heading, other):
    assert 0 <= wrapped(heading) < 360
    assert -180 < turn(heading, other) <= 180
    assert compass(heading) in COMPASS
    assert sector(heading, other) in SECTORS
    assert turn_class(heading, other) in (*RELATIVE, "straight", "behind")


def test_headings_between_points_go_clockwise_from_north():
    points = [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)]
    assert [compass(heading_between((0, 0), point)) for point in points] == list(COMPASS)
    assert heading_between((5, 5), (5, 6)) == 0
