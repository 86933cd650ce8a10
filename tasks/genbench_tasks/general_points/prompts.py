"""What the model is asked, and the answer format, in our own words (after the paper, appendix A).

Every variant states the same task: the description, the rule, the cards, the JSON answer. The
rule sentence has one template for every rule, so that two rules differ in the values alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from genbench_tasks.general_points.cards import FACES, Rule, numbers_of
from genbench_tasks.general_points.solver import Number, Solution, solutions

_TASK = (
    "You play a card game of arithmetic. You are given {count} cards. Combine the numbers of all "
    "the cards into one formula whose value is the target. Use each card's number exactly once, "
    "and nothing but +, -, *, / and parentheses.\n"
    "Target: {target}\n"
)
_CARDS = "\nCards: {cards}\n"
_PICTURED = "\nCards: the {count} cards in the picture.\n"
_ANSWER = (
    'Answer with one JSON object: "cards" ({cards}), "number" (what each card counts as, in the '
    'same order), optionally "steps" (your working, one line a step), and "formula" (the whole '
    "formula, then = and the target).\n"
)
_AS_SEEN = "the cards as you see them"
_RANKS_SEEN = 'the rank of each card that you see in the picture, such as "7", "A" or "K"'
_EXAMPLE = "An answer for other cards and the target {target}:\n{example}"
_REASON = (
    "Think first: write your reasoning in plain text for as long as you need. Then, as the very "
    "last thing, give your answer.\n"
)

#: The rule sentence of each prompt: how it opens, how it names one face card, what joins them.
_RULE_SENTENCES: Mapping[str, tuple[str, str, str, str]] = {
    "counts": ("Rule: ", "{face} counts as {value}", ", ", "; A counts as 1; "),
    "worth": (
        "In this game ",
        "a {face} is worth {value}",
        " and ",
        " while an A is worth 1, and ",
    ),
    "table": ("Values: ", "{face} = {value}", ", ", ", A = 1, "),
    "read": ("When you see ", "{face} read it as {value}", ", when you see ", ". Read A as 1; "),
    "means": ("By the rule of this round ", "{face} means {value}", ", ", ", A means 1, "),
}
_NUMERALS = "every other card counts as the number on it."

#: Prompt name -> (rule sentence, whether the model is asked to reason first).
PROMPTS: Mapping[str, tuple[str, bool]] = {
    "paper": ("counts", False),
    "reasoned": ("counts", True),
    **{f"paper-{name}": (name, False) for name in ("worth", "table", "read", "means")},
}

_EXAMPLE_CARDS = ("2", "A", "4", "3", "5", "6")
_EXAMPLE_TARGETS = {4: 10, 5: 15, 6: 21}


def rule_sentence(rule: Rule, wording: str = "counts") -> str:
    """The sentence that states a rule."""
    opening, one, joint, close = _RULE_SENTENCES[wording]
    special = [*FACES, *sorted(label for label in rule if label not in FACES)]
    named = joint.join(one.format(face=label, value=rule[label]) for label in special)
    if "A" in rule:
        close = "; "
    return f"{opening}{named}{close}{_NUMERALS}"


def _shown(value: Number) -> str:
    return str(value) if value >= 0 else f"({value})"


def answer_text(
    cards: Sequence[str],
    numbers: Sequence[int],
    solution: Solution,
    target: int,
    *,
    steps: bool = True,
) -> str:
    """A response in the answer format: valid JSON in one line."""
    answer: dict[str, object] = {"cards": list(cards), "number": list(numbers)}
    if steps:
        answer["steps"] = [
            f"{_shown(step.a)}{step.operator}{_shown(step.b)}={_shown(step.result)}"
            + (f"; left {' '.join(_shown(value) for value in step.left)}" if step.left else "")
            for step in solution.steps
        ]
    answer["formula"] = f"{solution.formula}={target}"
    return json.dumps(answer)


def example(count: int) -> tuple[tuple[str, ...], int, str]:
    """The cards, target and answer of the example in a prompt for that many cards."""
    cards = _EXAMPLE_CARDS[:count]
    target = _EXAMPLE_TARGETS.get(count, sum(numbers_of(cards, {})))
    numbers = numbers_of(cards, {})
    return cards, target, answer_text(cards, numbers, next(solutions(numbers, target)), target)


def phrases(count: int, *, pictured: bool = False) -> list[str]:
    """The constant stretches of the prompts for that many cards, between the parts that vary.

    A tokenizer that holds them as single tokens reads these prompts in a few dozen tokens.
    `pictured`: those of the prompts that go with a picture of the cards.
    """
    _, example_target, example_answer = example(count)
    answer = _ANSWER.format(cards=_RANKS_SEEN if pictured else _AS_SEEN)
    ending = answer + _EXAMPLE.format(target=example_target, example=example_answer)
    found = [*_TASK.format(count=count, target="\x00").split("\x00")]
    for wording in _RULE_SENTENCES:
        *opening, close = rule_sentence(dict.fromkeys(FACES, "\x00"), wording).split("\x00")  # type: ignore[arg-type]
        head = found[1] + opening[0]
        found += [head, *opening[1:]]
        if pictured:
            cards = close + _PICTURED.format(count=count)
            found += [cards + ending, cards + _REASON + ending]
        else:
            found.append(close + _CARDS.format(cards="['").rstrip("\n"))
    if not pictured:
        found += ["']\n" + ending, "']\n" + _REASON + ending]
    return list(dict.fromkeys(found))


def prompt_text(
    cards: Sequence[str], rule: Rule, target: int, prompt: str, *, pictured: bool = False
) -> str:
    """The first user message; `pictured`: the text beside a picture of the cards, which it does
    not name."""
    wording, reason = PROMPTS[prompt]
    count = len(cards)
    _, example_target, example_answer = example(count)
    listed = "[" + ", ".join(f"'{card}'" for card in cards) + "]"
    return "".join(
        [
            _TASK.format(count=count, target=target),
            rule_sentence(rule, wording),
            _PICTURED.format(count=count) if pictured else _CARDS.format(cards=listed),
            _REASON if reason else "",
            _ANSWER.format(cards=_RANKS_SEEN if pictured else _AS_SEEN),
            _EXAMPLE.format(target=example_target, example=example_answer),
        ]
    )
