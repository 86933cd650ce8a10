"""Episodes of many steps: on the rail, to the first failure, and walking freely."""

import pytest

import genbench
from genbench.errors import TaskError
from genbench.task import Instance
from genbench_tasks.navigation.actions import Action, action_space
from genbench_tasks.navigation.cities import city
from genbench_tasks.navigation.prompts import answer_text, observation_text
from genbench_tasks.navigation.splits import stored_route
from genbench_tasks.navigation.verifier import expert_action


def task_of(episodes, **settings):
    return genbench.load_task("virl-ood-rule", limit=8, settings={"episodes": episodes, **settings})


def right(state):
    data = state.data
    return answer_text(
        observation_text(data["landmarks"], data["intersection"]), "", str(expert_action(data))
    )


def wrong(state):
    expert = expert_action(state.data)
    other = next(action for action in action_space(state.data["rule"]) if action != expert)
    return answer_text("", "", str(other))


def routes(task, split="ood"):
    return task.splits[split].instances()


@pytest.mark.parametrize("episodes", ["rail", "rail-stop", "free"])
@pytest.mark.parametrize("split", ["id", "ood"])
def test_the_expert_walks_to_the_end(episodes, split):
    task = task_of(episodes)
    for route in routes(task, split):
        episode = task.environment.episode(route, 2)
        asked = []
        while not episode.done:
            asked.append(episode.state)
            assert episode.place == (len(asked) - 1, 1)
            assert episode.step(right(episode.state)).correct
        assert episode.solved
        assert asked == list(task.environment.states(route))


def test_on_the_rail_a_step_has_its_attempts_and_a_failed_one_does_not_end_the_walk():
    task = task_of("rail")
    route = routes(task)[0]
    states = task.environment.states(route)
    episode = task.environment.episode(route, 2)
    episode.step(right(episode.state))
    assert episode.place == (1, 1)
    before = episode.messages()
    verdict = episode.step(wrong(episode.state))
    assert episode.place == (1, 2)
    assert [message.role for message in episode.messages()] == ["user", "assistant", "user"]
    assert episode.messages()[:1] == tuple(before)
    assert verdict.feedback in episode.messages()[-1].text
    episode.step(wrong(episode.state))
    assert episode.place == (2, 1)
    assert not episode.done
    # The next prompt is the expert's: what was answered wrongly left no trace in it.
    assert episode.messages() == tuple(task.messages(states[2]))
    while not episode.done:
        episode.step(right(episode.state))
    assert episode.place == (len(states), 1)
    assert not episode.solved


def test_a_second_attempt_can_save_a_step():
    task = task_of("rail-stop")
    route = routes(task)[0]
    episode = task.environment.episode(route, 2)
    while not episode.done:
        episode.step(wrong(episode.state))
        episode.step(right(episode.state))
    assert episode.solved


def test_rail_stop_ends_where_the_attempts_are_used_up():
    task = task_of("rail-stop")
    episode = task.environment.episode(routes(task)[0], 2)
    episode.step(right(episode.state))
    episode.step(wrong(episode.state))
    assert not episode.done
    episode.step(wrong(episode.state))
    assert episode.done
    assert not episode.solved
    assert episode.place == (2, 1)


def test_history_is_what_was_observed_and_done():
    task = task_of("rail")
    for route in routes(task):
        states = task.environment.states(route)
        for number, state in enumerate(states):
            assert len(state.data["history"]) == number
            text = task.messages(state)[0].text
            for place, (earlier, step) in enumerate(
                zip(states, state.data["history"], strict=False), 1
            ):
                data = earlier.data
                seen = observation_text(data["landmarks"], data["intersection"])
                assert step == [seen, str(expert_action(data))]
                assert f"O_{place}: {seen}\nA_{place}: {expert_action(data)}\n" in text
            assert f"O_{number + 1}: " in text
            assert f"A_{number + 1}: " not in text


