"""What a comparison of two separate sets can detect: the exact power of Fisher's test."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats as scipy_stats

from genbench.stats._clustering import FloatArray

_TIES = 1e-7
"""Tables whose probability exceeds the observed one's by no larger a share are as likely."""
_BISECTIONS = 40


def fisher_power(n_a: int, n_b: int, rate_a: float, rate_b: float, alpha: float = 0.05) -> float:
    """P(Fisher's exact two-sided test rejects) for n_a and n_b independent 0/1 scores of these
    rates: the sum over all pairs of counts. Raises ValueError."""
    for rate in (rate_a, rate_b):
        if not 0 <= rate <= 1:
            raise ValueError(f"a rate lies between 0 and 1, not at {rate}.")
    if n_a < 1 or n_b < 1:
        raise ValueError(f"both sides need an instance; got {n_a} and {n_b}.")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}.")
    first = scipy_stats.binom.pmf(np.arange(n_a + 1), n_a, rate_a)
    second = scipy_stats.binom.pmf(np.arange(n_b + 1), n_b, rate_b)
    return float(first @ _rejected(n_a, n_b, alpha) @ second)


def minimum_detectable_fall(
    n_a: int, n_b: int, rate: float, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """The smallest fall from `rate` on n_a instances to a lower rate on n_b others that Fisher's
    test finds with probability `power`; None where it does not even find a fall to 0."""
    if not 0 < power < 1:
        raise ValueError(f"power must lie between 0 and 1, not {power}.")
    if fisher_power(n_a, n_b, rate, 0.0, alpha) < power:
        return None
    missed, found = 0.0, rate
    for _ in range(_BISECTIONS):
        middle = (missed + found) / 2
        if fisher_power(n_a, n_b, rate, rate - middle, alpha) >= power:
            found = middle
        else:
            missed = middle
    return found


@lru_cache(maxsize=8)
def _rejected(n_a: int, n_b: int, alpha: float) -> FloatArray:
    """[n_a + 1, n_b + 1]: 1 where the test rejects for so many right on either side.

    Given the sum of both, the p-value is the probability of all tables that are no more likely
    than the observed one (the two-sided test of R and scipy).
    """
    found = np.zeros((n_a + 1, n_b + 1))
    for total in range(n_a + n_b + 1):
        right = np.arange(max(0, total - n_b), min(n_a, total) + 1)
        mass = scipy_stats.hypergeom.pmf(right, n_a + n_b, n_a, total)
        order = np.argsort(mass)
        below = np.cumsum(mass[order])
        last = np.searchsorted(mass[order], mass * (1 + _TIES), side="right") - 1
        found[right, total - right] = below[last] <= alpha
    return found
