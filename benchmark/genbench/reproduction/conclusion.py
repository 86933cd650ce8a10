"""From scored checkpoints to a conclusion that its tests bear out.

Each training's last checkpoints against the base: over seeds where there are two or more
(Student's t), else paired by instance, which speaks of that one training run. Then method against
method at matched compute and at matched ID success.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genbench import __version__, stats
from genbench.changes import change, change_beyond, difference_in_differences
from genbench.comparison import ALPHA, Planned, planned
from genbench.comparison_results import Kind, Measure, Reading
from genbench.evaluation import read_results
from genbench.folders import read_run
from genbench.pairing import PairedRuns, pair, read_checked
from genbench.reading import direction, read
from genbench.report.compute import matched
from genbench.report.loading import load_groups, sampling_text
from genbench.report.trajectories import trajectories
from genbench.reproduction.plan import Plan, PlannedTraining
from genbench.reproduction.results import (
    ChangeParts,
    Conclusion,
    ContrastConclusion,
    Decomposed,
    Family,
    GroupConclusion,
    PassAtK,
    Tested,
    TrainingConclusion,
)
from genbench.results import DifferenceResult, Results
from genbench.scores import ScoredRun, scored
from genbench.settings import RunSettings
from genbench.sweep.plan import SweepPlan
from genbench.task import Task
from genbench.training_seeds import seed_contrast, seed_mean

NEAR = 0.05
"""ID success rates that differ by no more than this count as matched."""

_CORRECTION = (
    "Holm on each task and decoding within three families: the tests that words are read from (ID, "
    "OOD and OOD minus ID of the main trainings), all further tests of the main trainings and of "
    "contrasts, and the tests of the controls"
)


@dataclass(frozen=True)
class Ended:
    """A training run as it was scored: `folders` by step."""

    training: PlannedTraining
    folders: Mapping[int, Path]

    @property
    def last(self) -> Path:
        return self.folders[max(self.folders)]


def conclude(plan: Plan, sweep: SweepPlan) -> Conclusion:
    """Test everything. Raises StoreError where a run is damaged."""
    place = {str(path): one for one in plan.trainings for path in _steps(one).values()}
    groups = []
    for number in range(len(plan.scorings)):
        found: dict[str, dict[int, Path]] = {}
        base = None
        for subject in sweep.subjects:
            training = place.get(subject.model)
            if training is None:
                base = subject.folders[number]
            else:
                step = int(subject.record["step"])
                found.setdefault(training.name, {})[step] = subject.folders[number]
        assert base is not None
        ended = [Ended(one, found[one.name]) for one in plan.trainings]
        groups.append(conclude_group(base, ended, plan.preset.contrasts))
    return Conclusion(
        genbench_version=__version__,
        preset=plan.preset.name,
        summary=plan.preset.summary,
        seeds=plan.seeds,
        alpha=ALPHA,
        correction=_CORRECTION,
        groups=groups,
        notes=_notes(plan, sweep),
    )


def _steps(one: PlannedTraining) -> dict[int, Path]:
    return {step: one.folder / f"step-{step}" for step in one.steps}


def _notes(plan: Plan, sweep: SweepPlan) -> list[str]:
    notes = [_contamination(sweep)]
    if plan.seeds == 1:
        notes.append(
            "one training seed a method: tests are over instances and speak of these training runs "
            "alone, not of the methods; the spread over seeds is not known (--seeds 3 or more)"
        )
    return notes


def _contamination(sweep: SweepPlan) -> str:
    """Whether test problems were trained on, by the checkpoints' own records."""
    seen, unknown = [], []
    for subject in sweep.subjects:
        found = [read_results(folder).contamination for folder in subject.folders]
        if any(sum((one.overlap or {}).values()) for one in found):
            seen.append(subject.label)
        elif any(one.status != "proven" for one in found):
            unknown.append(subject.label)
    if seen:
        return f"TEST PROBLEMS WERE TRAINED ON, by the records of {', '.join(seen)}"
    if unknown:
        return f"whether test problems were trained on is not proven for {', '.join(unknown)}"
    return "no checkpoint was trained on a test problem, by records that are bound to its weights"


