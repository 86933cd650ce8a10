"""What a paired comparison can detect: exact McNemar power, and the price of clustering."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy import stats as scipy_stats

from genbench.stats._clustering import FloatArray, Labels, clustered

MAX_PAIRS = 10_000_000
"""`required_n` gives up above this many pairs."""

_NEGLIGIBLE = 1e-13
_BISECTIONS = 40


def mcnemar_power(n: int, discordance: float, difference: float, alpha: float = 0.05) -> float:
    """P(the exact two-sided McNemar test rejects) for `n` independent pairs.

    `discordance` is the probability that the two scores of a pair differ and `difference` the
    true difference of the rates, so |difference| <= discordance. The unconditional power of Duffy
    (1984, Biometrics 40:1005): the sum over the binomial number m of discordant pairs of the
    power of the binomial test of m pairs. Exact at every n, but for numbers of discordant pairs
    whose probability is below 1e-13 in total.
    """
    _check(discordance, alpha)
    if abs(difference) > discordance:
        raise ValueError(
            f"A difference of {difference} needs at least that share of pairs that differ; "
            f"discordance is {discordance}."
        )
    return _region(n, discordance, alpha).power(difference)


def minimum_detectable_difference(
    n: int,
    discordance: float,
    alpha: float = 0.05,
    power: float = 0.8,
    design_effect: float = 1.0,
) -> float | None:
    """The smallest true |difference| that the exact McNemar test finds with probability `power`.

    `discordance` is the share of pairs that differ without such a difference, as seen in a run; a
    larger difference brings its own, and then all pairs that differ, differ one way. None where
    not even a difference of 1 is found. With `design_effect` d, the n pairs count as floor(n / d)
    independent ones (Kish 1965).
    """
    _check(discordance, alpha, power, design_effect)
    pairs = int(n / design_effect)
    region = _region(pairs, discordance, alpha)
    if region.power(discordance) >= power:
        return _smallest(0.0, discordance, lambda value: region.power(value) >= power)

    def found(difference: float) -> bool:
        return _region(pairs, difference, alpha).power(difference) >= power

    return _smallest(discordance, 1.0, found) if found(1.0) else None


def _smallest(missed: float, found: float, is_found: Callable[[float], bool]) -> float:
    for _ in range(_BISECTIONS):
        middle = (missed + found) / 2
        if is_found(middle):
            found = middle
        else:
            missed = middle
    return found


def required_n(
    difference: float,
    discordance: float,
    alpha: float = 0.05,
    power: float = 0.8,
    design_effect: float = 1.0,
) -> int:
    """The number of pairs from which on the exact McNemar test has `power` for `difference`.

    Where nearly all pairs differ, the power of an exact test is a sawtooth in n; the answer is
    past the teeth. Multiplied by `design_effect` and rounded up. Raises ValueError where more
    than `MAX_PAIRS` independent pairs are needed.
    """
    _check(discordance, alpha, power, design_effect)
    if not 0 < abs(difference) <= discordance:
        raise ValueError(
            f"The difference to detect must be above 0 and at most the discordance "
            f"{discordance} in size; got {difference}."
        )

    def enough(n: int) -> bool:
        return _region(n, discordance, alpha).power(difference) >= power

    few, many = 0, 8
    while not enough(many):
        few, many = many, 2 * many
        if many > MAX_PAIRS:
            raise ValueError(
                f"A difference of {difference} at discordance {discordance} needs more than "
                f"{MAX_PAIRS} pairs; look for a larger difference."
            )
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(middle) else (middle, many)
    # A tooth is two or three discordant pairs wide and, where nearly all pairs differ, the trend
    # makes up its height within 1.4 sqrt(n) pairs. A number of discordant pairs that itself varies
    # by several teeth (SD 3 or more) smooths them away.
    if discordance * (1 - discordance) * many < 9:
        window = 20 + 2 * math.isqrt(many)
        for n in range(many + window, many - 1, -1):
            if not enough(n):
                many = n + 1
                break
    return math.ceil(many * design_effect)


def design_effect(scores_or_differences: ArrayLike, clusters: Labels) -> float:
    """How many times larger clustering makes the variance of the mean (Kish 1965).

    The cluster-robust variance over s^2 / n. The floor is 1.0: a value below would credit a
    chance balance between clusters. Where all values are equal it is undefined, and the answer its
    conservative end, n over the number of clusters (the instances of a cluster count as one), as
    in every interval of this package.
    """
    data = clustered(
        scores_or_differences, clusters, low=-math.inf, high=math.inf, name="the values"
    )
    if data.clusters == 1 or data.all_equal:
        return data.n / data.clusters
    return data.variance_of_mean() / data.independent_variance()


@dataclass(frozen=True)
class _Region:
    """Where the test of n pairs rejects, by the number m of discordant pairs (parallel arrays)."""

    discordance: float
    m: FloatArray
    probability: FloatArray
    """P(m discordant pairs)."""
    critical: FloatArray
    """Reject where the smaller of the two counts is at most this; at least 0."""

    def power(self, difference: float) -> float:
        share = (1 + difference / self.discordance) / 2
        # P(X <= critical) for X ~ Binomial(m, q) is betainc(m - critical, critical + 1, 1 - q).
        tails = special.betainc(self.m - self.critical, self.critical + 1, 1 - share)
        tails += special.betainc(self.m - self.critical, self.critical + 1, share)
        return float(np.sum(self.probability * tails))


def _region(n: int, discordance: float, alpha: float) -> _Region:
    if n < 0:
        raise ValueError(f"n is a number of pairs, so at least 0; got {n}.")
    number = scipy_stats.binom(n, discordance)
    m = np.arange(max(0, number.ppf(_NEGLIGIBLE) - 1), min(n, number.isf(_NEGLIGIBLE) + 1) + 1)
    # The two-sided exact p-value is twice the smaller tail, so each tail has alpha / 2. ppf is the
    # first count whose tail reaches alpha / 2; it is in the region only where it does not exceed.
    critical = scipy_stats.binom.ppf(alpha / 2, m, 0.5)
    critical = np.where(m == 0, 0, critical)
    critical -= scipy_stats.binom.cdf(critical, m, 0.5) > alpha / 2
    rejects = critical >= 0
    counts: FloatArray = np.asarray(m[rejects], dtype=np.float64)
    probability: FloatArray = number.pmf(counts)
    return _Region(discordance, counts, probability, critical[rejects])


def _check(
    discordance: float, alpha: float, power: float = 0.8, design_effect: float = 1.0
) -> None:
    if not 0 < discordance <= 1:
        raise ValueError(f"discordance is a share of pairs above 0 and at most 1: {discordance}.")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}.")
    if not 0 < power < 1:
        raise ValueError(f"power must lie between 0 and 1, not {power}.")
    if not (design_effect >= 1 and math.isfinite(design_effect)):
        raise ValueError(f"design_effect must be at least 1, not {design_effect}.")
