"""The table of training compute: lines of the page, sentences in Markdown, and every number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genbench.markdown import markdown_line, markdown_text
from genbench.report.findings import TARGET, Finding
from genbench.report.loading import Group
from genbench.report.tables import Cell, Shown, csv_text
from genbench.report.text import clean, limits, p_value, percent, points

ALPHA = 0.05

COMPUTE_COLUMNS = (
    ("training compute", False),
    ("split", False),
    ("found", True),
    ("p", True),
    ("reading", False),
    ("interval over", False),
)
"""Titles, and whether the column holds numbers."""

COMPUTE_METHOD = (
    "First attempts, the mean over the samples of an instance; 95% intervals. Where a method has "
    "two or more training runs (seeds of one recipe), intervals and tests are over training runs: "
    "Student's t over one slope a run, Welch's t between two methods, on these instances. Where it "
    "has one, or one of two methods has, they are over instances, by the task's clusters, and say "
    "nothing of other seeds; so is all forgetting. Slopes are least "
    "squares on log10(FLOPs). Forgetting is the best earlier checkpoint (the one that training "
    "began from included, where its run is here) minus the last one; its interval and test allow "
    "for picking the best (max-t). Methods are compared over the FLOPs that all of their training "
    "runs span, rates being linear in log10(FLOPs) between checkpoints, every decade weighing the "
    "same. OOD - ID is how much better the first method is on OOD than on ID. p is two-sided; p "
    "Holm is adjusted over all tests of training compute in this report, and a reading is given "
    f"where it is at most {ALPHA}. Seeds are those of each method that tell "
    f"{100 * TARGET:.0f} pp apart with 80% power (two-sided, 5%) at the spread seen, itself an "
    "estimate from few seeds."
)

_COLUMNS = (
    "task", "task_version", "section", "kind", "subject", "split", "unit", "flops_low",
    "flops_high", "value", "low", "high", "p", "p_holm", "tests", "reading", "method",
    "training_runs", "checkpoints", "instances", "clusters", "best", "seed_sd", "seeds_needed",
    "seeds_reason", "note", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class NotComputed:
    """What has no numbers, and why."""

    what: str
    reason: str


def compute_lines(group: Group) -> list[list[Shown]]:
    """The findings that have numbers, cells by `COMPUTE_COLUMNS`."""
    return [_line(one) for one in group.compute if one.found is not None]


def not_computed(group: Group) -> list[NotComputed]:
    """The findings without numbers, those of one reason together."""
    if group.compute_reason:
        return [NotComputed("everything along training compute", clean(group.compute_reason))]
    missing: dict[tuple[str, str], list[str]] = {}
    for one in group.compute:
        if one.found is None:
            missing.setdefault((_heading(one), one.reason or ""), []).append(split_name(one.split))
    return [
        NotComputed(f"{heading} ({', '.join(splits)})", clean(reason))
        for (heading, reason), splits in missing.items()
    ]


def _heading(one: Finding) -> str:
    name = one.subject
    return {
        "slope": f"{name}, slope",
        "forgetting": f"{name}, forgetting",
        "matched compute": f"{name} at matched compute",
        "last compute": f"{name} at the last compute, mean of seeds",
        "last difference": f"{name} at the last compute",
    }[one.kind]


def split_name(split: str) -> str:
    """`ID`, `OOD`, `OOD - ID`; other splits by their own names."""
    parts = split.removesuffix(" - id")
    named = parts.upper() if parts in ("id", "ood") else f"OOD ({clean(parts)})"
    return f"{named} - ID" if split != parts else named


def flops_range(one: Finding) -> str:
    """`2e+13 to 6.4e+14 FLOPs`."""
    if one.flops is None:
        return ""
    low, high = (f"{value:.3g}" for value in one.flops)
    return f"{low} FLOPs" if low == high else f"{low} to {high} FLOPs"


def value_text(one: Finding) -> str:
    """`-8.1 pp per decade`, or `41.2%` for a mean."""
    assert one.found is not None
    if one.kind == "last compute":
        return percent(one.found.value)
    return points(one.found.value) + (" per decade" if one.kind == "slope" else "")


def limits_text(one: Finding) -> str:
    """`[-12.0, -4.2]`."""
    assert one.found is not None
    return limits(one.found.low, one.found.high, signed=one.kind != "last compute")


def reading(one: Finding) -> str:
    """What a test bears out, in words; empty where nothing is tested."""
    if one.found is None or one.p_holm is None:
        return ""
    shown = one.p_holm <= ALPHA
    if one.kind == "slope":
        return ("rises" if one.found.value > 0 else "falls") if shown else "no trend shown"
    if one.kind == "forgetting":
        return "has forgotten" if shown else "no forgetting shown"
    first, second = one.subjects
    return f"{first if one.found.value > 0 else second} higher" if shown else "no difference shown"


def _details(one: Finding) -> list[str]:
    details = [flops_range(one)]
    if one.best is not None:
        details.append(f"best: {one.best}")
    if one.seeds is not None:
        if one.seeds.sd:
            details.append(f"seed SD {100 * one.seeds.sd:.1f} pp")
        details.append(
            clean(one.seeds.reason or "")
            if one.seeds.needed is None
            else f"{one.seeds.needed} seeds a method for {100 * TARGET:.0f} pp"
        )
    return [part for part in [*details, clean(one.note)] if part]


def _over(one: Finding) -> tuple[str, str]:
    runs = f"{one.training_runs} training run{'s' if one.training_runs > 1 else ''}"
    checkpoints = f"{one.checkpoints} checkpoints"
    instances = f"{one.instances:,} {'pairs' if one.pairs else 'instances'}"
    if one.unit == "training runs":
        return runs, f"{checkpoints}, {instances}"
    return f"{instances}, {one.clusters:,} clusters", f"{runs} only, {checkpoints}"


def _line(one: Finding) -> list[Shown]:
    assert one.found is not None
    found = one.found
    main, detail = _over(one)
    tested = Shown("-")
    if found.p_value is not None:
        tested = Shown(p_value(found.p_value), f"Holm {p_value(one.p_holm)}")
    return [
        Shown(_heading(one), "; ".join(_details(one))),
        Shown(split_name(one.split)),
        Shown(value_text(one), limits_text(one)),
        tested,
        Shown(reading(one)),
        Shown(main, detail),
    ]


def compute_markdown(groups: Sequence[Group]) -> str | None:
    """Every finding as a sentence; None where no checkpoint carries FLOPs."""
    parts = []
    for group in groups:
        lines = [
            f"- {markdown_line(_sentence(one))}" for one in group.compute if one.found is not None
        ]
        lines += [
            f"- Not computed: {markdown_text(f'{one.what}: {one.reason}')}."
            for one in not_computed(group)
        ]
        if lines:
            parts.append(f"## {markdown_text(group.title)}\n\n" + "\n".join(lines) + "\n")
    if not parts:
        return None
    return f"# Training compute\n\n{COMPUTE_METHOD}\n\n" + "\n".join(parts)


def _sentence(one: Finding) -> str:
    assert one.found is not None
    start = one.subject if one.kind == "slope" else _heading(one)
    text = f"{start}, {split_name(one.split)}: {value_text(one)} {limits_text(one)}"
    if one.found.p_value is not None:
        p = p_value(one.found.p_value)
        p = p.replace("<", "< ") if p.startswith("<") else f"= {p}"
        text += f", p {p} (Holm {p_value(one.p_holm)}): {reading(one)}"
    over = ", ".join(_over(one))
    return f"{text}. {'; '.join([*_details(one), over, one.found.method])}."


def compute_csv(groups: Sequence[Group]) -> str | None:
    """A line a finding, those without numbers with their reason; None where there is none."""
    tests = sum(one.p_holm is not None for group in groups for one in group.compute)
    rows = [row for group in groups for row in _rows(group, tests)]
    return csv_text(rows, _COLUMNS) if rows else None


def _rows(group: Group, tests: int) -> Iterator[dict[str, Cell]]:
    task = group.runs[0].results.task
    for one in group.compute:
        row: dict[str, Cell] = {
            "task": clean(task.name),
            "task_version": clean(task.version),
            "section": group.title,
            "kind": one.kind,
            "subject": one.subject,
            "split": clean(one.split),
            "unit": one.unit,
            "training_runs": one.training_runs,
            "checkpoints": one.checkpoints,
            "instances": one.instances,
            "clusters": one.clusters,
            "best": one.best,
            "note": clean(one.note) or None,
            "reason": clean(one.reason) if one.reason else None,
        }
        if one.flops is not None:
            row["flops_low"], row["flops_high"] = one.flops
        if one.found is not None:
            found = one.found
            row |= {"value": found.value, "low": found.low, "high": found.high}
            row |= {"p": found.p_value, "p_holm": one.p_holm, "tests": tests}
            row |= {"reading": reading(one) or None, "method": found.method}
        if one.seeds is not None:
            row |= {"seed_sd": one.seeds.sd, "seeds_needed": one.seeds.needed}
            row["seeds_reason"] = one.seeds.reason
        yield row
