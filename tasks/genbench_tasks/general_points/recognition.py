"""Naming the cards of a picture: perception alone, on the hands and pictures of GP-VL.

A response is right where it names the rank of every card, in any order. Suits count for nothing;
where it names them too, a check says whether they are right. Two checks measure recognition:
`perception`, of the whole hand, and `cards`, the share of its cards that are named in their places
(1 where the hand is right in another order), which is 1 in 13 by chance.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import factorial, prod
from random import Random
from typing import Any

from genbench.task import (
    CORRECT,
    TRUNCATED,
    Agent,
    Environment,
    Instance,
    Message,
    SplitSpec,
    UsageError,
    Verdict,
    closest,
    seeded,
)
from genbench_tasks.answers import MAX_RESPONSE_CHARS, find_answer
from genbench_tasks.general_points.agents import hostile
from genbench_tasks.general_points.cards import RANKS
from genbench_tasks.general_points.environment import (
    listed_cards,
    trainable_class,
    trained_numbers,
)
from genbench_tasks.general_points.hands import class_of, partition_fingerprint
from genbench_tasks.general_points.seen import (
    PICTURE_SETTINGS,
    checked_picture,
    named_card,
    pictured,
    plain_split,
    shown,
    without_picture,
)
from genbench_tasks.general_points.splits import check_settings, draw
from genbench_tasks.general_points.vision import GeneralPointsVision

_TASK = (
    "The picture shows {count} playing cards. Name them row by row, from left to right, with one "
    'JSON object: "cards", '
)
_RANKS_ALONE = "the rank of each card (A, 2 to 10, J, Q or K).\n"
_IN_FULL = 'the rank and the suit of each card, such as "7 of clubs".\n'
_EXAMPLE = "An answer for other cards:\n{example}"
#: prompt name -> (what is asked, whether the example names suits)
_PROMPTS: Mapping[str, tuple[str, bool]] = {
    "ranks": (_RANKS_ALONE, False),
    "named": (_IN_FULL, True),
}
_EXAMPLE_CARDS = (
    ("2", "spades"), ("A", "clubs"), ("J", "hearts"), ("10", "diamonds"), ("5", "spades"),
    ("6", "clubs"),
)  # fmt: skip

_FEEDBACK = {
    CORRECT: "Correct.",
    "wrong_cards": "these are not the cards.",
    "wrong_number": "this is not the number of cards.",
    "unparsable": "no answer was found in your response.",
    "empty": "your response was empty.",
    "too_long": "your response was too long.",
    TRUNCATED: "your response was cut off at the token limit.",
}


def names_text(cards: Sequence[str], suits: Sequence[str] | None = None) -> str:
    """A response in the answer format, with suits where they are given."""
    if suits is None:
        return json.dumps({"cards": list(cards)})
    pairs = zip(cards, suits, strict=True)
    return json.dumps({"cards": [f"{card} of {suit}" for card, suit in pairs]})


class CardRecognition(Environment):
    """See the module. Settings: those of GeneralPoints that choose hands, `pixels` and `look`."""

    outcomes = tuple(_FEEDBACK)
    prompts = tuple(_PROMPTS)
    agents = GeneralPointsVision.agents
    merged_settings = GeneralPointsVision.merged_settings

    def __init__(self, *, prompt: str, feedback: str, settings: Mapping[str, Any]) -> None:
        super().__init__(prompt=prompt, feedback=feedback, settings=settings)
        check_settings(settings, "settings", PICTURE_SETTINGS)
        checked_picture(settings, None)

    def instances(self, split: SplitSpec) -> Sequence[Instance]:
        pixels, look = checked_picture(self.settings, split)
        seed = split.settings.get("seed", self.settings.get("seed", 0))
        # No card counts as anything here, so any rule deals the hands.
        dealt = replace(plain_split(split), rule=split.rule or "face-10")
        return [
            pictured(replace(one, data={"cards": one.data["cards"]}), pixels, look, seed)
            for one in draw(without_picture(self.settings), dealt)
        ]

    def messages(self, instance: Instance) -> Sequence[Message]:
        asked, in_full = _PROMPTS[self.prompt]
        count = len(instance.data["cards"])
        cards, suits = zip(*_EXAMPLE_CARDS[:count], strict=True)
        example = names_text(cards, suits if in_full else None)
        text = _TASK.format(count=count) + asked + _EXAMPLE.format(example=example)
        return (shown(instance, text),)

    def verify(self, instance: Instance, response: str, *, truncated: bool = False) -> Verdict:
        """Judge a response by the multiset of its ranks. Pure and total."""
        named: list[tuple[str, str | None]] | None = None
        extraction, strict = "none", False
        if not response or response.isspace():
            outcome = "empty"
        elif len(response) > MAX_RESPONSE_CHARS:
            outcome = "too_long"
        else:
            answer = find_answer(response, "cards")
            extraction, strict = answer.extraction, answer.strict
            listed = listed_cards(answer.fields)
            named = None if listed is None else [named_card(card) for card in listed]
            if named is None:
                outcome = "too_long" if answer.exhausted else "unparsable"
            else:
                outcome = _outcome(named, instance)
        if truncated and outcome != CORRECT:
            outcome = TRUNCATED
        return Verdict(
            correct=outcome == CORRECT,
            outcome=outcome,
            reward=float(outcome == CORRECT),
            feedback=_FEEDBACK[outcome]
            if outcome == CORRECT or self.feedback != "none"
            else "your answer is not correct.",
            checks=_checks(named, instance),
            fields={} if named is None else {"cards": [_shown(*card) for card in named]},
            readings=_readings(named, instance),
            extraction=extraction,
            strict=strict,
        )

    def solutions(self, instance: Instance, *, seed: int = 0) -> Iterator[str]:
        """The hand as the prompt asks for it; with a seed other than 0 in another order."""
        cards, suits = instance.data["cards"], instance.data["suits"]
        order = list(range(len(cards)))
        if seed:
            seeded("solutions", instance.id, seed).shuffle(order)
        yield names_text(
            [cards[i] for i in order],
            [suits[i] for i in order] if _PROMPTS[self.prompt][1] else None,
        )

    def agent(self, kind: str, training: SplitSpec) -> Agent:
        from genbench_tasks.general_points.visual_agent import VisualReader

        if kind not in self.agents:
            raise UsageError(f"no agent '{kind}'; {closest(kind, self.agents)}")
        return _Namer(kind, VisualReader(*checked_picture(self.settings, training)))

    def stickiness_reason(self, split: SplitSpec, training: SplitSpec) -> str | None:
        return "naming cards has no rule to return to"

    def expected_readings(self, instance: Instance) -> Mapping[str, str]:
        return {card: card for card in instance.data["cards"]}

    def chance(self, instance: Instance) -> float:
        """The share of the 13^n ordered guesses that are the hand's multiset."""
        counts = Counter(instance.data["cards"])
        orders = factorial(counts.total()) // prod(map(factorial, counts.values()))
        return float(orders / len(RANKS) ** counts.total())

    def certificate(self, splits: Mapping[str, Sequence[Instance]]) -> Mapping[str, Any]:
        """Per split: instances whose class our recipes may train on."""
        return {
            "partition_fingerprint": partition_fingerprint(),
            "splits": {
                name: {
                    "n": len(instances),
                    "class_in_training_part": sum(map(trainable_class, instances)),
                }
                for name, instances in splits.items()
            },
        }

    def training_overlap(
        self, splits: Mapping[str, Sequence[Instance]], training: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """How many instances of each split have the numbers, under `face-10`, of a hand that the
        checkpoint was trained on; None where that is not known."""
        known = trained_numbers(training)
        if known is None:
            return None
        return {
            name: sum(class_of(instance.data["cards"]) in known for instance in instances)
            for name, instances in splits.items()
        }


def _outcome(named: Sequence[tuple[str, str | None]], instance: Instance) -> str:
    ranks, cards = [rank for rank, _ in named], instance.data["cards"]
    if sorted(ranks) == sorted(cards):
        return CORRECT
    return "wrong_cards" if len(ranks) == len(cards) else "wrong_number"


def _checks(
    named: Sequence[tuple[str, str | None]] | None, instance: Instance
) -> dict[str, bool | float | None]:
    """perception: all ranks; cards: the share that is named in its place; suits: all ranks with
    their suits, where every card was given one."""
    if named is None:
        return {"perception": None, "cards": None, "suits": None}
    cards, suits = instance.data["cards"], instance.data["suits"]
    all_right = _outcome(named, instance) == CORRECT
    in_place = sum(card == rank for card, (rank, _) in zip(cards, named, strict=False))
    in_full = bool(named) and all(suit is not None for _, suit in named)
    return {
        "perception": all_right,
        "cards": 1.0 if all_right else in_place / max(len(cards), len(named)),
        "suits": Counter(named) == Counter(zip(cards, suits, strict=True)) if in_full else None,
    }


def _readings(
    named: Sequence[tuple[str, str | None]] | None, instance: Instance
) -> tuple[tuple[str, str], ...]:
    """What each card was taken for, where as many are named."""
    cards = instance.data["cards"]
    if named is None or len(named) != len(cards):
        return ()
    if _outcome(named, instance) == CORRECT:
        return tuple((card, card) for card in cards)
    return tuple((card, rank[:8]) for card, (rank, _) in zip(cards, named, strict=True))


def _shown(rank: str, suit: str | None) -> str:
    return rank if suit is None else f"{rank} of {suit}"


class _Namer(Agent):
    """The reference agents: oracle and memoriser name the hand (there is no rule to remember), the
    visual memoriser what looks as in training, random any ranks, broken anything."""

    def __init__(self, kind: str, reader: Any) -> None:
        self._kind, self._reader = kind, reader

    def respond(self, instance: Instance, messages: Sequence[Message], seed: int) -> str:
        cards: Sequence[str] = instance.data["cards"]
        if self._kind == "broken":
            return hostile(["joker"], seed)
        random: Random = seeded("recognition", self._kind, seed)
        if self._kind == "visual-memoriser":
            cards = self._reader.read(messages, instance, random)
        elif self._kind == "random":
            cards = [random.choice(RANKS) for _ in cards]
        return names_text(cards)