def conclude_group(
    base: Path, ended: Sequence[Ended], contrasts: Sequence[tuple[str, str]]
) -> GroupConclusion:
    """One task in one decoding: `ended` are the training runs, those of a training together or
    not. P-values are corrected within each family."""
    paired = _paired([base, *(one.last for one in ended)])
    runs, controls = paired.runs, _controls(paired.task)
    start, lasts = runs[0], dict(zip((one.training.name for one in ended), runs[1:], strict=True))
    by_training: dict[str, list[Ended]] = {}
    for one in ended:
        by_training.setdefault(one.training.label, []).append(one)
    trainings = [
        _training(start, of_one, [lasts[one.training.name] for one in of_one], controls)
        for of_one in by_training.values()
    ]
    order = [one.training.label for one in ended]
    trainings.sort(key=lambda one: (one.role != "main", order.index(one.training)))
    found = []
    for a, b in contrasts:
        if a in by_training and b in by_training:
            found.append(_matched_compute(base, by_training[a], by_training[b]))
            found.append(_matched_id(by_training[a], by_training[b], lasts))
    _correct(trainings, found)
    for trained in trainings:
        trained.readings = [_reading(trained.quantities, ood) for ood in start.named("ood")]
    for contrast in found:
        contrast.sentence = _contrast_sentence(contrast)
    results = start.stored.results
    return GroupConclusion(
        task=results.task.name,
        task_version=results.task.version,
        decoding=sampling_text(RunSettings.model_validate(results.settings)),
        cluster=results.task.cluster,
        base=results.model.name,
        base_id=results.splits["id"].success_rate,
        base_ood={ood: results.splits[ood].success_rate for ood in start.named("ood")},
        trainings=trainings,
        contrasts=found,
        notes=[],
    )


def _paired(folders: Sequence[Path]) -> PairedRuns:
    # A training whose rewards were all equal has the weights of its base.
    return pair([read_checked(folder) for folder in folders], same_weights=True)


def _controls(task: Task | None) -> dict[str, str]:
    """Split -> the control split with its very numbers as numerals, where the task pairs them."""
    if task is None or not task.protocol.paired:
        return {}
    found = {}
    for name, split in task.splits.items():
        of, numbers = split.spec.control_of, split.spec.numbers
        if of is not None and numbers is not None:
            found["id" if numbers == "id" else of] = name
    return found


# -- a training against the base ------------------------------------------------------------------


def _wanted(base: ScoredRun, run: ScoredRun) -> Iterator[Planned]:
    compared = {"id", *base.named("ood")}
    for one in planned(base, run):
        if one.measure not in ("success at VIter", "perception") and one.split in compared:
            yield one


def _training(
    base: ScoredRun,
    ended: Sequence[Ended],
    runs: Sequence[ScoredRun],
    controls: Mapping[str, str],
) -> TrainingConclusion:
    training = ended[0].training
    results = [run.stored.results for run in runs]
    role = training.preset.role
    each = [{_key(one): one for one in _wanted(base, run)} for run in runs]
    quantities = [
        _over_seeds([of_run[key] for of_run in each], role)
        for key in each[0]
        if all(key in of_run for of_run in each)
    ]
    oods = base.named("ood")
    return TrainingConclusion(
        training=training.label,
        method=training.recipe.method,
        role=role,
        why=training.preset.why,
        settings=_settings(training),
        seeds=[one.training.seed for one in ended],
        step=max(ended[0].folders),
        flops=float(np.mean([_flops(one) for one in results])),
        unit="training seeds" if len(runs) > 1 else "instances",
        id_rate=_mean([one.splits["id"].success_rate.value for one in results]),
        ood_rates={
            ood: _mean([one.splits[ood].success_rate.value for one in results]) for ood in oods
        },
        quantities=quantities,
        readings=[],
        decomposition=_decomposition(base.stored.results, results),
        parts=[
            _parts(base, runs, split, controls[split], role)
            for split in ("id", *oods)
            if split in controls
        ],
        pass_at_k=_pass_at_k(base.stored.results, results, ["id", *oods]),
    )


