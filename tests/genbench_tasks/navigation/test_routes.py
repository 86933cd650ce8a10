"""Routes: what they say is what is done, in both vocabularies, and nothing else would do."""

from itertools import islice

import pytest

from genbench.task import TaskError
from genbench_tasks.navigation.actions import Action
from genbench_tasks.navigation.cities import FAMILIES, city_names
from genbench_tasks.navigation.headings import RELATIVE, compass, turn_class
from genbench_tasks.navigation.routes import route
from genbench_tasks.navigation.walking import Place

ROUTES = [route(name, 0) for family in FAMILIES for name in islice(city_names(family, "train"), 25)]


def test_the_same_route_comes_again():
    for one in ROUTES[::10]:
        assert route.__wrapped__(one.streets.city.name, 0).json() == one.json()


def test_walking_what_the_steps_say_leads_along_them_in_either_vocabulary():
    for one in ROUTES:
        for rule in ("absolute", "relative"):
            place, heading = one.start, one.heading
            for step, expected in zip(one.steps, one.places, strict=True):
                assert (place, heading) == (expected, step.heading)
                assert one.streets.observe(place, heading) == step.observation
                if step.action == "stop":
                    break
                word = getattr(step, rule) if step.action == "turn" else ""
                heading, place = one.streets.after(place, heading, Action(step.action, word))
            assert place == one.goal


def test_turns_have_words_and_the_words_are_true():
    for one in ROUTES:
        for step, following in zip(one.steps, one.steps[1:], strict=False):
            named = turn_class(step.heading, following.heading)
            if step.action == "turn":
                assert step.relative == named
                assert named in RELATIVE
                assert step.absolute == compass(following.heading)
            else:
                assert step.action == "forward"
                assert named == "straight"


def test_routes_have_three_to_twelve_intersections_and_meet_none_twice():
    counts = [one.intersections for one in ROUTES]
    assert (min(counts), max(counts)) == (3, 12)
    for one in ROUTES:
        met = [place for place in one.places if place.junction is not None]
        assert len(met) == len(set(met)) == one.intersections
    short = [route(name, 0, 3, 5) for name in islice(city_names("grid", "train"), 25)]
    assert {one.intersections for one in short} == {3, 4, 5}


def test_the_end_of_a_leg_can_be_told_from_every_place_before_it():
    """A walker that follows the instruction does not stop early: no intersection that is passed
    looks like the one to turn at, and no place like the destination."""
    for one in ROUTES:
        for number, leg in enumerate(one.legs):
            walked = [step for step in one.steps if step.instruction == 2 * number + 2]
            told = (leg.landmark, leg.sector)
            passed = [step.observation for step in walked if step.observation.intersection]
            if number == len(one.legs) - 1:
                assert walked[-1].action == "stop"
                assert told in walked[-1].observation.landmarks
                assert all(told not in step.observation.landmarks for step in one.steps[:-1])
            elif leg.landmark:
                assert all(told not in observation.landmarks for observation in passed)
            else:
                assert not passed


def test_instructions_are_carried_out_in_order():
    for one in ROUTES:
        numbers = [step.instruction for step in one.steps]
        assert numbers == sorted(numbers)
        assert numbers[0] == 1
        assert numbers[-1] == 2 * len(one.legs)
        assert all((step.instruction % 2 == 1) == (step.action == "turn") for step in one.steps)


def test_all_directions_and_all_turns_occur():
    turns = [step for one in ROUTES for step in one.steps if step.action == "turn"]
    assert {step.relative for step in turns} == set(RELATIVE)
    assert len({step.absolute for step in turns}) == 8
    assert any(step.observation.landmarks for one in ROUTES for step in one.steps)
    assert any(not step.observation.landmarks for one in ROUTES for step in one.steps)


def test_the_goal_is_farther_from_the_start_than_the_radius_of_success():
    for one in ROUTES:
        (x, y), (u, v) = one.streets.point(one.start), one.streets.point(one.goal)
        assert (x - u) ** 2 + (y - v) ** 2 > 50**2


def test_a_walker_that_cannot_go_on_stays():
    one = ROUTES[0]
    node = next(place for place in one.places if place.junction is not None)
    ways = one.streets.ways(node)
    away = (ways[0][0] + 180) % 360
    blocked = Action("forward")
    if all(turn_class(away, heading) != "straight" for heading, _ in ways):
        assert one.streets.after(node, away, blocked) is None
    edge = next(place for place in one.places if place.junction is None)
    along = one.streets.ways(edge)[0][0]
    assert one.streets.after(edge, along, Action("turn", "left")) is None
    assert one.streets.after(edge, along, Action("stop")) is None


def test_a_place_has_a_way_forth_and_a_way_back():
    one = ROUTES[0]
    for place in one.places:
        for heading, end in one.streets.ways(place):
            back = [
                other
                for way, other in one.streets.ways(end)
                if abs((way - heading) % 360 - 180) < 0.2
            ]
            assert back == [place]
            assert isinstance(end, Place)


def test_a_city_without_such_a_route_is_named():
    with pytest.raises(TaskError, match="there is no city"):
        route("grid-xxxxxx", 0)
