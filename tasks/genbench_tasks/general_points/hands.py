"""The hands of the game, their classes, and which of them belong to training, development, test.

The *class* of a hand is its number multiset under `face-10`. The 529 hands with a face card that
make 24 under both of the paper's rules fall into 158 classes, so that hands split one by one would
leak: the partition is by class. What is held out (test, development) is held out twice: every
hand of such a class under any rule and target, and every hand of any class whose numbers equal
what a held-out hand reads as under `face-10` or `face-11-12-13`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations_with_replacement

from genbench.task import TaskError, derive_seed, fingerprint
from genbench_tasks.general_points.cards import (
    RANKS,
    RULES,
    Rule,
    has_face,
    multiset,
    numbers_of,
)
from genbench_tasks.general_points.solver import solvable

TARGET = 24
ID_RULE = RULES["face-10"]
OOD_RULE = RULES["face-11-12-13"]
HELD_OUT_RULES = (ID_RULE, OOD_RULE)

# Of the 158 classes with a hand for the main task, and of the 62 other classes that hold a ten.
_CORE_PARTS = {"test": 80, "dev": 24}
_OTHER_PARTS = {"test": 24, "dev": 8}

Class = tuple[int, ...]


def class_of(cards: Iterable[str]) -> Class:
    """The class of a hand: its number multiset under `face-10`."""
    return multiset(numbers_of(cards, ID_RULE))


def class_name(hand_class: Class) -> str:
    """The name of a class, as clusters show it: `2.7.10.10`."""
    return ".".join(str(number) for number in hand_class)


@lru_cache(maxsize=8)
def all_hands(count: int = 4) -> tuple[tuple[str, ...], ...]:
    """Every rank multiset of that many cards (1,820 of four)."""
    return tuple(combinations_with_replacement(RANKS, count))


def makes(cards: Sequence[str], rule: Rule, target: int) -> bool:
    """Whether the hand can make the target under the rule."""
    return solvable(multiset(numbers_of(cards, rule)), target)


def is_paired(cards: Sequence[str], target: int = TARGET) -> bool:
    """Whether the hand has a face card and makes the target under both of the paper's rules."""
    return has_face(cards) and all(makes(cards, rule, target) for rule in HELD_OUT_RULES)


@lru_cache(maxsize=1)
def partition() -> dict[Class, str]:
    """The part (`test`, `dev`, `train`) of each class that holds a ten, hence face cards."""
    core = {class_of(hand) for hand in all_hands() if is_paired(hand)}
    every = {class_of(hand) for hand in all_hands() if has_face(hand)}
    parts: dict[Class, str] = {}
    for classes, sizes in ((core, _CORE_PARTS), (every - core, _OTHER_PARTS)):
        order = sorted(classes, key=lambda item: derive_seed("partition", class_name(item)))
        cut = sizes["test"]
        for position, hand_class in enumerate(order):
            if position < cut:
                parts[hand_class] = "test"
            else:
                parts[hand_class] = "dev" if position < cut + sizes["dev"] else "train"
    return parts


def part_of(hand_class: Class) -> str:
    """The part of any class; one without a ten has no face hand and is free for training."""
    return partition().get(hand_class, "train")


@lru_cache(maxsize=4)
def face_hands(part: str) -> tuple[tuple[str, ...], ...]:
    """Every four-card hand with a face card whose class is in that part."""
    return tuple(hand for hand in all_hands() if has_face(hand) and part_of(class_of(hand)) == part)


@lru_cache(maxsize=1)
def held_out_numbers() -> frozenset[tuple[int, ...]]:
    """The number multisets that a held-out hand reads as under either of the paper's rules."""
    return frozenset(
        multiset(numbers_of(hand, rule))
        for part in ("test", "dev")
        for hand in face_hands(part)
        for rule in HELD_OUT_RULES
    )


def may_train(cards: Sequence[str], rule: Rule) -> bool:
    """Whether a training problem may show this hand under this rule (any target)."""
    return (
        part_of(class_of(cards)) == "train"
        and multiset(numbers_of(cards, rule)) not in held_out_numbers()
    )


def refuse_held_out(cards: Sequence[str], rule: Rule, where: str) -> None:
    """Raise TaskError for a problem that no training may show."""
    if not may_train(cards, rule):
        hand_class = class_of(cards)
        raise TaskError(
            f"{where}: the hand {' '.join(cards)} (class {class_name(hand_class)}, part "
            f"{part_of(hand_class)}) is held out, or reads as a held-out hand: it may not be "
            "trained on"
        )


@lru_cache(maxsize=1)
def partition_fingerprint() -> str:
    """SHA-256 of what is held out: checkpoints trained against another partition prove nothing."""
    return fingerprint(
        {
            "classes": sorted([list(c), part] for c, part in partition().items()),
            "numbers": sorted(list(numbers) for numbers in held_out_numbers()),
        }
    )
