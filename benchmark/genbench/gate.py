"""The CI gate: is a candidate worse than a baseline by more than is allowed, on any of the tasks?

What is held against `max_drop`: the drop of the success rate (first attempts) on the ID split and
on every OOD split, and the growth of every gap (ID - OOD), of every task. Controls are no part.

The margin is the allowed drop and not zero. A test against zero would also fail a candidate whose
true drop is allowed, whenever the estimate comes out larger; and "no significant drop" is no
evidence that there is none. So each quantity has two one-sided tests at the margin:

- *fail*: the drop is shown to be larger than allowed, and a drop to exist at all. The p-value is
  the larger of the margin test's (`genbench.stats.margin`) and of the exact one-sided test of no
  change (exact McNemar, or sign flips of clusters), Holm-corrected over all quantities. Where
  nothing has changed a false alarm anywhere in the gate has a probability of at most alpha, by
  the exact test; for allowed drops the margin test holds it.
- *pass*: a drop as large as the allowed one is excluded (the one-sided 1 - alpha limit of the drop
  lies below it). A supported improvement excludes it too. The gate passes where all quantities
  do, so no correction is needed (an intersection-union test, Berger 1982, Technometrics 24:295):
  a gate passes with a drop larger than allowed anywhere with a probability of at most alpha.
- *inconclusive*: neither; the run is too small to tell.

A candidate with the baseline's own weights, settings and scores passes: there is nothing to infer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from genbench import stats
from genbench.changes import Changes, change, difference_in_differences
from genbench.errors import UsageError
from genbench.pairing import PairedRuns, pair, same_run
from genbench.results import ModelResult, TaskResult
from genbench.scores import ScoredRun
from genbench.selection import TaskRuns, notes_of_tasks, select_gate
from genbench.stats.margin import METHOD, MarginTest, margin_test

SCHEMA_VERSION = 2
POWER = 0.8
PERMUTATIONS, MOST_PERMUTATIONS = 20_000, 1_000_000
LEAST_ALPHA = 1e-4
"""Below it the p-values of drawn sign flips could not reach alpha over many quantities."""
SAME_WEIGHTS = "the same weights, settings and scores as the baseline's"
_DIGITS = 10

Verdict = Literal["pass", "fail", "inconclusive"]
OnInconclusive = Literal["pass", "warn", "fail"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class QuantityVerdict(_Strict):
    """One quantity of the gate; rates, drops and limits are shares, not percent."""

    task: str = Field(description="the label of its entry in `tasks`")
    name: str = Field(description="a split, or `gap <ood split>`")
    kind: Literal["success", "gap"]
    verdict: Verdict
    reason: str
    baseline: float
    candidate: float
    drop: float = Field(description="how much worse: fall of a rate, growth of a gap")
    lower: float = Field(description="one-sided 1 - alpha limit of the drop from below")
    upper: float = Field(description="one-sided 1 - alpha limit of the drop from above")
    p_fail: float = Field(description="of: the drop is at most the allowed one")
    p_fail_holm: float = Field(description="the same, Holm over the quantities of the gate")
    p_pass: float = Field(description="of: the drop is at least the allowed one")
    n: int = Field(description="pairs: the instances that both runs were asked")
    clusters: int
    mde: float | None = Field(
        description="smallest true drop that a run like this fails with 80% power; null: none"
    )
    pairs_needed: int | None = Field(
        description="pairs that exclude the allowed drop with 80% power where nothing changed, at "
        "the share of changed answers seen here; null: no number does"
    )
    clusters_needed: int | None
    method: str


class Side(_Strict):
    """A run of the gate."""

    folder: str
    model: ModelResult


class GatedTask(_Strict):
    """A task of the gate and its two runs."""

    label: str
    task: TaskResult
    verdict: Verdict
    candidate: Side
    baseline: Side


class GateResult(_Strict):
    """What `genbench check --json` prints.

    Version 2 differs from version 1 in what was added: `tasks`, and the `task` of every quantity.
    `task`, `candidate` and `baseline` are null where the gate has several tasks.
    """

    schema_version: int = SCHEMA_VERSION
    verdict: Verdict
    passed: bool = Field(description="whether the exit code is 0")
    on_inconclusive: OnInconclusive
    max_drop: float
    alpha: float
    correction: str
    task: TaskResult | None
    candidate: Side | None
    baseline: Side | None
    quantities: list[QuantityVerdict]
    notes: list[str]
    tasks: list[GatedTask]

    def on(self, task: GatedTask) -> list[QuantityVerdict]:
        """The quantities of one task."""
        return [one for one in self.quantities if one.task == task.label]


@dataclass(frozen=True)
class Drop:
    """A quantity to be judged: `changes` are baseline minus candidate where that is worse."""

    name: str
    kind: Literal["success", "gap"]
    changes: Changes
    task: str = ""


def check(
    candidate: Path | Sequence[Path],
    baseline: Path | Sequence[Path],
    *,
    max_drop: float = 0.02,
    alpha: float = 0.05,
    on_inconclusive: OnInconclusive = "warn",
) -> GateResult:
    """Judge the runs of a candidate against a baseline's, on all their tasks at once.

    Either side is a run folder, a folder that holds runs, or several of those. Raises UsageError
    for values out of range, and as `select_gate` and `pair` do; StoreError for a damaged run.
    """
    if not 0 <= max_drop < 1:
        raise UsageError(
            f"--max-drop is a share from 0 to below 1 (0.02 allows 2 points), not {max_drop:g}"
        )
    if not LEAST_ALPHA <= alpha < 0.5:
        raise UsageError(f"--alpha lies between {LEAST_ALPHA:g} and 0.5, not {alpha:g}")
    candidates, baselines = (
        [side] if isinstance(side, Path) else list(side) for side in (candidate, baseline)
    )
    selection = select_gate(candidates, baselines)
    selected = selection.tasks
    paired = [
        pair([task.base, *task.others], same_weights=True, stickiness=False) for task in selected
    ]
    drops = [
        drops_of(found.runs[0], found.runs[1], task.label)
        for task, found in zip(selected, paired, strict=True)
    ]
    quantities = judge([one for of_task in drops for one in of_task], max_drop, alpha)
    for task, found, of_task in zip(selected, paired, drops, strict=True):
        if _same_answers(found, of_task):
            unchanged = [_unchanged(one, max_drop, alpha) for one in of_task]
            start = next(i for i, one in enumerate(quantities) if one.task == task.label)
            quantities[start : start + len(of_task)] = unchanged
    tasks = [_gated(task, found, quantities) for task, found in zip(selected, paired, strict=True)]
    verdict = overall([one.verdict for one in quantities])
    only = tasks[0] if len(tasks) == 1 else None
    return GateResult(
        verdict=verdict,
        passed=verdict == "pass" or (verdict == "inconclusive" and on_inconclusive != "fail"),
        on_inconclusive=on_inconclusive,
        max_drop=max_drop,
        alpha=alpha,
        correction=f"fail: holm over {len(quantities)} quantities"
        + ("" if only else f" of {len(tasks)} tasks")
        + "; pass: all of them (intersection-union)",
        task=None if only is None else only.task,
        candidate=None if only is None else only.candidate,
        baseline=None if only is None else only.baseline,
        quantities=quantities,
        notes=[
            *notes_of_tasks(
                [(task.label, found.notes) for task, found in zip(tasks, paired, strict=True)]
            ),
            *selection.notes,
        ],
        tasks=tasks,
    )


def _same_answers(found: PairedRuns, drops: Sequence[Drop]) -> bool:
    """Whether the candidate has the baseline's own weights, settings and scores."""
    before, after = (run.stored for run in found.runs)
    return same_run(before, after) and not any(np.any(one.changes.values) for one in drops)


