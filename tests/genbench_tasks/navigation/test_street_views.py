"""Street views: the same pixels everywhere, and what they show is what the observations say."""

import io
import math
import os
import subprocess
import sys
from functools import lru_cache
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genbench.task import TaskError
from genbench_tasks.general_points.pictures import pixel_hash
from genbench_tasks.navigation import names
from genbench_tasks.navigation.cities import FAMILIES, city, city_names
from genbench_tasks.navigation.headings import heading_between, sector, wrapped
from genbench_tasks.navigation.routes import route
from genbench_tasks.navigation.views import (
    LARGEST,
    SKINS,
    SMALLEST,
    lettering,
    street_grid,
    visible_signs,
)
from genbench_tasks.navigation.views.air import HOURS, WEATHER
from genbench_tasks.navigation.views.camera import FOCAL, VIEWS, cameras
from genbench_tasks.navigation.views.ground import ground_colours
from genbench_tasks.navigation.views.looks import look_of
from genbench_tasks.navigation.views.masonry import STYLES
from genbench_tasks.navigation.views.plan import plan
from genbench_tasks.navigation.views.render import draw_grid
from genbench_tasks.navigation.views.signs import colours_of, split_name

# The views in which a landmark of a sector may be: those on the border of two show in either.
VIEWS_OF = {
    "front": {"front"}, "right front": {"front", "right"}, "right": {"right"},
    "right behind": {"right", "behind"}, "behind": {"behind"}, "left behind": {"behind", "left"},
    "left": {"left"}, "left front": {"left", "front"},
}  # fmt: skip


@lru_cache(maxsize=1)
def walks():
    """Routes of every family, with their cities' names."""
    return [
        (name, route(name, 0))
        for family in FAMILIES
        for name in islice(city_names(family, "train", 3), 4)
    ]


def steps():
    return [(name, step) for name, walk in walks() for step in walk.steps]


def views_of(grid):
    """The four views of a grid by name."""
    side = len(grid) // 2
    parts = [grid[:side, :side], grid[:side, side:], grid[side:, :side], grid[side:, side:]]
    return dict(zip(VIEWS, parts, strict=True))


# -- the same pixels ----------------------------------------------------------------------------

# SHA-256 of decoded pixels: (city, place in metres, heading, pixels, skin). A change here is a
# change of what models are shown: raise views.VERSION with it.
GOLDEN = {
    "plain": (
        ("grid-000012", (12.7, -104.2), 300.2, 96, None),
        "5ff8d7c1b1bbcd33e2c01c5ea7adfeb4a4b452f3158802e173f5f3a94c4b7407",
    ),
    "snow": (
        ("grid-000004", None, 210.5, 224, None),
        "1ab5ce7440ce677c3da1bf03d1c2dad309be0cc5fb94ee2ac9235c293409059e",
    ),
    "diagonal": (
        ("diagonal-000027", None, 75.0, 112, None),
        "b1166f4cb8f08063cded12212ef3d7d17f40cc1465d2b15e11642821f812ed99",
    ),
    "organic": (
        ("organic-000024", None, 300.0, 131, None),
        "dc0d646b287577b32602121919a5137702eb2dddbd3abde719773d5e31060214",
    ),
    "radial": (
        ("radial-000020", None, 0.0, 128, None),
        "a1b656c03647f797848b023948f707f6469a222678d78125dc8b33bea2e52472",
    ),
    "night": (
        ("grid-000012", None, 120.0, 128, "neon-night"),
        "2978fb4e1e2285b516fc9ae1e31f4f2cd544fba0765dd94fc8da09f6da5de791",
    ),
    "fog": (
        ("organic-000008", None, 45.0, 128, "rubble-fog"),
        "39b97873817087ae8162b06d612782692736a4b60133c7c0b8d259dafa348582",
    ),
    "another city": (
        ("radial-000000", None, 45.0, 128, "organic-000007"),
        "146e87f51c54d59ed4e583f6210e45edb162a626e34e8d6425fcc2ec3d4a40a6",
    ),
}


def golden_grid(name):
    town, at, heading, pixels, skin = GOLDEN[name][0]
    return draw_grid(town, at or city(town).junctions[20], heading, pixels, skin)


@pytest.mark.parametrize("name", GOLDEN)
def test_views_have_the_pixels_that_they_had(name):
    assert pixel_hash(golden_grid(name)) == GOLDEN[name][1]


def test_another_process_without_wide_instructions_draws_the_same_pixels():
    code = (
        "from genbench_tasks.general_points.pictures import pixel_hash\n"
        "from genbench_tasks.navigation.views.render import draw_grid\n"
        "print(pixel_hash(draw_grid('radial-000031', (3.0, 9.0), 12.5, 96, 'timber-snow')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={
            **os.environ, "PYTHONHASHSEED": "99",
            "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512_SKX",
        },
    )  # fmt: skip
    here = draw_grid("radial-000031", (3.0, 9.0), 12.5, 96, "timber-snow")
    assert done.stdout.strip() == pixel_hash(here)


