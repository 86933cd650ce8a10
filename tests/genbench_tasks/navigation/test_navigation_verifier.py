"""The verifier of navigation: what is right, what is said to the walker, and any text at all."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import genbench
from genbench.records import verdict_json
from genbench_tasks.navigation.actions import RULES, Action, action_space, read_action
from genbench_tasks.navigation.environment import Navigation
from genbench_tasks.navigation.prompts import (
    ACTION,
    INSTRUCTION,
    OBSERVATION,
    answer_text,
    instruction_texts,
    observation_text,
)
from genbench_tasks.navigation.verifier import FEEDBACK, OUTCOMES, expert_action

OTHER = {"absolute": "relative", "relative": "absolute"}


@pytest.fixture(scope="session")
def environment(rule_task):
    return rule_task.environment


def answer(environment, state, action=None, observation=None, instruction=None):
    """The right answer to a state, but for what is given."""
    data = state.data
    return answer_text(
        observation_text(data["landmarks"], data["intersection"])
        if observation is None
        else observation,
        environment.due(data) if instruction is None else instruction,
        str(expert_action(data)) if action is None else action,
    )


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_the_papers_actions(rule):
    names = {str(action) for action in action_space(rule)}
    assert {"forward()", "stop()"} < names
    assert len(names) == {"absolute": 10, "relative": 6}[rule]
    assert all(read_action(name) in action_space(rule) for name in names)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("forward()", Action("forward")),
        (" Forward( ) ", Action("forward")),
        ("stop", Action("stop")),
        ("turn_direction(north)", Action("turn", "north")),
        ('turn_direction("north-west")', Action("turn", "northwest")),
        ("turn_direction( North East )", Action("turn", "northeast")),
        ("turn_direction(slightly_left)", Action("turn", "slightly left")),
        ("turn_direction(slight right)", Action("turn", "slightly right")),
        ("turn(left).", Action("turn", "left")),
        ("turn_direction()", None),
        ("turn_direction(around)", None),
        ("turn_direction(straight)", None),
        ("turn_direction(north, east)", None),
        ("forward(north)", None),
        ("forward(); stop()", None),
        ("north", None),
        ("", None),
    ],
)
def test_an_action_is_read_whatever_its_spelling_and_nothing_else_is(text, action):
    assert read_action(text) == action


def test_every_state_has_one_right_action_and_it_is_the_experts(environment, states):
    for state in states["id"][:40] + states["ood"][:40]:
        actions = {action for rule in RULES for action in action_space(rule)}
        right = [
            action
            for action in actions
            if environment.verify(state, answer(environment, state, str(action))).correct
        ]
        assert right == [expert_action(state.data)]


@pytest.mark.parametrize("split", ["id", "ood"])
def test_outcomes_say_what_was_wrong(environment, of_kind, split):
    turn, forward, stop = (of_kind(split, kind) for kind in ("turn", "forward", "stop"))
    rule, expert = turn.data["rule"], turn.data["expert"]
    mine = next(word for word in RULES[rule] if word != expert[rule])
    theirs = next(word for word in RULES[OTHER[rule]] if word != expert[OTHER[rule]])
    for state, action, outcome in (
        (turn, f"turn_direction({expert[rule]})", "correct"),
        (turn, f"turn_direction({mine})", "wrong_direction"),
        (turn, f"turn_direction({expert[OTHER[rule]]})", "right_in_other_words"),
        (turn, f"turn_direction({theirs})", "wrong_in_other_words"),
        (turn, "forward()", "wrong_action"),
        (turn, "turn_direction(around)", "illegal_action"),
        (forward, "forward()", "correct"),
        (forward, "stop()", "wrong_action"),
        (forward, f"turn_direction({mine})", "wrong_action"),
        (forward, f"turn_direction({theirs})", "wrong_in_other_words"),
        (stop, "stop()", "correct"),
        (stop, "forward()", "wrong_action"),
    ):
        verdict = environment.verify(state, answer(environment, state, action))
        assert (verdict.outcome, verdict.correct) == (outcome, outcome == "correct"), action


def test_only_the_action_decides(environment, of_kind):
    state = of_kind("id", "turn")
    right = str(expert_action(state.data))
    for text in (
        answer(environment, state, observation="No landmark nearby", instruction="Go home."),
        json.dumps({ACTION: right}),
        f"Action: {right}",
        f"{{'action': '{right}', }}",
        f'I turn. {{"current observation": null, "current instruction": 7, "action": "{right}"}}',
    ):
        assert environment.verify(state, text).correct


def test_perception_and_instruction_are_checked_apart(environment, of_kind):
    state = of_kind("id", "turn")
    data = state.data
    texts = instruction_texts(data["legs"], data["rule"], data["frames"])
    due = data["expert"]["instruction"]
    seen = observation_text(data["landmarks"], data["intersection"])
    name, place = data["landmarks"][0]
    elsewhere = "left" if place != "left" else "right"

    def checks(**given):
        return environment.verify(state, answer(environment, state, **given)).checks

    assert checks() == {"perception": True, "rule": True, "instruction": True, "action": True}
    for observation in (
        seen.upper(),
        f"O_3: {seen}.",
        f"I see that {seen}".replace("; you are at an intersection", ", at the intersection"),
    ):
        assert checks(observation=observation)["perception"] is True, observation
    for observation in (
        "No landmark nearby",
        observation_text([[name, elsewhere]], data["intersection"]),
        observation_text(data["landmarks"], not data["intersection"]),
        f"{seen}; {data['legs'][-1]['landmark']} is on your left",
        "",
    ):
        assert checks(observation=observation)["perception"] is False, observation
    for instruction in (str(due), f"{due}.", f"{due}. {texts[due - 1]}", texts[due - 1].lower()):
        assert checks(instruction=instruction)["instruction"] is True
    for instruction in (str(due + 1), texts[due], f"{due + 1}. {texts[due - 1]}", "turn"):
        assert checks(instruction=instruction)["instruction"] is False


def test_an_intersection_may_be_denied_in_words(environment, states):
    state = next(
        state
        for state in states["id"]
        if not state.data["intersection"] and not state.data["landmarks"]
    )
    for said, right in (
        ("No landmark nearby, not at an intersection", True),
        ("No landmark nearby; no intersection", True),
        ("No landmark nearby; I am at an intersection", False),
    ):
        text = answer(environment, state, observation=said)
        assert environment.verify(state, text).checks["perception"] is right


def test_a_response_that_cannot_be_parsed_has_seen_nothing_wrong(environment, of_kind):
    for text in ("", " \n", "I do not know.", "{" * 3000):
        verdict = environment.verify(of_kind("id", "turn"), text)
        assert set(verdict.checks.values()) == {None}
        assert verdict.outcome in ("unparsable", "empty")


def test_the_vocabulary_of_a_turn_is_a_reading_of_the_rule(environment, of_kind):
    state = of_kind("ood", "turn")
    expert = state.data["expert"]
    for rule in RULES:
        text = answer(environment, state, f"turn_direction({expert[rule]})")
        verdict = environment.verify(state, text)
        assert verdict.readings == (("turn", rule),)
        assert verdict.checks["rule"] is (rule == "relative")
        assert verdict.checks["action"] is True
    assert environment.verify(state, answer(environment, state, "forward()")).readings == ()
    assert environment.expected_readings(state) == {"turn": "relative"}


def test_feedback_is_true_and_names_no_action(of_kind):
    """The reference code tells a walker at an intersection that it is not at one."""
    for level in ("outcome", "detail"):
        environment = Navigation(prompt="paper", feedback=level, settings={})
        for kind in ("turn", "forward", "stop"):
            for split in ("id", "ood"):
                state = of_kind(split, kind)
                for action in action_space(state.data["rule"]):
                    verdict = environment.verify(state, answer(environment, state, str(action)))
                    said = verdict.feedback.lower()
                    assert "intersection" not in said
                    assert "observation" not in said  # it was right
                    words = [word for words in RULES.values() for word in words]
                    assert not any(f" {word}" in said for word in [*words, "forward", "stop"])


def test_detail_tells_of_a_wrong_observation_and_instruction_only_where_they_are_wrong(of_kind):
    environment = Navigation(prompt="paper", feedback="detail", settings={})
    state = of_kind("id", "turn")
    verdict = environment.verify(
        state, answer(environment, state, "stop()", observation="No landmark nearby")
    )
    assert "observation is not the latest" in verdict.feedback
    assert "instruction that you chose" not in verdict.feedback
    verdict = environment.verify(state, answer(environment, state, "stop()", instruction="99"))
    assert "observation is not the latest" not in verdict.feedback
    assert "instruction that you chose" in verdict.feedback
    quiet = Navigation(prompt="paper", feedback="none", settings={})
    assert quiet.verify(state, "stop()").feedback == "your answer is not correct."


def test_rewards_are_those_of_the_paper(of_kind):
    environment = Navigation(prompt="paper", feedback="outcome", settings={"reward": "paper"})
    state = of_kind("id", "turn")

    def reward(**given):
        return environment.verify(state, answer(environment, state, **given)).reward

    assert reward() == 1.0
    assert reward(action="stop()") == -1.0
    assert reward(action="stop()", observation="No landmark nearby") == -1.5
    assert environment.verify(state, "").reward == -1.0
    with pytest.raises(genbench.errors.TaskError, match="did you mean 'paper'"):
        Navigation(prompt="paper", feedback="outcome", settings={"reward": "papers"})


def test_a_cut_off_response_is_truncated_unless_it_is_right(environment, of_kind):
    state = of_kind("id", "turn")
    assert environment.verify(state, answer(environment, state), truncated=True).correct
    for text in ("", "{", answer(environment, state, "stop()")):
        assert environment.verify(state, text, truncated=True).outcome == "truncated"


def test_a_right_answer_in_the_format_is_strict(environment, of_kind):
    state = of_kind("ood", "turn")
    right = answer(environment, state)
    assert environment.verify(state, right).strict
    loose = answer(environment, state, str(expert_action(state.data)).upper())
    assert environment.verify(state, loose).correct
    assert not environment.verify(state, loose).strict


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
ACTIONS = st.sampled_from(
    [str(action) for rule in RULES for action in action_space(rule)]
    + ["turn_direction(", "turn_direction(north))", "FORWARD()", "forward", "()", "turn left"]
)
ANSWERS = st.fixed_dictionaries(
    {ACTION: ACTIONS | JSON}, optional={OBSERVATION: JSON, INSTRUCTION: JSON}
)


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(max_size=300)
    | ANSWERS.map(lambda found: json.dumps(found, default=str))
    | ANSWERS.map(repr)
    | st.tuples(st.text(max_size=40), ANSWERS.map(json.dumps), st.text(max_size=40)).map("".join),
    truncated=st.booleans(),
    number=st.integers(0, 200),
)
def test_any_text_gets_a_verdict(text, truncated, number, rule_task, states):
    state = (states["id"] + states["ood"])[number]
    verdict = rule_task.environment.verify(state, text, truncated=truncated)
    assert verdict.outcome in OUTCOMES
    assert verdict.correct == (verdict.outcome == "correct")
    assert verdict == rule_task.environment.verify(state, text, truncated=truncated)
    stored = json.dumps(verdict_json(verdict), allow_nan=False)
    assert len(stored) < 5000
    if verdict.correct:
        assert verdict.fields["action"] == str(expert_action(state.data))


@pytest.mark.parametrize(
    "text",
    [
        "{" * 400_000,
        '{"action": "' + "a" * 300_000,
        '{"action": "turn_direction(' + "(" * 300_000 + '"}',
        "forward(" * 50_000,
        '{"action": "stop()", "current observation": "' + "no intersection " * 20_000 + '"}',
        '{"action": "stop()", "current instruction": "' + "1" * 300_000 + '"}',
        "\ud800" * 1000 + '{"action": "stop()"}',
        "turn_direction(north)\n" * 40_000,
        "x" * 1_000_000,
    ],
)
def test_hostile_lengths_get_a_verdict(environment, of_kind, text):
    verdict = environment.verify(of_kind("id", "turn"), text)
    assert not verdict.correct
    assert verdict.outcome in OUTCOMES
    json.dumps(verdict_json(verdict), allow_nan=False)


def test_every_outcome_has_its_feedback():
    assert {*FEEDBACK, "correct"} == set(OUTCOMES)


@pytest.mark.parametrize("frames", ["both", "matching"])
@pytest.mark.parametrize("rule", RULES)
def test_frames_decide_whether_the_other_vocabulary_is_there_to_copy(rule, frames):
    task = genbench.load_task("virl-ood-rule", limit=10, settings={"frames": frames})
    split = {"absolute": "id", "relative": "ood"}[rule]
    for route in task.splits[split].instances():
        for state in task.environment.states(route):
            expert = state.data["expert"]
            if expert["action"] != "turn":
                continue
            turn = instruction_texts(state.data["legs"], rule, frames)[expert["instruction"] - 1]
            said = turn.lower().removeprefix("first, ").rstrip(".").split()
            assert (expert["absolute"] in said) == (frames == "both" or rule == "absolute")
            relative = f"turn {expert['relative']}" in turn.lower()
            assert relative == (frames == "both" or rule == "relative")


def test_the_prompts_of_two_rules_differ_in_the_words_of_the_turn_alone(rule_task):
    pairs = zip(
        rule_task.splits["id"].instances(), rule_task.splits["ood"].instances(), strict=True
    )
    for inside, out in pairs:
        assert inside.pair_id == out.pair_id
        texts = [rule_task.messages(route)[0].text for route in (inside, out)]
        assert (
            texts[0].replace(", ".join(RULES["absolute"]), ", ".join(RULES["relative"]))
            == (texts[1])
        )
