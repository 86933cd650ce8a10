"""From played episodes to the numbers of `results.json`. Pure: no clock, no disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from genbench import stats
from genbench.models.interface import of_other_weights
from genbench.records import EpisodeRecord
from genbench.results import (
    Contamination,
    Decomposition,
    DifferenceResult,
    GeneralizationResult,
    MinimumDetectable,
    Rate,
    SplitResult,
)
from genbench.settings import RunSettings
from genbench.steps import Step, attempts_of, first_attempts, sticks
from genbench.task import CORRECT, TRUNCATED, Instance, SplitSpec, Task

ALPHA, POWER = 0.05, 0.8
_DIGITS = 10
TRUNCATED_WARNING = 0.05
_LISTED_READINGS = 200
UNPAIRED = "the splits are not paired"


@dataclass(frozen=True, slots=True)
class Played:
    """The episodes of an instance, one a sample, and the steps of each."""

    instance: Instance
    episodes: tuple[EpisodeRecord, ...]
    steps: tuple[Sequence[Step], ...]

    def mean(self, score: Callable[[EpisodeRecord], float]) -> float:
        return sum(score(episode) for episode in self.episodes) / len(self.episodes)


def rounded(value: float) -> float:
    """A number as results hold it, to ten digits."""
    return round(float(value), _DIGITS)


def rate_of(estimate: stats.Estimate) -> Rate:
    """An estimate as results hold it."""
    return Rate(
        value=rounded(estimate.value),
        ci95=(rounded(estimate.low), rounded(estimate.high)),
        n=estimate.n,
        clusters=estimate.clusters,
        method=estimate.method,
    )


def difference_of(found: stats.Difference) -> DifferenceResult:
    """A difference as results hold it."""
    return DifferenceResult(
        **rate_of(found).model_dump(),
        p_value=rounded(found.p_value),
        discordance=None if found.discordance is None else rounded(found.discordance),
    )


def _share(played: Sequence[Played], score: Callable[[EpisodeRecord], float | None]) -> Rate | None:
    """The mean of a score over instances; episodes where it is None are left out."""
    scores, clusters = [], []
    for item in played:
        known = [value for episode in item.episodes if (value := score(episode)) is not None]
        if known:
            scores.append(sum(known) / len(known))
            clusters.append(item.instance.cluster)
    return rate_of(stats.proportion(scores, clusters)) if scores else None


def share_of_steps(played: Sequence[Played], score: Callable[[Step], float | None]) -> Rate | None:
    """The mean of a score over first attempts; those where it is None are left out.

    Where every episode has one step an instance is the mean over its samples, as in `_share`;
    else every first attempt counts as one.
    """
    scores, clusters = [], []
    single = all(len(steps) == 1 for item in played for steps in item.steps)
    for item in played:
        known = [
            value for steps in item.steps for step in steps if (value := score(step)) is not None
        ]
        if single and known:
            known = [sum(known) / len(known)]
        scores += known
        clusters += [item.instance.cluster] * len(known)
    return rate_of(stats.proportion(scores, clusters)) if scores else None


def _needed(rate: Rate | None) -> Rate:
    assert rate is not None  # every split has an instance, and every episode a first turn
    return rate


def _first_correct(episode: EpisodeRecord) -> float:
    return float(episode.solved_within(1))


def _perceived(episode: EpisodeRecord) -> float | None:
    """Whether every first response saw the problem, None where one does not say."""
    firsts = [turn.verdict for turn in episode.turns if turn.attempt == 1]
    seen = [verdict.checks.get("perception") for verdict in firsts]
    return None if None in seen else float(all(seen))


def _correct_if_perceived(episode: EpisodeRecord) -> float | None:
    return _first_correct(episode) if _perceived(episode) else None


def _first_strict(episode: EpisodeRecord) -> float:
    strict = all(turn.verdict.strict for turn in episode.turns if turn.attempt == 1)
    return float(episode.solved_within(1) and strict)


def answered_right(step: Step) -> float:
    """1 where the first attempt at a step is right, else 0."""
    return float(step.turn.verdict.correct)


def right_where_perceived(step: Step) -> float | None:
    """`answered_right` where the step's perception check passed, else None."""
    return answered_right(step) if step.turn.verdict.checks.get("perception") else None


