"""The reference agents of GeneralPoints: they calibrate the instrument.

- `oracle`: right everywhere.
- `memoriser`: perfect under the ID split's rule, target and number of cards, whatever it is told.
- `random`: a uniformly random labelled expression over the right numbers: the chance level.
- `broken`: hostile and malformed output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from genbench.task import Agent, Instance, Message, SplitSpec, UsageError, closest, seeded
from genbench_tasks.general_points.cards import MAX_VALUE, Rule, named_rule, numbers_of
from genbench_tasks.general_points.hands import TARGET
from genbench_tasks.general_points.prompts import answer_text
from genbench_tasks.general_points.solver import Solution, solutions

if TYPE_CHECKING:
    from genbench_tasks.general_points.environment import GeneralPoints


def random_formula(numbers: Sequence[int], stream: Random) -> str:
    """A labelled expression over the numbers, uniform over leaf orders, tree shapes, operators."""
    leaves = [str(number) for number in numbers]
    stream.shuffle(leaves)

    def build(items: list[str]) -> str:
        if len(items) == 1:
            return items[0]
        weights = [_shapes(i) * _shapes(len(items) - i) for i in range(1, len(items))]
        cut = stream.choices(range(1, len(items)), weights)[0]
        return f"({build(items[:cut])}{stream.choice('+-*/')}{build(items[cut:])})"

    return build(leaves)


def _shapes(n: int) -> int:
    """The number of binary trees with n leaves (Catalan)."""
    return 1 if n < 2 else sum(_shapes(i) * _shapes(n - i) for i in range(1, n))


class Oracle(Agent):
    """The first solution that the environment has."""

    def __init__(self, environment: GeneralPoints) -> None:
        self._environment = environment

    def respond(self, instance: Instance, messages: Sequence[Message], seed: int) -> str:
        return next(self._environment.solutions(instance))


class Memoriser(Agent):
    """Answers as if it were still in training: the ID split's rule, target and hand size."""

    def __init__(self, rule: Rule, target: int, count: int | None) -> None:
        self._rule, self._target, self._count = rule, target, count

    def respond(self, instance: Instance, messages: Sequence[Message], seed: int) -> str:
        cards = list(instance.data["cards"])[: self._count]
        numbers = numbers_of(cards, self._rule)
        target = instance.data["target"] if self._target == 0 else self._target
        solution = next(solutions(numbers, target), None)
        if solution is None:  # nothing to remember for such a hand
            solution = Solution((), "+".join(str(number) for number in numbers))
        return answer_text(cards, numbers, solution, target)


class RandomAgent(Agent):
    """A well-formed guess: the right numbers, anything else at random."""

    def respond(self, instance: Instance, messages: Sequence[Message], seed: int) -> str:
        cards, target = instance.data["cards"], instance.data["target"]
        numbers = numbers_of(cards, instance.data["values"])
        formula = random_formula(numbers, seeded("random-agent", seed))
        return answer_text(cards, numbers, Solution((), formula), target, steps=False)


_HOSTILE: tuple[Callable[[str], str], ...] = (
    lambda cards: "",
    lambda cards: " \n\t ",
    lambda cards: '{"formula": null}',
    lambda cards: '{"formula": 24}',
    lambda cards: '{"formula": ["24"], "cards": null, "number": {"a": 1}}',
    lambda cards: "{\"formula\": \"__import__('os').system('true')\"}",
    lambda cards: '{"formula": "9**9**9**9"}',
    lambda cards: '{"formula": "' + "(" * 5000 + '"}',
    lambda cards: '{"a":' * 3000,
    lambda cards: '{"' * 5000,
    lambda cards: "<script>alert(1)</script>",
    lambda cards: "\x00\x1b[31m\ud7ff￿ ٣+٤ = ２４",
    lambda cards: '```json\n{"cards": ["A", "A"], "number": [24], "formula": "24"}\n```',
    lambda cards: "24 = " + "+".join(["1"] * 24),
    lambda cards: '{"formula": "1/0=24", "number": [' + "9" * 500 + "]}",
    lambda cards: "".join(chr(33 + i % 90) for i in range(2000)),
    lambda cards: f'{{"cards": {cards}, "formula": "4!"}}',
    lambda cards: "=" * 1000,
)


def hostile(cards: Sequence[str], seed: int) -> str:
    """Hostile and malformed output, a different kind by seed."""
    return _HOSTILE[seed % len(_HOSTILE)](str(list(cards)))


class Broken(Agent):
    """Hostile and malformed output."""

    def respond(self, instance: Instance, messages: Sequence[Message], seed: int) -> str:
        return hostile(instance.data["cards"], seed)


def make_agent(kind: str, environment: GeneralPoints, training: SplitSpec) -> Agent:
    """The agent of that kind. Raises UsageError for an unknown kind."""
    if kind == "oracle":
        return Oracle(environment)
    if kind == "memoriser":
        settings = {**environment.settings, **training.settings}
        rule = named_rule(training.rule or "face-10", settings.get("rules"))
        # A task over many targets was trained on many: 0 stands for "the target it is asked for".
        target = 0 if "targets" in settings else settings.get("target", TARGET)
        return Memoriser(rule, target, None if settings.get("add_cards") else 4)
    if kind == "random":
        return RandomAgent()
    if kind == "broken":
        return Broken()
    raise UsageError(f"no agent '{kind}' on this task; {closest(kind, environment.agents)}")


__all__ = ["MAX_VALUE", "hostile", "make_agent", "random_formula"]
