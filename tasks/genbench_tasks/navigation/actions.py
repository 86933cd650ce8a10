"""What a walker can do: `forward()`, `stop()`, and `turn_direction(x)` in one of two vocabularies.

ID is `absolute` (the eight compass directions, 10 actions in all), OOD `relative` (left, right,
slightly left, slightly right; 6 actions). Source: Chu et al. 2025, section 4.2 and appendix B.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from genbench.task import TaskError, closest
from genbench_tasks.navigation.headings import COMPASS, RELATIVE

Kind = Literal["turn", "forward", "stop"]
KINDS: tuple[Kind, ...] = ("turn", "forward", "stop")
RULES: Mapping[str, Sequence[str]] = {"absolute": COMPASS, "relative": RELATIVE}

_CALL = re.compile(
    r"(turn_direction|turn|forward|stop)\s{0,9}(?:\(\s{0,9}([a-z_ '\"-]{0,40})\))?\s{0,9}[.;]?"
)
_WORDS = {
    re.sub("[ _-]", "", word): word for words in RULES.values() for word in words
} | {"slightleft": "slightly left", "slightright": "slightly right"}  # fmt: skip


@dataclass(frozen=True)
class Action:
    """An action; `word` says where a turn leads to."""

    kind: Kind
    word: str = ""

    @property
    def rule(self) -> str | None:
        """The vocabulary that the word of a turn is of."""
        return next((rule for rule, words in RULES.items() if self.word in words), None)

    def __str__(self) -> str:
        return f"turn_direction({self.word})" if self.kind == "turn" else f"{self.kind}()"


def named_rule(rule: str | None, where: str) -> str:
    """The name of a vocabulary. Raises TaskError."""
    if rule is None:
        raise TaskError(f"{where} names no rule; it is one of {', '.join(RULES)}")
    if rule not in RULES:
        raise TaskError(f"{where}: there is no rule '{rule}'; {closest(rule, RULES)}")
    return rule


def action_space(rule: str) -> tuple[Action, ...]:
    """Every action under a rule: the turns, then forward and stop."""
    return (*(Action("turn", word) for word in RULES[rule]), Action("forward"), Action("stop"))


def read_action(text: str) -> Action | None:
    """The action that a text names, in either vocabulary; None where it names none.

    Tolerant of case, spacing, quotes, and of `-` and `_` within a direction.
    """
    match = _CALL.fullmatch(text[:120].strip().lower())
    if match is None:
        return None
    name, word = match[1], (match[2] or "").strip("'\" ")
    if name in ("forward", "stop"):
        return None if word else Action("forward" if name == "forward" else "stop")
    found = _WORDS.get(re.sub("[ _-]", "", word))
    return None if found is None else Action("turn", found)