def by_split(
    task: Task, settings: RunSettings, episodes: Sequence[EpisodeRecord]
) -> dict[str, list[Played]]:
    """What was played of every split, instances in order."""
    by_key: dict[tuple[str, str], list[EpisodeRecord]] = {}
    for episode in episodes:
        by_key.setdefault((episode.split, episode.instance_id), []).append(episode)

    def played(instance: Instance, found: Sequence[EpisodeRecord]) -> Played:
        steps = tuple(first_attempts(task, settings, instance, episode) for episode in found)
        return Played(instance, tuple(found), steps)

    return {
        name: [played(instance, by_key[name, instance.id]) for instance in split.instances()]
        for name, split in task.splits.items()
    }


def analyse_splits(
    task: Task, settings: RunSettings, played: Mapping[str, Sequence[Played]]
) -> dict[str, SplitResult]:
    """Every split on its own."""
    return {
        name: _split(task, task.splits[name].spec, settings, of_split)
        for name, of_split in played.items()
    }


def _split(
    task: Task, spec: SplitSpec, settings: RunSettings, played: Sequence[Played]
) -> SplitResult:
    attempts = attempts_of(task, settings, spec.name)
    firsts = [step.turn for item in played for steps in item.steps for step in steps]
    chances = [task.environment.chance(item.instance) for item in played]
    known = [chance for chance in chances if chance is not None]

    def check(name: str) -> Callable[[Step], float | None]:
        return lambda step: (
            None if (value := step.turn.verdict.checks.get(name)) is None else float(value)
        )

    def comprehended(step: Step) -> float | None:
        checks = step.turn.verdict.checks
        return answered_right(step) if checks.get("perception") and checks.get("rule") else None

    names = list(dict.fromkeys(name for turn in firsts for name in turn.verdict.checks))
    outcomes = _counted([turn.verdict.outcome for turn in firsts], task.environment.outcomes)
    return SplitResult(
        role=spec.role,
        shift=spec.shift,
        level=spec.level,
        rule=spec.rule,
        n=len(played),
        clusters=len({item.instance.cluster for item in played}),
        samples=settings.samples,
        success_rate=_needed(_share(played, _first_correct)),
        success_at={
            str(k): _needed(_share(played, lambda episode, k=k: float(episode.solved_within(k))))  # type: ignore[misc]
            for k in range(1, attempts + 1)
        },
        pass_at_k=_of_samples(played, settings.samples, stats.pass_at_k),
        pass_hat_k=_of_samples(played, settings.samples, stats.pass_hat_k),
        strict_success_rate=_needed(_share(played, _first_strict)),
        outcomes=outcomes,
        outcome_rates={
            outcome: _needed(
                share_of_steps(
                    played,
                    lambda step, outcome=outcome: float(  # type: ignore[misc]
                        step.turn.verdict.outcome == outcome
                    ),
                )
            )
            for outcome in outcomes
        },
        extractions=_counted([turn.verdict.extraction for turn in firsts]),
        truncated=_needed(
            share_of_steps(played, lambda step: float(step.turn.response.finish_reason == "length"))
        ),
        checks={name: share_of_steps(played, check(name)) for name in names},
        success_given_comprehension=share_of_steps(played, comprehended),
        success_given_perception=share_of_steps(played, right_where_perceived),
        readings=_readings(task, played),
        chance=rounded(sum(known) / len(known)) if known and len(known) == len(chances) else None,
        all_turns=_all_turns(task, played),
    )


def _counted(values: Sequence[str], order: Sequence[str] = ()) -> dict[str, int]:
    """Counts, the names of `order` first (also where they are 0), others by name."""
    counts = Counter(values)
    names = [*order, *sorted(name for name in counts if name not in order)]
    return {name: counts[name] for name in names}


def _of_samples(
    played: Sequence[Played], samples: int, estimator: Callable[..., Any]
) -> dict[str, Rate] | None:
    if samples == 1:
        return None
    clusters = [item.instance.cluster for item in played]
    right = np.array([round(item.mean(_first_correct) * samples) for item in played])
    sizes = sorted({*(2**i for i in range(samples.bit_length()) if 2**i <= samples), samples})
    return {
        str(k): rate_of(stats.proportion(np.clip(estimator(samples, right, k), 0, 1), clusters))
        for k in sizes
    }


def steps_of(item: Played) -> Iterator[Step]:
    """The steps of all samples."""
    for steps in item.steps:
        yield from steps


