"""What checkpoints along training compute show: trends, forgetting, methods at matched compute.

Where a method has two or more training runs (seeds), intervals and tests are over training runs;
where it has one they are over instances and speak of that run alone. Everything that is undefined
is None with a reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from genbench import stats
from genbench.report.findings import TARGET, Finding, Kind, Measured, Seeds, Unit
from genbench.report.loading import Group
from genbench.report.trajectories import (
    Followed,
    Quantity,
    Trajectories,
    Trajectory,
    trajectories,
)
from genbench.scores import SplitScores

CLOSE = 1.1
"""Last checkpoints whose FLOPs differ by no more than this factor count as of equal compute."""

_MOST_DRAWS, _LEAST_DRAWS = 20_000, 1_999
_DRAWN_SIGNS = 2**24


def along_compute(
    groups: Sequence[Group], scores: Mapping[Path, Mapping[str, SplitScores]]
) -> list[Group]:
    """The groups with their findings; `scores` are by run folder, of all runs with FLOPs.

    P-values are adjusted over all tests of all groups.
    """
    found: list[list[Finding]] = []
    reasons: list[str] = []
    for group in groups:
        followed, reason = None, ""
        try:
            followed = trajectories(group, scores)
        except ValueError as error:
            reason = str(error)
        found.append(findings(followed) if followed is not None else [])
        reasons.append(reason)
    return [
        replace(group, compute=of_group, compute_reason=reason)
        for group, of_group, reason in zip(groups, adjusted(found), reasons, strict=True)
    ]


def findings(followed: Trajectories) -> list[Finding]:
    """All findings of a group, not yet adjusted for their number."""
    return [
        *(
            _slope(method, quantity)
            for method in followed.methods
            for quantity in followed.quantities
            if not quantity.is_gap
        ),
        *(
            _forgetting(run, quantity)
            for method in followed.methods
            for run in method.runs
            for quantity in followed.quantities
            if not quantity.is_gap and quantity.split != "id"
        ),
        *(
            matched(a, b, quantity)
            for a, b in combinations(followed.methods, 2)
            for quantity in followed.quantities
        ),
        *_last(followed),
    ]


def adjusted(groups: Sequence[Sequence[Finding]]) -> list[tuple[Finding, ...]]:
    """The findings of all groups with Holm's adjustment over all of their tests."""
    tests = [
        one.found.p_value
        for group in groups
        for one in group
        if one.found is not None and one.found.p_value is not None
    ]
    values = iter(stats.holm(tests))
    return [
        tuple(
            replace(one, p_holm=float(next(values)))
            if one.found is not None and one.found.p_value is not None
            else one
            for one in group
        )
        for group in groups
    ]


def _made(finding: Finding, make: Callable[[], Finding]) -> Finding:
    """What `make` gives, or the finding with the reason why there is none."""
    try:
        return make()
    except ValueError as error:
        return replace(finding, reason=str(error).rstrip("."))


def _measured(found: stats.Slope | stats.Difference) -> Measured:
    return Measured(found.value, found.low, found.high, found.p_value, found.method)


def _empty(kind: Kind, sides: Sequence[Followed], quantity: Quantity, unit: Unit) -> Finding:
    return Finding(
        kind=kind,
        subjects=tuple(side.name for side in sides),
        split=quantity.name,
        unit=unit,
        training_runs=sum(len(side.runs) for side in sides),
        checkpoints=sum(side.checkpoints for side in sides),
        instances=quantity.units,
        clusters=quantity.independent,
        pairs=quantity.paired,
    )


