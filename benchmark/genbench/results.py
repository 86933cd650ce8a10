"""The schema of `results.json`; published as JSON Schema in `results.schema.json`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from genbench.task import fingerprint

SCHEMA_VERSION = 3
"""2 added `outcome_rates` and `retention`, 3 `steps` and what is told apart by perception;
`results_versions` reads 1 and 2."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Rate(_Strict):
    """A share with its 95% interval; `n` instances in `clusters` units of independence."""

    value: float
    ci95: tuple[float, float]
    n: int
    clusters: int
    method: str


class DifferenceResult(Rate):
    """A difference of rates with a two-sided test that it is zero."""

    p_value: float
    p_value_holm: float | None = Field(
        default=None, description="adjusted over the OOD splits of the task, where there are more"
    )
    discordance: float | None = Field(description="share of pairs whose scores differ")


class StepRate(_Strict):
    """First attempts that were right, one a step of an episode; clustered by the task's cluster."""

    accuracy: Rate
    chance: float | None = Field(description="of a step, the mean over those that were asked")


class StepsResult(StepRate):
    """The steps of episodes of many steps, all together and by kind."""

    every_attempt: Rate = Field(description="retries too, each counted as one (the paper's C.3)")
    kinds: dict[str, StepRate]


class SplitResult(_Strict):
    """One split. Everything but `success_at` and `all_turns` is about first attempts.

    Where episodes have many steps, success is to solve every one, and the outcomes, checks and
    readings are of the first attempt at each step.
    """

    role: Literal["id", "ood", "control"]
    shift: str | None
    level: float | None = Field(
        description="how far an OOD split lies from ID, where the task grades its shift"
    )
    rule: str | None
    n: int
    clusters: int
    samples: int
    success_rate: Rate
    success_at: dict[str, Rate] = Field(description="attempts -> solved within so many")
    pass_at_k: dict[str, Rate] | None = Field(description="k -> any of k samples right")
    pass_hat_k: dict[str, Rate] | None = Field(description="k -> all of k samples right")
    strict_success_rate: Rate = Field(description="right and in the strict answer format")
    outcomes: dict[str, int]
    outcome_rates: dict[str, Rate] | None = Field(
        description="the outcomes as shares; null in results of schema version 1"
    )
    extractions: dict[str, int]
    truncated: Rate = Field(description="responses cut off at the token limit")
    checks: dict[str, Rate | None] = Field(description="of responses that expose the check")
    success_given_comprehension: Rate | None = Field(
        description="success where the perception and rule checks passed"
    )
    success_given_perception: Rate | None = Field(
        description="success where the perception check passed"
    )
    readings: dict[str, dict[str, dict[str, int]]] = Field(
        description="symbol -> its value under the rule -> value it was given -> count"
    )
    chance: float | None
    all_turns: dict[str, Any] = Field(description="turns, tokens and outcomes of every attempt")
    steps: StepsResult | None = Field(
        default=None, description="null where an episode is one step, and in older results"
    )


class Decomposition(_Strict):
    """gap = number + rule, by the control splits."""

    number: DifferenceResult
    rule: DifferenceResult


class MinimumDetectable(_Strict):
    """The smallest true gap that a run like this one finds with this power."""

    value: float | None
    alpha: float
    power: float
    discordance: float
    design_effect: float
    method: str


class StepsGap(_Strict):
    """One OOD split against the ID split, by step: the same steps of the same pairs.

    Null, with the reason, where the two sides were not asked the same steps: unpaired splits, or
    episodes that end at the first failure or go their own way.
    """

    gap: DifferenceResult | None
    kinds: dict[str, DifferenceResult] | None
    chance_gap: float | None
    mde: MinimumDetectable | None
    reason: str | None


class GeneralizationResult(_Strict):
    """One OOD split against the ID split."""

    shift: str | None
    paired: bool
    gap: DifferenceResult
    gap_at_viter: DifferenceResult
    perception_gap: DifferenceResult | None = Field(
        description="the gap of the perception check, where both responses of a pair expose it"
    )
    gap_given_perception: DifferenceResult | None = Field(
        description="the gap of success, where the check passed in both splits of a pair"
    )
    chance_gap: float | None
    retention: Rate | None = Field(
        description="(OOD - chance) / (ID - chance); only paired, and only where ID is above chance"
    )
    retention_reason: str | None
    decomposition: Decomposition | None
    decomposition_reason: str | None
    stickiness: Rate | None = Field(description="right under the training rule")
    stickiness_reason: str | None
    rule_readings: dict[str, int] | None = Field(
        description="readings as stated, as in training, other; null where none is exposed"
    )
    mde: MinimumDetectable | None
    steps: StepsGap | None = Field(
        default=None, description="null where an episode is one step, and in older results"
    )


class ModelResult(_Strict):
    """The checkpoint."""

    name: str
    backend: str
    revision: str | None
    weights_fingerprint: str | None
    files_fingerprint: str | None
    parameters: int | None
    training: dict[str, Any] | None


class TaskResult(_Strict):
    """The task."""

    name: str
    version: str
    fingerprint: str
    cluster: str


class Contamination(_Strict):
    """Whether the checkpoint saw these problems in training.

    `proven`: its record is bound to these weights and lists its problems. `declared`: it has a
    record that names no weights, or no problems of this kind. `unknown`: no record, or one of
    other weights.
    """

    status: Literal["proven", "declared", "unknown"]
    reason: str | None = Field(description="why the status is unknown")
    overlap: dict[str, int] | None = Field(description="split -> instances seen in training")
    certificate: dict[str, Any] = Field(description="what the bundled recipes may train on")


class Results(_Strict):
    """The content of `results.json`."""

    schema_version: int = SCHEMA_VERSION
    genbench_version: str
    model: ModelResult
    task: TaskResult
    settings: dict[str, Any]
    settings_hash: str
    sampling: dict[str, Any]
    splits: dict[str, SplitResult]
    generalization: dict[str, GeneralizationResult]
    contamination: Contamination
    warnings: list[str]
    episodes_sha256: str


def run_key(results: Results) -> str:
    """What names a run in the address of an episode browser (16 hex digits): the same wherever
    its folder lies, and whatever else is reported beside it."""
    model, task = results.model, results.task
    return fingerprint([model.name, task.fingerprint, results.settings_hash])[:16]
