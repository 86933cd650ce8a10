"""A conclusion in words: for the terminal, `conclusion.md`, and the page of a reproduction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from genbench.markdown import markdown_text as _md
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
    split = _split(one.split)
    if one.measure == "success":
        return f"{split} - ID" if one.kind == "difference in differences" else split
    measure = "rule reading" if one.measure == "rule read" else one.measure
    return measure if one.split == "ood" else f"{measure}, {split}"


def tests_of(one: TrainingConclusion) -> list[tuple[str, Tested]]:
    """Every test of a training with its name, the two parts of a change after all changes."""
    rows = [(name_of(each), each) for each in one.quantities]
    for parts in one.parts:
        split = _split(parts.split)
        rows.append((f"{split}, of it its numbers as numerals", parts.number))
        rows.append((f"{split}, of it reading the rule", parts.rule))
    return rows


def _split(name: str) -> str:
    return name.upper() if name in ("id", "ood") else f"OOD ({clean(name)})"


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


def described(one: TrainingConclusion) -> Iterator[str]:
    """What is told without a test: the gap's parts, and any of k samples right."""
    for part in one.decomposition:
        yield (
            f"gap's parts, base to trained: number {_span(part.number)}, rule reading "
            f"{_span(part.rule)}"
        )
    if one.pass_at_k:
        yield "any of k samples right: " + "; ".join(
            f"{_split(each.split)} pass@{each.k} {100 * each.base:.1f}% to {100 * each.value:.1f}%"
            for each in one.pass_at_k
        )


def unit_sentence(one: TrainingConclusion) -> str:
    if one.unit == "training seeds":
        return f"Intervals and tests are over {len(one.seeds)} training seeds."
    return (
        f"Intervals and tests are over {one.quantities[0].change.n} instances: they speak of this "
        "training run alone."
    )


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
                _COLUMNS, [(_md(name), *figures(each)) for name, each in tests_of(one)]
            )
            yield ""
            yield unit_sentence(one)
            if (told := seeds_sentence(one)) is not None:
                yield f"{told}."
            for told in described(one):
                yield f"{_md(told)}."
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


def reproduction_page(plan: Plan, found: Conclusion, drawn: Sequence[str]) -> str:
    """The page's `README.md`: figures (names beside it), a line for every training, all tests."""
    lines = [
        f"# Reproduction: preset {found.preset}",
        "",
        f"{_md(found.summary)} From {_md(plan.base)}; {found.seeds} training "
        f"seed{'s' if found.seeds > 1 else ''} of each recipe; genbench {found.genbench_version}.",
        "",
        f"Made by `genbench reproduce --preset {found.preset}`. Every checkpoint's rates with "
        "their intervals are in `scaling.csv`, every test in `conclusion.json`.",
        "",
        "## Success against training compute",
    ]
    for name in drawn:
        lines += ["", f"![{name.removesuffix('.png')}]({name})"]
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
        lines += _parts_table(group)
    lines += ["", "## Tests", "", *_body(found, 3), ""]
    return "\n".join(lines)


def _parts_table(group: GroupConclusion) -> Iterator[str]:
    """Where each change comes from, for a task with control splits."""
    splits = list(dict.fromkeys(part.split for one in group.trainings for part in one.parts))
    if not splits:
        return
    yield ""
    yield (
        "Each change in its two parts, pp: *numbers* is the change where the same numbers stand as "
        "numerals, *rule* the rest, which is reading the rule."
    )
    yield ""
    titles = ["training"]
    for name in splits:
        split = _md(_split(name))
        titles += [f"{split}: numbers", f"{split}: rule"]
    rows = []
    for one in group.trainings:
        by_split = {part.split: part for part in one.parts}
        cells = [
            " ".join(figures(tested)[2:4])
            for name in splits
            for tested in (by_split[name].number, by_split[name].rule)
        ]
        rows.append((_md(one.training), *cells))
    yield from _table(titles, rows)


def _ood(split: str) -> str:
    return "OOD" if split == "ood" else f"OOD ({_md(clean(split))})"
