"""What a few training seeds say: intervals and differences over runs, and how many are needed.

The unit here is a training run, scored on one and the same set of instances: the intervals are
about other seeds of the recipe, not about other instances.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as scipy_stats

from genbench.stats._clustering import ClusteredValues, check_confidence, clustered
from genbench.stats.paired import Difference, welch
from genbench.stats.proportions import Estimate, wilson_limits

MAX_SEEDS = 1_000_000
"""`required_seeds` gives up above this many."""


def seed_interval(
    values: ArrayLike, confidence: float = 0.95, *, low: float = 0.0, high: float = 1.0
) -> Estimate:
    """The mean over training seeds of `values`, one in [low, high] a seed; a gap has low = -1.

    Student's (1908, Biometrika 6:1) t interval, cut to the possible range. It covers what it says
    for seeds that scatter about normally; for skewed ones (a mean of 2% with a seed SD of 3 points)
    it covers 79 to 86%: no interval from a handful of seeds sees a tail that none of them hit.

    Seeds that are all equal say nothing about their spread: the interval is then Wilson's at the
    number of seeds, with the t quantile. `n` and `clusters` of the result count seeds. Raises
    ValueError for fewer than two.
    """
    check_confidence(confidence)
    seeds = _seeds(values, low, high, "values")
    width, quantile = high - low, seeds.student_quantile(confidence)
    if seeds.all_equal:
        bottom, top = wilson_limits(seeds.mean, seeds.n, quantile, confidence)
        method = f"wilson over {seeds.n} equal seeds"
    else:
        half_width = quantile * math.sqrt(seeds.independent_variance())
        bottom, top = max(0.0, seeds.mean - half_width), min(1.0, seeds.mean + half_width)
        method = f"t over {seeds.n} seeds"
    return Estimate(
        value=low + width * seeds.mean,
        low=low + width * bottom,
        high=low + width * top,
        n=seeds.n,
        clusters=seeds.n,
        method=method,
    )


def seed_change(
    values: ArrayLike, confidence: float = 0.95, *, low: float = -1.0, high: float = 1.0
) -> Difference:
    """The mean over training seeds of changes against one fixed base, and the test that it is 0.

    `values` holds one change in [low, high] a seed; the interval is `seed_interval`'s and the test
    Student's (1908) one-sample t test. It holds its level for seeds that scatter about normally and
    not for skewed ones: where a rate of 2% has a seed SD of 3 points, an unchanged mean is called
    changed in 15 to 22% of cases, since the seeds at hand seldom show the tail.

    Seeds that are all equal take the score test that Wilson's interval inverts, with the t
    distribution. Raises ValueError for fewer than two seeds, or where 0 is outside (low, high).
    """
    if not low < 0 < high:
        raise ValueError(f"No change must lie within the range; got {low} to {high}.")
    found = seed_interval(values, confidence, low=low, high=high)
    seeds, unchanged = _seeds(values, low, high, "values"), -low / (high - low)
    variance = (
        unchanged * (1 - unchanged) / seeds.n if seeds.all_equal else seeds.independent_variance()
    )
    statistic = abs(seeds.mean - unchanged) / math.sqrt(variance)
    return Difference(
        **vars(found),
        p_value=float(2 * scipy_stats.t.sf(statistic, seeds.n - 1)),
        discordance=None,
    )


def seed_difference(
    a: ArrayLike,
    b: ArrayLike,
    confidence: float = 0.95,
    *,
    low: float = 0.0,
    high: float = 1.0,
) -> Difference:
    """mean(a) - mean(b) over the training seeds of two methods, values in [low, high].

    Welch's (1947, Biometrika 34:28) t test and interval; the seeds of the two methods are separate
    runs, not pairs. A side whose seeds are all equal takes the variance of Agresti & Caffo (2000,
    American Statistician 54:280), one value added at each end of the range. Raises ValueError for
    fewer than two seeds a side.
    """
    check_confidence(confidence)
    sides = _seeds(a, low, high, "a"), _seeds(b, low, high, "b")
    error, freedom = welch(*sides)
    difference = sides[0].mean - sides[1].mean
    half_width = float(scipy_stats.t.isf((1 - confidence) / 2, freedom)) * error
    width = high - low
    return Difference(
        value=width * difference,
        low=width * max(-1.0, difference - half_width),
        high=width * min(1.0, difference + half_width),
        n=sides[0].n + sides[1].n,
        clusters=sides[0].n + sides[1].n,
        method=f"welch t over {sides[0].n} and {sides[1].n} seeds",
        p_value=float(2 * scipy_stats.t.sf(abs(difference) / error, freedom)),
        discordance=None,
    )


def required_seeds(sd: float, difference: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Training seeds of each of two methods for a two-sided two-sample t test to have `power`.

    `sd` is the standard deviation over the seeds of one method and `difference` the true one, in
    the same unit. Exact for normal seeds (Cohen 1988, Statistical Power Analysis, chapter 2): the
    square of the noncentral t is a noncentral F, whose tail scipy computes where that of t is NaN.
    A seed SD of 3 points needs 10 seeds a method for 4 points; 8 have 70% power, or 81% in a
    one-sided test. Raises ValueError where more than `MAX_SEEDS` are needed.
    """
    if not (sd > 0 and math.isfinite(sd)):
        raise ValueError(f"sd, the spread over seeds, must be above 0 and finite, not {sd}.")
    if not (difference != 0 and math.isfinite(difference)):
        raise ValueError(f"The difference to detect must be finite and not 0; got {difference}.")
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, not {value}.")
    effect = difference / sd

    def enough(seeds: int) -> bool:
        freedom = 2 * (seeds - 1)
        critical = scipy_stats.t.isf(alpha / 2, freedom) ** 2
        reached = scipy_stats.ncf.sf(critical, 1, freedom, effect**2 * seeds / 2)
        return bool(reached >= power)

    few, many = 1, 2
    while not enough(many):
        few, many = many, 2 * many
        if many > MAX_SEEDS:
            raise ValueError(
                f"A difference of {difference} at a seed SD of {sd} needs more than {MAX_SEEDS} "
                "seeds; look for a larger difference."
            )
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(middle) else (middle, many)
    return many


def _seeds(values: ArrayLike, low: float, high: float, name: str) -> ClusteredValues:
    """The values on the scale [0, 1], each a cluster of its own."""
    if not (low < high and math.isfinite(high - low)):
        raise ValueError(f"low must be below high and both finite; got {low} and {high}.")
    checked = clustered(values, None, low=low, high=high, name=name)
    if checked.n < 2:
        raise ValueError(
            f"{name} holds one seed; a spread over training seeds needs at least two runs that "
            "differ in nothing but the seed."
        )
    return ClusteredValues(
        np.asarray((checked.values - low) / (high - low)), checked.codes, checked.n
    )
