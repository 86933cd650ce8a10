"""The tables of a report: one row a checkpoint and OOD split, and long tables of every number."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from genbench.labels import inert
from genbench.markdown import markdown_text
from genbench.report.curves import flops_of
from genbench.report.loading import Group, ReportRun
from genbench.report.text import clean, interval, p_value, percent, points
from genbench.results import (
    DifferenceResult,
    GeneralizationResult,
    Rate,
    SplitResult,
    StepRate,
    StepsGap,
)

Cell = str | int | float | None


@dataclass(frozen=True)
class Row:
    """A checkpoint on one OOD split. `p_holm` is the gap's p-value adjusted over all rows of the
    report."""

    group: Group
    run: ReportRun
    ood: str
    p_holm: float

    @property
    def id_split(self) -> SplitResult:
        return self.run.results.splits["id"]

    @property
    def ood_split(self) -> SplitResult:
        return self.run.results.splits[self.ood]

    @property
    def found(self) -> GeneralizationResult:
        return self.run.ood[self.ood]


@dataclass(frozen=True)
class Shown:
    """A cell as it is read: a value, a second line, and a number to sort by (None sorts last)."""

    main: str
    detail: str = ""
    order: float | str | None = None


@dataclass(frozen=True)
class Column:
    """A column of the headline table."""

    title: str
    hint: str
    cell: Callable[[Row], Shown]
    numeric: bool = True


def headline_rows(groups: Sequence[Group]) -> list[Row]:
    """Every checkpoint on every OOD split of the report; Holm over all their gaps."""
    from genbench import stats

    found = [(group, run, ood) for group in groups for run in group.runs for ood in run.ood]
    adjusted = stats.holm([run.ood[ood].gap.p_value for _, run, ood in found])
    return [
        Row(group, run, ood, float(value))
        for (group, run, ood), value in zip(found, adjusted, strict=True)
    ]


def _rate(found: Rate | None) -> Shown:
    if found is None:
        return Shown("-")
    return Shown(percent(found.value), interval(found), found.value)


def _difference(found: DifferenceResult | None) -> Shown:
    if found is None:
        return Shown("-")
    return Shown(points(found.value), interval(found, signed=True), found.value)


def _part(row: Row, name: Literal["number", "rule"]) -> Shown:
    parts = row.found.decomposition
    return _difference(None if parts is None else getattr(parts, name))


def _n(row: Row) -> Shown:
    n = _pair(row.id_split.n, row.ood_split.n)
    samples = row.run.settings.samples
    clusters = f"{_pair(row.id_split.clusters, row.ood_split.clusters)} clusters"
    return Shown(
        f"{n} x {samples}" if samples > 1 else n,
        clusters,
        min(row.id_split.n, row.ood_split.n),
    )


def _pair(inside: int, out: int) -> str:
    return f"{inside:,}" if inside == out else f"{inside:,} / {out:,}"


def _two_shares(inside: float | None, out: float | None) -> Shown:
    if inside is None or out is None:
        return Shown("-")
    return Shown(f"{percent(inside)} ID", f"{percent(out)} OOD", max(inside, out))


def _contamination(row: Row) -> Shown:
    found = row.run.results.contamination
    seen = _seen(row.run)
    return Shown(found.status, "" if seen is None else f"{seen:,} seen", found.status)


_SUCCESS = "success at the first attempt, 95% interval"

OOD_SPLIT = Column("OOD split", "", lambda row: Shown(clean(row.ood), "", row.ood), numeric=False)

HEADLINE = (
    Column(
        "checkpoint",
        "the model's name, made unique within its task",
        lambda row: Shown(row.run.label, _training(row.run), row.run.label),
        numeric=False,
    ),
    OOD_SPLIT,
    Column(
        "ID",
        "success at the first attempt, 95% interval",
        lambda row: _rate(row.id_split.success_rate),
    ),
    Column(
        "OOD",
        "success at the first attempt, 95% interval",
        lambda row: _rate(row.ood_split.success_rate),
    ),
    Column("gap", "ID minus OOD, 95% interval", lambda row: _difference(row.found.gap)),
    Column(
        "p",
        "two-sided test that the gap is zero; below it, Holm-adjusted over all rows of this report",
        lambda row: Shown(
            p_value(row.found.gap.p_value), f"Holm {p_value(row.p_holm)}", row.found.gap.p_value
        ),
    ),
    Column(
        "numbers",
        "the part of the gap that comes of other numbers",
        lambda row: _part(row, "number"),
    ),
    Column(
        "rule",
        "the part of the gap that comes of reading the rule",
        lambda row: _part(row, "rule"),
    ),
    Column(
        "kept",
        "retention: the share of the ID success beyond chance that is left on OOD",
        lambda row: _rate(row.found.retention),
    ),
    Column(
        "stickiness",
        "first OOD responses that are right under the training rule",
        lambda row: _rate(row.found.stickiness),
    ),
    Column(
        "chance",
        "success of well-formed guesses",
        lambda row: _two_shares(row.id_split.chance, row.ood_split.chance),
    ),
    Column(
        "cut off",
        "first responses cut off at the token limit",
        lambda row: _two_shares(row.id_split.truncated.value, row.ood_split.truncated.value),
    ),
    Column("n", "instances a split (x samples), and clusters: the units of independence", _n),
    Column(
        "contamination",
        "what is known of the training data, and how many of these problems were in them",
        _contamination,
        numeric=False,
    ),
)


def _training(run: ReportRun) -> str:
    flops = flops_of(run)
    training = run.results.model.training or {}
    if flops is None:
        return ""
    step = f", step {clean(str(training['step']))}" if training.get("step") is not None else ""
    return f"{clean(str(training['method']))}{step}, {flops:.2g} FLOPs"


def headline_markdown(rows: Sequence[Row]) -> str:
    """The headline table in Markdown, a table a task."""
    parts = []
    for group in dict.fromkeys(row.group.title for row in rows):
        lines = [[column.title for column in HEADLINE]]
        lines.append(["---:" if column.numeric else ":---" for column in HEADLINE])
        for row in rows:
            if row.group.title == group:
                cells = [column.cell(row) for column in HEADLINE]
                lines.append(
                    [markdown_text(f"{cell.main} {cell.detail}".strip()) for cell in cells]
                )
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"## {markdown_text(group)}\n\n{table}\n")
    return "# genbench report\n\n" + METHOD + "\n\n" + "\n".join(parts)


METHOD = (
    "First attempts. Rates and differences with 95% intervals; intervals and tests allow for the "
    "task's clusters, its units of independence (each one's method stands in the CSV tables). p is "
    "the two-sided test that the gap is zero; p Holm is adjusted over all rows of this report."
)


def csv_text(rows: Iterable[Mapping[str, Cell]], columns: Sequence[str]) -> str:
    """CSV with a header line. Texts that a spreadsheet would run as a formula get a quote mark."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([inert(row.get(column)) for column in columns])
    return buffer.getvalue()