def test_a_png_holds_exactly_the_pixels_and_what_was_drawn_before_changes_none():
    grid = draw_grid("grid-000003", (20.0, 30.0), 77.0, 96, None)
    draw_grid("organic-000004", (20.0, 30.0), 77.0, 96, "glass-night")
    drawn = street_grid("grid-000003", (20.0, 30.0), 77.0, pixels=96)
    decoded = Image.open(io.BytesIO(drawn))
    assert decoded.mode == "RGB"
    assert decoded.size == (192, 192)
    assert (np.asarray(decoded) == grid).all()


def test_headings_are_modulo_360_and_places_may_be_whole_numbers():
    grid = draw_grid("grid-000013", (20, 30), 10, 96, None)  # it rains there: drops too
    assert (grid == draw_grid("grid-000013", (20.0, 30.0), 370.0, 96, None)).all()


# -- geometry -----------------------------------------------------------------------------------


def test_the_right_view_is_what_a_walker_who_turns_right_sees_in_front():
    at = city("grid-000012").junctions[24]
    before = views_of(draw_grid("grid-000012", at, 40.0, 160, None))
    after = views_of(draw_grid("grid-000012", at, 130.0, 160, None))
    below = 14  # the captions differ
    for here, there in (("right", "front"), ("behind", "right"), ("left", "behind")):
        assert (before[here][below:] == after[there][below:]).all()


@given(st.floats(0, 359.9), st.floats(-170, 180), st.floats(3, 60), st.sampled_from([96, 224, 448]))
@settings(deadline=None)
def test_a_point_is_seen_where_its_bearing_says(heading, aside, distance, pixels):
    """By trigonometry alone: column = middle + focal length * tangent of the angle."""
    views = cameras(heading, pixels)
    angle = math.radians(heading + aside)
    place = distance * math.sin(angle), distance * math.cos(angle)
    for view in range(4):
        off = (aside - 90 * view + 180) % 360 - 180
        column, depth = views.seen(view, *place)
        assert depth == pytest.approx(distance * math.cos(math.radians(off)), abs=1e-3)
        if abs(off) < 80:
            tangent = math.tan(math.radians(off))
            assert column == pytest.approx(pixels / 2 * (1 + FOCAL * tangent), abs=0.02)


def test_no_building_stands_in_a_street():
    """Streets are sampled every two metres from kerb to kerb, and buildings tested by the rule of
    a convex polygon's sides."""
    for name, _ in walks()[::4]:
        there = plan(name)
        for index in range(0, len(there.edges), 9):
            start, end = there.starts[index], there.ends[index]
            length = float(np.hypot(*(end - start)))
            way = (end - start) / length
            points = np.array(
                [
                    start + along * way + side * np.array([way[1], -way[0]])
                    for along in np.arange(0, length, 2.0)
                    for side in (-there.width.kerb, 0, there.width.kerb)
                ]
            )
            for one in there.buildings(tuple(start.tolist()), 60):
                corners = np.array(one.corners)
                edges = np.roll(corners, -1, axis=0) - corners
                off = points[:, None, :] - corners
                left = edges[:, 0] * off[..., 1] - edges[:, 1] * off[..., 0]
                assert not (left > 1e-6).all(axis=1).any(), (name, there.edges[index], one)


def test_an_intersection_is_seen_as_such():
    """Every way out of it is open for 30 m and has its crosswalk; the middle of a street has none
    of them near."""
    for name, walk in walks()[::2]:
        there, town = plan(name), walk.streets.city
        place = next(one for one in walk.places if one.junction is not None)
        at = town.junctions[place.junction]
        for heading, end in town.ways[place.junction]:
            reach = min(30.0, town.length((place.junction, end)))
            assert not hidden(there, at, ahead(at, heading, reach))
            clear = there.clearance(place.junction, end)
            stripes = [painted(name, at, heading, clear + 1.5, s) for s in (0.0, 0.6)]
            assert stripes[0] > stripes[1] + 40
        middle = [one for one in walk.places if one.junction is None and 0.3 < one.share < 0.7]
        if middle:
            at = walk.streets.point(middle[0])
            heading = walk.streets.ways(middle[0])[0][0]
            across = [painted(name, at, heading, 0.0, s) for s in (1.2, 1.8, 2.4)]
            assert max(across) - min(across) < 40


def ahead(at, heading, metres, aside=0.0):
    angle = math.radians(heading)
    return (
        at[0] + metres * math.sin(angle) + aside * math.cos(angle),
        at[1] + metres * math.cos(angle) - aside * math.sin(angle),
    )


