"""What the demo vision-language model is shown: black cards, right answers, no held-out hand."""

from itertools import islice

import pytest

from genbench.errors import TaskError
from genbench.task import Instance
from genbench_tasks.general_points import vision_training
from genbench_tasks.general_points.cards import multiset, numbers_of
from genbench_tasks.general_points.hands import class_of, face_hands, is_paired, part_of
from genbench_tasks.general_points.mixture import MixtureSettings
from genbench_tasks.general_points.pictures.look import DEFAULT_LOOK
from genbench_tasks.general_points.recognition import CardRecognition
from genbench_tasks.general_points.vision import GeneralPointsVision
from genbench_tasks.general_points.vision_training import (
    VisionMixture,
    build_processor,
    build_vision_tokenizer,
)

NAMING = CardRecognition(prompt="ranks", feedback="outcome", settings={})
SOLVING = GeneralPointsVision(prompt="paper", feedback="outcome", settings={})


@pytest.fixture(scope="module")
def drawn():
    """(instance, conversation, answer) of some hundred examples."""
    instances = []

    def noting(instance, pixels, look, seed):
        instances.append((pixels, look, shown := real(instance, pixels, look, seed)))
        return shown

    real = vision_training.pictured
    patch = pytest.MonkeyPatch()
    patch.setattr(vision_training, "pictured", noting)
    data = VisionMixture(seed=5)
    examples = [example for batch in islice(data.batches(32), 20) for example in batch]
    patch.undo()
    assert len(instances) == len(examples) > 400
    return data, instances, examples


def asks_for_names(messages):
    return messages[0].text == NAMING.messages(_any_instance())[0].text


def _any_instance():
    data = {"cards": ["A", "2", "3", "4"], "values": {}, "target": 24}
    return vision_training.pictured(Instance("x", "x", "x", data), 64, DEFAULT_LOOK, 0)


def test_every_picture_is_of_black_cards_in_the_look_of_the_id_splits(drawn):
    _, instances, _ = drawn
    for pixels, look, instance in instances:
        assert (pixels, look) == (256, DEFAULT_LOOK)
        assert set(instance.data["suits"]) <= {"spades", "clubs"}


def test_no_picture_shows_a_held_out_hand_and_the_record_names_every_problem(drawn):
    data, instances, _ = drawn
    hands = [instance.data["cards"] for *_, instance in instances]
    named = [hand for hand in hands if not any(card in ("11", "12", "13") for card in hand)]
    assert {part_of(class_of(hand)) for hand in named} == {"train"}
    used = {
        multiset(numbers_of(instance.data["cards"], instance.data["values"]))
        for *_, instance in instances
    }
    assert data.record()["number_multisets"] == sorted(".".join(map(str, one)) for one in used)


def test_every_answer_is_right_by_the_verifier_and_every_failed_one_wrong(drawn):
    _, instances, examples = drawn
    for (*_, instance), (messages, answer) in zip(instances, examples, strict=True):
        environment = NAMING if asks_for_names(messages) else SOLVING
        assert environment.verify(instance, answer).correct
        said = [message.text for message in messages if message.role == "assistant"]
        assert not any(environment.verify(instance, wrong).correct for wrong in said)


def test_shares_are_those_of_the_settings(drawn):
    _, _, examples = drawn
    first = [messages for messages, _ in examples if len(messages) == 1]
    assert sum(map(asks_for_names, first)) / len(first) == pytest.approx(0.4, abs=0.08)
    assert MixtureSettings().revision == 0.1
    assert any(len(messages) > 2 for messages, _ in examples)


def test_a_batch_follows_from_the_seed_and_its_number_alone():
    def texts(data, start):
        return [
            [("".join(m.text for m in messages), answer) for messages, answer in batch]
            for batch in islice(data.batches(4), start, start + 2)
        ]

    assert texts(VisionMixture(seed=1), 3) == texts(VisionMixture(seed=1), 3)
    used = VisionMixture(seed=1)
    next(used.batches(4))
    assert texts(used, 3) == texts(VisionMixture(seed=1), 3)
    assert texts(VisionMixture(seed=2), 0) != texts(VisionMixture(seed=1), 0)


def test_a_held_out_hand_is_refused_for_solving_and_naming_alike(monkeypatch):
    hand = next(hand for hand in face_hands("test") if is_paired(hand))
    data = {"cards": list(hand), "rule": "mixed", "values": {"J": 7, "Q": 7, "K": 7}, "target": 24}
    drawn = Instance("train", "train", "train", data), None
    monkeypatch.setattr(vision_training, "draw_problem", lambda *arguments: drawn)
    for share in (0.0, 1.0):
        with pytest.raises(TaskError, match="may not be trained on"):
            next(VisionMixture(seed=0, recognition=share).batches(2))


def test_the_prompts_are_few_tokens_beside_the_picture():
    processor = build_processor(build_vision_tokenizer())
    for environment in (NAMING, SOLVING):
        instance = _any_instance()
        instance.data["values"].update({"J": 10, "Q": 10, "K": 10})
        (message,) = environment.messages(instance)
        assert len(processor.tokenizer(message.text)["input_ids"]) < 20