def _readings(task: Task, played: Sequence[Played]) -> dict[str, dict[str, dict[str, int]]]:
    """How each symbol was read at first attempts, by what it stands for; rare values together."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    for item in played:
        for step in steps_of(item):
            expected = task.environment.expected_readings(step.state)
            for symbol, value in step.turn.verdict.readings:
                if symbol in expected:
                    row = counts.setdefault(symbol, {}).setdefault(expected[symbol], Counter())
                    row[value if value in row or len(row) < _LISTED_READINGS else "other"] += 1
    return {
        symbol: {
            value: dict(sorted(row.items(), key=lambda entry: (-entry[1], entry[0])))
            for value, row in sorted(rows.items())
        }
        for symbol, rows in sorted(counts.items())
    }


def _all_turns(task: Task, played: Sequence[Played]) -> dict[str, Any]:
    turns = [turn for item in played for episode in item.episodes for turn in episode.turns]

    def total(values: Sequence[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(values) else None

    return {
        "turns": len(turns),
        "outcomes": _counted([turn.verdict.outcome for turn in turns], task.environment.outcomes),
        "truncated": sum(turn.response.finish_reason == "length" for turn in turns),
        "prompt_tokens": total([turn.response.prompt_tokens for turn in turns]),
        "generated_tokens": total([turn.response.generated_tokens for turn in turns]),
        "mean_reward": rounded(sum(turn.verdict.reward for turn in turns) / len(turns)),
    }


def analyse_generalization(
    task: Task, settings: RunSettings, played: Mapping[str, Sequence[Played]]
) -> dict[str, GeneralizationResult]:
    """Every OOD split against the ID split; Holm over the OOD splits where there are more."""
    found = {
        name: _against_id(task, settings, played, name)
        for name, split in task.splits.items()
        if split.spec.role == "ood"
    }
    for one in ("gap", "gap_at_viter", "perception_gap", "gap_given_perception"):
        tested = [gap for result in found.values() if (gap := getattr(result, one)) is not None]
        if len(tested) > 1:
            adjusted = stats.holm([gap.p_value for gap in tested])
            for gap, value in zip(tested, adjusted, strict=True):
                gap.p_value_holm = rounded(float(value))
    return found


def _aligned(
    played: Mapping[str, Sequence[Played]], names: Sequence[str], score: Callable[..., float]
) -> tuple[list[list[float]], list[str]]:
    """Scores of the named splits on their common pairs, and the pairs' clusters."""
    tables = [{item.instance.pair_id: item for item in played[name]} for name in names]
    pairs = [pair for pair in tables[0] if all(pair in table for table in tables)]
    scores = [[table[pair].mean(score) for pair in pairs] for table in tables]
    return scores, [tables[0][pair].instance.cluster for pair in pairs]


def _against_id(
    task: Task, settings: RunSettings, played: Mapping[str, Sequence[Played]], name: str
) -> GeneralizationResult:
    spec, training = task.splits[name].spec, task.training_split
    paired = task.protocol.paired

    def gap(score: Callable[[EpisodeRecord], float]) -> stats.Difference:
        if paired:
            (in_distribution, out), clusters = _aligned(played, ["id", name], score)
            return stats.paired_difference(in_distribution, out, clusters)
        sides = [[item.mean(score) for item in played[side]] for side in ("id", name)]
        groups = [[item.instance.cluster for item in played[side]] for side in ("id", name)]
        return stats.unpaired_difference(sides[0], sides[1], groups[0], groups[1])

    first_gap = gap(_first_correct)
    perception_gap, gap_given_perception = (
        _gap_where_known(played, name, paired, score)
        for score in (_perceived, _correct_if_perceived)
    )
    last = settings.verify_iters
    decomposition, reason = _decomposition(task, played, name)
    chances = [
        [task.environment.chance(item.instance) for item in played[side]] for side in ("id", name)
    ]
    means = [
        None
        if any(value is None for value in side)
        else sum(v for v in side if v is not None) / len(side)
        for side in chances
    ]
    stickiness, no_stickiness = _stickiness(task, settings, played[name], spec)
    retention, no_retention = _retention(played, name, means) if paired else (None, UNPAIRED)
    return GeneralizationResult(
        shift=spec.shift,
        paired=paired,
        gap=difference_of(first_gap),
        gap_at_viter=difference_of(gap(lambda episode: float(episode.solved_within(last)))),
        perception_gap=perception_gap,
        gap_given_perception=gap_given_perception,
        chance_gap=None if means[0] is None or means[1] is None else rounded(means[0] - means[1]),
        retention=retention,
        retention_reason=no_retention,
        decomposition=decomposition,
        decomposition_reason=reason,
        stickiness=stickiness,
        stickiness_reason=no_stickiness,
        rule_readings=_rule_readings(task, played[name], training),
        mde=_detectable(played, name, first_gap) if paired else None,
    )


