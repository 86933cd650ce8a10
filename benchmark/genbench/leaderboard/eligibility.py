"""Whether a board takes a run; each rule that fails is a sentence."""

from __future__ import annotations

import json
from typing import Any

from genbench.leaderboard.definition import TASK_SETTINGS, Board
from genbench.leaderboard.values import value_at
from genbench.results import Results

_TIERS = ("rescored", "regenerated")
_OF_THE_BACKEND = ("backend", "dtype")


def is_reference(board: Board, results: Results) -> bool:
    """Whether the run calibrates the board, and is not ranked."""
    return results.model.backend in board.references


def refusals(board: Board, results: Results, tier: str) -> list[str]:
    """Why the board does not take a run of this tier; empty where it does."""
    if results.task.name not in board.tasks:
        return [f"the task {results.task.name} is not on this board ({', '.join(board.tasks)})"]
    found = _settings(board, results)
    if _TIERS.index(tier) < _TIERS.index(board.eligibility.tier):
        found.append(
            "no episode was played again on the weights, which this board asks for: add the run "
            "with --regenerate N"
        )
    if value_at(results, board.rank_by.metric) is None:
        found.append(f"it has no {board.rank_by.metric}, by which this board ranks")
    if not is_reference(board, results):
        found += _contamination(board, results)
    return found


def _settings(board: Board, results: Results) -> list[str]:
    found = []
    # Other settings of a task are other questions: a board that names none takes none.
    for name in dict.fromkeys((*board.eligibility.settings, TASK_SETTINGS)):
        if is_reference(board, results) and name in _OF_THE_BACKEND:
            continue
        value, allowed = results.settings.get(name), board.eligibility.allowed(name)
        if name == TASK_SETTINGS:
            value = value or {}
        # In Python 1 equals true; 0 and 0.0 are equal here, too.
        if not any(value == one and _kind(value) is _kind(one) for one in allowed):
            wanted = " or ".join(json.dumps(one, default=str) for one in allowed)
            found.append(
                f"the setting {name} is {json.dumps(value)}; this board takes {wanted}: make the "
                "run again with that"
            )
    return found


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)


def _contamination(board: Board, results: Results) -> list[str]:
    seen, rules = results.contamination, board.eligibility
    found = []
    if seen.status not in rules.contamination:
        found.append(
            f"the contamination status is {seen.status}; this board takes "
            f"{' or '.join(rules.contamination)}"
        )
    known = {name: count for name, count in (seen.overlap or {}).items() if count}
    if rules.max_overlap is not None and max(known.values(), default=0) > rules.max_overlap:
        listed = ", ".join(
            f"{count} of {results.splits[name].n} in {name}" for name, count in known.items()
        )
        found.append(
            f"the checkpoint was trained on problems of this test ({listed}); this board takes at "
            f"most {rules.max_overlap}"
        )
    return found
