"""GeneralPoints with vision: the same problems and verifier, and what is seen told apart."""

import io
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from scipy.stats import binomtest

import genbench
from genbench.errors import TaskError, UsageError
from genbench.runner import first_requests
from genbench.settings import make_settings
from genbench.task import derive_seed
from genbench_tasks.general_points import pictures
from genbench_tasks.general_points.cards import RANKS
from genbench_tasks.general_points.hands import class_of, part_of
from genbench_tasks.general_points.pictures import look
from genbench_tasks.general_points.seen import named_card

SMALL = {"pixels": 128}
VISUAL = ("gp-vl-ood-rule", "gp-vl-ood-visual", "gp-vl-ood-visual-graded")
EVERY = (*VISUAL, "gp-vl-recognition")


@pytest.fixture(scope="module")
def rule_task():
    return genbench.load_task("gp-vl-ood-rule", settings=SMALL, limit=40)


@pytest.fixture(scope="module")
def visual_task():
    return genbench.load_task("gp-vl-ood-visual", settings=SMALL, limit=40)


@pytest.fixture(scope="module")
def recognition():
    return genbench.load_task("gp-vl-recognition", settings=SMALL, limit=40)


def answers(task, kind, split):
    agent = task.environment.agent(kind, task.training_split)
    for instance in task.splits[split].instances():
        text = agent.respond(instance, task.messages(instance), derive_seed(kind, instance.id))
        yield instance, task.verify(instance, text)


def rates(task, kind, split):
    """(success, perception, rule) of an agent, as shares."""
    verdicts = [verdict for _, verdict in answers(task, kind, split)]
    return tuple(
        sum(values) / len(verdicts)
        for values in (
            [verdict.correct for verdict in verdicts],
            [bool(verdict.checks["perception"]) for verdict in verdicts],
            [bool(verdict.checks.get("rule")) for verdict in verdicts],
        )
    )


# -- instances and pictures -----------------------------------------------------------------------


def test_the_problems_are_those_of_the_text_task():
    text = genbench.load_task("gp-ood-rule")
    for name in VISUAL:
        task = genbench.load_task(name)
        for split, its_text in (
            ("id", "id"),
            ("ood", "ood") if name == VISUAL[0] else ("id", "id"),
        ):
            there = text.splits[its_text].instances()
            here = task.splits[split].instances()
            assert [one.pair_id for one in here] == [one.pair_id for one in there]
            assert [one.data["cards"] for one in here] == [one.data["cards"] for one in there]
            assert [one.data["values"] for one in here] == [one.data["values"] for one in there]


@pytest.mark.parametrize("name", EVERY)
def test_every_hand_is_a_test_hand_and_data_are_json(name):
    task = genbench.load_task(name)
    task.check_instances()
    for split in task.splits.values():
        for instance in split.instances():
            assert part_of(class_of(instance.data["cards"])) == "test"
            assert json.loads(json.dumps(instance.data)) == dict(instance.data)


def test_twins_of_the_visual_shift_differ_in_their_suits_alone(visual_task):
    twin = {"spades": "hearts", "clubs": "diamonds"}
    pairs = zip(*(visual_task.splits[name].instances() for name in ("id", "ood")), strict=True)
    for black, red in pairs:
        assert [twin[suit] for suit in black.data["suits"]] == red.data["suits"]
        changed = {key for key in black.data if black.data[key] != red.data[key]}
        assert changed == {"suits", "picture"}
        one, other = black.data["picture"], red.data["picture"]
        assert {key for key in one if one[key] != other[key]} == {"look"}
        looks = one["look"], other["look"]
        assert {key for key in looks[0] if looks[0][key] != looks[1][key]} == {"suit-colour"}


def test_the_two_rules_are_asked_about_the_same_picture(rule_task):
    for one, other in zip(
        *(rule_task.splits[name].instances() for name in ("id", "ood")), strict=True
    ):
        assert [one.data[key] for key in ("cards", "suits", "picture")] == [
            other.data[key] for key in ("cards", "suits", "picture")
        ]
        images = [rule_task.messages(instance)[0].images[0] for instance in (one, other)]
        assert images[0].data == images[1].data


def test_the_prompt_shows_one_picture_and_names_no_card_of_the_hand(rule_task):
    instance = next(
        one for one in rule_task.splits["id"].instances() if not {"2", "A"} & set(one.data["cards"])
    )
    (message,) = rule_task.messages(instance)
    picture, text = message.content
    decoded = np.asarray(Pillow.open(io.BytesIO(picture.data)))
    data = instance.data
    assert (decoded == pictures.draw(data["cards"], data["suits"], data["picture"])).all()
    assert picture.media_type == "image/png"
    other = rule_task.splits["id"].instances()[5]
    assert rule_task.messages(other)[0].text == text  # nothing of the hand is in the words


