"""Navigation with vision: the picture is what is observed, and nothing else is changed."""

import io
import json
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import genbench
from genbench.errors import TaskError, UsageError
from genbench.task import SplitSpec
from genbench_tasks.navigation import views
from genbench_tasks.navigation.agents import HOSTILE
from genbench_tasks.navigation.cities import family_of, part_of
from genbench_tasks.navigation.prompts import AT_INTERSECTION, landmark_text, observation_text
from genbench_tasks.navigation.vision import NavigationVision

TASKS = ("virl-vl-ood-rule", "virl-vl-ood-visual", "virl-vl-ood-skin")
SMALL = {"pixels": 96}


def loaded(name, limit=6, **more):
    return genbench.load_task(name, limit=limit, settings=SMALL | more.pop("settings", {}), **more)


def states_of(task, split):
    return [
        state
        for route in task.splits[split].instances()
        for state in task.environment.states(route)
    ]


def text_of(task, state):
    (message,) = task.messages(state)
    return message.text


def picture_of(task, state):
    (message,) = task.messages(state)
    (image,) = message.images
    return np.asarray(PIL.Image.open(io.BytesIO(image.data)))


@pytest.fixture(scope="module")
def rule():
    return loaded("virl-vl-ood-rule", 6)


@pytest.fixture(scope="module")
def skin():
    return loaded("virl-vl-ood-skin", 6)


# -- what is asked --------------------------------------------------------------------------------


def test_the_text_does_not_depend_on_what_is_observed_now(rule):
    for split in ("id", "ood"):
        for state in states_of(rule, split):
            told = text_of(rule, state)
            other = {
                **state.data,
                "landmarks": [["Velvet Observatory", "left"]],
                "intersection": not state.data["intersection"],
                "expert": None,
            }
            assert text_of(rule, replace(state, data=other)) == told


def test_earlier_observations_stand_in_the_text_as_in_the_text_task(rule):
    text_task = genbench.load_task("virl-ood-rule", limit=6)
    for one, other in zip(states_of(rule, "ood"), states_of(text_task, "ood"), strict=True):
        assert one.data["history"] == other.data["history"]
        told = text_of(rule, one)
        for number, (observation, action) in enumerate(one.data["history"], 1):
            assert f"O_{number}: {observation}\nA_{number}: {action}\n" in told
        latest = f"O_{len(one.data['history']) + 1}: the picture."
        assert told.count(latest) == 1
        shared = set(text_of(text_task, other).splitlines()) & set(told.splitlines())
        assert len(shared) > len(one.data["legs"])  # instructions and actions are the same


def test_the_wording_of_an_observation_is_told(rule):
    told = text_of(rule, states_of(rule, "id")[0])
    for sector in ("front", "left front", "right", "behind"):
        assert landmark_text("NAME", sector) in told
    assert f'"{AT_INTERSECTION}"' in told


def test_routes_and_pairs_are_those_of_the_text_task(rule):
    text_task = genbench.load_task("virl-ood-rule", limit=6)
    for split in ("id", "ood"):
        ours, theirs = rule.splits[split].instances(), text_task.splits[split].instances()
        assert [one.pair_id for one in ours] == [one.pair_id for one in theirs]
        assert [one.data["route"] for one in ours] == [one.data["route"] for one in theirs]


def test_the_picture_is_the_view_of_the_walkers_place_and_heading(rule):
    for state in states_of(rule, "id")[:4]:
        data = state.data
        drawn = views.street_grid(data["city"], data["at"], data["heading"], pixels=96)
        assert (picture_of(rule, state) == np.asarray(PIL.Image.open(io.BytesIO(drawn)))).all()
        assert picture_of(rule, state).shape == (192, 192, 3)


def test_every_landmark_that_is_asked_for_can_be_seen_and_no_other(rule):
    for state in states_of(rule, "id"):
        data = state.data
        signs = views.visible_signs(data["city"], data["at"], data["heading"], 96)
        assert set(signs) == {name for name, _ in data["landmarks"]}


def test_a_free_walker_sees_where_it_stands():
    task = loaded("virl-vl-ood-rule", 2, protocol="free")
    route = task.splits["id"].instances()[0]
    episode = task.environment.episode(route, 1)
    places = set()
    for _ in range(3):
        state = episode.state
        places.add(tuple(state.data["at"]))
        drawn = views.street_grid(
            state.data["city"], state.data["at"], state.data["heading"], pixels=96
        )
        assert episode.messages()[0].images[0].data == drawn
        episode.step(next(task.environment.solutions(state)))
    assert len(places) == 3


def test_a_retry_shows_the_picture_once_more_and_says_nothing_of_it(rule):
    route = rule.splits["ood"].instances()[0]
    episode = rule.environment.episode(route, 2)
    before = episode.messages()[0]
    episode.step('{"action": "jump()"}')
    again = episode.messages()
    assert again[0] == before
    assert [message.role for message in again] == ["user", "assistant", "user"]
    data = episode.state.data
    assert not any(name in again[2].text for name, _ in data["landmarks"])


