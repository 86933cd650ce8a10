"""Training data: the settings do what they say, and no factory shows a held-out hand."""

import json
import re
from random import Random

import pytest

from genbench.errors import TaskError, UsageError
from genbench.task import Instance
from genbench_tasks.general_points import mixture, training_data
from genbench_tasks.general_points.cards import RULES, has_face, multiset, numbers_of
from genbench_tasks.general_points.environment import GeneralPoints
from genbench_tasks.general_points.hands import (
    class_of,
    face_hands,
    held_out_numbers,
    is_paired,
    part_of,
    partition_fingerprint,
)
from genbench_tasks.general_points.mixture import Mixture
from genbench_tasks.general_points.training_data import OwnSamples, RuleProblems

ITEMS = 400
SETTINGS = [
    {},
    {"diversity": "paraphrases", "solutions": "several"},
    {"diversity": "rules", "solutions": "random", "face_share": 1.0},
    {"revision": 0.5, "style": "plain", "face_share": 0.0},
]
FACE_10 = RULES["face-10"]


def sample_lines(count=40, seed=3):
    data = RuleProblems(seed=seed)
    for index in range(count):
        _, instance = data.problem(index)
        _, response = data.example(index)
        raw = {"id": "i", "pair_id": "p", "cluster": "c", "data": dict(instance.data)}
        yield json.dumps({"instance": raw, "response": response})


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(sample_lines()) + "\n")
    return OwnSamples(seed=1, path=str(path))


def cards_asked(messages):
    (listed,) = re.findall(r"^Cards: \[(.*)\]$", messages[0].text, re.MULTILINE)
    return tuple(card.strip("' ") for card in listed.split(","))


def conversations(data):
    """Everything that a trainer would be given."""
    for index in range(ITEMS):
        yield data.example(index)[0]
        yield data.problem(index)[0]


# -- no held-out hand ---------------------------------------------------------------------------


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_no_text_of_rule_problems_shows_a_held_out_hand(settings):
    shown = {class_of(cards_asked(c)) for c in conversations(RuleProblems(seed=7, **settings))}
    assert len(shown) > 50
    assert {part_of(hand_class) for hand_class in shown} == {"train"}


def test_no_text_of_own_samples_shows_a_held_out_hand(own):
    shown = {class_of(cards_asked(messages)) for messages in conversations(own)}
    assert len(shown) > 20
    assert {part_of(hand_class) for hand_class in shown} == {"train"}


def test_no_text_of_the_mixture_shows_a_held_out_hand():
    batches = Mixture(seed=2).batches(64)
    shown = {class_of(cards_asked(m)) for _ in range(8) for m, _ in next(batches)}
    assert {part_of(hand_class) for hand_class in shown} == {"train"}


def planted_hand(part="test"):
    return next(hand for hand in face_hands(part) if is_paired(hand))


@pytest.mark.parametrize("part", ["test", "dev"])
def test_a_held_out_hand_planted_among_the_rule_problems_is_refused(monkeypatch, part):
    hand = planted_hand(part)
    monkeypatch.setattr(training_data, "training_hands", lambda rule, *, faces: (hand,))
    data = RuleProblems(seed=0)
    for ask in (data.example, data.problem, data.record):
        with pytest.raises(TaskError, match="may not be trained on"):
            ask(1)


def test_a_test_hand_planted_under_another_rule_is_refused(monkeypatch):
    hand = planted_hand()
    rule = {"J": 7, "Q": 7, "K": 7}
    data = {"cards": list(hand), "rule": "mixed", "values": rule, "target": 24}
    solution = mixture._random_solution((1, 2, 3, 4), Random(0))
    drawn = Instance("train", "train", "train", data), solution
    monkeypatch.setattr(training_data, "draw_problem", lambda *arguments: drawn)
    monkeypatch.setattr(mixture, "draw_problem", lambda *arguments: drawn)
    with pytest.raises(TaskError, match="may not be trained on"):
        RuleProblems(seed=0, diversity="rules", other_rules=1.0).example(0)
    with pytest.raises(TaskError, match="may not be trained on"):
        next(Mixture(seed=0).batches(2))


def test_a_numeral_hand_with_the_numbers_of_a_test_hand_is_refused(monkeypatch):
    """Another class, the same problem: what a test hand reads as is held out too."""
    numbers = next(n for n in sorted(held_out_numbers()) if part_of(n) == "train")
    cards = tuple("A" if number == 1 else str(number) for number in numbers)
    monkeypatch.setattr(training_data, "training_hands", lambda rule, *, faces: (cards,))
    with pytest.raises(TaskError, match="may not be trained on"):
        RuleProblems(seed=0).example(0)


def test_a_test_hand_planted_among_own_samples_is_refused_with_its_line(tmp_path):
    hand = planted_hand()
    data = {"cards": list(hand), "rule": "face-10", "values": FACE_10, "target": 24}
    environment = GeneralPoints(prompt="paper", feedback="outcome", settings={})
    right = next(environment.solutions(Instance("i", "i", "i", data)))
    raw = {"id": "i", "pair_id": "p", "cluster": "c", "data": data}
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join([*sample_lines(2), json.dumps({"instance": raw, "response": right})]))
    with pytest.raises(TaskError, match=r"line 3: the hand .* may not be trained on"):
        OwnSamples(seed=0, path=str(path))