def _draws(clusters: int) -> int:
    """As many random draws as a report has time for; the p-values' method states them."""
    return max(_LEAST_DRAWS, min(_MOST_DRAWS, _DRAWN_SIGNS // clusters))


def _check_order(runs: Sequence[Trajectory]) -> None:
    for run in runs:
        if run.repeated is not None:
            raise ValueError(
                f"{run.name} has two checkpoints of the same training compute "
                f"({run.repeated:.3g} FLOPs)"
            )


# -- trends -------------------------------------------------------------------------------------


def _slope(method: Followed, quantity: Quantity) -> Finding:
    """The change of success per tenfold compute, over training runs where there are several."""
    long = [run for run in method.runs if len(set(run.flops)) > 1]
    kept = replace(method, runs=tuple(long)) if long else method
    over_runs = len(kept.runs) > 1
    left_out = [run.name for run in method.runs if run not in long] if long else []
    note = f"left out, with one checkpoint: {', '.join(left_out)}" if left_out else ""
    empty = _empty("slope", [kept], quantity, "training runs" if over_runs else "instances")

    def make() -> Finding:
        _check_order(kept.runs)
        flops = np.concatenate([run.flops for run in kept.runs])
        amounts = np.unique(flops).size
        if amounts < 3:
            raise ValueError(
                "a slope needs checkpoints at three or more amounts of compute, and there "
                + ("is one" if amounts == 1 else "are two")
            )
        span = float(flops.min()), float(flops.max())
        if over_runs:
            labels = [number for number, run in enumerate(kept.runs) for _ in run.flops]
            rates = np.concatenate([run.rates(quantity) for run in kept.runs])
            slope = stats.slope_per_decade(flops, rates, runs=labels)
            return replace(empty, found=_measured(slope), flops=span, note=note)
        (run,) = kept.runs
        found = stats.slope_of_scores(
            run.flops,
            run.scores[quantity.name],
            quantity.clusters,
            permutations=_draws(quantity.independent),
        )
        return replace(empty, found=_measured(found), flops=span, note=note)

    return _made(empty, make)


# -- forgetting -----------------------------------------------------------------------------------


def _forgetting(run: Trajectory, quantity: Quantity) -> Finding:
    """The best earlier checkpoint of a training run, its parent included, minus the last one."""
    has_parent = run.parent is not None
    empty = Finding(
        "forgetting", (run.name,), quantity.name, "instances", 1, len(run.flops) + has_parent,
        quantity.units, quantity.independent,
    )  # fmt: skip

    def make() -> Finding:
        _check_order([run])
        scores = run.scores[quantity.name]
        names = list(run.checkpoints)
        if has_parent:
            scores = np.vstack([run.parent_scores[quantity.name], scores])
            names.insert(0, str(run.parent))
        if len(names) < 2:
            raise ValueError(
                "forgetting needs an earlier checkpoint of the training run, and there is one "
                "checkpoint"
            )
        draws = _draws(quantity.independent * (len(names) - 1))
        last = stats.forgetting(scores, quantity.clusters, draws=draws)[-1]
        assert last is not None  # only the first checkpoint has none
        return replace(
            empty, found=_measured(last), best=names[last.best], flops=(run.flops[-1],) * 2
        )

    return _made(empty, make)


# -- methods at matched compute -------------------------------------------------------------------


def _shared_range(sides: Sequence[Followed]) -> tuple[float, float]:
    """The FLOPs that all training runs of the methods span. Raises ValueError where none."""
    runs = [run for side in sides for run in side.runs]
    _check_order(runs)
    low, high = max(run.flops[0] for run in runs), min(run.flops[-1] for run in runs)
    if low > high:
        spans = "; ".join(f"{run.name} {run.flops[0]:.3g} to {run.flops[-1]:.3g}" for run in runs)
        raise ValueError(f"the ranges of FLOPs do not overlap ({spans})")
    return low, high


def _mean(run: Trajectory, quantity: Quantity, between: tuple[float, float]) -> float:
    """The mean rate of a training run over a range of FLOPs."""
    return float(stats.mean_over_compute(run.flops, run.rates(quantity), *between))


def matched(a: Followed, b: Followed, quantity: Quantity) -> Finding:
    """Method a minus method b, averaged over the FLOPs that all of their training runs span."""
    sides = (a, b)
    over_runs = all(len(side.runs) > 1 for side in sides)
    empty = _empty(
        "matched compute", sides, quantity, "training runs" if over_runs else "instances"
    )

    def make() -> Finding:
        between = _shared_range(sides)
        if over_runs:
            first, second = ([_mean(run, quantity, between) for run in side.runs] for side in sides)
            found = stats.seed_difference(first, second, low=quantity.lowest)
        else:
            later, earlier = (_mean_scores(side, quantity, between) for side in sides)
            found = quantity.change(earlier, later).tested(_draws(quantity.independent))
        return replace(empty, found=_measured(found), flops=between)

    return _made(empty, make)


def _mean_scores(
    side: Followed, quantity: Quantity, between: tuple[float, float]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """One value a unit: the mean over a range of FLOPs and over the method's training runs."""
    each = [
        stats.mean_over_compute(run.flops, run.scores[quantity.name], *between) for run in side.runs
    ]
    return np.asarray(np.mean(each, axis=0), dtype=np.float64)


# -- seeds at the last compute --------------------------------------------------------------------


def _last(followed: Trajectories) -> Iterator[Finding]:
    """Of methods with several training runs: means at the last compute, and their differences."""
    several = [method for method in followed.methods if len(method.runs) > 1]
    for method in several:
        for quantity in followed.quantities:
            if not quantity.is_gap:
                yield _seed_mean(method, quantity)
    for a, b in combinations(several, 2):
        for quantity in followed.quantities:
            yield _seed_difference(a, b, quantity)


def _last_values(
    sides: Sequence[Followed], quantity: Quantity
) -> tuple[list[list[float]], tuple[float, float]]:
    """The rate of every training run of each side at the last compute that all reached, and the
    FLOPs of it: of the last checkpoints where these lie close together, else of the first training
    run to end, the others' between two checkpoints."""
    runs = [run for side in sides for run in side.runs]
    _check_order(runs)
    ends = [run.flops[-1] for run in runs]
    if max(ends) <= CLOSE * min(ends):
        last = [[float(run.rates(quantity)[-1]) for run in side.runs] for side in sides]
        return last, (min(ends), max(ends))
    _, end = _shared_range(sides)
    return [[_mean(run, quantity, (end, end)) for run in side.runs] for side in sides], (end, end)


def _seed_mean(method: Followed, quantity: Quantity) -> Finding:
    empty = _empty("last compute", [method], quantity, "training runs")

    def make() -> Finding:
        (values,), at = _last_values([method], quantity)
        mean = stats.seed_interval(values, low=quantity.lowest)
        found = Measured(mean.value, mean.low, mean.high, None, mean.method)
        return replace(empty, found=found, flops=at, seeds=_seeds([values]))

    return _made(empty, make)


def _seed_difference(a: Followed, b: Followed, quantity: Quantity) -> Finding:
    sides = (a, b)
    empty = _empty("last difference", sides, quantity, "training runs")

    def make() -> Finding:
        (first, second), at = _last_values(sides, quantity)
        found = _measured(stats.seed_difference(first, second, low=quantity.lowest))
        return replace(empty, found=found, flops=at, seeds=_seeds([first, second]))

    return _made(empty, make)


def _seeds(sides: Sequence[Sequence[float]]) -> Seeds:
    """The spread, pooled over two methods, and the seeds of each method that `TARGET` needs."""
    sd = math.sqrt(float(np.mean([np.var(side, ddof=1) for side in sides])))
    if sd < 1e-9:
        return Seeds(0.0, None, "the seeds are all equal, so their spread is not known")
    try:
        return Seeds(sd, stats.required_seeds(sd, TARGET), None)
    except ValueError as error:
        return Seeds(sd, None, str(error))