def _gap_where_known(
    played: Mapping[str, Sequence[Played]],
    name: str,
    paired: bool,
    score: Callable[[EpisodeRecord], float | None],
) -> DifferenceResult | None:
    """ID minus OOD of a score that not every episode has: on the pairs where both sides have it,
    or, unpaired, on what has it on either side. None where nothing is left."""
    inside, out = (_means_where_known(played[side], paired, score) for side in ("id", name))
    if paired:
        pairs = [place for place in inside if place in out]
        inside = {place: inside[place] for place in pairs}
        out = {place: out[place] for place in pairs}
    if not inside or not out:
        return None
    scores = [[value for value, _ in side.values()] for side in (inside, out)]
    clusters = [[cluster for _, cluster in side.values()] for side in (inside, out)]
    if paired:
        return difference_of(stats.paired_difference(scores[0], scores[1], clusters[0]))
    return difference_of(stats.unpaired_difference(scores[0], scores[1], clusters[0], clusters[1]))


def _means_where_known(
    played: Sequence[Played], paired: bool, score: Callable[[EpisodeRecord], float | None]
) -> dict[str, tuple[float, str]]:
    """Pair id (or, unpaired, instance id) -> the mean of the episodes that have the score, and the
    cluster."""
    found = {}
    for item in played:
        known = [value for episode in item.episodes if (value := score(episode)) is not None]
        if known:
            place = item.instance.pair_id if paired else item.instance.id
            found[place] = sum(known) / len(known), item.instance.cluster
    return found


def _retention(
    played: Mapping[str, Sequence[Played]], name: str, chances: Sequence[float | None]
) -> tuple[Rate | None, str | None]:
    """The share of the skill beyond chance that is left on the OOD split."""
    inside, out = chances
    if inside is None or out is None:
        return None, "the task states no chance level"
    scores, clusters = _aligned(played, ["id", name], _first_correct)
    found, reason = stats.retention(scores[0], scores[1], inside, out, clusters)
    return None if found is None else rate_of(found), reason


def _decomposition(
    task: Task, played: Mapping[str, Sequence[Played]], name: str
) -> tuple[Decomposition | None, str | None]:
    if not task.protocol.paired:
        return None, UNPAIRED
    controls = {
        split.spec.numbers: control
        for control, split in task.splits.items()
        if split.spec.control_of == name
    }
    if not {"id", "ood"} <= set(controls):
        return None, "the task has no control splits for this shift"
    names = ["id", name, controls["id"], controls["ood"]]
    scores, clusters = _aligned(played, names, _first_correct)
    in_distribution, out, numbers_id, numbers_ood = (np.array(side) for side in scores)
    number = stats.paired_difference(numbers_id, numbers_ood, clusters)
    rule = stats.contrast((in_distribution - out) - (numbers_id - numbers_ood), clusters)
    return Decomposition(number=difference_of(number), rule=difference_of(rule)), None


def _stickiness(
    task: Task, settings: RunSettings, played: Sequence[Played], spec: SplitSpec
) -> tuple[Rate | None, str | None]:
    """The share of first attempts that are right under the training rule, of those at steps where
    the rule matters."""
    training = task.training_split
    reason = task.environment.stickiness_reason(spec, training)
    if reason is not None:
        return None, reason
    found = share_of_steps(played, lambda step: sticks(task, settings, training, step))
    if found is None:
        return None, "every response would be right or wrong under both rules alike"
    return found, None


def _rule_readings(
    task: Task, played: Sequence[Played], training: SplitSpec
) -> dict[str, int] | None:
    """First readings of the symbols that the rules read differently."""
    counts: Counter[str] = Counter()
    for item in played:
        for step in steps_of(item):
            stated = task.environment.expected_readings(step.state)
            old = task.environment.under_rule(step.state, training)
            in_training = task.environment.expected_readings(old) if old is not None else {}
            for symbol, value in step.turn.verdict.readings:
                if symbol in stated and stated[symbol] != in_training.get(symbol, stated[symbol]):
                    if value == stated[symbol]:
                        counts["as_stated"] += 1
                    elif value == in_training[symbol]:
                        counts["as_in_training"] += 1
                    else:
                        counts["other"] += 1
    if not counts:
        return None
    return {kind: counts[kind] for kind in ("as_stated", "as_in_training", "other")}