def test_a_free_walker_goes_where_it_says():
    task = task_of("free")
    for route in routes(task, "id"):
        found = stored_route(route.data["route"])
        episode = task.environment.episode(route, 2)
        place, heading = found.start, found.heading
        while not episode.done:
            # Away from the goal, or anywhere at all.
            number = len(episode.verdicts)
            action = action_space("absolute")[(5 * number + number // 3) % 9]
            way = found.streets.after(place, heading, action)
            verdict = episode.step(answer_text("", "", str(action)))
            if way is not None:
                heading, place = way
            data = episode.state.data
            if not episode.done:
                seen = found.streets.observe(place, heading)
                assert data["landmarks"] == seen.json()["landmarks"]
                assert data["intersection"] == (place.junction is not None)
                on_route = (place, heading) in [
                    (one, step.heading) for one, step in zip(found.places, found.steps, strict=True)
                ]
                assert (data["expert"] is not None) == on_route
            if verdict.outcome == "off_route":
                assert verdict.checks["action"] is None
        assert len(episode.verdicts) <= 2 * len(found.steps) + 4
        (x, y), (u, v) = found.streets.point(place), found.streets.point(found.goal)
        assert episode.solved == (((x - u) ** 2 + (y - v) ** 2) ** 0.5 <= 25)


def test_a_walk_that_stops_at_once_fails_and_one_that_stops_nearby_succeeds():
    task = task_of("free", radius=50)
    for route in routes(task):
        episode = task.environment.episode(route, 1)
        episode.step(answer_text("", "", "stop()"))
        assert episode.done
        assert not episode.solved
        episode = task.environment.episode(route, 1)
        before = None
        while not episode.done:
            if task.environment.step_kind(episode.state) == "stop":
                before = episode.distance
            episode.step(right(episode.state))
        assert before == 0
        assert episode.solved


def test_a_walker_that_says_nothing_legal_stays_and_is_on_its_route_still():
    task = task_of("free")
    route = routes(task)[0]
    episode = task.environment.episode(route, 1)
    start = episode.state
    for text in ("", "no", '{"action": "turn_direction(around)"}', '{"action": null}'):
        episode.step(text)
        assert episode.state.data["expert"] == start.data["expert"]
        assert episode.state.data["landmarks"] == start.data["landmarks"]
    # A turn in the other vocabulary is no action here.
    episode.step(answer_text("", "", f"turn_direction({start.data['expert']['absolute']})"))
    assert episode.state.data["expert"] == start.data["expert"]
    assert [action for _, action in episode.state.data["history"]] == ["(none)"] * 5
    while not episode.done:
        episode.step(right(episode.state))
    assert episode.solved


def test_a_walker_that_comes_back_to_its_route_is_on_it_again():
    task = task_of("free")
    for route in routes(task, "id"):
        found = stored_route(route.data["route"])
        episode = task.environment.episode(route, 1)
        back = {str(action) for action in action_space("absolute")}
        first = episode.state.data["expert"]["absolute"]
        away = next(
            word
            for word in ("north", "east", "south", "west", "northeast", "southeast")
            if word != first
            and found.streets.after(found.start, found.heading, Action("turn", word))
        )
        episode.step(answer_text("", "", f"turn_direction({away})"))
        if episode.state.data["expert"] is None:
            assert episode.step(answer_text("", "", "forward()")).outcome == "off_route"
            return
        assert back
    pytest.fail("no route could be left")


def test_a_route_of_a_city_that_has_changed_is_refused():
    task = task_of("free")
    route = routes(task)[0]
    changed = {**route.data["route"], "city_fingerprint": "0" * 64}
    with pytest.raises(TaskError, match="no longer what it was"):
        task.environment.episode(
            Instance(route.id, route.pair_id, route.cluster, {**route.data, "route": changed}), 1
        )
    assert city(route.data["route"]["city"]).fingerprint == route.data["route"]["city_fingerprint"]


def test_a_state_is_an_instance_of_its_own():
    """What a data set of states is trained on and judged by: no route is needed with it."""
    task = task_of("rail")
    state = task.environment.states(routes(task)[0])[2]
    copy = Instance(state.id, state.pair_id, state.cluster, dict(state.data))
    assert list(task.environment.states(copy)) == [copy]
    assert task.environment.verify(copy, right(state)).correct
    episode = task.environment.episode(copy, 2)
    episode.step(wrong(copy))
    assert not episode.done
    episode.step(right(copy))
    assert episode.solved


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"episodes": "rial"}, "did you mean 'rail'"),
        ({"frames": "one"}, "frames is 'one'"),
        ({"part": "tst"}, "did you mean 'test'"),
        ({"families": ["grids"]}, "did you mean 'grid'"),
        ({"families": []}, "not a list of city families"),
        ({"families": "grid"}, "not a list of city families"),
        ({"intersections": [2, 12]}, "from 3 to 12"),
        ({"intersections": [5, 4]}, "from 3 to 12"),
        ({"intersections": 5}, "from 3 to 12"),
        ({"n": 0}, "n is 0"),
        ({"n": True}, "n is True"),
        ({"seed": -1}, "seed is -1"),
        ({"radius": "far"}, "not 1 to 50 metres"),
        ({"famlies": ["grid"]}, "did you mean 'families'"),
        ({"source": "virl", "episodes": "free"}, "no map"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(TaskError, match=message):
        genbench.load_task("virl-ood-rule", settings=settings)
