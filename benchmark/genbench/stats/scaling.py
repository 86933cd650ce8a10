"""Rates against training compute: the slope per decade, and two methods at matched compute.

Compute is in FLOPs and every trend is linear in its base-10 logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as scipy_stats

from genbench.stats._clustering import NO_SPREAD, FloatArray, Labels, check_confidence
from genbench.stats.multiplicity import holm
from genbench.stats.paired import Difference, contrast, paired_difference

_Comparison: TypeAlias = Callable[[FloatArray, FloatArray], Difference]
"""From the weights of a's and of b's checkpoints to the difference of the weighted rates."""

LEAST_COMPUTES = 3
"""A slope needs this many distinct amounts of compute: two lie on a line whatever they are."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Slope:
    """The change of a rate per tenfold training compute, with a two-sided test that it is zero."""

    value: float
    low: float
    high: float
    p_value: float
    n: int
    """Points."""
    method: str


@dataclass(frozen=True)
class MatchedPoint:
    """Two methods at one amount of compute."""

    flops: float
    difference: Difference
    p_value_holm: float
    """Adjusted over the points of the same contrast."""


@dataclass(frozen=True)
class MatchedCompute:
    """Method a minus method b where their training compute overlaps."""

    overlap: tuple[float, float]
    """FLOPs."""
    average: Difference
    """The mean difference over the overlap, every decade weighing the same: one test."""
    points: tuple[MatchedPoint, ...]


def slope_per_decade(
    flops: ArrayLike,
    rates: ArrayLike,
    standard_errors: ArrayLike | None = None,
    confidence: float = 0.95,
    *,
    runs: Labels | None = None,
) -> Slope:
    """The least-squares slope of rates in [0, 1] on log10(FLOPs), one point a checkpoint.

    Without `runs` the points are taken to scatter independently about the line. Ordinary least
    squares with Student's t at n - 2 degrees of freedom; with `standard_errors` (see
    `genbench.stats.standard_errors`) weighted by 1 / error^2, and the residual scale is never
    below 1, as in Birge's (1932, Physical Review 40:207) ratio: points that happen to lie close to
    the line are no reason to claim less error than they were measured with.

    Checkpoints of one training run are repeated measurements: their excursions last from one to
    the next, and such an interval is too narrow for what another seed would do. Pass the training
    run of every point as `runs` (two or more): the slope is then the mean of one slope a run,
    with a t interval over runs (the summary measures of Matthews et al. 1990, BMJ 300:230), which
    holds however the points of a run hang together. A single label in `runs` is as none.

    Points without any scatter and without standard errors have p = 1 and the widest slope that
    rates in [0, 1] allow. Raises ValueError for fewer than three distinct amounts of compute, or
    fewer than two within one of several runs.
    """
    check_confidence(confidence)
    x, y = _points(flops, rates, "rates")
    errors = None if standard_errors is None else _errors(standard_errors, y.size)
    if np.unique(x).size < LEAST_COMPUTES:
        raise ValueError(
            f"A slope needs at least {LEAST_COMPUTES} distinct amounts of compute; got "
            f"{np.unique(x).size} in {x.size} points."
        )
    weights = np.ones(x.size) if errors is None else errors**-2.0
    groups = _groups(runs, x.size)
    if len(groups) > 1:
        return _slope_over_runs(x, y, weights, groups, confidence)
    influence = _slope_weights(x, weights)
    value = float(influence @ y)
    centre = float(np.average(x, weights=weights))
    residuals = y - np.average(y, weights=weights) - value * (x - centre)
    scale = float(np.sum(weights * residuals**2)) / (x.size - 2)
    method = "ols"
    if errors is not None:
        scale, method = max(1.0, scale), "weighted least squares, scale at least 1"
    error = math.sqrt(scale * float(np.sum(influence**2 / weights)))
    freedom = x.size - 2
    return _slope(
        value,
        error,
        freedom,
        x,
        f"{method}, t at {freedom} df, checkpoints as independent",
        confidence,
    )