def test_the_rule_is_stated_in_every_prompt_variant():
    for prompt in genbench.load_task("gp-vl-ood-rule").environment.prompts:
        task = genbench.load_task("gp-vl-ood-rule", prompt=prompt, limit=1)
        texts = [task.messages(split.instances()[0])[0].text for split in task.splits.values()]
        assert "10" in texts[0]
        assert all(number in texts[1] for number in ("11", "12", "13"))
        assert texts[0] != texts[1]


def test_nothing_is_drawn_before_a_picture_is_read(monkeypatch):
    drawn = []
    real = pictures.png
    monkeypatch.setattr(pictures, "png", lambda *of: drawn.append(of) or real(*of))
    # A size that no other test draws.
    task = genbench.load_task("gp-vl-ood-visual", settings={"pixels": 101})
    requests = list(first_requests(task, make_settings(task, backend="agent")))
    assert len(requests) == 522
    assert task.fingerprint
    assert not drawn
    image = requests[0].messages[0].images[0]
    assert image.data == image.data
    assert image.data.startswith(b"\x89PNG")
    assert len(drawn) == 1
    again = pickle.loads(pickle.dumps(image))  # noqa: S301  as to another process
    assert again == image


def test_a_changed_drawing_and_another_size_change_the_fingerprint(monkeypatch):
    before = genbench.load_task("gp-vl-recognition", limit=3).fingerprint
    assert genbench.load_task("gp-vl-recognition", limit=3, settings=SMALL).fingerprint != before
    from genbench_tasks.general_points import seen

    monkeypatch.setattr(seen, "RENDERER", look.RENDERER + 1)
    assert genbench.load_task("gp-vl-recognition", limit=3).fingerprint != before


def test_a_picture_does_not_depend_on_the_other_instances():
    few = genbench.load_task("gp-vl-ood-visual", limit=3, settings=SMALL)
    many = genbench.load_task("gp-vl-ood-visual", settings=SMALL)
    for one, other in zip(
        few.splits["ood"].instances(), many.splits["ood"].instances(), strict=False
    ):
        assert one == other


def test_every_kind_of_shift_is_a_split_of_one_change():
    task = genbench.load_task("gp-vl-ood-visual", protocol="kinds", limit=2)
    base = task.splits["id"].instances()[0].data["picture"]["look"]
    changed = set()
    for name, split in task.splits.items():
        if name != "id":
            there = split.instances()[0].data["picture"]["look"]
            (one,) = [key for key in base if base[key] != there[key]]
            changed.add(one)
    assert changed == set(look.DEFAULT_LOOK)


def test_levels_rise_by_one_in_every_graded_protocol():
    spec = genbench.load_task("gp-vl-ood-visual-graded").spec
    assert set(spec.protocols) == set(look.GRADED)
    for shift, protocol in spec.protocols.items():
        levels = [(split.level, split.settings["look"]) for split in protocol.splits[1:]]
        assert levels == [(level, {shift: level}) for level in range(1, 6)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pixels": 20}, r"pixels is a whole number 64\.\.4096, not 20"),
        ({"pixels": "224"}, "not '224'"),
        ({"look": {"noise": 9}}, "a level from 0 to 5, not 9"),
        ({"look": {"deck": "night"}}, "did you mean 'deck-style'"),
        ({"looks": {}}, "did you mean 'look'"),
    ],
)
@pytest.mark.parametrize("name", ["gp-vl-ood-visual", "gp-vl-recognition"])
def test_wrong_settings_are_refused_before_anything_is_drawn(name, wrong, message):
    with pytest.raises(TaskError, match=message):
        genbench.load_task(name, settings=wrong)


def test_the_text_task_knows_no_pictures():
    with pytest.raises(TaskError, match="no setting 'pixels'"):
        genbench.load_task("gp-ood-rule", settings=SMALL)


# -- the verifier ---------------------------------------------------------------------------------


def verdict_of(task, instance, **answer):
    return task.verify(instance, json.dumps(answer))


@pytest.fixture(scope="module")
def hand(rule_task):
    """An instance of the OOD rule with a queen, and a right formula."""
    instance = next(
        one for one in rule_task.splits["ood"].instances() if one.data["cards"].count("Q") == 1
    )
    return instance, json.loads(next(rule_task.environment.solutions(instance)))


def test_suits_count_for_nothing(rule_task, hand):
    instance, answer = hand
    cards = [f"{card} of hearts" for card in answer["cards"]]
    for named in (cards, [f"{card}♠" for card in answer["cards"]], answer["cards"][::-1]):
        verdict = verdict_of(rule_task, instance, **{**answer, "cards": named})
        assert verdict.correct
        assert dict(verdict.checks) == {"perception": True, "rule": True, "reasoning": True}


