"""Training problems of the demo base model: a mixture of many rules, on first and revision turns.

Every problem is asked and answered through the environment. The values of J, Q and K vary; the
exact triples of the named rules are left out, and so are test and development problems under
every rule (`hands.may_train`). Solutions keep to whole, non-negative intermediate results of at
most 200, in a random order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Any

from genbench.task import Instance, Message, seeded
from genbench_tasks.general_points.cards import FACES, RANKS, RULES, has_face, multiset, numbers_of
from genbench_tasks.general_points.environment import GeneralPoints
from genbench_tasks.general_points.hands import (
    TARGET,
    may_train,
    partition_fingerprint,
    refuse_held_out,
)
from genbench_tasks.general_points.prompts import PROMPTS, answer_text
from genbench_tasks.general_points.solver import Solution, Step, results, solutions

_LARGEST = 200
PARAPHRASES = tuple(name for name, (_, reason) in PROMPTS.items() if not reason)
_EXCLUDED = {tuple(rule[face] for face in FACES) for rule in RULES.values()}


@dataclass(frozen=True)
class MixtureSettings:
    """Shares of the mixture; each is a probability."""

    target_24: float = 0.6
    face_hand: float = 0.8
    numeral_cards: float = 0.12
    revision: float = 0.1
    paraphrase: float = 0.15
    most_turns: int = 5
    revision_batch_divisor: int = 2


@dataclass
class Mixture:
    """Batches of (conversation, response) pairs; what was used is recorded for the certificate."""

    seed: int
    settings: MixtureSettings = field(default_factory=MixtureSettings)
    used: set[tuple[int, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._environments = {
            name: GeneralPoints(prompt=name, feedback="outcome", settings={})
            for name in PARAPHRASES
        }

    def batches(self, size: int, start: int = 0) -> Iterator[list[tuple[list[Message], str]]]:
        """Endless batches; batch i depends on the seed and i alone, so training can resume."""
        number = start
        while True:
            stream = seeded("mixture", self.seed, number)
            turns, count = turns_and_count(stream, self.settings, size)
            yield [self.example(stream, turns) for _ in range(count)]
            number += 1

    def example(self, stream: Random, turns: int = 1) -> tuple[list[Message], str]:
        """A conversation of turns - 1 failed attempts, and the right answer to it."""
        instance, solution = draw_problem(stream, self.settings)
        refuse_held_out(instance.data["cards"], instance.data["values"], "the mixture")
        self.used.add(multiset(numbers_of(instance.data["cards"], instance.data["values"])))
        prompt = "paper"
        if stream.random() < self.settings.paraphrase:
            prompt = stream.choice(PARAPHRASES)
        messages = after_failures(self._environments[prompt], instance, turns - 1, stream)
        return messages, answer_of(instance, solution)

    def record(self) -> dict[str, Any]:
        """The problems used so far, for `genbench_training.json`."""
        return record_of(self.used)


def record_of(used: Iterable[tuple[int, ...]]) -> dict[str, Any]:
    """What a training record says of problems: their numbers, each sorted."""
    return {
        "environment": "general-points",
        "partition_fingerprint": partition_fingerprint(),
        "number_multisets": sorted(".".join(map(str, numbers)) for numbers in used),
    }


def turns_and_count(stream: Random, settings: MixtureSettings, size: int) -> tuple[int, int]:
    """How many turns the conversations of a batch have, and how many of them there are."""
    if stream.random() >= settings.revision:
        return 1, size
    turns = 2
    while turns < settings.most_turns and stream.random() < 0.4:
        turns += 1
    return turns, max(1, size // settings.revision_batch_divisor)


def draw_problem(stream: Random, settings: MixtureSettings) -> tuple[Instance, Solution]:
    """A problem under a rule that no task names, and a solution of it."""
    while True:
        cards = _cards(stream, settings)
        rule = _rule(stream)
        if not may_train(cards, rule):
            continue
        numbers = numbers_of(cards, rule)
        if stream.random() < settings.target_24:
            ways = natural_solutions(multiset(numbers))
            if not ways:
                continue
            target, solution = TARGET, stream.choice(ways)
        else:
            attempt = _random_solution(numbers, stream)
            if attempt is None or not 1 <= attempt.steps[-1].result <= 100:
                continue
            solution = attempt
            target = int(solution.steps[-1].result)
        data = {"cards": list(cards), "rule": "mixed", "values": rule, "target": target}
        return Instance("train", "train", "train", data), solution


def after_failures(
    environment: GeneralPoints, instance: Instance, failures: int, stream: Random
) -> list[Message]:
    """The conversation after so many plausible, failed attempts."""
    episode = environment.episode(instance, failures + 1)
    for _ in range(failures):
        while environment.verify(instance, wrong := _failed(instance, stream)).correct:
            pass
        episode.step(wrong)
    return list(episode.messages())


def _cards(stream: Random, settings: MixtureSettings) -> tuple[str, ...]:
    want_face = stream.random() < settings.face_hand
    while True:
        cards = tuple(stream.choice(RANKS) for _ in range(4))
        if has_face(cards) == want_face:
            break
    if not want_face and stream.random() < settings.numeral_cards / (1 - settings.face_hand):
        chosen = stream.sample(range(4), stream.choice((1, 1, 2)))
        cards = tuple(
            str(stream.randint(11, 13)) if i in chosen else card for i, card in enumerate(cards)
        )
    return cards


def _rule(stream: Random) -> Mapping[str, int]:
    while True:
        values = tuple(stream.randint(1, 13) for _ in FACES)
        if stream.random() < 0.25:
            values = (values[0],) * 3
        if values not in _EXCLUDED:
            return dict(zip(FACES, values, strict=True))


@lru_cache(maxsize=4096)
def natural_solutions(numbers: tuple[int, ...]) -> list[Solution]:
    """Up to 200 of the solutions in whole, non-negative, small steps, chosen evenly."""
    found = [
        solution
        for solution in solutions(numbers, TARGET, natural_only=True)
        if all(step.result <= _LARGEST for step in solution.steps)
    ]
    return found[:: max(1, len(found) // 200)]


def _random_solution(numbers: tuple[int, ...], stream: Random) -> Solution | None:
    """Numbers combined at random, whole and small all the way; None where that failed."""
    terms: list[tuple[int, str]] = [(number, str(number)) for number in numbers]
    steps: list[Step] = []
    while len(terms) > 1:
        i, j = stream.sample(range(len(terms)), 2)
        first, second = terms[i], terms[j]
        choices = [
            choice for choice in results(first[0], second[0], natural=True) if choice[3] <= _LARGEST
        ]
        a, operator, b, value = stream.choice(choices)
        x, y = (first, second) if (a, b) == (first[0], second[0]) else (second, first)
        rest = [term for k, term in enumerate(terms) if k not in (i, j)]
        text = f"{x[1]}{operator}{y[1]}"
        left = (value, *(term[0] for term in rest)) if rest else ()
        steps.append(Step(a, operator, b, value, left))
        terms = [(int(value), f"({text})"), *rest]
    return Solution(tuple(steps), terms[0][1][1:-1])


def answer_of(instance: Instance, solution: Solution, *, steps: bool = True) -> str:
    """The response that gives a solution, in the style of the demo models."""
    cards = instance.data["cards"]
    numbers = numbers_of(cards, instance.data["values"])
    return answer_text(cards, numbers, solution, instance.data["target"], steps=steps)


def _failed(instance: Instance, stream: Random) -> str:
    """A plausible attempt: sound arithmetic, the last step passed off as the target or not."""
    numbers = numbers_of(instance.data["cards"], instance.data["values"])
    while (solution := _random_solution(numbers, stream)) is None:
        pass
    return answer_of(instance, solution)
