"""Forgetting: how far a checkpoint has fallen below the best one before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as scipy_stats

from genbench.stats._clustering import (
    NO_SPREAD,
    ClusteredValues,
    FloatArray,
    Labels,
    check_confidence,
    clustered,
)
from genbench.stats.paired import Difference, adjusted_mean, adjusted_wald, spread_size

_CHUNK_CELLS = 2**21
"""Random signs held at a time."""


@dataclass(frozen=True)
class Forgetting(Difference):
    """The best earlier rate minus the rate now; negative where now is the best yet."""

    best: int
    """The index of the best earlier checkpoint (the first of equals)."""


def forgetting(
    scores_by_checkpoint: Sequence[ArrayLike] | FloatArray,
    clusters: Labels | None = None,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[Forgetting | None, ...]:
    """max over earlier s of rate(s), minus rate(t), for each checkpoint t; None for the first.

    `scores_by_checkpoint` has one row a checkpoint, oldest first, and one column an instance, with
    scores in [0, 1] on the same instances. `value` is what the table shows, and it is biased
    upwards: of checkpoints that are equally good, the best measured one is the luckiest. The
    interval and the test account for that choice.

    Interval for max_s rate(s) - rate(t), from the paired differences d_s = rate(s) - rate(t):
    - upper limit: the largest of the upper limits of the d_s. The limit of the truly best s covers
      at its own level, and the largest is no lower, so this one needs no correction.
    - lower limit: the largest of the lower limits of the d_s, which must hold for all s at once:
      the critical value is that of the largest of the t statistics (the single-step max-t of
      Westfall & Young 1993, Resampling-Based Multiple Testing, and Romano & Wolf 2005, JASA
      100:94), under `draws` random signs of whole clusters on the centred differences (the wild
      cluster bootstrap of Cameron, Gelbach & Miller 2008, Rev. Economics and Statistics 90:414),
      and never below Student's at G - 1 degrees of freedom.
    The limits of each d_s are the adjusted Wald ones of `contrast`. `p_value` tests that nothing
    was forgotten (no earlier rate above the present one): twice the one-sided max-t p-value, so
    that p <= 1 - confidence just where the interval lies above zero.

    It compares the checkpoints as they are, on other instances; another training run would peak
    elsewhere. Raises ValueError for rows of unequal length, NaN, or scores outside [0, 1].
    """
    check_confidence(confidence)
    if draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws}.")
    rows = [
        clustered(row, clusters, low=0, high=1, name=f"checkpoint {index}")
        for index, row in enumerate(scores_by_checkpoint)
    ]
    if len({row.n for row in rows}) > 1:
        raise ValueError(
            f"The checkpoints have {sorted({row.n for row in rows})} instances; forgetting "
            "compares them on the same instances in the same order."
        )
    if not rows:
        return ()
    later = (_fallen(rows[: now + 1], draws, seed, confidence) for now in range(1, len(rows)))
    return (None, *later)


def _fallen(
    rows: Sequence[ClusteredValues], draws: int, seed: int, confidence: float
) -> Forgetting:
    """The last of `rows` against all before it."""
    now, earlier = rows[-1], rows[:-1]
    best = int(np.argmax([row.mean for row in earlier]))
    changes = [ClusteredValues(r.values - now.values, r.codes, r.clusters) for r in earlier]
    low, high, p_value, interval = -1.0, 1.0, 1.0, "one cluster, no interval"
    if now.clusters > 1:
        effective = [spread_size(change) for change in changes]
        adjusted = [adjusted_mean(c, size, 1.0) for c, size in zip(changes, effective, strict=True)]
        statistic = max(centre / error for centre, error in adjusted)
        largest = _largest_under_random_signs(changes, draws, seed)
        student = scipy_stats.t(now.clusters - 1)
        tail = (1 - confidence) / 2
        # As in a permutation test the data count as one draw: the k-th largest with
        # k = tail * (draws + 1), so that p <= tail just where the statistic exceeds it.
        rank = int(tail * (largest.size + 1))
        simultaneous = np.inf if rank == 0 else float(np.sort(largest)[-rank])
        quantile = max(simultaneous, float(student.isf(tail)))
        pairs = list(zip(changes, effective, strict=True))
        low = max(adjusted_wald(c, size, quantile, 1.0)[0] for c, size in pairs)
        high = max(adjusted_wald(c, size, float(student.isf(tail)), 1.0)[1] for c, size in pairs)
        hits = (1 + int(np.sum(largest >= statistic))) / (1 + largest.size)
        p_value = min(1.0, 2 * max(hits, float(student.sf(statistic))))
        interval = "cluster-robust bonett-price"
    return Forgetting(
        value=changes[best].mean,
        low=low,
        high=high,
        n=now.n,
        clusters=now.clusters,
        method=f"max-t over {len(earlier)} earlier checkpoints, {interval}",
        p_value=p_value,
        discordance=float(np.mean(changes[best].values != 0)),
        best=best,
    )


def _largest_under_random_signs(
    changes: Sequence[ClusteredValues], draws: int, seed: int
) -> FloatArray:
    """The largest of the t statistics of the centred differences, one value a draw."""
    sizes = np.bincount(changes[0].codes).astype(np.float64)
    n, groups = sizes.sum(), sizes.size
    centred = np.stack([change.cluster_sums() - sizes * change.mean for change in changes], axis=1)
    generator = np.random.default_rng(seed)
    found = []
    rows = max(1, _CHUNK_CELLS // groups)
    for start in range(0, draws, rows):
        signs = generator.choice([-1.0, 1.0], size=(min(rows, draws - start), groups))
        means = signs @ centred / n
        squares = np.sum(centred**2, axis=0) - 2 * means * (signs @ (centred * sizes[:, None]))
        variances = (squares + means**2 * np.sum(sizes**2)) / n**2 * groups / (groups - 1)
        some = variances > NO_SPREAD
        statistics = np.where(some, means / np.sqrt(np.where(some, variances, 1.0)), 0.0)
        found.append(np.asarray(statistics.max(axis=1), dtype=np.float64))
    return np.concatenate(found)