def _gated(task: TaskRuns, found: PairedRuns, quantities: Sequence[QuantityVerdict]) -> GatedTask:
    before, after = found.runs
    return GatedTask(
        label=task.label,
        task=before.stored.results.task,
        verdict=overall([one.verdict for one in quantities if one.task == task.label]),
        candidate=Side(folder=str(after.folder), model=after.stored.results.model),
        baseline=Side(folder=str(before.folder), model=before.stored.results.model),
    )


def drops_of(baseline: ScoredRun, candidate: ScoredRun, task: str = "") -> list[Drop]:
    """The quantities of one task, in the order of its table."""
    found = []
    for split in ("id", *baseline.named("ood")):
        fall = change(candidate, baseline, split)
        assert fall is not None  # every instance has a first attempt
        found.append(Drop(split, "success", fall, task))
    for ood in baseline.named("ood"):
        # OOD - ID, baseline minus candidate, is how much the gap has grown.
        growth = difference_in_differences(candidate, baseline, ood)
        found.append(Drop(f"gap {ood}", "gap", growth, task))
    return found


def judge(
    drops: Sequence[Drop], max_drop: float, alpha: float, permutations: int | None = None
) -> list[QuantityVerdict]:
    """The verdict on each quantity, corrected over all that are given, of whatever task."""
    if permutations is None:
        # The smallest one-sided p-value, times the quantities, is a quarter of alpha.
        needed = round(2 * len(drops) / alpha)
        permutations = min(max(PERMUTATIONS, needed), MOST_PERMUTATIONS)
    margins = [
        margin_test(
            one.changes.values, max_drop, one.changes.clusters, alpha, bound=one.changes.bound
        )
        for one in drops
    ]
    exact = [one.changes.tested(permutations) for one in drops]
    p_fail = [
        max(margin.p_above, _one_sided(found)) for margin, found in zip(margins, exact, strict=True)
    ]
    corrected = stats.holm(p_fail)
    return [
        _verdict(drop, margin, found, p, float(adjusted), alpha / len(drops))
        for drop, margin, found, p, adjusted in zip(
            drops, margins, exact, p_fail, corrected, strict=True
        )
    ]


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """fail where any does; pass where all do."""
    if "fail" in verdicts:
        return "fail"
    return "inconclusive" if "inconclusive" in verdicts else "pass"


