"""Training problems of navigation: ID data alone, of training cities alone, and recorded."""

from itertools import islice

import pytest

import genbench
from genbench.errors import TaskError, UsageError
from genbench.models.rendering import Renderer
from genbench.training.data import make_data
from genbench.training.recipes import load_recipe
from genbench.training.rewards import instance_column, instance_from, verifier_reward
from genbench_tasks.navigation.actions import read_action
from genbench_tasks.navigation.cities import city_names, part_of
from genbench_tasks.navigation.splits import refuse_held_out
from genbench_tasks.navigation.training_data import Walks

FACTORY = "genbench_tasks.navigation.training_data:Walks"


@pytest.fixture(scope="module")
def walks():
    return Walks(0, routes=40, revision=0.3)


def test_an_item_depends_on_the_seed_and_its_number_alone(walks):
    other = Walks(0, routes=40, revision=0.3)
    assert [walks.example(index) for index in (5, 3, 17)] == [
        other.example(index) for index in (5, 3, 17)
    ]
    assert walks.example(5) != Walks(1, routes=40, revision=0.3).example(5)
    first = next(walks.batches(8))
    assert first == [walks.example(index) for index in range(8)]
    assert next(walks.batches(8, start=2)) == [walks.example(index) for index in range(16, 24)]


def test_responses_are_right_and_in_the_words_of_the_rule(walks):
    turns = 0
    for index in range(200):
        messages, response = walks.example(index)
        problem, state = walks.problem(index)
        verdict = walks.environment.verify(state, response)
        assert verdict.correct
        assert verdict.strict
        assert set(verdict.checks.values()) <= {True, None}
        assert state.data["rule"] == "absolute"
        assert messages[:1] == problem
        action = read_action(verdict.fields["action"])
        turns += action.kind == "turn"
        assert action.rule in (None, "absolute")
    assert 40 < turns < 120


def test_revisions_hold_a_failed_attempt_of_the_same_rule(walks):
    conversations = [walks.example(index)[0] for index in range(200)]
    revised = [messages for messages in conversations if len(messages) > 1]
    assert 30 < len(revised) < 90
    for messages in revised:
        assert [message.role for message in messages] == ["user", "assistant", "user"]
        assert "You failed this step because" in messages[-1].text
        wrong = messages[1].text
        assert "turn_direction(left" not in wrong
        assert "turn_direction(right" not in wrong


def test_only_training_cities_are_shown_and_the_record_names_them(walks):
    record = walks.record(100)
    assert record["environment"] == "navigation"
    assert record["rules"] == ["absolute"]
    assert all(part_of(name) == "train" for name in record["cities"])
    shown = {walks.problem(index)[1].cluster for index in range(100)}
    assert set(record["cities"]) == shown
    fresh = Walks(0, routes=40)
    list(islice(fresh.batches(10), 3))
    assert fresh.record()["items"] == 30
    assert fresh.record() == fresh.record(30)


def test_a_held_out_city_is_refused():
    name = next(city_names("grid", "test"))
    with pytest.raises(TaskError, match=f"{name} belongs to the part test"):
        refuse_held_out(name, "here")


def test_the_certificate_of_a_checkpoint_counts_its_cities(walks):
    train = genbench.load_task("virl-ood-rule", limit=20, settings={"part": "train", "n": 40})
    splits = {name: split.instances() for name, split in train.splits.items()}
    overlap = train.environment.training_overlap
    record = {"problems": walks.record(2000)}
    assert set(record["problems"]["cities"]) == set(walks._cities)
    # The same stream of training cities: these very routes were trained on.
    assert overlap(splits, record) == {"id": 20, "ood": 20}
    test = genbench.load_task("virl-ood-rule", limit=20)
    tested = {name: split.instances() for name, split in test.splits.items()}
    assert overlap(tested, record) == {"id": 0, "ood": 0}
    assert overlap(tested, {"problems": {"environment": "general-points"}}) is None
    child = {"problems": Walks(0, routes=1).record(1), "ancestors": [record]}
    assert overlap(splits, child) == {"id": 20, "ood": 20}
    assert overlap(splits, {**child, "ancestors": [{"problems": None}]}) is None


def test_another_rule_can_be_mixed_in():
    walks = Walks(0, routes=60, other_rule=0.5)
    rules = [walks.problem(index)[1].data["rule"] for index in range(120)]
    assert 30 < rules.count("relative") < 90
    assert walks.record(120)["rules"] == ["absolute", "relative"]
    for index in range(120):
        _, state = walks.problem(index)
        assert walks.environment.verify(state, walks.example(index)[1]).correct


def test_the_verifier_is_the_reward(walks):
    _, state = walks.problem(3)
    reward, paper = (verifier_reward(walks.environment, table) for table in ("outcome", "paper"))
    column = instance_column(state)
    assert instance_from(column) == state
    right = walks.example(3)[1]
    answers = [right, "nonsense", '{"action": "stop()", "current observation": "a wall"}']
    given = {"prompts": [""] * 3, "completions": answers, "instance": [column] * 3}
    assert reward(**given) == [1, 0, 0]
    assert paper(**given) == [1, -1, -1.5]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "absolut"}, "did you mean 'absolute'"),
        ({"frames": "bth"}, "did you mean 'both'"),
        ({"families": ["grd"]}, "did you mean 'grid'"),
        ({"routes": 0}, "n is 0"),
        ({"revision": 2}, "revision is a share"),
        ({"rotues": 3}, "did you mean 'routes'"),
        ({"prompt": "papr"}, "did you mean 'paper'"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(UsageError, match=message):
        make_data(FACTORY, settings, 0)


def test_the_recipe_trains_on_id_data_and_its_prompts_fit():
    from genbench_tasks.navigation.tokenizer import build_tokenizer

    recipe = load_recipe("virl-base")
    assert recipe.data.settings["rule"] == "absolute"
    assert "other_rule" not in recipe.data.settings
    data = make_data(recipe.data.factory, {**recipe.data.settings, "routes": 60}, recipe.seed)
    tokenizer = build_tokenizer()
    renderer = Renderer(tokenizer, "auto")
    longest = 0
    for index in range(300):
        messages, response = data.example(index)
        ids = renderer.ids(renderer.text(messages))
        assert tokenizer.decode(ids) == renderer.text(messages)
        longest = max(longest, len(ids) + len(tokenizer(response)["input_ids"]))
    assert longest < recipe.model.config["max_position_embeddings"] - 256
    assert longest < 700  # a few tokens a step: names are two, phrases one
