"""Cards, and the rules that say what they count as.

A card is its label: `A`, `2`..`10`, `J`, `Q`, `K`, or a numeral (`11`..`99`, a card of extended
value). A rule gives the value of the labels that it names; every other card counts as its numeral.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from genbench.task import TaskError, closest

FACES = ("J", "Q", "K")
RANKS = ("A", *(str(value) for value in range(2, 11)), *FACES)
MAX_VALUE = 999

Rule = Mapping[str, int]

#: The family of rules that is named in the paper (the first two) and in its follow-ups.
RULES: Mapping[str, Rule] = {
    "face-10": {"J": 10, "Q": 10, "K": 10},
    "face-11-12-13": {"J": 11, "Q": 12, "K": 13},
    **{f"all-{value}": dict.fromkeys(FACES, value) for value in (2, 3, 5, 7, 9, 11, 12, 13)},
}


def named_rule(name: str, custom: Mapping[str, Mapping[str, int]] | None = None) -> Rule:
    """The rule of that name, a task file's own rules first. Raises TaskError."""
    rules = {**RULES, **(custom or {})}
    if name not in rules:
        raise TaskError(f"no rule '{name}' in GeneralPoints; {closest(name, rules)}")
    rule = dict(rules[name])
    for label, value in rule.items():
        if label not in RANKS:
            raise TaskError(f"rule '{name}' names '{label}', which is no card ({' '.join(RANKS)})")
        if not isinstance(value, int) or not 1 <= value <= MAX_VALUE:
            raise TaskError(f"rule '{name}' gives {label} the value {value!r}, not 1..{MAX_VALUE}")
    missing = [face for face in FACES if face not in rule]
    if missing:
        raise TaskError(f"rule '{name}' gives no value to {', '.join(missing)}")
    return rule


def value_of(card: str, rule: Rule) -> int:
    """What a card counts as."""
    if card in rule:
        return rule[card]
    return 1 if card == "A" else int(card)


def numbers_of(cards: Iterable[str], rule: Rule) -> tuple[int, ...]:
    """What the cards count as, in their order."""
    return tuple(value_of(card, rule) for card in cards)


def multiset(numbers: Iterable[int]) -> tuple[int, ...]:
    """The sorted tuple that stands for a multiset of numbers."""
    return tuple(sorted(numbers))


def hand_name(cards: Sequence[str]) -> str:
    """The name of a hand whatever its order: `A-2-7-K`."""
    order = {label: position for position, label in enumerate(RANKS)}
    return "-".join(sorted(cards, key=lambda card: (order.get(card, 99), card)))


def has_face(cards: Iterable[str]) -> bool:
    """Whether any card depends on the face rule."""
    return any(card in FACES for card in cards)


def as_numerals(cards: Iterable[str], rule: Rule) -> tuple[str, ...]:
    """The hand with every card that the rule names replaced by its value as a numeral."""
    return tuple(str(rule[card]) if card in rule else card for card in cards)
