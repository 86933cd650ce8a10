"""How much better or worse one run is than another, instance by instance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genbench import stats
from genbench.scores import ScoredRun, Scores, SplitScores


@dataclass(frozen=True)
class Changes:
    """Later minus earlier, one value in [-bound, bound] an instance."""

    values: Scores
    clusters: tuple[str, ...]
    bound: float
    earlier: float
    later: float
    sides: tuple[Scores, Scores] | None = None
    """The earlier and the later scores, where the values are differences of two scores."""

    def tested(self, permutations: int = 20_000) -> stats.Difference:
        """The mean with its interval and the two-sided test that it is zero."""
        if self.sides is not None:
            earlier, later = self.sides
            return stats.paired_difference(later, earlier, self.clusters, permutations=permutations)
        return stats.contrast(
            self.values, self.clusters, permutations=permutations, bound=self.bound
        )


def change(
    earlier: ScoredRun, later: ScoredRun, split: str, measure: str = "first"
) -> Changes | None:
    """The change of a measure on a split, on the instances where both runs have it."""
    before, after = earlier.splits[split], later.splits[split]
    old, new = before.values(measure), after.values(measure)
    known = ~(np.isnan(old) | np.isnan(new))
    if not known.any():
        return None
    clusters = tuple(cluster for cluster, kept in zip(before.clusters, known, strict=True) if kept)
    old, new = old[known], new[known]
    return Changes(new - old, clusters, 1.0, float(old.mean()), float(new.mean()), sides=(old, new))


@dataclass(frozen=True)
class OodMinusId:
    """Per-instance scores of two splits as values whose mean is OOD minus ID."""

    values: Scores
    """Shape (..., units), one a pair or, of separate splits, one an instance."""
    clusters: tuple[str, ...]
    bound: float
    """The largest size of the difference between two such values."""


def ood_minus_id(
    id_split: SplitScores, ood_split: SplitScores, paired: bool, inside: Scores, out: Scores
) -> OodMinusId:
    """`inside` and `out` are scores in [0, 1] of shape (..., instances of the split).

    Paired splits: one value a pair. Separate splits: each instance's score, weighted so that the
    mean over the instances of both is the difference of the two splits' means.
    """
    if paired:
        place = {pair: index for index, pair in enumerate(ood_split.pair_ids)}
        kept = [index for index, pair in enumerate(id_split.pair_ids) if pair in place]
        twins = [place[id_split.pair_ids[index]] for index in kept]
        clusters = tuple(id_split.clusters[index] for index in kept)
        return OodMinusId(out[..., twins] - inside[..., kept], clusters, 2.0)
    sizes = inside.shape[-1], out.shape[-1]
    total = sum(sizes)
    values = np.concatenate((-inside * total / sizes[0], out * total / sizes[1]), axis=-1)
    return OodMinusId(values, id_split.clusters + ood_split.clusters, total / min(sizes))


def difference_in_differences(
    earlier: ScoredRun, later: ScoredRun, ood: str, measure: str = "first"
) -> Changes:
    """The change of (OOD - ID): minus the growth of the gap."""
    return _apart(earlier, later, "id", ood, earlier.paired(ood), measure)


def change_beyond(
    earlier: ScoredRun, later: ScoredRun, split: str, control: str, measure: str = "first"
) -> Changes:
    """The change of (split - control), pair by pair: what the same numbers do not explain."""
    return _apart(earlier, later, control, split, True, measure)


def _apart(
    earlier: ScoredRun, later: ScoredRun, inside: str, out: str, paired: bool, measure: str
) -> Changes:
    before, after = (
        ood_minus_id(
            earlier.splits[inside],
            earlier.splits[out],
            paired,
            run.splits[inside].values(measure),
            run.splits[out].values(measure),
        )
        for run in (earlier, later)
    )
    return Changes(
        after.values - before.values,
        before.clusters,
        before.bound,
        float(before.values.mean()),
        float(after.values.mean()),
    )