def slope_of_scores(
    flops: ArrayLike,
    scores: ArrayLike,
    clusters: Labels | None = None,
    confidence: float = 0.95,
    permutations: int = 20_000,
    seed: int = 0,
) -> Difference:
    """The same least-squares slope from `scores`, shape (checkpoints, instances), each in [0, 1].

    All checkpoints answered the same instances, so the slope of the mean is the mean of one slope
    an instance, and `contrast` gives its sampling error and test: exact about which checkpoints
    were measured, silent about how another training run would scatter (`slope_per_decade` with
    `runs`). Raises as `slope_per_decade` does.
    """
    x, table = _table(flops, scores, "scores")
    if np.unique(x).size < LEAST_COMPUTES:
        raise ValueError(
            f"A slope needs at least {LEAST_COMPUTES} distinct amounts of compute; got "
            f"{np.unique(x).size}."
        )
    influence = _slope_weights(x, np.ones(x.size))
    bound = float(np.abs(influence).sum()) / 2
    slopes = np.clip(influence @ table, -bound, bound)
    return contrast(slopes, clusters, confidence, permutations, seed, bound=bound)


def matched_compute(
    flops_a: ArrayLike,
    rates_a: ArrayLike,
    flops_b: ArrayLike,
    rates_b: ArrayLike,
    standard_errors_a: ArrayLike,
    standard_errors_b: ArrayLike,
    *,
    at: ArrayLike | None = None,
    confidence: float = 0.95,
) -> MatchedCompute:
    """Method a minus method b at equal training compute, from rates and their standard errors.

    Between its checkpoints a method's rate is interpolated linearly in log10(FLOPs); nothing is
    extrapolated. `at` are the FLOPs to compare at; by default every checkpoint of either method
    within the overlap. Normal intervals. The checkpoints of a method answer the same instances,
    so the error of a weighted sum of them is taken as the sum of the weighted errors, its largest
    value; between the methods errors count as independent, though on common instances they tend
    to cancel: both make the interval wide rather than narrow (`matched_compute_scores` uses the
    scores themselves). Like them it knows nothing of other training seeds. `n` and `clusters` of
    the differences count checkpoints. Raises ValueError where the compute does not overlap, for
    `at` outside the overlap, and for one amount of compute given twice in a method.
    """
    check_confidence(confidence)
    log_a, a = _points(flops_a, rates_a, "rates_a")
    log_b, b = _points(flops_b, rates_b, "rates_b")
    errors_a = _errors(standard_errors_a, a.size)
    errors_b = _errors(standard_errors_b, b.size)
    quantile = float(scipy_stats.norm.isf((1 - confidence) / 2))

    def compare(weights_a: FloatArray, weights_b: FloatArray) -> Difference:
        value = float(weights_a @ a - weights_b @ b)
        error = math.hypot(float(weights_a @ errors_a), float(weights_b @ errors_b))
        return Difference(
            value=value,
            low=max(-1.0, value - quantile * error),
            high=min(1.0, value + quantile * error),
            n=a.size + b.size,
            clusters=a.size + b.size,
            method="interpolated in log10 flops, z on summed errors",
            p_value=float(2 * scipy_stats.norm.sf(abs(value) / error)),
            discordance=None,
        )

    return _matched(log_a, log_b, at, compare)


def matched_compute_scores(
    flops_a: ArrayLike,
    scores_a: ArrayLike,
    flops_b: ArrayLike,
    scores_b: ArrayLike,
    clusters: Labels | None = None,
    *,
    at: ArrayLike | None = None,
    confidence: float = 0.95,
    permutations: int = 20_000,
    seed: int = 0,
) -> MatchedCompute:
    """`matched_compute` from scores in [0, 1] of shape (checkpoints, instances), the same instances
    in the same order for both methods.

    The interpolation is linear, so it is made for each instance; the two interpolated scores of
    an instance are a pair, compared as `paired_difference` does. Raises as `matched_compute`.
    """
    log_a, a = _table(flops_a, scores_a, "scores_a")
    log_b, b = _table(flops_b, scores_b, "scores_b")

    def compare(weights_a: FloatArray, weights_b: FloatArray) -> Difference:
        sides = (np.clip(weights_a @ a, 0.0, 1.0), np.clip(weights_b @ b, 0.0, 1.0))
        return paired_difference(*sides, clusters, confidence, permutations, seed)

    return _matched(log_a, log_b, at, compare)


