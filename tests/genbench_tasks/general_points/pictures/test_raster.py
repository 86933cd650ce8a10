"""The rasteriser against plain definitions: areas, winding numbers, points of curves."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genbench_tasks.general_points.pictures.decks import HEIGHT, WIDTH, transformed
from genbench_tasks.general_points.pictures.raster import (
    UNIT,
    fill,
    flattened,
    joined,
    paint,
)
from genbench_tasks.general_points.pictures.shapes import SUITS, disc, outlined, stroke

SIDE = 6
SCANLINES = 8
points = st.tuples(st.integers(-UNIT, (SIDE + 1) * UNIT), st.integers(-UNIT, (SIDE + 1) * UNIT))
polygons = st.lists(points, min_size=3, max_size=7).map(lambda found: np.array(found))


def canvas_of(contours):
    found = np.zeros((SIDE, SIDE), dtype=np.int64)
    left, top, mask = fill(joined(contours), SIDE, SIDE)
    found[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return found


def winding(contours, x, y):
    """How often the contours run round a point, by the definition, exactly."""
    total = 0
    for contour in contours:
        for (x0, y0), (x1, y1) in zip(contour, np.roll(contour, -1, axis=0), strict=True):
            x0, y0, x1, y1 = int(x0), int(y0), int(x1), int(y1)
            if min(y0, y1) <= y < max(y0, y1):
                crossing = x0 + (y - y0) * Fraction(x1 - x0) / (y1 - y0)
                if crossing < x:
                    total += 1 if y1 > y0 else -1
    return total


@given(st.lists(polygons, min_size=1, max_size=3))
@settings(max_examples=30, deadline=None)
def test_coverage_is_the_share_of_samples_with_a_winding_number(contours):
    found = canvas_of(contours)
    across = 16  # samples a pixel: an edge is off by one of them at most, on every scanline
    for row, column in ((0, 0), (2, 3), (5, 1)):
        inside = sum(
            winding(contours, column * UNIT + Fraction(UNIT * (2 * i + 1), 2 * across), y) != 0
            for k in range(SCANLINES)
            for y in [row * UNIT + Fraction(UNIT * (2 * k + 1), 2 * SCANLINES)]
            for i in range(across)
        )
        edges = sum(map(len, contours))
        tolerance = 1 + edges * 255 / across
        assert found[row, column] == pytest.approx(
            255 * inside / (SCANLINES * across), abs=tolerance
        )
        if inside in (0, SCANLINES * across) and edges == 3:
            assert found[row, column] in range(65) if inside == 0 else range(190, 256)


@given(
    st.integers(0, SIDE * UNIT - 64), st.integers(0, SIDE * UNIT - 64), st.integers(32, 900),
    st.integers(32, 900),
)  # fmt: skip
def test_a_box_covers_its_area_exactly(x, y, width, height):
    # On whole scanlines, so that nothing is left to sampling.
    y, height = y // 32 * 32, max(32, height // 32 * 32)
    box = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
    inside = (min(x + width, SIDE * UNIT) - x) * (min(y + height, SIDE * UNIT) - y)
    found = canvas_of([box])
    assert found.sum() == pytest.approx(255 * inside / UNIT**2, abs=SIDE * SIDE / 2)
    assert found.max() <= 255


def test_overlapping_contours_are_united_and_opposite_ones_cancel():
    box = np.array([(0, 0), (512, 0), (512, 512), (0, 512)])
    assert (canvas_of([box, box]) == canvas_of([box])).all()
    assert canvas_of([box, box[::-1]]).sum() == 0


def test_what_lies_outside_the_canvas_changes_nothing_inside_it():
    inside = np.array([(300, 300), (900, 350), (500, 1200)])
    outside = np.array([(-900, -900), (-300, -900), (-300, 9000), (-900, 9000)])
    beyond = np.array([(5000, 0), (6000, 0), (6000, 100)])
    assert (canvas_of([inside, outside, beyond]) == canvas_of([inside])).all()
    assert fill(joined([outside]), SIDE, SIDE)[2].size == 0
    assert fill(joined([]), SIDE, SIDE)[2].size == 0


@given(
    st.lists(st.tuples(st.integers(-5000, 5000), st.integers(-5000, 5000)), min_size=3, max_size=4)
)
def test_a_flattened_curve_runs_through_the_points_of_de_casteljau(controls):
    steps = 12
    found = flattened(*controls, steps=steps)
    for number, point in enumerate(found, 1):
        level = [tuple(map(Fraction, control)) for control in controls]
        t = Fraction(number, steps)
        while len(level) > 1:
            level = [
                tuple(a + t * (b - a) for a, b in zip(one, other, strict=True))
                for one, other in pairwise(level)
            ]
        assert all(
            abs(a - b) <= Fraction(1, 2) for a, b in zip(point.tolist(), level[0], strict=True)
        )
    assert tuple(found[-1]) == controls[-1]


def test_a_colour_at_full_coverage_replaces_and_at_none_leaves_what_was_there():
    canvas = np.full((4, 4, 3), 77, dtype=np.uint8)
    paint(canvas, joined([np.array([(0, 0), (512, 0), (512, 1024), (0, 1024)])]), (255, 0, 9))
    assert (canvas[:, :2] == (255, 0, 9)).all()
    assert (canvas[:, 2:] == 77).all()


def test_a_disc_has_the_area_of_a_circle_and_a_stroke_that_of_a_bar_with_round_ends():
    radius = 40 * UNIT
    for contours, area in (
        ([disc(50 * UNIT, 50 * UNIT, radius)], 3.14159265 * 40**2),
        (
            stroke([(30 * UNIT, 50 * UNIT), (70 * UNIT, 50 * UNIT)], 20 * UNIT),
            800 + 3.14159265 * 100,
        ),
    ):
        _, _, mask = fill(joined(contours), 100, 100)
        assert mask.sum() / 255 == pytest.approx(area, rel=0.02)


@pytest.mark.parametrize("suit", SUITS)
def test_a_suit_fills_its_box_is_symmetric_and_has_no_hole(suit):
    contours = [part * UNIT // 5 + 110 * UNIT for part in SUITS[suit]]
    _, _, mask = fill(joined(contours), 220, 220)
    assert mask.shape[0] in range(185, 202)
    assert np.abs(mask.astype(int) - mask[:, ::-1].astype(int)).max() <= 32
    inside = mask > 127
    for line in inside[5:-5]:  # between its outermost points a line has gaps of air alone
        where = np.flatnonzero(line)
        gaps = np.flatnonzero(~line[where[0] : where[-1]])
        assert len(gaps) < 0.6 * len(line)
    assert inside[len(inside) // 2, inside.shape[1] // 2]


def test_an_outline_is_wider_by_its_line_on_every_side():
    contours = outlined([disc(0, 0, 1000)], 100)
    reach = np.abs(np.concatenate(contours)).max(axis=0)
    assert (np.abs(reach - 1100) <= 6).all()


@pytest.mark.parametrize("width", [300, 20_000, 900_000])
@pytest.mark.parametrize("degrees", range(-20, 21, 5))
def test_a_turned_card_keeps_its_sides(width, degrees):
    corners = np.array([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)])
    found = transformed(corners, width, degrees).astype(float)
    for (one, other), side in zip(pairwise(found), (width, width * 7 / 5, width), strict=True):
        assert np.hypot(*(other - one)) == pytest.approx(side, rel=1e-4, abs=1.5)
    across, down = found[1] - found[0]
    assert np.degrees(np.arctan2(down, across)) == pytest.approx(degrees, abs=0.5)
    assert np.abs(found.sum(axis=0)).max() <= 4  # around the middle
