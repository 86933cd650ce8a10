"""A run's numbers as a terminal shows them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genbench.cli.layout import print_table
from genbench.settings import setting_text

if TYPE_CHECKING:
    from genbench.results import (
        DifferenceResult,
        GeneralizationResult,
        MinimumDetectable,
        Rate,
        Results,
        SplitResult,
        StepsGap,
    )

_WIDTH = 118
_IMAGES_LISTED = 3


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"


def rate(found: Rate | None, *, with_n: bool = False) -> str:
    """`24.1% [18.9, 30.2]`, and n."""
    if found is None:
        return "-"
    low, high = found.ci95
    text = f"{percent(found.value)} [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{text} n={found.n}" if with_n else text


def short_rate(found: Rate) -> str:
    """`24.1 [19, 30]`, in percent."""
    low, high = found.ci95
    return f"{100 * found.value:.1f} [{100 * low:.0f}, {100 * high:.0f}]"


def p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def difference(found: DifferenceResult) -> str:
    """`+3.1 pp [-1.0, +7.2], p = 0.140`."""
    low, high = found.ci95
    text = f"{100 * found.value:+.1f} pp [{100 * low:+.1f}, {100 * high:+.1f}], "
    text += p_value(found.p_value)
    if found.p_value_holm is not None:
        text += f" (Holm: {p_value(found.p_value_holm)})"
    return text


def plain_console() -> Console:
    """Standard output; of a fixed width where it is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)


def print_results(
    results: Results, folder: Path | None = None, console: Console | None = None
) -> None:
    """The table of a run: splits, gaps, and where the folder is; on standard output by default."""
    console = console or plain_console()
    settings = results.settings
    mode = "greedy" if settings["temperature"] == 0 else f"T={settings['temperature']:g}"
    if settings["backend"] in ("agent", "import"):
        mode = {"agent": "scripted", "import": "imported"}[settings["backend"]]
    if settings["samples"] > 1:
        mode += f", {settings['samples']} samples"
    console.print(
        Text(
            f"{results.model.name} on {results.task.name} {results.task.version} "
            f"({settings['protocol']}, prompt {settings['prompt']}, {mode}, "
            f"VIter {settings['verify_iters']}{_unusual(results)})",
            style="bold",
        )
    )
    for table in _fitting(console, [_splits(results)], _splits_in_two(results)):
        print_table(console, table)
    if any(len(split.success_at) > 1 for split in results.splits.values()):
        console.print()
        for table in _fitting(console, [_attempts(results)], [_attempts_down(results)]):
            print_table(console, table)
    if any(split.steps for split in results.splits.values()):
        console.print()
        print_table(console, _steps(results))
    if results.settings["samples"] > 1:
        console.print()
        print_table(console, _samples(results))
    if _perception_tells(results):
        console.print()
        for table in _fitting(console, [_checks(results)], _checks_in_two(results)):
            print_table(console, table)
    for name, found in results.generalization.items():
        _print_generalization(console, results, name, found)
    _print_footer(console, results, folder)


def _unusual(results: Results) -> str:
    """The settings that are not the default ones, for the title."""
    settings = results.settings
    shown = []
    if settings["backend"] not in ("hf", "agent", "import"):
        shown.append(settings["backend"])
    if settings.get("task_settings"):
        shown.append(setting_text("task_settings", settings["task_settings"]))
    if settings["limit"] is not None:
        shown.append(f"limit {settings['limit']}")
    if settings["temperature"] > 0:
        shown.append(f"seed {settings['seed']}")
    if settings["system"] is not None:
        shown.append("a system message")
    if settings["thinking_budget"] is not None:
        shown.append(f"thinking budget {settings['thinking_budget']}")
    if results.sampling.get("chat_template") is False:
        shown.append("no chat template")
    return "".join(f", {item}" for item in shown)


def _fitting(console: Console, wide: list[Table], narrow: list[Table]) -> list[Table]:
    """The wide tables where the console has room for them."""
    anything = console.options.update_width(10_000)
    needed = max(console.measure(table, options=anything).maximum for table in wide)
    return wide if needed <= console.width else narrow


def _columns(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True)
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _splits(results: Results) -> Table:
    titles = ("n", "clusters", "success (95% CI)", "chance", "rule read", "truncated")
    table = _columns("split", "rule", *titles)
    table.columns[1].justify = "left"
    for name, split in results.splits.items():
        table.add_row(name, split.rule or "", *_success(split), *_reading(split))
    return table


