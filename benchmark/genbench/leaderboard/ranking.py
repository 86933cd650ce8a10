"""Ranks that tests back: scores instance by instance, every pair of rows compared.

Which row leads is read off the data, so a correction over the comparisons with the leader alone
would be too weak; Holm's is taken over all pairs of rows. The rank of a row is one plus the number
of rows that are significantly better.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from genbench import stats
from genbench.records import EpisodeRecord

ALPHA = 0.05
_DRAWS = 20_000
_DRAWS_A_PAIR = 2 / ALPHA  # so that the smallest p-value, times the pairs, stays below ALPHA

_METRICS = (
    (re.compile(r"splits\.(?P<split>[^.]+)\.success_rate"), False),
    (re.compile(r"splits\.(?P<split>[^.]+)\.success_at\.(?P<attempts>[1-9]\d*)"), False),
    (re.compile(r"splits\.(?P<split>[^.]+)\.(?P<strict>strict_success_rate)"), False),
    (re.compile(r"generalization\.(?P<split>[^.]+)\.gap"), True),
    (re.compile(r"generalization\.(?P<split>[^.]+)\.(?P<last>gap_at_viter)"), True),
)


@dataclass(frozen=True)
class RankMetric:
    """A metric that is a mean over instances: solved within `attempts`, or (0) within all."""

    split: str
    is_gap: bool
    attempts: int
    strict: bool

    def score(self, episode: EpisodeRecord) -> float:
        if self.strict:
            strict = all(turn.verdict.strict for turn in episode.turns if turn.attempt == 1)
            return float(episode.solved_within(1) and strict)
        return float(episode.solved_within(self.attempts) if self.attempts else episode.solved)


def rank_metric(path: str) -> RankMetric:
    """The metric that a path names. Raises ValueError where rows cannot be tested by it."""
    for pattern, is_gap in _METRICS:
        if match := pattern.fullmatch(path.removesuffix(".value")):
            found = match.groupdict()
            attempts = 0 if found.get("last") else int(found.get("attempts") or 1)
            return RankMetric(found["split"], is_gap, attempts, bool(found.get("strict")))
    raise ValueError(
        f"'{path}' cannot rank: ties need a test instance by instance, which there is for "
        "splits.<split>.success_rate, .success_at.<k>, .strict_success_rate and "
        "generalization.<split>.gap, .gap_at_viter"
    )


@dataclass(frozen=True)
class Scores:
    """One score an instance (a pair of instances, for a gap), in a fixed order."""

    names: tuple[str, ...]
    values: tuple[float, ...]
    clusters: tuple[str, ...]


def scores_of(episodes: Iterable[EpisodeRecord], metric: RankMetric) -> Scores:
    """The scores of a run by a metric; the mean over the samples of an instance."""
    sides = ("id", metric.split) if metric.is_gap else (metric.split,)
    found: dict[str, dict[str, list[float]]] = {side: {} for side in sides}
    clusters: dict[str, str] = {}
    for episode in episodes:
        if episode.split in found:
            name = episode.pair_id if metric.is_gap else episode.instance_id
            found[episode.split].setdefault(name, []).append(metric.score(episode))
            clusters[name] = episode.cluster
    means = [
        {name: sum(values) / len(values) for name, values in side.items()}
        for side in found.values()
    ]
    names = sorted(name for name in means[0] if all(name in side for side in means))
    values = [
        means[0][name] - means[1][name] if metric.is_gap else means[0][name] for name in names
    ]
    return Scores(tuple(names), tuple(values), tuple(clusters[name] for name in names))


def difference(a: Scores, b: Scores, *, is_gap: bool, draws: int = _DRAWS) -> stats.Difference:
    """mean(a) - mean(b): paired where the instances are the same, else unpaired.

    Raises ValueError for gaps of different pairs.
    """
    if a.names == b.names:
        if not is_gap:
            return stats.paired_difference(a.values, b.values, a.clusters, permutations=draws)
        changes = [one - other for one, other in zip(a.values, b.values, strict=True)]
        return stats.contrast(changes, a.clusters, permutations=draws)
    if is_gap:
        raise ValueError("gaps of different pairs of instances cannot be compared")
    return stats.unpaired_difference(a.values, b.values, a.clusters, b.clusters)


@dataclass(frozen=True)
class Comparison:
    """Two rows by their positions, `first` minus `second`; the p-value corrected by Holm."""

    first: int
    second: int
    value: float
    p_value: float
    p_value_holm: float
    method: str

    @property
    def significant(self) -> bool:
        return self.p_value_holm <= ALPHA and self.value != 0


@dataclass(frozen=True)
class Ranking:
    """The rank of each row, in the order given, and the comparisons it follows from."""

    ranks: tuple[int, ...]
    comparisons: tuple[Comparison, ...]

    def not_separated(self, row: int) -> list[int]:
        """The rows that no test tells from `row`."""
        return [
            pair.second if pair.first == row else pair.first
            for pair in self.comparisons
            if row in (pair.first, pair.second) and not pair.significant
        ]


def rank(
    rows: Sequence[Scores],
    direction: Literal["higher", "lower"],
    compare: Callable[[Scores, Scores, int], stats.Difference],
) -> Ranking:
    """Compare every pair of rows with `compare(a, b, draws)` and rank them."""
    pairs = list(combinations(range(len(rows)), 2))
    draws = max(_DRAWS, round(_DRAWS_A_PAIR * len(pairs)))
    found = [compare(rows[i], rows[j], draws) for i, j in pairs]
    adjusted = stats.holm([one.p_value for one in found])
    comparisons = tuple(
        Comparison(i, j, one.value, one.p_value, float(holm), one.method)
        for (i, j), one, holm in zip(pairs, found, adjusted, strict=True)
    )
    beaten = _times_beaten(comparisons, direction)
    return Ranking(tuple(1 + beaten.get(row, 0) for row in range(len(rows))), comparisons)


def _times_beaten(comparisons: Iterable[Comparison], direction: str) -> Mapping[int, int]:
    beaten: dict[int, int] = {}
    for pair in comparisons:
        if pair.significant:
            first_wins = (pair.value > 0) == (direction == "higher")
            loser = pair.second if first_wins else pair.first
            beaten[loser] = beaten.get(loser, 0) + 1
    return beaten
