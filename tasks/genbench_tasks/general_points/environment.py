"""The GeneralPoints environment: instances, prompts, the verifier, solutions, agents.

The verifier is the one place where a rule is applied to a response. Source of the protocol:
Chu et al. 2025 (arXiv 2501.17161), section 4.1 and appendix A; rewards: appendix A.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from genbench.task import (
    CORRECT,
    TRUNCATED,
    Agent,
    Environment,
    Instance,
    Message,
    SplitSpec,
    Verdict,
    seeded,
)
from genbench_tasks.answers import MAX_RESPONSE_CHARS, find_answer, last_line_like
from genbench_tasks.general_points import formula as grammar
from genbench_tasks.general_points.cards import (
    FACES,
    RANKS,
    has_face,
    multiset,
    named_rule,
    numbers_of,
)
from genbench_tasks.general_points.hands import (
    class_of,
    held_out_numbers,
    may_train,
    part_of,
    partition_fingerprint,
)
from genbench_tasks.general_points.prompts import PROMPTS, answer_text, prompt_text
from genbench_tasks.general_points.solver import count, expressions, solutions
from genbench_tasks.general_points.splits import check_settings, draw
from genbench_tasks.rewards import chosen_rewards

#: Reward tables by outcome; "other" is what the table does not name. `paper`: appendix A.3.
REWARDS: Mapping[str, Mapping[str, float]] = {
    "outcome": {CORRECT: 1.0, "other": 0.0},
    "paper": {CORRECT: 5.0, "wrong_value": -1.0, "wrong_numbers": -2.0, "other": -3.0},
}

_OUTCOMES = (
    CORRECT,
    "wrong_value",
    "wrong_numbers",
    "illegal_formula",
    "unparsable",
    "empty",
    "too_long",
    TRUNCATED,
)

_REVISION = "You failed this trial because "
_FEEDBACK = {
    "wrong_value": "your formula does not have the target as its value.",
    "wrong_numbers": "your formula does not use each card's number exactly once.",
    "illegal_formula": "your formula is not a legal formula.",
    "unparsable": "no answer was found in your response.",
    "empty": "your response was empty.",
    "too_long": "your response was too long.",
    TRUNCATED: "your response was cut off at the token limit.",
}


def feedback_sentences() -> list[str]:
    """The user messages after a failed attempt, at the feedback level `outcome`."""
    return [_REVISION + text for text in _FEEDBACK.values()]


_BARE_FORMULA = re.compile(
    r"(?:(?:final )?(?:answer|formula|solution)\s*[:=]\s*)?"
    r"([0-9(][0-9+\-*/x×÷−() \t]{2,400}(?:=[ \t]*[0-9]{1,6})?)\.?",
    re.IGNORECASE,
)
_MAX_LISTED = 12


class GeneralPoints(Environment):
    """See the module. Settings: `genbench_tasks.general_points.splits`; `reward`: a table's name;
    `rules`: rules of the task file's own, name -> {J, Q, K, ...: value}."""

    outcomes = _OUTCOMES
    prompts = tuple(PROMPTS)
    #: settings beyond those of `splits`
    more_settings: tuple[str, ...] = ()

    def __init__(self, *, prompt: str, feedback: str, settings: Mapping[str, Any]) -> None:
        super().__init__(prompt=prompt, feedback=feedback, settings=settings)
        check_settings(settings, "settings", self.more_settings)
        self._rewards = chosen_rewards(settings, REWARDS)

    # -- instances and prompts ------------------------------------------------------------------

    def instances(self, split: SplitSpec) -> Sequence[Instance]:
        return draw(self.settings, split)

    def messages(self, instance: Instance) -> Sequence[Message]:
        data = instance.data
        return (
            Message(
                "user", prompt_text(data["cards"], data["values"], data["target"], self.prompt)
            ),
        )

    # -- the verifier ---------------------------------------------------------------------------

    def verify(self, instance: Instance, response: str, *, truncated: bool = False) -> Verdict:
        """Judge a response: `formula` alone decides, `cards` and `number` affect the checks alone.

        Pure and total; under 50 ms for any megabyte.
        """
        expected = multiset(_expected(instance))
        fields: Mapping[str, Any] | None = None
        extraction, strict = "none", False
        detail = ""
        if not response or response.isspace():
            outcome = "empty"
        elif len(response) > MAX_RESPONSE_CHARS:
            outcome = "too_long"
        else:
            answer = find_answer(response, "formula")
            fields, extraction, strict = answer.fields, answer.extraction, answer.strict
            if fields is None and not answer.exhausted:
                bare = last_line_like(response, _BARE_FORMULA)
                if bare is not None:
                    fields, extraction = {"formula": bare}, "bare"
            if fields is None:
                outcome = "too_long" if answer.exhausted else "unparsable"
            else:
                outcome, detail = judge(fields["formula"], expected, instance.data["target"])
        cards, numbers = self.cards_read(fields), _numbers(fields)
        checks = {
            "perception": None
            if cards is None
            else sorted(cards) == sorted(instance.data["cards"]),
            "rule": None if numbers is None else self.rule_read(cards, numbers, instance),
            "reasoning": _reasoned(fields, numbers, instance, outcome == CORRECT),
        }
        if truncated and outcome != CORRECT:
            outcome = TRUNCATED
        return Verdict(
            correct=outcome == CORRECT,
            outcome=outcome,
            reward=self._rewards.get(outcome, self._rewards["other"]),
            feedback=self._feedback(outcome, detail),
            checks=checks,
            fields=_shown_fields(fields, cards, numbers),
            readings=_readings(cards, numbers),
            extraction=extraction,
            strict=strict,
        )

    def revision(self, verdict: Verdict) -> str:
        return _REVISION + verdict.feedback

    def cards_read(self, fields: Mapping[str, Any] | None) -> list[str] | None:
        """The cards that an answer lists, None where it lists none."""
        cards = listed_cards(fields)
        return None if cards is None else [card.strip().upper()[:8] for card in cards]

    def rule_read(
        self, cards: Sequence[str] | None, numbers: Sequence[int], instance: Instance
    ) -> bool:
        """Whether the numbers that an answer lists are those of the hand under the rule."""
        return multiset(numbers) == multiset(_expected(instance))

    def _feedback(self, outcome: str, detail: str) -> str:
        if outcome == CORRECT:
            return "Correct."
        if self.feedback == "none":
            return "your answer is not correct."
        if self.feedback == "detail" and detail:
            return detail
        return _FEEDBACK[outcome]

    # -- solutions and agents -------------------------------------------------------------------

    def solutions(self, instance: Instance, *, seed: int = 0) -> Iterator[str]:
        """Correct responses; with a seed other than 0 the numbers are combined in another order."""
        cards, target = instance.data["cards"], instance.data["target"]
        numbers = list(_expected(instance))
        order = list(numbers)
        if seed:
            seeded("solutions", instance.id, seed).shuffle(order)
        seen = set()
        for solution in solutions(order, target):
            if solution.formula not in seen:
                seen.add(solution.formula)
                yield answer_text(cards, numbers, solution, target)

    def agent(self, kind: str, training: SplitSpec) -> Agent:
        from genbench_tasks.general_points.agents import make_agent

        return make_agent(kind, self, training)

    # -- measuring memorisation -----------------------------------------------------------------

    def under_rule(self, instance: Instance, training: SplitSpec) -> Instance | None:
        """The hand as the training rule reads it, None where both readings have the same numbers
        (a formula uses exactly the numbers of a hand, so otherwise no response is right twice)."""
        if training.rule is None or training.rule == instance.data["rule"]:
            return None
        values = named_rule(training.rule, self.settings.get("rules"))
        cards = instance.data["cards"]
        if multiset(numbers_of(cards, values)) == multiset(_expected(instance)):
            return None
        return Instance(
            instance.id,
            instance.pair_id,
            instance.cluster,
            {**instance.data, "rule": training.rule, "values": values},
        )

    def stickiness_reason(self, split: SplitSpec, training: SplitSpec) -> str | None:
        if split.rule != training.rule:
            return None
        return f"a {split.shift} shift keeps the rule: there is no training rule to return to"

    def expected_readings(self, instance: Instance) -> Mapping[str, str]:
        values = instance.data["values"]
        return {card: str(values[card]) for card in instance.data["cards"] if card in FACES}

    def chance(self, instance: Instance) -> float:
        """The share of labelled expressions over the hand's numbers that make the target."""
        return _chance(multiset(_expected(instance)), instance.data["target"])

    # -- contamination --------------------------------------------------------------------------

    def certificate(self, splits: Mapping[str, Sequence[Instance]]) -> Mapping[str, Any]:
        """Per split: instances whose class, or whose numbers, our recipes may train on."""
        return {
            "partition_fingerprint": partition_fingerprint(),
            "held_out_number_multisets": len(held_out_numbers()),
            "splits": {
                name: {
                    "n": len(instances),
                    "class_in_training_part": sum(
                        trainable_class(instance) for instance in instances
                    ),
                    "problem_may_be_trained": sum(
                        may_train(item.data["cards"], item.data["values"])
                        and len(item.data["cards"]) == 4
                        for item in instances
                    ),
                }
                for name, instances in splits.items()
            },
        }

    def training_overlap(
        self, splits: Mapping[str, Sequence[Instance]], training: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """How many instances of each split have numbers that the checkpoint, or one that it came
        from, was trained on; None where that is not known of one of them."""
        known = trained_numbers(training)
        if known is None:
            return None
        return {
            name: sum(multiset(_expected(instance)) in known for instance in instances)
            for name, instances in splits.items()
        }


def trained_numbers(training: Mapping[str, Any]) -> set[tuple[int, ...]] | None:
    """The number multisets that a checkpoint, or one that it came from, was trained on, by its
    record; None where that is not known of one of them."""
    known: set[tuple[int, ...]] = set()
    for member in [training, *(training.get("ancestors") or [])]:
        problems = (member.get("problems") if isinstance(member, Mapping) else None) or {}
        trained = problems.get("number_multisets")
        if problems.get("environment") != "general-points" or not isinstance(trained, list):
            return None
        known |= {tuple(int(n) for n in str(item).split(".")) for item in trained}
    return known


@lru_cache(maxsize=100_000)
def _chance(numbers: tuple[int, ...], target: int) -> float:
    return count(numbers, target) / expressions(len(numbers))


def _expected(instance: Instance) -> tuple[int, ...]:
    return numbers_of(instance.data["cards"], instance.data["values"])


def trainable_class(instance: Instance) -> bool:
    """Whether the bundled recipes may train on hands of the instance's class."""
    cards = instance.data["cards"]
    return len(cards) == 4 and part_of(class_of(cards)) == "train" and has_face(cards)


def judge(text: Any, expected: tuple[int, ...], target: int) -> tuple[str, str]:
    """The outcome of a formula for sorted expected numbers, and a detail that names no solution."""
    if not isinstance(text, str):
        return "illegal_formula", "your formula is not a text."
    try:
        formula = grammar.parse(text)
    except grammar.TooLongError as error:
        return "too_long", f"your formula is too long: {error}."
    except grammar.FormulaError as error:
        return "illegal_formula", f"your formula is not legal: {error}."
    if multiset(formula.numbers) != expected:
        return "wrong_numbers", _number_detail(formula.numbers, expected)
    value = formula.value()
    if value is None:
        return "wrong_value", "your formula divides by zero."
    if value != target:
        return "wrong_value", f"your formula has the value {_plain(value)}, not {target}."
    if formula.stated is not None and formula.stated != target:
        return "wrong_value", f"your formula states the value {formula.stated}, which is not true."
    return CORRECT, ""


def _plain(value: int | Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else str(value)


def _number_detail(used: Sequence[int], expected: Sequence[int]) -> str:
    surplus, missing = sorted(used), []
    for number in expected:
        if number in surplus:
            surplus.remove(number)
        else:
            missing.append(number)
    parts = []
    if surplus:
        parts.append(
            "it uses " + ", ".join(map(str, surplus[:_MAX_LISTED])) + " too often or without a card"
        )
    if missing:
        parts.append("it does not use " + ", ".join(map(str, missing)))
    return "your formula does not use each card's number exactly once: " + "; ".join(parts) + "."


def _listed(value: Any) -> list[Any] | None:
    """A list from a list, or from text such as "K, 2, 7" or "['K', '2']"."""
    if isinstance(value, str):
        value = [part.strip(" \t'\"") for part in value[:200].strip("[]() ").split(",")]
    return value if isinstance(value, list) and len(value) <= _MAX_LISTED else None


def listed_cards(fields: Mapping[str, Any] | None) -> list[str] | None:
    """The items of an answer's `cards` as texts, None where it lists none."""
    listed = _listed(fields.get("cards")) if fields else None
    if listed is None or not all(isinstance(card, (str, int)) for card in listed):
        return None
    return [str(card) for card in listed if not isinstance(card, bool)]


def _numbers(fields: Mapping[str, Any] | None) -> list[int] | None:
    listed = _listed(fields.get("number")) if fields else None
    if listed is None:
        return None
    numbers = []
    for item in listed:
        if isinstance(item, str) and re.fullmatch(r"[0-9]{1,6}", item):
            item = int(item)
        if not isinstance(item, int) or isinstance(item, bool):
            return None
        numbers.append(item)
    return numbers


def _reasoned(
    fields: Mapping[str, Any] | None,
    numbers: Sequence[int] | None,
    instance: Instance,
    correct: bool,
) -> bool | None:
    """Whether the formula is right for the numbers that the response itself gave."""
    if not fields or not numbers:
        return None
    if multiset(numbers) == multiset(_expected(instance)):
        return correct
    outcome, _ = judge(fields["formula"], multiset(numbers), instance.data["target"])
    return outcome == CORRECT


def _readings(
    cards: Sequence[str] | None, numbers: Sequence[int] | None
) -> tuple[tuple[str, str], ...]:
    """Which value the response gave to each face card that it lists."""
    if cards is None or numbers is None or len(cards) != len(numbers):
        return ()
    return tuple(
        (card, str(number)) for card, number in zip(cards, numbers, strict=True) if card in FACES
    )


def _shown_fields(
    fields: Mapping[str, Any] | None, cards: list[str] | None, numbers: list[int] | None
) -> dict[str, Any]:
    """What of the answer is kept in the verdict, in bounded size."""
    if not fields:
        return {}
    formula = fields["formula"]
    return {
        "cards": cards,
        "number": numbers,
        "formula": formula[: grammar.MAX_LENGTH] if isinstance(formula, str) else None,
    }


__all__ = [
    "RANKS",
    "REWARDS",
    "GeneralPoints",
    "judge",
    "listed_cards",
    "trainable_class",
    "trained_numbers",
]