# -- what the settings do -----------------------------------------------------------------------


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_answer_is_right_and_an_item_depends_on_seed_and_index_alone(settings):
    data, again = (RuleProblems(seed=4, **settings) for _ in range(2))
    for index in (17, 3, 60):
        assert data.example(index) == again.example(index)
        _, instance = data.problem(index)
        assert data.environment.verify(instance, data.example(index)[1]).correct
    assert data.example(0) != RuleProblems(seed=5, **settings).example(0)


def test_diversity_decides_which_prompts_and_rules_are_seen():
    def rule_lines(**settings):
        data = RuleProblems(seed=1, **settings)
        return {data.problem(index)[0][0].text.split("\n")[2] for index in range(ITEMS)}

    assert len(rule_lines()) == 1
    assert len(rule_lines(diversity="paraphrases")) == 5
    assert len(rule_lines(diversity="rules")) > 100
    rules = {
        tuple(RuleProblems(seed=1, diversity="rules").problem(i)[1].data["values"].values())
        for i in range(ITEMS)
    }
    assert (10, 10, 10) in rules
    assert (11, 12, 13) not in rules


def test_canonical_several_and_random_solutions():
    def formulas(kind):
        data = RuleProblems(seed=1, solutions=kind)
        found = {}
        for index in range(8 * ITEMS):
            _, instance = data.problem(index)
            hand = tuple(sorted(instance.data["cards"]))
            found.setdefault(hand, set()).add(json.loads(data.example(index)[1])["formula"])
        return max(map(len, found.values()))

    assert formulas("canonical") == 1
    assert 2 <= formulas("several") <= 4
    assert formulas("random") > 4


def test_face_share_revision_and_style():
    data = RuleProblems(seed=1, face_share=0.25, revision=0.5, most_turns=3)
    hands = [data.problem(index)[1].data["cards"] for index in range(ITEMS)]
    assert 0.18 < sum(map(has_face, hands)) / ITEMS < 0.32
    lengths = [len(data.example(index)[0]) for index in range(ITEMS)]
    assert set(lengths) == {1, 3, 5}
    assert 0.4 < sum(length > 1 for length in lengths) / ITEMS < 0.6
    assert "steps" in json.loads(data.example(0)[1])
    assert "steps" not in json.loads(RuleProblems(seed=1, style="plain").example(0)[1])


def test_the_record_lists_the_problems_of_the_first_items():
    data = RuleProblems(seed=1)
    later, earlier = data.record(50), data.record(20)
    assert earlier == RuleProblems(seed=1).record(20)
    instances = [data.problem(index)[1].data for index in range(50)]
    expected = {
        ".".join(map(str, multiset(numbers_of(item["cards"], item["values"]))))
        for item in instances
    }
    assert set(later["number_multisets"]) == expected
    assert set(earlier["number_multisets"]) < expected
    assert later["partition_fingerprint"] == partition_fingerprint()
    assert later["rules"] == ["face-10"]


def test_own_samples_come_back_in_passes_and_are_bounded_by_hand(own, tmp_path):
    first = {own.example(index)[1] for index in range(40)}
    assert first == {own.example(40 + index)[1] for index in range(40)}
    assert [own.example(i)[1] for i in range(40)] != [own.example(40 + i)[1] for i in range(40)]
    path = tmp_path / "twice.jsonl"
    path.write_text("\n".join([*sample_lines(5), *sample_lines(5)]))
    assert len(OwnSamples(seed=0, path=str(path), most_per_hand=1)._samples) <= 5
    assert own.record(3)["samples_sha256"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1 is no sample"),
        ('{"instance": {}, "response": "x"}', "line 1 is no sample"),
        ("[]", "line 1 is no sample"),
    ],
)
def test_a_line_that_is_no_sample_is_refused(tmp_path, line, message):
    path = tmp_path / "own.jsonl"
    path.write_text(line)
    with pytest.raises(TaskError, match=message):
        OwnSamples(seed=0, path=str(path))


def test_a_wrong_response_among_own_samples_is_refused(tmp_path):
    raw = json.loads(next(sample_lines(1)))
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({**raw, "response": '{"formula": "1+1=24"}'}))
    with pytest.raises(TaskError, match="line 1: the response is not correct"):
        OwnSamples(seed=0, path=str(path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"solutions": "best"}, "no solutions 'best'"),
        ({"diversity": "rule"}, "did you mean 'rules'"),
        ({"face_share": 2}, "a share from 0 to 1"),
        ({"rule": "face-9"}, "did you mean 'face-10'"),
    ],
)
def test_a_wrong_setting_is_refused(settings, message):
    with pytest.raises((UsageError, TaskError), match=message):
        RuleProblems(seed=0, **settings)