def _one_sided(found: stats.Difference) -> float:
    """P-value of no change against a drop: the null is symmetric, so half of the two-sided one."""
    return found.p_value / 2 if found.value > 0 else 1.0


def _verdict(
    drop: Drop,
    margin: MarginTest,
    exact: stats.Difference,
    p_fail: float,
    p_holm: float,
    alpha_each: float,
) -> QuantityVerdict:
    mde = margin.smallest_shown_above(alpha_each, POWER)
    pairs = margin.pairs_to_exclude(margin.alpha, POWER)
    clusters = None if pairs is None else max(2, round(pairs * margin.clusters / margin.n))
    verdict: Verdict = (
        "fail"
        if p_holm <= margin.alpha
        else "pass"
        if margin.p_below <= margin.alpha
        else "inconclusive"
    )
    what = "the gap grew" if drop.kind == "gap" else "the rate fell"
    allowed = f"{100 * margin.margin:g} pp"
    reasons = {
        "fail": f"{what} by more than {allowed}",
        "pass": ("improved: " if _one_sided_gain(exact) <= margin.alpha else "")
        + f"a drop of {allowed} is excluded",
        "inconclusive": f"the run neither shows nor excludes a drop above {allowed}",
    }
    return QuantityVerdict(
        **_described(drop),
        verdict=verdict,
        reason=reasons[verdict],
        lower=_round(margin.lower),
        upper=_round(margin.upper),
        p_fail=_round(p_fail),
        p_fail_holm=_round(p_holm),
        p_pass=_round(margin.p_below),
        n=margin.n,
        clusters=margin.clusters,
        mde=None if mde is None else _round(mde),
        pairs_needed=pairs,
        clusters_needed=clusters,
        method=f"{METHOD}; no change: {exact.method.split(',')[0]}",
    )


def _one_sided_gain(found: stats.Difference) -> float:
    return found.p_value / 2 if found.value < 0 else 1.0


def _described(drop: Drop) -> dict[str, Any]:
    # The baseline is the later side of the change: what counts is baseline minus candidate.
    sign = -1 if drop.kind == "gap" else 1  # a gap is ID - OOD
    return {
        "task": drop.task,
        "name": drop.name,
        "kind": drop.kind,
        "baseline": _round(sign * drop.changes.later),
        "candidate": _round(sign * drop.changes.earlier),
        "drop": _round(float(drop.changes.values.mean())),
    }


def _unchanged(drop: Drop, max_drop: float, alpha: float) -> QuantityVerdict:
    """The same checkpoint with the same scores: its drop is 0, not estimated to be."""
    (judged,) = judge([drop], max_drop, alpha)
    return judged.model_copy(
        update={
            "verdict": "pass",
            "reason": SAME_WEIGHTS,
            "lower": 0.0,
            "upper": 0.0,
            "p_fail": 1.0,
            "p_fail_holm": 1.0,
            "p_pass": 0.0,
            "method": "none: nothing to infer",
        }
    )


def _round(value: float) -> float:
    return round(float(value), _DIGITS) + 0.0  # no -0.0