def _splits_in_two(results: Results) -> list[Table]:
    """The same for a narrow terminal."""
    success = _columns("split", "n", "clusters", "success (95% CI)", "chance")
    reading = _columns("", "rule read", "truncated", "rule")
    reading.columns[-1].justify = "left"
    for name, split in results.splits.items():
        success.add_row(name, *_success(split))
        reading.add_row(name, *_reading(split), split.rule or "")
    return [success, reading]


def _success(split: SplitResult) -> tuple[str, ...]:
    size = (str(split.n), str(split.clusters))
    return (*size, rate(split.success_rate), percent(split.chance))


def _reading(split: SplitResult) -> tuple[str, str]:
    return _of_all(split.checks.get("rule"), split.n), percent(split.truncated.value)


def _of_all(found: Rate | None, n: int) -> str:
    """A share, and of how many where those are not all."""
    if found is None:
        return "-"
    return percent(found.value) + ("" if found.n == n else f" of {found.n}")


def _asked_again(results: Results) -> dict[str, SplitResult]:
    return {name: split for name, split in results.splits.items() if len(split.success_at) > 1}


def _attempts(results: Results) -> Table:
    """success@k of the splits that are asked more than once."""
    asked = _asked_again(results)
    most = max((split.success_at for split in asked.values()), key=len)
    table = _columns("success within", *("1 attempt, %" if k == "1" else k for k in most))
    for name, split in asked.items():
        table.add_row(name, *(short_rate(found) for found in split.success_at.values()))
    return table


def _attempts_down(results: Results) -> Table:
    """The same with a line a number of attempts, for a narrow terminal."""
    asked = _asked_again(results)
    table = _columns("success within", *(f"{name}, %" for name in asked))
    for k in max((split.success_at for split in asked.values()), key=len):
        cells = [split.success_at.get(k) for split in asked.values()]
        table.add_row(
            f"{k} attempt{'s' if k != '1' else ''}",
            *("-" if found is None else short_rate(found) for found in cells),
        )
    return table


def _perception_tells(results: Results) -> bool:
    """Whether some first response did not see the problem, or all were shown images."""
    seen = [split.checks.get("perception") for split in results.splits.values()]
    most = 1.0 if not _images(results) else math.inf
    return any(found is not None and found.value < most for found in seen)


def _checks(results: Results) -> Table:
    """The checks of first responses, and success where the problem was seen."""
    names = list(dict.fromkeys(name for split in results.splits.values() for name in split.checks))
    table = _columns("passed, %", *names, "success where seen")
    for name, split in results.splits.items():
        found = [*(split.checks.get(check) for check in names), split.success_given_perception]
        table.add_row(name, *("-" if one is None else short_rate(one) for one in found))
    return table


def _checks_in_two(results: Results) -> list[Table]:
    """The same with a line a check, for a narrow terminal."""
    wide = _checks(results)
    table = _columns("passed, %", *results.splits)
    for column in wide.columns[1:]:
        table.add_row(str(column.header), *map(str, column.cells))
    return [table]


def _steps(results: Results) -> Table:
    """First attempts by step, all together and by kind, a line a split and kind."""
    table = _columns("steps", "n", "right at first (95% CI)", "chance", "every attempt")
    for name, split in results.splits.items():
        if split.steps is None:
            continue
        every = percent(split.steps.every_attempt.value)
        for kind, found, attempts in (
            ("", split.steps, every),
            *((f", {kind}", found, "") for kind, found in split.steps.kinds.items()),
        ):
            number = str(found.accuracy.n)
            cells = (number, rate(found.accuracy), percent(found.chance), attempts)
            table.add_row(f"{name}{kind}", *cells)
    return table


def _step_gaps(found: StepsGap) -> list[tuple[str, str]]:
    """The rows of one OOD split, by step."""
    if found.gap is None:
        return [("gap by step", f"- ({found.reason})")]
    rows = [("gap by step", difference(found.gap))]
    rows += [(f"  {kind}", difference(gap)) for kind, gap in (found.kinds or {}).items()]
    if found.chance_gap is not None:
        rows.append(("  of chance", f"{100 * found.chance_gap:+.2f} pp"))
    if found.mde is not None:
        rows.append(("  detectable", _detectable(found.mde)))
    return rows