def mean_over_compute(flops: ArrayLike, values: ArrayLike, low: float, high: float) -> FloatArray:
    """The mean of each column of `values` (checkpoints, ...) between `low` and `high` FLOPs.

    Linear in log10(FLOPs) between checkpoints, every decade weighing the same; with `low` equal
    to `high` the value there. What `matched_compute` averages, for one method or training run.
    Raises ValueError for `low` or `high` beyond the checkpoints, and for one amount of compute
    given twice.
    """
    x, table = _logarithms(flops, "flops"), np.asarray(values, dtype=np.float64)
    if table.shape[:1] != x.shape:
        raise ValueError(f"values must have one row a checkpoint ({x.size}): {table.shape}.")
    if not 0 < low <= high:
        raise ValueError(f"low and high must be FLOPs above 0, in this order: {low}, {high}.")
    bottom, top = math.log10(low), math.log10(high)
    if bottom < x.min() - _ROUNDING or top > x.max() + _ROUNDING:
        raise ValueError(
            f"{low:.3g} to {high:.3g} FLOPs reach beyond the checkpoints ({10 ** x.min():.3g} to "
            f"{10 ** x.max():.3g} FLOPs); rates are not extrapolated."
        )
    # Rounding must not carry a mean out of the range of what it averages.
    return np.clip(
        np.tensordot(_mean_weights(x, bottom, top), table, axes=1),
        table.min(axis=0),
        table.max(axis=0),
    )


def _matched(
    log_a: FloatArray, log_b: FloatArray, at: ArrayLike | None, compare: _Comparison
) -> MatchedCompute:
    low, high = max(log_a.min(), log_b.min()), min(log_a.max(), log_b.max())
    ranges = [f"{10 ** side.min():.3g} to {10 ** side.max():.3g}" for side in (log_a, log_b)]
    if low > high:
        raise ValueError(
            f"The training compute of the two methods does not overlap (a: {ranges[0]} FLOPs, b: "
            f"{ranges[1]} FLOPs), and a rate beyond the last checkpoint would be a guess."
        )
    both = np.concatenate((log_a, log_b))
    knots = np.unique(both[(both >= low) & (both <= high)])
    wanted = knots if at is None else np.unique(_logarithms(at, "at"))
    # What was given as FLOPs comes back through a logarithm: allow for its rounding.
    outside = wanted[(wanted < low - _ROUNDING) | (wanted > high + _ROUNDING)]
    if outside.size:
        raise ValueError(
            f"{10 ** outside[0]:.3g} FLOPs lie outside the overlap of the two methods, "
            f"{10**low:.3g} to {10**high:.3g} FLOPs; rates are not extrapolated."
        )
    average = compare(_mean_weights(log_a, low, high), _mean_weights(log_b, low, high))
    sides = _interpolation(log_a, wanted), _interpolation(log_b, wanted)
    differences = [compare(*weights) for weights in zip(*sides, strict=True)]
    adjusted = holm([difference.p_value for difference in differences])
    return MatchedCompute(
        overlap=(float(10**low), float(10**high)),
        average=average,
        points=tuple(
            MatchedPoint(float(10**place), difference, float(p_value))
            for place, difference, p_value in zip(wanted, differences, adjusted, strict=True)
        ),
    )


def _mean_weights(x: FloatArray, low: float, high: float) -> FloatArray:
    """The weights of the points `x` that average their curve over [low, high]."""
    knots = np.unique(np.concatenate(([low, high], x[(x > low) & (x < high)])))
    # The curve is straight between knots, so the trapezoids are its exact integral.
    widths = np.diff(knots)
    shares = np.ones(1)
    if widths.size:
        shares = (np.append(widths, 0.0) + np.append(0.0, widths)) / (2 * widths.sum())
    return np.asarray(shares @ _interpolation(x, knots), dtype=np.float64)


def _interpolation(x: FloatArray, at: FloatArray) -> FloatArray:
    """The weights of the points `x` that interpolate at `at`, shape (at, x); rows sum to 1."""
    order = np.argsort(x)
    if np.any(np.diff(x[order]) == 0):
        raise ValueError(
            "A method has two checkpoints of the same training compute, so its curve has no one "
            "value there; compare one training run at a time, or average its seeds first."
        )
    weights = np.empty((at.size, x.size))
    for place, unit in zip(order, np.eye(x.size), strict=True):
        weights[:, place] = np.interp(at, x[order], unit)
    return weights


