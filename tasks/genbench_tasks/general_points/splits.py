"""From a split's settings to its instances.

Task and split settings (a split's own override the task's):
    part         test | dev | train: the part of the partition that the hands come from
    require      list of [rule, target]: a hand takes part if it makes each of them
    targets      list of targets: one instance for each hand and target that it makes
                 under every rule of `require_rules`
    per_class    at most so many hands of a class and target (chosen by hash)
    target       the target of the split (default 24)
    numerals     a rule: its face cards are written as the numerals of that rule
    add_cards    so many more cards, chosen by hash such that the hand stays solvable
    replace_with a list of values: one number card is replaced by such a numeral, likewise
    sampling     paper: `n` hands dealt from a 52-card deck, solvable under the split's rule
                 (`face_card: true` forces one), no regard to the partition
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from genbench.task import Instance, SplitSpec, TaskError, closest, hash_order, seeded
from genbench_tasks.general_points.cards import (
    FACES,
    RANKS,
    Rule,
    as_numerals,
    hand_name,
    has_face,
    multiset,
    named_rule,
    numbers_of,
)
from genbench_tasks.general_points.hands import TARGET, class_name, class_of, face_hands, makes
from genbench_tasks.general_points.solver import solvable

_KEYS = {
    "part", "require", "targets", "require_rules", "per_class", "target", "numerals", "add_cards",
    "replace_with", "sampling", "n", "face_card", "rules", "seed", "reward",
}  # fmt: skip

Hand = tuple[str, ...]


def check_settings(settings: Mapping[str, Any], where: str, more: Collection[str] = ()) -> None:
    """Raise TaskError for a setting that GeneralPoints, or `more` of it, does not know."""
    for key in settings:
        if key not in _KEYS and key not in more:
            known = closest(key, [*_KEYS, *more])
            raise TaskError(f"{where}: GeneralPoints has no setting '{key}'; {known}")


def draw(settings: Mapping[str, Any], split: SplitSpec) -> list[Instance]:
    """The instances of a split, in hash order."""
    merged = {"part": "test", "target": TARGET, "seed": 0, **settings, **split.settings}
    check_settings(merged, f"split '{split.name}'")
    if split.rule is None:
        raise TaskError(f"split '{split.name}' names no rule")
    target = merged["target"]
    if not isinstance(target, int) or isinstance(target, bool):
        raise TaskError(f"split '{split.name}': target is a whole number, not {target!r}")
    rule = named_rule(split.rule, merged.get("rules"))
    if merged.get("sampling") == "paper":
        return list(_paper(merged, split, rule))
    found = []
    for base, target in _base_hands(merged):
        cards = _transformed(base, merged, rule, target)
        if cards is not None:
            found.append(_instance(base, cards, target, split, rule, "targets" in merged))
    _refuse_unsolvable(found, merged, split)
    return hash_order(found, "order", merged["seed"])


def _refuse_unsolvable(
    found: Sequence[Instance], settings: Mapping[str, Any], split: SplitSpec
) -> None:
    """Raise TaskError where hands cannot make their target: `require` asks for another one."""
    made = [settings.get("numerals") or split.rule, settings["target"]]
    if "targets" in settings or made in [list(need) for need in settings["require"]]:
        return
    unsolvable = [
        instance
        for instance in found
        if not makes(instance.data["cards"], instance.data["values"], instance.data["target"])
    ]
    if unsolvable:
        raise TaskError(
            f"split '{split.name}': {len(unsolvable)} of {len(found)} hands cannot make "
            f"{settings['target']} under {split.rule}: `require` asks for {settings['require']}. "
            f"Change it as well: a hand takes part if it makes each [rule, target] in it, such as "
            f"[{split.rule}, {settings['target']}]"
        )


def _base_hands(settings: Mapping[str, Any]) -> Iterator[tuple[Hand, int]]:
    custom = settings.get("rules")
    hands = face_hands(settings["part"])
    if "targets" not in settings:
        needs = [(named_rule(name, custom), target) for name, target in settings["require"]]
        for hand in hands:
            if all(makes(hand, rule, target) for rule, target in needs):
                yield hand, settings["target"]
        return
    rules = [named_rule(name, custom) for name in settings["require_rules"]]
    most = settings.get("per_class")
    for target in settings["targets"]:
        by_class: dict[tuple[int, ...], list[Hand]] = {}
        for hand in hands:
            if all(makes(hand, rule, target) for rule in rules):
                by_class.setdefault(class_of(hand), []).append(hand)
        for members in by_class.values():
            order = sorted(
                members, key=lambda hand: seeded("pick", hand_name(hand), target).random()
            )
            for hand in order[:most]:
                yield hand, target


def _transformed(base: Hand, settings: Mapping[str, Any], rule: Rule, target: int) -> Hand | None:
    cards = base
    name = hand_name(base)
    if "numerals" in settings:
        cards = as_numerals(cards, named_rule(settings["numerals"], settings.get("rules")))
    if settings.get("add_cards"):
        cards = _extended(cards, settings["add_cards"], rule, target, name)
    if settings.get("replace_with"):
        replaced = _replaced(cards, settings["replace_with"], rule, target, name)
        if replaced is None:
            return None
        cards = replaced
    order = list(cards)
    # A stream of the base hand: its twins in other splits stand in the same order.
    seeded("cards", name, len(order)).shuffle(order)
    return tuple(order)


def _extended(cards: Hand, count: int, rule: Rule, target: int, name: str) -> Hand:
    stream = seeded("add", name, count)
    while True:
        more = tuple(stream.choice(RANKS) for _ in range(count))
        if solvable(multiset(numbers_of((*cards, *more), rule)), target):
            return (*cards, *more)


def _replaced(
    cards: Hand, values: Sequence[int], rule: Rule, target: int, name: str
) -> Hand | None:
    choices = [(i, v) for i, card in enumerate(cards) if card not in FACES for v in values]
    seeded("replace", name).shuffle(choices)
    for position, value in choices:
        changed = (*cards[:position], str(value), *cards[position + 1 :])
        if solvable(multiset(numbers_of(changed, rule)), target):
            return changed
    return None


def _instance(
    base: Hand, cards: Hand, target: int, split: SplitSpec, rule: Rule, per_target: bool
) -> Instance:
    suffix = f"@{target}" if per_target else ""
    pair = hand_name(base) + suffix
    cluster = class_name(class_of(base)) + suffix
    return Instance(
        id=f"{split.name}/{pair}",
        pair_id=pair,
        cluster=cluster,
        data={"cards": list(cards), "rule": split.rule, "values": dict(rule), "target": target},
    )


def _paper(settings: Mapping[str, Any], split: SplitSpec, rule: Rule) -> Iterator[Instance]:
    deck = [rank for rank in RANKS for _ in range(4)]
    stream = seeded("paper", split.name, settings["seed"])
    target = settings["target"]
    number = 0
    while number < settings["n"]:
        hand = tuple(stream.sample(deck, 4))
        if settings.get("face_card") and not has_face(hand):
            continue
        if not makes(hand, rule, target):
            continue
        name = f"{number:03d}-{hand_name(hand)}"
        yield Instance(
            id=f"{split.name}/{name}",
            pair_id=f"{split.name}/{name}",
            cluster=class_name(class_of(hand)),
            data={"cards": list(hand), "rule": split.rule, "values": dict(rule), "target": target},
        )
        number += 1
