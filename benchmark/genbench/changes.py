"""How much better or worse one run is than another, instance by instance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genbench import stats
from genbench.scores import ScoredRun, Scores


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


def difference_in_differences(
    earlier: ScoredRun, later: ScoredRun, ood: str, measure: str = "first"
) -> Changes:
    """The change of (OOD - ID): minus the growth of the gap.

    Paired splits: one value a pair. Separate splits: each instance's change, weighted so that the
    mean over the instances of both is the difference of the two splits' means.
    """
    sides = [
        (run.splits["id"].values(measure), run.splits[ood].values(measure))
        for run in (earlier, later)
    ]
    id_split, ood_split = earlier.splits["id"], earlier.splits[ood]
    if earlier.paired(ood):
        place = {pair: index for index, pair in enumerate(ood_split.pair_ids)}
        kept = [index for index, pair in enumerate(id_split.pair_ids) if pair in place]
        twins = [place[id_split.pair_ids[index]] for index in kept]
        before, after = (out[twins] - inside[kept] for inside, out in sides)
        clusters = tuple(id_split.clusters[index] for index in kept)
        return Changes(after - before, clusters, 2.0, float(before.mean()), float(after.mean()))
    inside, out = (
        later_side - earlier_side for earlier_side, later_side in zip(*sides, strict=True)
    )
    total = inside.size + out.size
    values = np.concatenate((-inside * total / inside.size, out * total / out.size))
    levels = [float(side[1].mean() - side[0].mean()) for side in sides]
    return Changes(
        values,
        id_split.clusters + ood_split.clusters,
        total / min(inside.size, out.size),
        levels[0],
        levels[1],
    )
