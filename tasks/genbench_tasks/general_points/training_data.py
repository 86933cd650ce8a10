"""Training problems of one named rule, for SFT and RL: what is asked, and what is answered.

Only training hands (`hands.may_train`) are shown, under any rule; what is not is refused. The
answers are in the style that the demo base model was trained in, unless `style: plain`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from genbench.task import Instance, Message, TaskError, UsageError, closest, seeded
from genbench_tasks.general_points.cards import has_face, multiset, named_rule, numbers_of
from genbench_tasks.general_points.environment import GeneralPoints
from genbench_tasks.general_points.hands import (
    TARGET,
    all_hands,
    class_name,
    class_of,
    may_train,
    partition_fingerprint,
    refuse_held_out,
)
from genbench_tasks.general_points.mixture import (
    PARAPHRASES,
    MixtureSettings,
    after_failures,
    answer_of,
    draw_problem,
    natural_solutions,
)
from genbench_tasks.general_points.prompts import PROMPTS
from genbench_tasks.general_points.solver import Solution

_DIVERSITY = ("fixed", "paraphrases", "rules")
_SOLUTIONS = ("canonical", "several", "random")
_STYLES = ("steps", "plain")
_SEVERAL = 4  # solutions a hand under `several`


@lru_cache(maxsize=8)
def training_hands(rule_name: str, *, faces: bool) -> tuple[tuple[str, ...], ...]:
    """The hands that may be trained on under a rule and have a solution in small whole steps."""
    rule = named_rule(rule_name)
    return tuple(
        hand
        for hand in all_hands()
        if has_face(hand) == faces
        and may_train(hand, rule)
        and natural_solutions(multiset(numbers_of(hand, rule)))
    )


@dataclass(frozen=True)
class _Item:
    """One training problem: the environment that asks it, its answer, and earlier failures."""

    environment: GeneralPoints
    instance: Instance
    solution: Solution
    failures: int
    stream: Random


class _Recorded:
    """What was trained on, up to any item."""

    def __init__(self) -> None:
        self._seen: list[Instance] = []

    def _instance(self, index: int) -> Instance:
        raise NotImplementedError

    def record(self, count: int) -> dict[str, Any]:
        """The problems of the first `count` items, for `genbench_training.json`."""
        for index in range(len(self._seen), count):
            self._seen.append(self._instance(index))
        numbers, classes, rules = set(), set(), set()
        for instance in self._seen[:count]:
            cards, values = instance.data["cards"], instance.data["values"]
            refuse_held_out(cards, values, "the training data")
            numbers.add(multiset(numbers_of(cards, values)))
            classes.add(class_name(class_of(cards)))
            rules.add(instance.data["rule"])
        return {
            "environment": "general-points",
            "partition_fingerprint": partition_fingerprint(),
            "items": count,
            "rules": sorted(rules),
            "classes": sorted(classes),
            "number_multisets": sorted(".".join(map(str, item)) for item in numbers),
        }


class RuleProblems(_Recorded):
    """Problems of one rule. Settings:

    rule         the training rule (`face-10`)
    prompt       the prompt variant where `diversity` is not `paraphrases`
    diversity    fixed: one rule sentence; paraphrases: any wording of it; rules: a share
                 `other_rules` of the problems is under a random rule that no task names
    solutions    canonical: one solution a hand; several: one of four; random: one of all
    face_share   share of hands with a face card
    revision     share of conversations with failed attempts before the right one (SFT), at most
                 `most_turns` attempts long
    style        steps: the working is shown, as in the demo base model's data; plain: it is not
    """

    def __init__(
        self,
        seed: int,
        rule: str = "face-10",
        prompt: str = "paper",
        diversity: str = "fixed",
        other_rules: float = 0.75,
        solutions: str = "canonical",
        face_share: float = 0.6,
        revision: float = 0.0,
        most_turns: int = 5,
        style: str = "steps",
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("prompt", prompt, tuple(PROMPTS)),
            ("diversity", diversity, _DIVERSITY),
            ("solutions", solutions, _SOLUTIONS),
            ("style", style, _STYLES),
        ):
            if value not in known:
                raise UsageError(f"data.settings: no {name} '{value}'; {closest(value, known)}")
        for name, share in (
            ("other_rules", other_rules), ("face_share", face_share), ("revision", revision),
        ):  # fmt: skip
            if not 0 <= share <= 1:
                raise UsageError(f"data.settings: {name} is a share from 0 to 1, not {share}")
        self.seed = seed
        self.rule = rule
        self.values = dict(named_rule(rule))
        self.prompt = prompt
        self.diversity = diversity
        self.other_rules = other_rules
        self.solutions = solutions
        self.face_share = face_share
        self.revision = revision
        self.most_turns = most_turns
        self.steps = style == "steps"
        self._environments = {
            name: GeneralPoints(prompt=name, feedback="outcome", settings={})
            for name in {prompt, *PARAPHRASES}
        }
        self.environment = self._environments[prompt]

    def _item(self, index: int) -> _Item:
        stream = seeded("rule problems", self.rule, self.seed, index)
        if self.diversity == "rules" and stream.random() < self.other_rules:
            shares = MixtureSettings(target_24=1.0, face_hand=self.face_share)
            instance, solution = draw_problem(stream, shares)
        else:
            hands = training_hands(self.rule, faces=stream.random() < self.face_share)
            cards = list(stream.choice(hands))
            stream.shuffle(cards)
            solution = self._solution(tuple(cards), stream)
            data = {"cards": cards, "rule": self.rule, "values": self.values, "target": TARGET}
            instance = Instance("train", "train", class_name(class_of(cards)), data)
        refuse_held_out(instance.data["cards"], instance.data["values"], "the training data")
        prompt = stream.choice(PARAPHRASES) if self.diversity == "paraphrases" else self.prompt
        failures = 0
        if stream.random() < self.revision:
            failures = 1
            while failures < self.most_turns - 1 and stream.random() < 0.4:
                failures += 1
        return _Item(self._environments[prompt], instance, solution, failures, stream)

    def _solution(self, cards: tuple[str, ...], stream: Random) -> Solution:
        ways = natural_solutions(multiset(numbers_of(cards, self.values)))
        if self.solutions == "canonical":
            return ways[0]
        if self.solutions == "several":
            ways = ways[:: max(1, len(ways) // _SEVERAL)][:_SEVERAL]
        return stream.choice(ways)

    def _instance(self, index: int) -> Instance:
        return self._item(index).instance

    def example(self, index: int) -> tuple[list[Message], str]:
        """A conversation and its right response, by the verifier's word."""
        item = self._item(index)
        response = answer_of(item.instance, item.solution, steps=self.steps)
        verdict = item.environment.verify(item.instance, response)
        if not verdict.correct:
            raise TaskError(f"training item {index}: its response is {verdict.outcome}: {response}")
        messages = after_failures(item.environment, item.instance, item.failures, item.stream)
        return messages, response

    def problem(self, index: int) -> tuple[list[Message], Instance]:
        """The prompt of a first attempt, and its instance."""
        item = self._item(index)
        return list(item.environment.messages(item.instance)), item.instance