# -- what differs between splits ------------------------------------------------------------------


def test_both_sides_of_the_rule_shift_show_the_same_pictures(rule):
    for one, other in zip(states_of(rule, "id"), states_of(rule, "ood"), strict=True):
        (first,), (second,) = rule.messages(one), rule.messages(other)
        assert first.images[0]._source.args == second.images[0]._source.args
        assert one.data["rule"] != other.data["rule"]


def test_a_skin_changes_pictures_and_no_word(skin):
    looks = set()
    pairs = list(zip(states_of(skin, "id"), states_of(skin, "ood"), strict=True))
    for one, other in pairs:
        assert text_of(skin, one) == text_of(skin, other)
        assert one.data["picture"] | {"skin": None} == other.data["picture"] | {"skin": None}
        assert one.data["picture"]["skin"] is None
        looks.add(other.data["picture"]["skin"])
    assert looks <= set(views.SKINS)
    assert len(looks) > 2
    for one, other in pairs[:3]:
        assert (picture_of(skin, one) != picture_of(skin, other)).mean() > 0.3


def test_a_route_keeps_one_skin(skin):
    for route in skin.splits["ood"].instances():
        skins = {state.data["picture"]["skin"] for state in skin.environment.states(route)}
        assert skins == {route.data["picture"]["skin"]}


def test_the_visual_shift_goes_to_other_families_and_has_no_pairs():
    task = loaded("virl-vl-ood-visual", None)
    families = {
        name: {family_of(one.data["route"]["city"]) for one in split.instances()}
        for name, split in task.splits.items()
    }
    assert families == {"id": {"grid"}, "ood": {"diagonal", "organic", "radial"}}
    assert not task.protocol.paired
    assert {name: len(split.instances()) for name, split in task.splits.items()} == {
        "id": 300, "ood": 300,
    }  # fmt: skip
    pairs = [{one.pair_id for one in split.instances()} for split in task.splits.values()]
    assert not pairs[0] & pairs[1]


def test_the_papers_numbers_are_48_routes_and_18_in_nine_cities():
    task = loaded("virl-vl-ood-visual", None, protocol="paper")
    inside, out = task.splits["id"].instances(), task.splits["ood"].instances()
    assert len(inside) == 48
    assert len(out) == 18
    cities = [one.data["route"]["city"] for one in out]
    assert sorted(cities.count(city) for city in set(cities)) == [2] * 9
    assert {one.cluster for one in out} == set(cities)
    assert len({one.pair_id for one in out}) == 18
    routes = {json.dumps(one.data["route"]["steps"]) for one in out}
    assert len(routes) == 18
    assert all(one.data["episodes"] == "rail-stop" for one in (*inside, *out))


@pytest.mark.parametrize("name", TASKS)
def test_no_city_may_be_trained_on(name):
    task = loaded(name, None)
    found = task.environment.certificate(
        {split: one.instances() for split, one in task.splits.items()}
    )
    for split, counts in found["splits"].items():
        assert counts["problem_may_be_trained"] == 0
        cities = {one.data["route"]["city"] for one in task.splits[split].instances()}
        assert {part_of(city) for city in cities} == {"test"}


# -- fingerprints, settings -----------------------------------------------------------------------


def test_pixels_skin_and_renderer_are_part_of_the_fingerprint(monkeypatch):
    prints = {
        loaded("virl-vl-ood-rule", 2, settings=more).fingerprint
        for more in ({}, {"pixels": 97}, {"skin": "glass-night"}, {"skin": "any"})
    }
    assert len(prints) == 4
    monkeypatch.setattr(views, "VERSION", views.VERSION + 1)
    assert loaded("virl-vl-ood-rule", 2).fingerprint not in prints


def test_instances_are_json_and_do_not_depend_on_the_others(skin):
    many = loaded("virl-vl-ood-skin", 3)
    for one, other in zip(
        many.splits["ood"].instances(), skin.splits["ood"].instances(), strict=False
    ):
        assert json.loads(json.dumps(one.data)) == dict(one.data)
        assert one == other