def _settings(training: PlannedTraining) -> dict[str, Any]:
    schedule = training.recipe.schedule
    return {
        "recipe": training.preset.recipe,
        "learning_rate": schedule.learning_rate,
        "steps": schedule.steps,
        "set": list(training.preset.set),
    }


def _flops(results: Results) -> float:
    found = (results.model.training or {}).get("flops")
    return float(found) if isinstance(found, int | float) else 0.0


def _key(one: Planned) -> tuple[Kind, Measure, str]:
    return one.kind, one.measure, one.split


def _family(role: str, measure: Measure) -> Family:
    if role != "main":
        return "controls"
    return "readings" if measure == "success" else "further"


def _over_seeds(same: Sequence[Planned], role: str) -> Tested:
    """One quantity of a training: over its seeds, or of its only one over instances."""
    first = same[0]
    family = _family(role, first.measure)
    base = _mean([one.changes.earlier for one in same])
    value = _mean([one.changes.later for one in same])
    if len(same) == 1:
        found = first.tested(1).change
        return _tested(first.kind, first.measure, first.split, base, value, found, family)
    values = [float(one.changes.values.mean()) for one in same]
    over = seed_mean(first.name, first.kind, first.split, values)
    tested = _tested(first.kind, first.measure, first.split, base, value, over.change, family)
    tested.sd, tested.seeds_needed = over.sd, over.seeds_needed
    tested.detectable = detectable_difference(over.sd, len(same))
    return tested


def _tested(
    kind: Kind, measure: Measure, split: str, base: float | None, value: float | None,
    found: DifferenceResult, family: Family,
) -> Tested:  # fmt: skip
    return Tested(
        kind=kind, measure=measure, split=split, base=base, value=value, change=found,
        family=family,
    )  # fmt: skip


def detectable_difference(sd: float, seeds: int) -> float | None:
    """The smallest difference of two methods that so many seeds of each tell with 80% power at 5%,
    by `stats.required_seeds`; None where the seeds are all equal."""
    if sd <= 1e-9 or seeds < 2:
        return None
    low, high = 1e-3, 1e3  # in units of the SD
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        try:
            enough = stats.required_seeds(sd, middle * sd) <= seeds
        except ValueError:  # more seeds than anyone trains
            enough = False
        low, high = (low, middle) if enough else (middle, high)
    return float(high * sd)


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 10)


def _decomposition(base: Results, trained: Sequence[Results]) -> list[Decomposed]:
    """The gap's number and rule parts, where control splits give them."""
    found = []
    for ood, before in base.generalization.items():
        after = [one.generalization[ood].decomposition for one in trained]
        parts = [one for one in after if one is not None]
        if before.decomposition is None or len(parts) < len(after):
            continue
        found.append(
            Decomposed(
                split=ood,
                number=(before.decomposition.number.value, _mean([p.number.value for p in parts])),
                rule=(before.decomposition.rule.value, _mean([p.rule.value for p in parts])),
            )
        )
    return found


def _parts(
    base: ScoredRun, runs: Sequence[ScoredRun], split: str, control: str, role: str
) -> ChangeParts:
    """Where the change on a split comes from."""
    numerals = [change(base, run, control) for run in runs]
    number = [
        Planned("split", "success", control, one) for one in numerals if one is not None
    ]  # success is never undefined
    rule = [
        Planned(
            "difference in differences", "success", split, change_beyond(base, run, split, control)
        )
        for run in runs
    ]
    parts = _over_seeds(number, role), _over_seeds(rule, role)
    for part in parts:  # no word is read from them
        part.family = "further" if role == "main" else "controls"
    return ChangeParts(split=split, control=control, number=parts[0], rule=parts[1])


