"""A conclusion in words: for the terminal, `conclusion.md`, and the page of a reproduction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from genbench.report.text import clean
from genbench.reproduction.plan import Plan
from genbench.reproduction.results import (
    Conclusion,
    ContrastConclusion,
    GroupConclusion,
    Tested,
    TrainingConclusion,
)
from genbench.training_seeds import TARGET

_COLUMNS = ("change", "base, %", "now, %", "pp", "95% CI", "p", "Holm p")


def undecided(word: str) -> str:
    """The word of a reading; where no test bears one out, it says so."""
    return "undecided (no change shown)" if word == "no change shown" else word


def name_of(one: Tested) -> str:
    """`ID`, `OOD`, `OOD - ID`, `stickiness`, `rule reading`."""
    split = one.split.upper() if one.split in ("id", "ood") else f"OOD ({clean(one.split)})"
    if one.measure == "success":
        return f"{split} - ID" if one.kind == "difference in differences" else split
    measure = "rule reading" if one.measure == "rule read" else one.measure
    return measure if one.split == "ood" else f"{measure}, {split}"


def heading(one: TrainingConclusion) -> str:
    """`gp-rl (rl, step 200, rate 3e-04, 3 seeds)`."""
    seeds = f"{len(one.seeds)} seeds" if len(one.seeds) > 1 else f"seed {one.seeds[0]}"
    rate = one.settings["learning_rate"]
    return f"{clean(one.training)} ({one.method}, step {one.step}, rate {rate:g}, {seeds})"


def words_of(one: TrainingConclusion) -> str:
    """The word of its reading; with the split where there are several."""
    if len(one.readings) == 1:
        return undecided(one.readings[0].word)
    return "; ".join(f"{clean(each.split)}: {undecided(each.word)}" for each in one.readings)


def figures(one: Tested) -> tuple[str, ...]:
    """Cells after the name: base, now, change, interval, p, corrected p."""
    low, high = one.change.ci95
    return (
        "-" if one.base is None else f"{100 * one.base:.1f}",
        "-" if one.value is None else f"{100 * one.value:.1f}",
        f"{100 * one.change.value:+.1f}",
        f"[{100 * low:+.1f}, {100 * high:+.1f}]",
        _p(one.change.p_value),
        _p(one.change.p_value_holm),
    )


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def group_title(group: GroupConclusion) -> str:
    """`gp-ood-rule, greedy`."""
    return f"{clean(group.task)} {clean(group.task_version)}, {group.decoding}"


def contrast_title(one: ContrastConclusion) -> str:
    return f"{clean(one.a)} minus {clean(one.b)} at {one.kind}"


def seeds_sentence(one: TrainingConclusion) -> str | None:
    """What so many seeds could have shown, by their spread on ID and OOD; None for one seed."""
    parts = []
    for each in one.quantities:
        if each.measure != "success" or each.kind != "split" or each.sd is None:
            continue
        if each.detectable is None:
            parts.append(f"{name_of(each)}: the seeds are all equal, so their spread is not known")
            continue
        needed = "more than anyone trains" if each.seeds_needed is None else each.seeds_needed
        told = f"{len(one.seeds)} seeds a method tell {100 * each.detectable:.1f} pp apart"
        if each.detectable > 1:
            told = f"{len(one.seeds)} seeds a method tell no possible difference"
        parts.append(
            f"{name_of(each)}: SD {100 * each.sd:.1f} pp, so {told}, and {100 * TARGET:.0f} pp "
            f"need {needed}"
        )
    return "; ".join(parts) or None


def unit_sentence(one: TrainingConclusion) -> str:
    if one.unit == "training seeds":
        return f"Intervals and tests are over {len(one.seeds)} training seeds."
    return (
        f"Intervals and tests are over {one.quantities[0].change.n} instances: they speak of this "
        "training run alone."
    )


def _md(text: str) -> str:
    for mark in ("\\", "|", "*", "_", "`", "<"):
        text = text.replace(mark, f"\\{mark}")
    return text


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield _row(titles)
    yield _row(["---", *["---:"] * (len(titles) - 1)])
    yield from map(_row, rows)


def conclusion_markdown(found: Conclusion) -> str:
    """`conclusion.md`."""
    return "\n".join([f"# Conclusion: preset {found.preset}", "", *_body(found, 2), ""])


def _body(found: Conclusion, level: int) -> Iterator[str]:
    mark = "#" * level
    yield f"{_md(found.summary)} {found.seeds} training seed{'s' if found.seeds > 1 else ''} each."
    for group in found.groups:
        yield ""
        yield f"{mark} {_md(group_title(group))}"
        for one in group.trainings:
            yield ""
            control = ", control" if one.role == "control" else ""
            yield f"{mark}# {_md(heading(one))}{control}: {words_of(one)}"
            yield ""
            if one.why:
                yield f"{_md(one.why)}"
                yield ""
            yield from _table(
                _COLUMNS, [(_md(name_of(each)), *figures(each)) for each in one.quantities]
            )
            yield ""
            yield unit_sentence(one)
            if (told := seeds_sentence(one)) is not None:
                yield f"{told}."
            for part in one.decomposition:
                yield (
                    f"The gap's parts (base to trained): number {_span(part.number)}, rule reading "
                    f"{_span(part.rule)}."
                )
            if one.pass_at_k:
                listed = "; ".join(
                    f"{_md(each.split)} pass@{each.k} {100 * each.base:.1f}% to "
                    f"{100 * each.value:.1f}%"
                    for each in one.pass_at_k
                )
                yield f"Any of k samples right: {listed}."
        for contrast in group.contrasts:
            yield ""
            yield f"{mark}# {_md(contrast_title(contrast))}: {_md(contrast.sentence)}"
            if contrast.quantities:
                yield ""
                yield from _table(
                    _COLUMNS, [(name_of(each), *figures(each)) for each in contrast.quantities]
                )
                yield ""
                yield f"{_md(contrast.detail)}; over {contrast.unit}."
    yield ""
    yield f"Words are read at alpha {found.alpha:g}. Correction: {_md(found.correction)}."
    for note in found.notes:
        yield f"Note: {_md(note)}."


def _span(values: tuple[float, float]) -> str:
    return f"{100 * values[0]:+.1f} to {100 * values[1]:+.1f} pp"


def reproduction_page(plan: Plan, found: Conclusion, drawn: Sequence[Path]) -> str:
    """`reproduction.md`: figures, a line for every training, then all tests."""
    lines = [
        f"# Reproduction: preset {found.preset}",
        "",
        f"{_md(found.summary)} From {_md(plan.base)}; {found.seeds} training "
        f"seed{'s' if found.seeds > 1 else ''} of each recipe; genbench {found.genbench_version}.",
        "",
        f"Made by `genbench reproduce --preset {found.preset}`; every run is in `runs/`, the "
        "report with all episodes in `report/index.html`, the numbers in `conclusion.json`.",
        "",
        "## Success against training compute",
    ]
    for path in drawn:
        lines += ["", f"![{path.parent.name}]({path.as_posix()})"]
    lines += ["", "## Every training"]
    for group in found.groups:
        lines += ["", f"### {_md(group_title(group))}", ""]
        oods = list(group.base_ood)
        titles = (
            "training",
            "role",
            "rate",
            "FLOPs",
            "ID, %",
            *(f"{_ood(ood)}, %" for ood in oods),
        )
        changes = ("ID, pp", *(f"{_ood(ood)}, pp" for ood in oods), "reading")
        base = (_md(group.base), "base", "", "", f"{100 * group.base_id.value:.1f}")
        rows = [
            (
                *base,
                *(f"{100 * group.base_ood[ood].value:.1f}" for ood in oods),
                "",
                *[""] * len(oods),
                "",
            )
        ]
        for one in group.trainings:
            by_split = {
                each.split: each
                for each in one.quantities
                if each.measure == "success" and each.kind == "split"
            }
            rows.append(
                (
                    _md(one.training), one.role, f"{one.settings['learning_rate']:g}",
                    f"{one.flops:.2g}", f"{100 * one.id_rate:.1f}",
                    *(f"{100 * one.ood_rates[ood]:.1f}" for ood in oods),
                    *(" ".join(figures(by_split[name])[2:4]) for name in ("id", *oods)),
                    words_of(one),
                )
            )  # fmt: skip
        lines += _table([*titles, *changes], rows)
    lines += ["", "## Tests", "", *_body(found, 3), ""]
    return "\n".join(lines)


def _ood(split: str) -> str:
    return "OOD" if split == "ood" else f"OOD ({_md(clean(split))})"