def test_a_misread_card_that_is_counted_by_the_rule_is_a_fault_of_perception_alone(rule_task, hand):
    instance, answer = hand
    place = answer["cards"].index("Q")
    cards, number = list(answer["cards"]), list(answer["number"])
    cards[place], number[place] = "K", 13
    verdict = verdict_of(rule_task, instance, cards=cards, number=number, formula="1+1")
    assert dict(verdict.checks) == {"perception": False, "rule": True, "reasoning": False}


def test_a_card_that_is_seen_and_counted_by_the_old_rule_is_a_fault_of_the_rule_alone(
    rule_task, hand
):
    instance = hand[0]
    twin = next(
        one for one in rule_task.splits["id"].instances() if one.pair_id == instance.pair_id
    )
    old = json.loads(next(rule_task.environment.solutions(twin)))
    verdict = verdict_of(rule_task, instance, **old)
    assert not verdict.correct
    assert dict(verdict.checks) == {"perception": True, "rule": False, "reasoning": True}
    assert dict(verdict.readings)["Q"] == "10"


def test_numbers_without_cards_are_held_against_the_hand(rule_task, hand):
    instance, answer = hand
    bare = {"number": answer["number"], "formula": answer["formula"]}
    assert dict(verdict_of(rule_task, instance, **bare).checks) == {
        "perception": None, "rule": True, "reasoning": True,
    }  # fmt: skip
    odd = {**answer, "cards": ["joker", *answer["cards"][1:]]}
    assert dict(verdict_of(rule_task, instance, **odd).checks)["rule"] is True


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("K", ("K", None)), (" q ", ("Q", None)), ("10", ("10", None)), ("13", ("13", None)),
        ("KS", ("K", "spades")), ("10h", ("10", "hearts")), ("K♠", ("K", "spades")),
        ("♦7", ("7", "diamonds")), ("7 ♦️", ("7", "diamonds")), ("A of Clubs", ("A", "clubs")),
        ("king of spades", ("K", "spades")), ("Queen", ("Q", None)),
        ("ten of heart", ("10", "hearts")),
        ("ACE", ("A", None)), ("jack of  diamonds", ("J", "diamonds")), ("six", ("6", None)),
        ("joker", ("JOKER", None)), ("", ("", None)), ("1", ("1", None)), ("KK", ("KK", None)),
        ("seven of swords", ("SEVEN OF SWORDS", None)), ("K of", ("K OF", None)),
    ],
)  # fmt: skip
def test_names_of_cards_are_read(text, named):
    assert named_card(text) == named


@given(st.text())
def test_any_text_has_a_name_of_bounded_length(text):
    rank, suit = named_card(text)
    assert len(rank) <= 40
    assert suit in (None, "spades", "clubs", "hearts", "diamonds")
    assert named_card("x" * 10**6)[1] is None


hostile_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(hostile_values, hostile_values, hostile_values)
@settings(deadline=None)
def test_no_answer_breaks_the_verifiers(rule_task, recognition, cards, number, formula):
    text = json.dumps({"cards": cards, "number": number, "formula": formula})
    for task in (rule_task, recognition):
        verdict = task.verify(task.splits["id"].instances()[0], text)
        assert verdict.outcome in task.environment.outcomes
        stored = json.dumps([verdict.fields, verdict.checks, verdict.readings], allow_nan=False)
        assert len(stored) < 10_000


# -- agents ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_the_oracle_is_right_everywhere(name):
    task = genbench.load_task(name, settings=SMALL, limit=8)
    for split in task.splits:
        assert rates(task, "oracle", split)[:2] == (1, 1)


def test_the_memorisers_fail_on_their_own_shift_and_on_that_alone(rule_task, visual_task):
    """(success, perception, rule) on ID and OOD."""
    assert rates(rule_task, "memoriser", "id") == (1, 1, 1)
    assert rates(rule_task, "memoriser", "ood") == (0, 1, 0)
    assert rates(visual_task, "memoriser", "ood") == (1, 1, 1)
    assert rates(visual_task, "visual-memoriser", "id") == (1, 1, 1)
    assert rates(rule_task, "visual-memoriser", "ood") == (1, 1, 1)
    success, perception, rule = rates(visual_task, "visual-memoriser", "ood")
    assert success <= 0.1
    assert (perception, rule) == (0, 1)


@pytest.mark.parametrize("pixels", [96, 224, 448])
def test_the_visual_memoriser_reads_from_the_pixels_at_every_size(pixels):
    task = genbench.load_task("gp-vl-recognition", settings={"pixels": pixels}, limit=12)
    assert rates(task, "visual-memoriser", "id")[:2] == (1, 1)
    assert rates(task, "visual-memoriser", "ood")[0] == 0


def test_the_visual_memoriser_looks_at_the_message_and_not_at_the_instance(visual_task):
    agent = visual_task.environment.agent("visual-memoriser", visual_task.training_split)
    one, other = visual_task.splits["id"].instances()[:2]
    text = agent.respond(one, visual_task.messages(other), 1)
    assert sorted(json.loads(text)["cards"]) == sorted(other.data["cards"])


