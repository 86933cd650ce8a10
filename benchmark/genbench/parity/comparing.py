"""Two backends, turn by turn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from genbench.parity.playing import TURNS
from genbench.parity.results import KINDS, Agreement, Difference, Pair
from genbench.results import Rate
from genbench.stats.proportions import proportion

# After a turn in which one of these differs, the two are asked different things.
_DECIDING = ("text", "finish_reason", "verdict")
_WITH_POSITION = ("prompt", "token_ids", "text")


class _Count:
    """Turns that agree or not, with their clusters."""

    def __init__(self) -> None:
        self._agree: list[bool] = []
        self._clusters: list[str] = []

    def add(self, agree: bool, cluster: str) -> None:
        self._agree.append(agree)
        self._clusters.append(cluster)

    def agreement(self) -> Agreement:
        if not self._agree:
            return Agreement(n=0, agree=0, rate=None)
        found = proportion(list(map(float, self._agree)), self._clusters)
        return Agreement(
            n=len(self._agree),
            agree=sum(self._agree),
            rate=Rate(
                value=found.value,
                ci95=(found.low, found.high),
                n=found.n,
                clusters=found.clusters,
                method=found.method,
            ),
        )


def compare_all(folders: Mapping[str, Path]) -> list[Pair]:
    """Every two of the backends, whose folders `play_backend` has filled."""
    return [
        compare(names, (folders[names[0]], folders[names[1]])) for names in combinations(folders, 2)
    ]


def compare(names: tuple[str, str], folders: tuple[Path, Path]) -> Pair:
    """Two backends on the same episodes, in the same order."""
    first = {kind: _Count() for kind in KINDS}
    later = {kind: _Count() for kind in KINDS}
    solved = _Count()
    differences: dict[str, Difference] = {}
    not_compared = 0
    with (folders[0] / TURNS).open() as one, (folders[1] / TURNS).open() as other:
        for lines in zip(one, other, strict=True):
            ours, theirs = map(json.loads, lines)
            assert ours["instance_id"] == theirs["instance_id"]
            solved.add(ours["solved"] == theirs["solved"], ours["cluster"])
            turns = list(zip(ours["turns"], theirs["turns"], strict=False))
            compared = 0
            for number, pair in enumerate(turns):
                compared += 1
                counts = later if number else first
                for kind in KINDS:
                    values = pair[0][kind], pair[1][kind]
                    if None in values:  # one of them does not say
                        continue
                    counts[kind].add(values[0] == values[1], ours["cluster"])
                    if values[0] != values[1]:
                        differences.setdefault(kind, _difference(kind, ours, number, values))
                if any(pair[0][kind] != pair[1][kind] for kind in _DECIDING):
                    break
            not_compared += max(len(ours["turns"]), len(theirs["turns"])) - compared
    return Pair(
        backends=names,
        first={kind: count.agreement() for kind, count in first.items()},
        later={kind: count.agreement() for kind, count in later.items()},
        not_compared=not_compared,
        solved=solved.agreement(),
        differences=[differences[kind] for kind in KINDS if kind in differences],
    )


def _difference(
    kind: str, episode: Mapping[str, Any], number: int, values: tuple[Any, Any]
) -> Difference:
    return Difference(
        kind=kind,  # type: ignore[arg-type]
        split=episode["split"],
        instance_id=episode["instance_id"],
        turn=number + 1,
        position=first_place(*values) if kind in _WITH_POSITION else None,
        values=values,
    )


def first_place(one: Sequence[Any], other: Sequence[Any]) -> int:
    """The first place at which two sequences differ: the shorter one's end, where it begins the
    other."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