def _detectable(
    played: Mapping[str, Sequence[Played]], name: str, gap: stats.Difference
) -> MinimumDetectable:
    """From the run's own discordance (at least one pair) and design effect.

    With several samples an instance the differences are no longer -1, 0 or 1, and what is
    detectable follows from their spread: (z(1 - alpha/2) + z(power)) standard errors (Miller 2024,
    arXiv:2411.00640, section 5).
    """
    (in_distribution, out), clusters = _aligned(played, ["id", name], _first_correct)
    sampled = max(len(item.episodes) for item in played[name]) > 1
    return detectable(np.array(in_distribution) - np.array(out), clusters, gap, sampled)


def detectable(
    change: Any, clusters: Sequence[str], gap: stats.Difference, sampled: bool
) -> MinimumDetectable:
    """Of paired differences of scores, one 0/1 each or (`sampled`) the mean of several."""
    if sampled and np.ptp(change) > 0:
        return _detectable_by_spread(change, clusters, gap)
    discordance = max(gap.discordance or 0.0, 1 / gap.n)
    effect = stats.design_effect(change, clusters)
    value = stats.minimum_detectable_difference(
        gap.n, discordance, alpha=ALPHA, power=POWER, design_effect=effect
    )
    return MinimumDetectable(
        value=None if value is None else rounded(value),
        alpha=ALPHA,
        power=POWER,
        discordance=rounded(discordance),
        design_effect=rounded(effect),
        method="exact mcnemar at the observed discordance or the gap's own, pairs divided by the "
        "design effect",
    )


def _detectable_by_spread(
    change: Any, clusters: Sequence[str], gap: stats.Difference
) -> MinimumDetectable:
    effect = stats.design_effect(change, clusters)
    error = float(np.std(change, ddof=1)) * (effect / len(change)) ** 0.5 if len(change) > 1 else 0
    value = float(norm.isf(ALPHA / 2) + norm.ppf(POWER)) * error
    return MinimumDetectable(
        value=rounded(value) if 0 < value < 1 else None,
        alpha=ALPHA,
        power=POWER,
        discordance=rounded(gap.discordance or 0.0),
        design_effect=rounded(effect),
        method="normal, cluster-robust standard error of the differences of the samples' means",
    )


def analyse_contamination(
    task: Task, training: Mapping[str, Any] | None, weights_fingerprint: str | None
) -> Contamination:
    """What the checkpoint's training record says of these splits."""
    splits = {name: split.instances() for name, split in task.splits.items()}
    certificate = dict(task.environment.certificate(splits))
    if training is None:
        return Contamination(
            status="unknown",
            reason="the checkpoint has no training record",
            overlap=None,
            certificate=certificate,
        )
    if of_other_weights(training, weights_fingerprint):
        return Contamination(
            status="unknown",
            reason="the training record beside these weights is of other weights",
            overlap=None,
            certificate=certificate,
        )
    overlap = task.environment.training_overlap(splits, training)
    bound = training.get("weights_fingerprint") is not None
    return Contamination(
        status="proven" if bound and overlap is not None else "declared",
        reason=None,
        overlap=None if overlap is None else dict(overlap),
        certificate=certificate,
    )


def warnings(
    settings: RunSettings, splits: Mapping[str, SplitResult], contamination: Contamination
) -> list[str]:
    """What a reader of the numbers must know, in sentences."""
    found = []
    for name, split in splits.items():
        if split.truncated.value > TRUNCATED_WARNING:
            found.append(
                f"{name}: {100 * split.truncated.value:.1f}% of the first responses were cut off "
                f"at the limit of {settings.max_new_tokens} tokens and count as not solved; raise "
                "--max-new-tokens before you read the rates"
            )
        nothing = split.outcomes.get("unparsable", 0) + split.outcomes.get("empty", 0)
        if nothing == sum(split.outcomes.values()):
            found.append(f"{name}: no response held an answer; look at the episodes")
    seen = {name: count for name, count in (contamination.overlap or {}).items() if count}
    if seen:
        listed = ", ".join(f"{count} of {splits[name].n} in {name}" for name, count in seen.items())
        found.append(f"the checkpoint was trained on problems of this test: {listed}")
    return found


__all__ = [
    "CORRECT",
    "TRUNCATED",
    "analyse_contamination",
    "analyse_generalization",
    "analyse_splits",
    "warnings",
]