def _slope_over_runs(
    x: FloatArray,
    y: FloatArray,
    weights: FloatArray,
    groups: list[list[int]],
    confidence: float,
) -> Slope:
    slopes = []
    for group in groups:
        if np.unique(x[group]).size < 2:
            raise ValueError(
                "Every training run needs checkpoints at two or more amounts of compute for a "
                "slope of its own; leave out a run that has one."
            )
        slopes.append(float(_slope_weights(x[group], weights[group]) @ y[group]))
    error = float(np.std(slopes, ddof=1)) / math.sqrt(len(slopes))
    method = f"least squares in each of {len(slopes)} runs, t over runs"
    return _slope(float(np.mean(slopes)), error, len(slopes) - 1, x, method, confidence)


def _slope(
    value: float, error: float, freedom: int, x: FloatArray, method: str, confidence: float
) -> Slope:
    if error**2 <= NO_SPREAD:
        widest = float(np.abs(_slope_weights(x, np.ones(x.size))).sum()) / 2
        low, high = min(value, -widest), max(value, widest)
        return Slope(value, low, high, 1.0, x.size, f"{method}: no scatter, no interval")
    half_width = float(scipy_stats.t.isf((1 - confidence) / 2, freedom)) * error
    p_value = float(2 * scipy_stats.t.sf(abs(value) / error, freedom))
    return Slope(value, value - half_width, value + half_width, p_value, x.size, method)


def _slope_weights(x: FloatArray, weights: FloatArray) -> FloatArray:
    """The weights that make the weighted least-squares slope of y on `x` a sum over y."""
    weighted = weights * (x - np.average(x, weights=weights))
    return np.asarray(weighted / float(weighted @ x), dtype=np.float64)


def _groups(runs: Labels | None, n: int) -> list[list[int]]:
    if runs is None:
        return []
    labels = list(runs)
    if len(labels) != n:
        raise ValueError(f"runs has {len(labels)} labels for {n} points; give one a point.")
    groups: dict[object, list[int]] = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    return list(groups.values())


def _logarithms(flops: ArrayLike, name: str) -> FloatArray:
    compute = np.atleast_1d(np.asarray(flops, dtype=np.float64))
    if compute.ndim != 1 or compute.size == 0:
        raise ValueError(f"{name} must be a non-empty list of FLOPs; got shape {compute.shape}.")
    if not np.all((compute > 0) & np.isfinite(compute)):
        raise ValueError(
            f"{name} must be FLOPs above 0, since the scale is logarithmic; got "
            f"{compute.tolist()}. Leave out an untrained checkpoint."
        )
    return np.asarray(np.log10(compute), dtype=np.float64)


def _table(flops: ArrayLike, scores: ArrayLike, name: str) -> tuple[FloatArray, FloatArray]:
    x, table = _logarithms(flops, "flops"), np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != x.size or table.shape[1] == 0:
        raise ValueError(
            f"{name} must have one row a checkpoint ({x.size}) and one column an instance; got "
            f"shape {table.shape}."
        )
    if not np.all((table >= 0) & (table <= 1)):
        raise ValueError(f"{name} must lie in [0, 1].")
    return x, table


def _points(flops: ArrayLike, rates: ArrayLike, name: str) -> tuple[FloatArray, FloatArray]:
    x, y = _logarithms(flops, "flops"), np.asarray(rates, dtype=np.float64)
    if y.shape != x.shape:
        raise ValueError(f"{name} must be one rate a checkpoint ({x.size}); got shape {y.shape}.")
    if not np.all((y >= 0) & (y <= 1)):
        raise ValueError(f"{name} must lie in [0, 1]; got {y.tolist()}.")
    return x, y


def _errors(standard_errors: ArrayLike, n: int) -> FloatArray:
    errors = np.asarray(standard_errors, dtype=np.float64)
    if errors.shape != (n,) or not np.all((errors > 0) & np.isfinite(errors)):
        raise ValueError(
            f"Standard errors must be one a checkpoint ({n}), above 0 and finite; got "
            f"{errors.tolist()}. genbench.stats.standard_errors takes them from intervals."
        )
    return errors