def _pass_at_k(base: Results, trained: Sequence[Results], splits: Sequence[str]) -> list[PassAtK]:
    found = []
    for split in splits:
        for k, before in (base.splits[split].pass_at_k or {}).items():
            after = [(one.splits[split].pass_at_k or {}).get(k) for one in trained]
            rates = [one.value for one in after if one is not None]
            if len(rates) == len(after):
                found.append(PassAtK(split=split, k=int(k), base=before.value, value=_mean(rates)))
    return found


# -- method against method ------------------------------------------------------------------------


def _matched_compute(
    base: Path, first: Sequence[Ended], second: Sequence[Ended]
) -> ContrastConclusion:
    """Averaged over the FLOPs that all training runs of both span: the report's own contrast."""
    a, b = first[0].training.label, second[0].training.label
    folders = [folder for one in (*first, *second) for folder in one.folders.values()]
    contrast = ContrastConclusion(
        a=a, b=b, kind="matched compute", unit=None, detail="", matched=True, quantities=[],
        sentence="", reason=None,
    )  # fmt: skip
    ((group,), _) = load_groups([base, *folders])
    scores = {run.folder: scored(read_run(run.folder), None).splits for run in group.runs}
    try:
        followed = trajectories(group, scores)
    except ValueError as error:
        contrast.reason = str(error)
        return contrast
    methods = (
        {} if followed is None else {one.training.series[0].recipe: one for one in followed.methods}
    )
    if followed is None or not {a, b} <= methods.keys():
        contrast.reason = "a checkpoint has no training record with FLOPs"
        return contrast
    for quantity in followed.quantities:
        found = matched(methods[a], methods[b], quantity)
        if found.found is None:
            contrast.reason = found.reason
            continue
        assert found.flops is not None
        contrast.detail = f"{found.flops[0]:.3g} to {found.flops[1]:.3g} FLOPs"
        contrast.unit = "training seeds" if found.unit == "training runs" else "instances"
        n = found.training_runs if found.unit == "training runs" else found.instances
        contrast.quantities.append(
            _tested(
                "difference in differences" if quantity.is_gap else "split",
                "success", quantity.split, None, None,
                DifferenceResult(
                    value=round(found.found.value, 10),
                    ci95=(round(found.found.low, 10), round(found.found.high, 10)),
                    n=n,
                    clusters=n if found.unit == "training runs" else found.clusters,
                    method=found.found.method,
                    p_value=round(float(found.found.p_value or 0.0), 10),
                    discordance=None,
                ),
                "further",
            )
        )  # fmt: skip
    return contrast


def _matched_id(
    first: Sequence[Ended], second: Sequence[Ended], lasts: Mapping[str, ScoredRun]
) -> ContrastConclusion:
    """Each seed's checkpoint of `a` that is nearest in ID success to the last one of `b`."""
    a, b = first[0].training.label, second[0].training.label
    theirs = [lasts[one.training.name] for one in second]
    pairs: list[tuple[ScoredRun, ScoredRun]] = []
    steps = []
    for one, other in zip(first, theirs, strict=True):
        step = _nearest(one, _id_rate(other.stored.results))
        steps.append(step)
        found = _paired([other.folder, one.folders[step]]).runs
        pairs.append((found[0], found[1]))
    ids = [(_id_rate(y.stored.results), _id_rate(x.stored.results)) for x, y in pairs]
    ours, other_ids = (_mean([pair[side] for pair in ids]) for side in (0, 1))
    contrast = ContrastConclusion(
        a=a,
        b=b,
        kind="matched ID success",
        unit="training seeds" if len(pairs) > 1 else "instances",
        detail=(
            f"{a} at step {_listed(steps)}, ID {100 * ours:.1f}%; {b} at step "
            f"{max(second[0].folders)}, ID {100 * other_ids:.1f}%"
        ),
        matched=abs(ours - other_ids) <= NEAR,
        quantities=[],
        sentence="",
        reason=None,
    )
    for split in ("id", *pairs[0][0].named("ood")):
        each = [change(x, y, split) for x, y in pairs]
        _add(contrast, "split", split, [one for one in each if one is not None])
    for ood in pairs[0][0].named("ood"):
        _add(
            contrast,
            "difference in differences",
            ood,
            [difference_in_differences(x, y, ood) for x, y in pairs],
        )
    return contrast