def test_the_visual_memoriser_fails_more_the_further_the_look_is_from_training():
    task = genbench.load_task(
        "gp-vl-ood-visual-graded", protocol="jpeg", settings={"pixels": 448}, limit=6
    )
    seen = [rates(task, "visual-memoriser", split)[1] for split in task.splits]
    assert seen[0] == 1
    assert seen[-1] == 0
    assert seen == sorted(seen, reverse=True)


def test_a_task_without_pictures_has_no_visual_memoriser():
    task = genbench.load_task("gp-ood-rule")
    with pytest.raises(UsageError, match="no agent 'visual-memoriser' on this task"):
        task.environment.agent("visual-memoriser", task.training_split)


@pytest.mark.parametrize("kind", ["id", "ood"])
def test_the_random_namer_scores_the_stated_chance_by_card(recognition, kind):
    in_place = [
        verdict.checks["cards"] * 4
        for _, verdict in answers(recognition, "random", kind)
        if not verdict.correct
    ]
    assert binomtest(round(sum(in_place)), 4 * len(in_place), 1 / 13).pvalue > 0.001


def test_the_stated_chance_of_a_hand_is_that_of_counting(recognition):
    for instance in recognition.splits["id"].instances()[:3]:
        cards = instance.data["cards"]
        orders = len({(a, b, c, d) for a in cards for b in cards for c in cards for d in cards
                      if sorted((a, b, c, d)) == sorted(cards)})  # fmt: skip
        assert recognition.environment.chance(instance) == pytest.approx(orders / len(RANKS) ** 4)


# -- recognition ----------------------------------------------------------------------------------


def test_recognition_counts_ranks_in_any_order_and_cards_in_their_places(recognition):
    instance = next(
        one for one in recognition.splits["id"].instances() if len(set(one.data["cards"])) == 4
    )
    cards = instance.data["cards"]
    other = next(rank for rank in RANKS if rank not in cards)

    def judged(named):
        verdict = recognition.verify(instance, json.dumps({"cards": named}))
        return verdict.outcome, verdict.checks["perception"], verdict.checks["cards"]

    assert judged(cards) == ("correct", True, 1.0)
    assert judged(cards[::-1]) == ("correct", True, 1.0)
    assert judged([*cards[:3], other]) == ("wrong_cards", False, 0.75)
    assert judged([other, *cards[:3]]) == ("wrong_cards", False, 0.0)
    assert judged(cards[:3]) == ("wrong_number", False, 0.75)
    assert judged([*cards, other]) == ("wrong_number", False, 0.8)
    assert recognition.verify(instance, "no cards").outcome == "unparsable"
    assert recognition.verify(instance, "x", truncated=True).outcome == "truncated"


def test_suits_that_are_named_are_checked_and_decide_nothing(recognition):
    instance = recognition.splits["id"].instances()[0]
    cards, suits = instance.data["cards"], instance.data["suits"]
    wrong = ["hearts"] * 4
    for named, right in ((suits, True), (wrong, False)):
        text = json.dumps({"cards": [f"{c} of {s}" for c, s in zip(cards, named, strict=True)]})
        verdict = recognition.verify(instance, text)
        assert verdict.correct
        assert verdict.checks["suits"] is right
    assert recognition.verify(instance, json.dumps({"cards": cards})).checks["suits"] is None
    named = genbench.load_task("gp-vl-recognition", prompt="named", limit=1)
    answer = next(named.environment.solutions(instance))
    assert named.verify(instance, answer).checks["suits"] is True


def test_readings_say_what_each_card_was_taken_for(recognition):
    instance = next(
        one for one in recognition.splits["id"].instances() if one.data["cards"][0] == "K"
    )
    cards = instance.data["cards"]
    verdict = recognition.verify(instance, json.dumps({"cards": ["Q", *cards[1:]]}))
    assert verdict.readings == (("K", "Q"), *((card, card) for card in cards[1:]))


def test_recognition_says_what_a_checkpoint_may_have_been_trained_on(recognition):
    splits = {name: split.instances() for name, split in recognition.splits.items()}
    found = recognition.environment.certificate(splits)
    assert [row["class_in_training_part"] for row in found["splits"].values()] == [0, 0]
    cards = splits["id"][0].data["cards"]
    numbers = ".".join(str(number) for number in class_of(cards))
    record = {"problems": {"environment": "general-points", "number_multisets": [numbers]}}
    overlap = recognition.environment.training_overlap(splits, record)
    same = sum(class_of(one.data["cards"]) == class_of(cards) for one in splits["id"])
    assert overlap == {"id": same, "ood": same}
    assert recognition.environment.training_overlap(splits, {}) is None
