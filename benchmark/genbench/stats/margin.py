"""Is a mean change above or below a margin? The two one-sided tests behind a CI gate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from genbench.stats._clustering import ClusteredValues, Labels, clustered

MAX_PAIRS = 10_000_000
"""`pairs_to_exclude` gives up above this many pairs."""

METHOD = "clustered score test (Tango 1998, continuity-corrected, t)"

_BISECTIONS = 40


@dataclass(frozen=True)
class MarginTest:
    """The mean of per-instance changes held against a margin.

    At most one of `p_above` and `p_below` is below 1/2.
    """

    value: float
    margin: float
    alpha: float
    p_above: float
    """One-sided p-value of: the mean is at most the margin."""
    p_below: float
    """One-sided p-value of: the mean is at least the margin (non-inferiority)."""
    lower: float
    """The one-sided 1 - alpha limit from below: the largest margin that `p_above` rejects."""
    upper: float
    """The one-sided 1 - alpha limit from above."""
    n: int
    clusters: int
    effective_n: float
    """How many independent instances would say as much."""
    churn: float
    """The mean size of a change (for 0/1 pairs, the share of pairs that differ)."""
    bound: float
    """The largest size a change can have."""

    def smallest_shown_above(self, alpha: float, power: float = 0.8) -> float | None:
        """The smallest true mean that `p_above` shows to lie above the margin, at `alpha` and with
        this power (normal approximation).

        At the churn seen here, or what the mean itself needs. None where not even the largest
        possible mean is shown.
        """
        design = _Design(self.effective_n, self.clusters, self.churn / self.bound)
        margin = self.margin / self.bound
        if design.power_above(margin, 1.0, alpha) < power:
            return None
        missed, found = margin, 1.0
        for _ in range(_BISECTIONS):
            middle = (missed + found) / 2
            if design.power_above(margin, middle, alpha) >= power:
                found = middle
            else:
                missed = middle
        return found * self.bound

    def pairs_to_exclude(self, alpha: float, power: float = 0.8) -> int | None:
        """How many pairs `p_below` needs to exclude the margin with this power when nothing has
        changed in truth, at the churn and the worth of a pair seen here.

        None for a margin of 0 (no change cannot be told from it), and above `MAX_PAIRS`.
        """
        if self.margin <= 0:
            return None
        margin, worth = self.margin / self.bound, self.effective_n / self.n

        def enough(pairs: int) -> bool:
            clusters = max(2, round(pairs * self.clusters / self.n))
            design = _Design(pairs * worth, clusters, self.churn / self.bound)
            # A change below the margin is its mirror image above minus the margin.
            return design.power_above(-margin, 0.0, alpha) >= power

        few, many = 0, 8
        while not enough(many):
            few, many = many, 2 * many
            if many > MAX_PAIRS:
                return None
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (few, middle) if enough(middle) else (middle, many)
        return many


def margin_test(
    values: ArrayLike,
    margin: float,
    clusters: Labels | None = None,
    alpha: float = 0.05,
    *,
    bound: float = 1.0,
) -> MarginTest:
    """Test whether the mean of `values`, one change in [-bound, bound] an instance, lies above or
    below `margin`.

    The score test of Tango (1998, Statistics in Medicine 17:891) for a difference of paired
    proportions. Its variance is the one under the margin: where nothing changed there is no spread
    for a Wald test to go by. Three things make it hold for clusters and for rare changes:

    - The counts are scaled to the effective number of pairs, the spread over the cluster-robust
      variance (as Rao & Scott 1992, Biometrics 48:577), with the t quantile at G - 1 degrees of
      freedom.
    - That number is taken with one more cluster, of average size, that changes as a whole: few
      changes say little about how changes cluster, and none say nothing.
    - Half a pair is taken off as a continuity correction. A sample without any change then
      excludes a mean of 3.6 bounds / G (the exact binomial bound is 3.0 / G).

    Values other than -1, 0 and 1 (means of samples, contrasts) enter by the means of their positive
    and negative parts. One cluster gives p = 1 and the whole range.
    """
    if not (bound > 0 and math.isfinite(bound)):
        raise ValueError(f"bound is the largest size a change can have, so > 0 and finite: {bound}")
    if not -bound < margin < bound:
        raise ValueError(f"margin must lie within the range of a change, {bound:g}: {margin}")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must lie between 0 and 0.5, not {alpha}.")
    data = clustered(values, clusters, low=-bound, high=bound, name="values")
    data = ClusteredValues(data.values / bound, data.codes, data.clusters)
    score = _Score(
        up=float(np.mean(np.maximum(data.values, 0))),
        down=float(np.mean(np.maximum(-data.values, 0))),
        size=_effective_size(data),
        clusters=data.clusters,
    )
    return MarginTest(
        value=data.mean * bound,
        margin=margin,
        alpha=alpha,
        p_above=score.p_above(margin / bound),
        p_below=score.mirrored.p_above(-margin / bound),
        lower=score.lower(alpha) * bound,
        upper=-score.mirrored.lower(alpha) * bound,
        n=data.n,
        clusters=data.clusters,
        effective_n=score.size,
        churn=(score.up + score.down) * bound,
        bound=bound,
    )


def _effective_size(data: ClusteredValues) -> float:
    """Spread over robust variance, with one more cluster that changes as a whole."""
    if data.clusters == 1:
        return 1.0
    size = data.n / data.clusters
    centred = data.values - data.mean
    sums = np.bincount(data.codes, weights=centred)
    between = (float(np.sum(sums**2)) + size**2) * data.clusters / (data.clusters - 1)
    # Never below independent instances: a chance balance between clusters is no information.
    within = float(np.sum(centred**2)) + size**2
    spread = float(np.sum(np.abs(data.values))) + size - data.n * data.mean**2
    return spread * (data.n + size) / max(between, within)


@dataclass(frozen=True)
class _Score:
    """Mean positive and negative part, in units of the bound, of `size` effective pairs."""

    up: float
    down: float
    size: float
    clusters: int

    @property
    def mirrored(self) -> _Score:
        return _Score(self.down, self.up, self.size, self.clusters)

    def p_above(self, margin: float) -> float:
        """One-sided p-value of a mean of at most `margin`."""
        if self.clusters == 1:
            return 1.0
        excess = self.up - self.down - margin - 0.5 / self.size
        error = _null_error(self.up, self.down, margin, self.size)
        if error == 0:
            return 1.0
        return float(special.stdtr(self.clusters - 1, -excess / error))

    def lower(self, alpha: float) -> float:
        """The largest mean that is rejected at `alpha`."""
        if self.clusters == 1:
            return -1.0
        rejected, kept = -1.0, self.up - self.down
        for _ in range(_BISECTIONS):
            middle = (rejected + kept) / 2
            if self.p_above(middle) <= alpha:
                rejected = middle
            else:
                kept = middle
        return rejected


def _null_error(up: float, down: float, margin: float, size: float) -> float:
    """The standard error of the mean where up - down = `margin`, by restricted likelihood."""
    if margin < 0:
        up, down, margin = down, up, -margin
    linear = (up + down) * (1 - margin) - 2 * margin * (1 - up)
    restricted = (linear + math.sqrt(linear**2 + 8 * down * margin * (1 - margin))) / 4
    return math.sqrt(max(0.0, 2 * restricted + margin - margin**2) / size)


@dataclass(frozen=True)
class _Design:
    """A sample to be drawn, in units of the bound."""

    size: float
    clusters: int
    churn: float

    def power_above(self, margin: float, truth: float, alpha: float) -> float:
        """P(a mean of `truth` is shown to lie above `margin`), by the normal approximation."""
        if self.clusters == 1:
            return 0.0
        churn = min(1.0, max(self.churn, abs(truth)))
        up, down = (churn + truth) / 2, (churn - truth) / 2
        quantile = -float(special.stdtrit(self.clusters - 1, alpha))
        needed = margin + 0.5 / self.size + quantile * _null_error(up, down, margin, self.size)
        spread = math.sqrt(max(0.0, churn - truth**2) / self.size)
        if spread == 0:
            return float(truth >= needed)
        return float(special.ndtr((truth - needed) / spread))