def _samples(results: Results) -> Table:
    """pass@k (any of k samples right) and pass^k (all of k) of every split."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("any / all of", no_wrap=True)
    for k in next(iter(results.splits.values())).pass_at_k or ():
        table.add_column("1 sample, %" if k == "1" else k, justify="right")
    for name, split in results.splits.items():
        table.add_row(f"{name}, any", *map(short_rate, (split.pass_at_k or {}).values()))
        table.add_row(f"{name}, all", *map(short_rate, (split.pass_hat_k or {}).values()))
    return table


def _print_generalization(
    console: Console, results: Results, name: str, found: GeneralizationResult
) -> None:
    viter = results.settings["verify_iters"]
    rows = [("gap (id - " + name + ")", difference(found.gap))]
    if found.decomposition:
        rows.append(("  of it: other numbers", difference(found.decomposition.number)))
        rows.append(("  of it: reading the rule", difference(found.decomposition.rule)))
    if viter > 1:
        rows.append((f"gap within {viter} attempts", difference(found.gap_at_viter)))
    if _perception_tells(results) and found.perception_gap:
        rows.append(("gap of perception", difference(found.perception_gap)))
        rows.append(
            (
                "gap where both were seen",
                "- (none was seen in both splits)"
                if found.gap_given_perception is None
                else f"{difference(found.gap_given_perception)} (n={found.gap_given_perception.n})",
            )
        )
    if found.chance_gap is not None:
        rows.append(("gap of chance", f"{100 * found.chance_gap:+.2f} pp"))
    rows.append(("retention beyond chance", _retention(found, name)))
    rows.append(
        (
            "stickiness",
            rate(found.stickiness, with_n=True) + " right under the training rule"
            if found.stickiness
            else f"- ({found.stickiness_reason})",
        )
    )
    if found.steps is not None:
        rows += _step_gaps(found.steps)
    if found.rule_readings:
        total = sum(found.rule_readings.values())
        shares = ", ".join(
            f"{percent(found.rule_readings[kind] / total)} {words}"
            for kind, words in (
                ("as_stated", "as stated"),
                ("as_in_training", "as in training"),
                ("other", "otherwise"),
            )
        )
        rows.append(("rule's symbols read", f"{shares} (n={total} readings)"))
    if found.mde:
        rows.append(("detectable gap", _detectable(found.mde)))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*row)
    console.print()
    print_table(console, table)


def _detectable(mde: MinimumDetectable) -> str:
    given = f"at the run's discordance {mde.discordance:.2f}, design effect {mde.design_effect:.1f}"
    if mde.value is None:
        return f"none can be told {given}: the run is too small"
    return f"{100 * mde.value:.1f} pp with 80% power {given}"


def _retention(found: GeneralizationResult, name: str) -> str:
    if found.retention is None:
        return f"- ({found.retention_reason})"
    return f"{rate(found.retention)} of the success on id is left on {name}"


def _images(results: Results) -> str:
    """What the images of a run became for the model; empty where it was shown none."""
    sizes = results.sampling.get("images", {}).get("sizes", [])
    shown = []
    for one in sizes[:_IMAGES_LISTED]:
        become = "other pixels"
        if "processed_width" in one:
            tiles = f"{one['tiles']} of " if one["tiles"] > 1 else ""
            become = f"{tiles}{one['processed_width']} x {one['processed_height']}"
        shown.append(f"{one['width']} x {one['height']} as {become}, {one['tokens']} tokens")
    more = len(sizes) - len(shown)
    return "; ".join([*shown, *([f"and {more} more sizes"] if more else [])])


def _print_footer(console: Console, results: Results, folder: Path | None) -> None:
    first = next(iter(results.generalization.values()))
    console.print()
    seen = results.contamination
    overlap = (
        "its record lists no problem of this kind"
        if seen.overlap is None
        else ", ".join(
            f"{count} of {results.splits[name].n} {name}" for name, count in seen.overlap.items()
        )
        + " problems were in its training"
    )
    text = f"unknown ({seen.reason})" if seen.reason else f"{overlap} ({seen.status})"
    notes = [
        f"contamination: {text}",
        f"methods: rates {results.splits['id'].success_rate.method}; gap {first.gap.method}; "
        f"{f'retention {first.retention.method}; ' if first.retention else ''}"
        f"cluster: {results.task.cluster}",
    ]
    may = {
        name: counts["problem_may_be_trained"]
        for name, counts in seen.certificate.get("splits", {}).items()
        if counts.get("problem_may_be_trained")
    }
    if may:
        listed = ", ".join(
            f"{count} of {results.splits[name].n} {name}" for name, count in may.items()
        )
        notes.insert(1, f"train/test overlap: recipes may train on {listed} problems")
    if images := _images(results):
        notes.append(f"images: {images}")
    notes += [f"warning: {warning}" for warning in results.warnings]
    if folder is not None:
        notes.append(f"run folder: {folder}")
    for note in notes:
        console.print(Text(note), soft_wrap=True)