def _identity(group: Group, run: ReportRun) -> dict[str, Cell]:
    model, task = run.results.model, run.results.task
    return {
        "task": clean(task.name),
        "task_version": clean(task.version),
        "section": group.title,
        "checkpoint": run.label,
        "model": clean(model.name),
        "settings_hash": run.results.settings_hash,
    }


def _flat(name: str, found: Rate | None) -> dict[str, Cell]:
    """A rate or difference as columns."""
    if found is None:
        return {}
    flat: dict[str, Cell] = {
        name: found.value,
        f"{name}_low": found.ci95[0],
        f"{name}_high": found.ci95[1],
        f"{name}_n": found.n,
        f"{name}_clusters": found.clusters,
        f"{name}_method": found.method,
    }
    if isinstance(found, DifferenceResult):
        flat[f"{name}_p"] = found.p_value
    return flat


def headline_csv(rows: Sequence[Row]) -> str:
    """Every number of the headline table, with methods."""
    found: list[dict[str, Cell]] = []
    for row in rows:
        result, parts = row.found, row.found.decomposition
        found.append(
            {
                **_identity(row.group, row.run),
                "ood_split": clean(row.ood),
                "shift": result.shift,
                "paired": str(result.paired).lower(),
                **_flat("id", row.id_split.success_rate),
                **_flat("ood", row.ood_split.success_rate),
                **_flat("gap", result.gap),
                "gap_p_holm_task": result.gap.p_value_holm,
                "gap_p_holm_report": row.p_holm,
                **_flat("gap_at_viter", result.gap_at_viter),
                "viter": row.run.settings.verify_iters,
                **_step_gaps(result.steps),
                **_flat("perception_gap", result.perception_gap),
                **_flat("gap_given_perception", result.gap_given_perception),
                **_flat("number", parts.number if parts else None),
                **_flat("rule", parts.rule if parts else None),
                **_flat("retention", result.retention),
                "retention_reason": result.retention_reason,
                **_flat("stickiness", result.stickiness),
                "stickiness_reason": result.stickiness_reason,
                "chance_id": row.id_split.chance,
                "chance_ood": row.ood_split.chance,
                **_flat("truncated_id", row.id_split.truncated),
                **_flat("truncated_ood", row.ood_split.truncated),
                "mde": result.mde.value if result.mde else None,
                "contamination": row.run.results.contamination.status,
                "training_problems_seen": _seen(row.run),
            }
        )
    return csv_text(found, _columns(found))


def _step_gaps(found: StepsGap | None) -> dict[str, Cell]:
    """The gap by step, all together and by kind, as columns; none where an episode is one step."""
    if found is None:
        return {}
    columns = _flat("step_gap", found.gap)
    for kind, gap in (found.kinds or {}).items():
        columns |= _flat(f"step_gap_{clean(kind)}", gap)
    return {
        **columns,
        "step_gap_mde": found.mde.value if found.mde else None,
        "step_gap_reason": found.reason,
    }