def painted(name, at, heading, metres, aside):
    """The grey level of a point of the ground, seen from near."""
    x, y = ahead((0.0, 0.0), heading, metres, aside)
    columns = [np.array([value], dtype=np.float32) for value in (x, y, 4.0)]
    found = ground_colours(plan(name), at, *columns, cameras(0.0, 448), look_of(name, None))
    return float(found.mean())


def hidden(there, at, point, beside=""):
    """Whether a building other than the house of `beside` is between two points: each side of each
    building is intersected with the line."""
    dx, dy = point[0] - at[0], point[1] - at[1]
    for one in there.buildings(at, 45):
        for (x0, y0), (x1, y1) in zip(one.corners, (*one.corners[1:], one.corners[0]), strict=True):
            across = dx * (y1 - y0) - dy * (x1 - x0)
            if (one.mark and one.mark == beside) or abs(across) < 1e-9:
                continue
            px, py = x0 - at[0], y0 - at[1]
            share = (px * (y1 - y0) - py * (x1 - x0)) / across
            if 0 < share < 1 and 0 <= (px * dy - py * dx) / across <= 1:
                return True
    return False


# -- landmarks ----------------------------------------------------------------------------------


def test_pictures_name_exactly_the_landmarks_that_observations_list(states):
    for state in states["id"]:
        data = state.data
        shown = visible_signs(data["city"], data["at"], data["heading"], 224)
        assert set(shown) == {name for name, _ in data["landmarks"]}
    for name, step in steps():
        shown = visible_signs(name, step.at, step.heading, 96)
        assert set(shown) == {mark for mark, _ in step.observation.landmarks}


def test_a_landmark_is_named_in_the_view_of_its_sector_whole_and_large_enough_to_be_read():
    for name, step in steps():
        shown = visible_signs(name, step.at, step.heading, 224)
        for mark, where in step.observation.landmarks:
            assert {sign["view"] for sign in shown[mark]} <= VIEWS_OF[where], (name, step.at, mark)
            for sign in shown[mark]:
                left, top, right, bottom = sign["box"]
                assert 0 <= left < right <= 224
                assert 0 <= top < bottom <= 224
                assert sign["height"] >= 8
                middle = (left + right) / 2 - 112
                at = next(one.at for one in city(name).landmarks if one.name == mark)
                off = heading_between(step.at, at) - step.heading - 90 * VIEWS.index(sign["view"])
                exact = 112 * FOCAL * math.tan(math.radians(off))
                # A sign at a border is moved into the view as far as it must be.
                assert middle == pytest.approx(exact, abs=1) or abs(exact) > abs(middle)


def test_no_building_hides_a_landmark_from_where_it_is_observed():
    for name, step in steps():
        marks = {mark.name: mark for mark in city(name).landmarks}
        for mark, _ in step.observation.landmarks:
            assert not hidden(plan(name), step.at, marks[mark].at, beside=mark)


def test_no_sign_covers_another_one():
    found = 0
    for name, step in steps():
        for pixels in (96, 224):
            shown = visible_signs(name, step.at, step.heading, pixels)
            boxes = [(sign["view"], *sign["box"]) for signs in shown.values() for sign in signs]
            for number, (view, left, top, right, bottom) in enumerate(boxes):
                for other, l2, t2, r2, b2 in boxes[number + 1 :]:
                    if view == other:
                        found += 1
                        assert right <= l2 or r2 <= left or bottom <= t2 or b2 <= top
    assert found  # so that it can fail