def test_nothing_is_drawn_before_a_picture_is_read(monkeypatch, rule):
    monkeypatch.setattr(views, "street_grid", lambda *of, **named: pytest.fail("drawn"))
    for state in states_of(rule, "id"):
        assert rule.messages(state)
        assert rule.verify(state, next(rule.environment.solutions(state))).correct


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"pixels": 40}, r"pixels is 40, not 96 to 1024"),
        ({"pixels": True}, r"pixels is True"),
        ({"pixels": "224"}, r"pixels is '224'"),
        ({"skin": "glas-night"}, r"no skin 'glas-night'; .*glass-night.*`any`"),
        ({"skin": 3}, r"3 is no name"),
        ({"skins": "any"}, r"no setting 'skins'; .*skin"),
        ({"source": "virl", "skin": "glass-night"}, r"real streets have their own looks"),
        ({"per_city": 0}, r"per_city is 0"),
    ],
)
def test_a_wrong_setting_is_named(wrong, told):
    with pytest.raises(TaskError, match=told):
        NavigationVision(prompt="paper", feedback="outcome", settings=wrong).instances(
            SplitSpec("id", "id", rule="absolute")
        )


def test_where_real_views_lie_is_said_once_for_a_task():
    environment = NavigationVision(prompt="paper", feedback="outcome", settings={})
    split = SplitSpec("ood", "ood", rule="relative", settings={"street_views": "x"})
    with pytest.raises(TaskError, match="street_views is a setting of the task"):
        environment.instances(split)


def test_the_text_task_knows_no_pictures():
    with pytest.raises(TaskError, match="no setting 'pixels'"):
        genbench.load_task("virl-ood-rule", settings={"pixels": 96})
    task = genbench.load_task("virl-ood-rule")
    with pytest.raises(UsageError, match="no agent 'visual-memoriser'"):
        task.environment.agent("visual-memoriser", task.training_split)


# -- verdicts -------------------------------------------------------------------------------------

responses = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=200),
    st.builds(
        lambda **answer: json.dumps(answer),
        **{
            "current observation": st.sampled_from(["No landmark nearby", AT_INTERSECTION, "x"]),
            "action": st.sampled_from(["forward()", "turn_direction(left)", "stop()"]),
        },
    ),
)


@settings(max_examples=60, deadline=None)
@given(responses, st.integers(0, 20))
def test_the_verdicts_are_those_of_navigation_in_text(response, number):
    task, text_task = (
        loaded("virl-vl-ood-rule", 2), genbench.load_task("virl-ood-rule", limit=2),
    )  # fmt: skip
    ours, theirs = states_of(task, "ood"), states_of(text_task, "ood")
    place = number % len(ours)
    assert task.verify(ours[place], response) == text_task.verify(theirs[place], response)


def test_perception_is_of_the_pictures_landmarks_and_intersection(rule):
    state = next(one for one in states_of(rule, "id") if len(one.data["landmarks"]) == 2)
    right = json.loads(next(rule.environment.solutions(state)))
    marks = state.data["landmarks"]
    assert rule.verify(state, json.dumps(right)).checks["perception"] is True
    moved = [[marks[0][0], "behind" if marks[0][1] != "behind" else "left"], marks[1]]
    for said in (
        observation_text(moved, state.data["intersection"]),
        observation_text(marks[:1], state.data["intersection"]),
        observation_text(marks, not state.data["intersection"]),
        observation_text((), False),
    ):
        verdict = rule.verify(state, json.dumps({**right, "current observation": said}))
        assert verdict.correct
        assert verdict.checks["perception"] is False


# -- agents ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """(task, agent) -> results; few and small, since one of them looks at every picture."""
    output = tmp_path_factory.mktemp("vision")
    found = {}

    def results(task, kind, limit):
        if (task, kind) not in found:
            found[task, kind] = genbench.run(
                f"agent:{kind}", task, output=output / task, limit=limit,
                task_settings=SMALL | {"intersections": [3, 4]},
            )  # fmt: skip
        return found[task, kind]

    return results


@pytest.mark.parametrize("task", TASKS)
def test_the_oracle_solves_and_perceives_everything(played, task):
    for split in played(task, "oracle", 20).splits.values():
        assert split.success_rate.value == 1
        assert split.checks["perception"].value == 1


@pytest.mark.parametrize("task", TASKS)
def test_the_memoriser_fails_on_the_rule_shift_alone(played, task):
    results = played(task, "memoriser", 20)
    assert results.splits["id"].success_rate.value == 1
    found = results.generalization["ood"]
    if task == "virl-vl-ood-rule":
        assert results.splits["ood"].success_rate.value == 0
        assert found.stickiness.value == 1
    else:
        assert results.splits["ood"].success_rate.value == 1
        assert found.stickiness is None
        assert "keeps the rule" in found.stickiness_reason


@pytest.mark.parametrize("task", TASKS)
def test_the_visual_memoriser_fails_where_the_looks_are_others(played, task):
    results = played(task, "visual-memoriser", 3)
    inside, out = results.splits["id"], results.splits["ood"]
    assert inside.steps.accuracy.value == 1
    assert inside.checks["perception"].value == 1
    if task == "virl-vl-ood-rule":
        assert out.steps.accuracy.value == 1
        return
    assert out.steps.accuracy.value < 0.5
    assert out.checks["perception"].value < 0.6