def _seen(run: ReportRun) -> int | None:
    overlap = run.results.contamination.overlap
    return None if overlap is None else sum(overlap.values())


def _columns(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    """The columns of rows that lack some, each beside its neighbours of the fullest row."""
    fullest = max(rows, key=len, default={})
    return list(dict.fromkeys([*fullest, *(name for row in rows for name in row)]))


def rates_csv(groups: Sequence[Group]) -> str:
    """A line a rate: success within k attempts, checks, truncation, comprehension and steps by
    split; with chance where it is known of the very rate."""
    found: list[dict[str, Cell]] = []
    for group, run, name, split in _splits(groups):
        rates: dict[str, Rate | None] = {
            **{f"success_at_{k}": rate for k, rate in split.success_at.items()},
            **{f"pass_at_{k}": rate for k, rate in (split.pass_at_k or {}).items()},
            **{f"pass_hat_{k}": rate for k, rate in (split.pass_hat_k or {}).items()},
            "strict_success": split.strict_success_rate,
            "truncated": split.truncated,
            **{f"check_{clean(check)}": rate for check, rate in split.checks.items()},
            "success_given_comprehension": split.success_given_comprehension,
            "success_given_perception": split.success_given_perception,
            **_step_rates(split),
        }
        chances = {"success_at_1": split.chance, **_step_chances(split)}
        for measure, rate in rates.items():
            if rate is not None:
                found.append(
                    {
                        **_identity(group, run),
                        "split": clean(name),
                        "role": split.role,
                        "measure": measure,
                        "value": rate.value,
                        "low": rate.ci95[0],
                        "high": rate.ci95[1],
                        "n": rate.n,
                        "clusters": rate.clusters,
                        "chance": chances.get(measure),
                        "method": rate.method,
                    }
                )
    return csv_text(found, _columns(found))


def _steps_by_name(split: SplitResult) -> dict[str, StepRate]:
    if split.steps is None:
        return {}
    kinds = {f"steps_{clean(kind)}": found for kind, found in split.steps.kinds.items()}
    return {"steps": split.steps, **kinds}


def _step_rates(split: SplitResult) -> dict[str, Rate]:
    rates = {name: found.accuracy for name, found in _steps_by_name(split).items()}
    return (
        rates
        if split.steps is None
        else {**rates, "steps_every_attempt": split.steps.every_attempt}
    )


def _step_chances(split: SplitResult) -> dict[str, float | None]:
    return {name: found.chance for name, found in _steps_by_name(split).items()}


def outcomes_csv(groups: Sequence[Group]) -> str:
    """A line an outcome: how many first attempts of the split had it, and their share."""
    found: list[dict[str, Cell]] = []
    for group, run, name, split in _splits(groups):
        total = sum(split.outcomes.values())
        for outcome, count in split.outcomes.items():
            found.append(
                {
                    **_identity(group, run),
                    "split": clean(name),
                    "outcome": clean(outcome),
                    "count": count,
                    "of": total,
                    **_flat("share", (split.outcome_rates or {}).get(outcome)),
                }
            )
    return csv_text(found, _columns(found))


def readings_csv(groups: Sequence[Group]) -> str:
    """A line a value that a symbol was given."""
    found: list[dict[str, Cell]] = []
    for group, run, name, split in _splits(groups):
        for symbol, rows in split.readings.items():
            for stated, given in rows.items():
                for value, count in given.items():
                    found.append(
                        {
                            **_identity(group, run),
                            "split": clean(name),
                            "symbol": clean(symbol),
                            "stated": clean(stated),
                            "given": clean(value),
                            "count": count,
                        }
                    )
    columns = [*_identity(groups[0], groups[0].runs[0]), "split", "symbol", "stated", "given"]
    return csv_text(found, [*columns, "count"])


def scaling_csv(groups: Sequence[Group]) -> str | None:
    """The points of the scaling curves; None where no checkpoint carries FLOPs."""
    found: list[dict[str, Cell]] = []
    for group, run, name, split in _splits(groups):
        if flops_of(run) is not None and split.role != "control":
            training: dict[str, Any] = run.results.model.training or {}
            found.append(
                {
                    **_identity(group, run),
                    **{
                        key: clean(str(training[key])) if key in training else None
                        for key in ("method", "recipe", "seed", "step")
                    },
                    "flops": flops_of(run),
                    "split": clean(name),
                    **_flat("success", split.success_rate),
                }
            )
    return csv_text(found, _columns(found)) if found else None


def _splits(groups: Sequence[Group]) -> Iterable[tuple[Group, ReportRun, str, SplitResult]]:
    for group in groups:
        for run in group.runs:
            for name, split in run.results.splits.items():
                yield group, run, name, split
