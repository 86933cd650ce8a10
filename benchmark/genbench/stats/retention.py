"""Retention: the share of a checkpoint's skill beyond chance that survives the shift."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from genbench.stats._clustering import (
    ClusteredValues,
    Labels,
    check_confidence,
    clustered,
)
from genbench.stats.proportions import Estimate, proportion

_Limits: TypeAlias = tuple[float, float, float]
"""Lower limit, value, upper limit."""


def retention(
    id_scores: ArrayLike,
    ood_scores: ArrayLike,
    chance_id: float,
    chance_ood: float,
    clusters: Labels | None = None,
    confidence: float = 0.95,
) -> tuple[Estimate | None, str | None]:
    """(rate_OOD - chance_OOD) / (rate_ID - chance_ID) and None, or None and the reason.

    `id_scores[i]` and `ood_scores[i]` are scores in [0, 1] of the two readings of one pair; the
    chance rates are known numbers. 1 keeps all skill, 0 falls to chance, below 0 to less.

    Reported only where the ratio is defined: the interval of the ID rate (`proportion`) lies above
    chance. Then the interval of the ratio is finite.

    Interval: all ratios R for which the mean of (OOD - chance) - R (ID - chance) is not
    distinguishable from zero (Fieller 1954, J. Royal Statistical Society B 16:175), its limits
    made from those of the two `proportion`s and the cluster-robust correlation of the two means
    (MOVER-R, Donner & Zou 2012, Statistical Methods in Medical Research 21:347). With symmetric
    limits that is Fieller's own interval, which in simulations covers down to 83% where few OOD
    instances are solved; with the Wilson limits it is 92% at the worst of the same settings.

    The level holds among all runs. Among the reported ones alone it falls where few are reported,
    which is where the true ID rate barely exceeds chance.
    """
    check_confidence(confidence)
    sides = [
        clustered(scores, clusters, low=0, high=1, name=name)
        for scores, name in ((id_scores, "id_scores"), (ood_scores, "ood_scores"))
    ]
    if sides[0].n != sides[1].n:
        raise ValueError(
            f"id_scores has {sides[0].n} instances and ood_scores {sides[1].n}; retention needs "
            "the two readings of the same pairs in the same order."
        )
    for name, chance in (("chance_id", chance_id), ("chance_ood", chance_ood)):
        if not 0 <= chance < 1:
            raise ValueError(f"{name} must be a success rate in [0, 1), not {chance}.")
    rate = proportion(id_scores, clusters, confidence)
    if rate.low <= chance_id:
        return None, (
            f"the ID rate, {100 * rate.value:.1f}% ({100 * rate.low:.1f} to "
            f"{100 * rate.high:.1f}%, n = {rate.n}), is not above chance ({100 * chance_id:.1f}%) "
            f"at the {100 * confidence:g}% level"
        )
    shifted = proportion(ood_scores, clusters, confidence)
    value, low, high = _ratio(
        (shifted.low - chance_ood, shifted.value - chance_ood, shifted.high - chance_ood),
        (rate.low - chance_id, rate.value - chance_id, rate.high - chance_id),
        _correlation(*sides),
    )
    return Estimate(value, low, high, rate.n, rate.clusters, "mover-r of wilson limits"), None


def _correlation(a: ClusteredValues, b: ClusteredValues) -> float:
    """The correlation of the two means, by cluster sums; 0 where one side has no spread.

    With one discordant pair of each kind added, as Bonett & Price (2012) do for differences, so
    that two equal columns do not give an interval without width.
    """
    if a.all_equal or b.all_equal:
        return 0.0
    sums = [np.bincount(side.codes, weights=side.values - side.mean) for side in (a, b)]
    added = 2 * 0.5**2
    cross = float(sums[0] @ sums[1]) - added
    return cross / math.sqrt(math.prod(float(side @ side) + added for side in sums))


def _ratio(top: _Limits, bottom: _Limits, correlation: float) -> tuple[float, float, float]:
    """top / bottom and its limits; `bottom` lies above zero with its whole interval."""
    (top_low, top_value, top_high), (bottom_low, bottom_value, bottom_high) = top, bottom
    value = top_value / bottom_value

    def excess(ratio: float, side: int) -> float:
        """The lower (`side` -1) or upper (1) MOVER limit of top - ratio * bottom."""
        arm = top_value - top_low if side < 0 else top_high - top_value
        # For a positive ratio a small difference goes with a large bottom, for a negative one
        # with a small one.
        larger = (ratio >= 0) == (side < 0)
        other = ratio * (bottom_high - bottom_value if larger else bottom_value - bottom_low)
        square = arm**2 + other**2 - 2 * correlation * arm * other
        return top_value - ratio * bottom_value + side * math.sqrt(max(0.0, square))

    def limit(side: int) -> float:
        # At the estimate the limits of the difference enclose zero; going outwards, the one of
        # `side` reaches it, at the latest beyond every ratio that bottom_low > 0 allows.
        if side * excess(value, side) <= 0:
            return value
        step = 1.0 + abs(value)
        while side * excess(value + side * step, side) > 0:
            step *= 2
        return float(optimize.brentq(excess, value, value + side * step, args=(side,)))

    return value, limit(-1), limit(1)