def _add(contrast: ContrastConclusion, kind: Kind, split: str, each: Sequence[Any]) -> None:
    later, earlier = [one.later for one in each], [one.earlier for one in each]
    if len(each) == 1:
        found = Planned(kind, "success", split, each[0]).tested(1).change
    else:
        found = seed_contrast(split, kind, split, later, earlier, rates=True).change
    contrast.quantities.append(
        _tested(kind, "success", split, _mean(earlier), _mean(later), found, "further")
    )


def _nearest(one: Ended, rate: float) -> int:
    """The step whose ID success is nearest; the earliest of equally near ones."""
    rates = {step: _id_rate(read_run(folder).results) for step, folder in one.folders.items()}
    return min(sorted(rates), key=lambda step: abs(rates[step] - rate))


def _id_rate(results: Results) -> float:
    return results.splits["id"].success_rate.value


def _listed(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps)) if len(set(steps)) > 1 else str(steps[0])


# -- words ----------------------------------------------------------------------------------------


def _correct(
    trainings: Sequence[TrainingConclusion], contrasts: Sequence[ContrastConclusion]
) -> None:
    every = [one for trained in trainings for one in trained.quantities]
    every += [
        one
        for trained in trainings
        for parts in trained.parts
        for one in (parts.number, parts.rule)
    ]
    every += [one for contrast in contrasts for one in contrast.quantities]
    for family in ("readings", "further", "controls"):
        tests = [one for one in every if one.family == family]
        if not tests:
            continue
        adjusted = stats.holm([one.change.p_value for one in tests])
        for one, value in zip(tests, adjusted, strict=True):
            one.change.p_value_holm = round(float(value), 10)
            one.tests = len(tests)


def _corrected(one: Tested) -> float:
    assert one.change.p_value_holm is not None  # corrected before anything is read
    return one.change.p_value_holm


def _reading(quantities: Sequence[Tested], ood: str) -> Reading:
    found = {(one.kind, one.split): one for one in quantities if one.measure == "success"}
    three = (found["split", "id"], found["split", ood], found["difference in differences", ood])
    word = read(*(direction(one.change.value, _corrected(one), ALPHA) for one in three))
    name = "OOD" if ood == "ood" else f"OOD ({ood})"
    return Reading(
        split=ood,
        word=word,
        sentence=(
            f"ID {_points(three[0])}, {name} {_points(three[1])}, {name} - ID {_points(three[2])}"
        ),
    )


def _contrast_sentence(contrast: ContrastConclusion) -> str:
    """What the tests on OOD bear out."""
    if not contrast.quantities:
        return f"not computed: {contrast.reason}"
    if not contrast.matched:
        return (
            "no checkpoint comes near in ID success, so this contrast is of unmatched checkpoints "
            "and nothing is read from it"
        )
    told = []
    for one in contrast.quantities:
        if one.kind == "split" and one.split != "id":
            name = "OOD" if one.split == "ood" else f"OOD ({one.split})"
            if _corrected(one) > ALPHA:
                told.append(f"no difference on {name} shown")
            else:
                higher = contrast.a if one.change.value > 0 else contrast.b
                told.append(f"{higher} is higher on {name}")
    return "; ".join(told)


def _points(one: Tested) -> str:
    return f"{100 * one.change.value:+.1f} pp"