class OwnSamples(_Recorded):
    """Responses that a checkpoint gave to training problems itself, each judged again here.

    `path`: JSON lines {"instance": {...}, "response": "..."}, as an `own_samples` recipe writes
    them; `most_per_hand` keeps at most so many responses a hand. Every pass over the file is in
    an order of its own. Raises TaskError with the line of a held-out hand or a wrong response.
    """

    def __init__(
        self,
        seed: int,
        path: str | None = None,
        prompt: str = "paper",
        most_per_hand: int | None = None,
    ) -> None:
        super().__init__()
        if path is None:
            raise UsageError(
                "data.settings.path: the file of samples is missing; a recipe with `own_samples` "
                "makes it"
            )
        self.seed = seed
        self.environment = GeneralPoints(prompt=prompt, feedback="outcome", settings={})
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise UsageError(
                f"data.settings.path: {path} cannot be read: {error.strerror}"
            ) from None
        self.samples_sha256 = hashlib.sha256(content).hexdigest()
        self._samples = list(self._checked(content, path, most_per_hand))
        if not self._samples:
            raise UsageError(f"data.settings.path: {path} holds no sample")

    def _checked(
        self, content: bytes, path: str, most: int | None
    ) -> Iterator[tuple[Instance, str]]:
        kept: dict[tuple[str, ...], int] = {}
        for number, line in enumerate(content.splitlines(), 1):
            where = f"{path}, line {number}"
            try:
                raw = json.loads(line)
                instance, response = Instance(**raw["instance"]), str(raw["response"])
                cards: Sequence[str] = instance.data["cards"]
                refuse_held_out(cards, instance.data["values"], where)
                correct = self.environment.verify(instance, response).correct
            except (ValueError, KeyError, TypeError) as error:
                raise TaskError(f"{where} is no sample: {type(error).__name__}: {error}") from None
            if not correct:
                raise TaskError(f"{where}: the response is not correct")
            hand = tuple(sorted(cards))
            kept[hand] = kept.get(hand, 0) + 1
            if most is None or kept[hand] <= most:
                yield instance, response

    def _sample(self, index: int) -> tuple[Instance, str]:
        pass_number, place = divmod(index, len(self._samples))
        return self._samples[_order(self.seed, pass_number, len(self._samples))[place]]

    def _instance(self, index: int) -> Instance:
        return self._sample(index)[0]

    def example(self, index: int) -> tuple[list[Message], str]:
        """The prompt of a first attempt, and the response that was sampled."""
        instance, response = self._sample(index)
        return list(self.environment.messages(instance)), response

    def problem(self, index: int) -> tuple[list[Message], Instance]:
        """The prompt of a first attempt, and its instance."""
        instance = self._instance(index)
        return list(self.environment.messages(instance)), instance

    def record(self, count: int) -> dict[str, Any]:
        return {**super().record(count), "samples_sha256": self.samples_sha256}


@lru_cache(maxsize=4)
def _order(seed: int, pass_number: int, size: int) -> list[int]:
    order = list(range(size))
    seeded("own samples", seed, pass_number).shuffle(order)
    return order