def read(picture, name_colours, size, cap, words):
    """The words, of all that there are, whose letters fit a sign's picture best."""
    back, ink = (np.array(colour, dtype=float) for colour in name_colours)
    span = ink - back
    found = np.clip(((picture - back) @ span) / (span @ span), 0, 1)
    scores = []
    for word in words:
        mask = lettering.line(word, cap) / 255.0
        if mask.shape[1] > size[1]:
            continue
        best = min(
            float(np.abs(found[y : y + mask.shape[0], x : x + mask.shape[1]] - mask).sum())
            + float(found.sum() - found[y : y + mask.shape[0], x : x + mask.shape[1]].sum())
            for y in range(size[0] - mask.shape[0] + 1)
            for x in [(size[1] - mask.shape[1]) // 2]
        )
        scores.append((best, word))
    return min(scores)[1]


@pytest.mark.parametrize("skin", [None, "neon-night", "rubble-fog", "timber-snow"])
def test_names_can_be_read_off_the_pixels(skin):
    """Among all names and kinds, by template; in rain, fog, snow and at night as well."""
    number = 0
    for name, step in steps()[:: 7 if skin else 3]:
        shown = visible_signs(name, step.at, step.heading, 224)
        if not shown:
            continue
        views = views_of(draw_grid(name, step.at, step.heading, 224, skin))
        for mark, signs in shown.items():
            left, top, right, bottom = signs[0]["box"]
            sign = views[signs[0]["view"]][top + 1 : bottom - 1, left + 1 : right - 1]
            half, cap = len(sign) // 2, signs[0]["height"]
            for part, words, wanted in zip(
                (sign[:half], sign[half:]),
                (names.LANDMARK_NAMES, names.LANDMARK_KINDS), split_name(mark), strict=True,
            ):  # fmt: skip
                assert read(part, colours_of(mark), part.shape, cap, words) == wanted
                number += 1
        if number >= 16:
            return


def test_sectors_of_the_views_are_those_of_the_text():
    """The middle of each view is the middle of a sector."""
    for view, name in enumerate(VIEWS):
        assert sector(33.0, wrapped(33.0 + 90 * view)) == name


@given(st.floats(-400, 1200), st.floats(-400, 1200), st.floats(-720, 720), st.integers(96, 130))
@settings(deadline=None, max_examples=12)
def test_any_place_can_be_looked_at_from_even_inside_a_house(x, y, heading, pixels):
    drawn = Image.open(io.BytesIO(street_grid("organic-000024", (x, y), heading, pixels=pixels)))
    assert drawn.size == (2 * pixels, 2 * pixels)
    for name in visible_signs("organic-000024", (x, y), heading, pixels):
        at = next(mark.at for mark in city("organic-000024").landmarks if mark.name == name)
        assert math.dist(at, (x, y)) < 26


def test_far_from_the_city_there_is_nothing():
    assert not visible_signs("organic-000024", (1e5, 1e5), 12.0, 96)
    assert street_grid("organic-000024", (1e5, 1e5), 12.0, pixels=96)


# -- looks --------------------------------------------------------------------------------------


def test_every_look_that_a_city_can_have_can_be_drawn():
    built = {one for family in names.ARCHITECTURES.values() for one in family}
    assert built | {skin["architecture"] for skin in SKINS.values()} == set(STYLES)
    assert set(names.LIGHTS) | {skin["light"] for skin in SKINS.values()} == set(HOURS)
    assert set(names.WEATHERS) | {skin["weather"] for skin in SKINS.values()} == set(WEATHER)


def test_skins_change_what_is_drawn_and_no_sign():
    at = city("grid-000012").junctions[30]
    shown = visible_signs("grid-000012", at, 33.0, 128)
    assert shown
    drawn = {
        skin: views_of(draw_grid("grid-000012", at, 33.0, 128, skin)) for skin in (None, *SKINS)
    }
    for one in drawn:
        for other in drawn:
            difference = np.abs(drawn[one]["left"].astype(int) - drawn[other]["left"])
            assert one == other or difference.mean() > 6, (one, other)
    for sign in [sign for signs in shown.values() for sign in signs]:
        left, top, right, bottom = sign["box"]
        parts = [views[sign["view"]][top:bottom, left:right] for views in drawn.values()]
        assert all((part == parts[0]).all() for part in parts)


def test_a_city_as_skin_gives_its_looks_and_its_own_name_changes_nothing():
    at = city("grid-000012").junctions[30]
    own = draw_grid("grid-000012", at, 33.0, 96, None)
    assert (own == draw_grid("grid-000012", at, 33.0, 96, "grid-000012")).all()
    assert look_of("grid-000012", "radial-000020") == look_of("radial-000020", None)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"skin": "timber-snwo"}, "did you mean 'timber-snow'"),
        ({"skin": "grid-12"}, "there is no skin 'grid-12'"),
        ({"city": "grit-000012"}, "there is no city 'grit-000012'"),
        ({"pixels": SMALLEST - 1}, f"from {SMALLEST} to {LARGEST}"),
        ({"pixels": 224.0}, "224.0 pixels"),
        ({"heading": math.nan}, "no place to look from"),
        ({"at": (math.inf, 0.0)}, "no place to look from"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changed, said):
    asked = {"city": "grid-000012", "at": (0.0, 0.0), "heading": 0.0, "pixels": 96, **changed}
    with pytest.raises(TaskError, match=said):
        street_grid(asked.pop("city"), asked.pop("at"), asked.pop("heading"), **asked)


def test_other_letters_are_refused(monkeypatch):
    monkeypatch.setattr(lettering, "_SHA256", "0" * 64)
    lettering._font.cache_clear()
    lettering.line.cache_clear()
    try:
        with pytest.raises(TaskError, match=r"install the matplotlib of constraints\.txt"):
            street_grid("grid-000012", (0.0, 0.0), 0.0, pixels=96)
    finally:
        lettering._font.cache_clear()
