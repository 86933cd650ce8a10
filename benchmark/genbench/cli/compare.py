"""`genbench compare`: checkpoints on the same instances, on one task or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from genbench.comparison_results import (
        ComparedTask,
        Comparison,
        PerceptionReading,
        Quantity,
        Reading,
        SeedMean,
    )
    from genbench.results import DifferenceResult, ModelResult


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(help="Run folders, or folders that hold some; the first run is the base's."),
    ],
    base: Annotated[
        str | None,
        typer.Option(help="A run of the base checkpoint, or its folder, if not the first."),
    ] = None,
    skip_unfinished: Annotated[
        bool, typer.Option("--skip-unfinished", help="Leave unfinished runs out.")
    ] = False,
    csv: Annotated[
        str | None, typer.Option(help="Write one row a checkpoint and quantity here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare checkpoints by instance: changes on ID and OOD, and what they amount to.

    Runs are matched by what was asked; the base is one checkpoint, scored on every task.
    """
    from pathlib import Path

    from genbench import comparison, comparison_tables
    from genbench.cli.layout import waiting
    from genbench.store import json_bytes

    with waiting("reading and comparing the runs"):
        found = comparison.compare(
            [Path(run) for run in runs],
            None if base is None else Path(base),
            skip_unfinished=skip_unfinished,
        )
    if csv is not None:
        comparison_tables.write_csv(found, Path(csv))
    if as_json:
        # In ASCII: names may hold what no encoding can say.
        typer.echo(json_bytes(found.model_dump(mode="json")).decode(), nl=False)
    else:
        _print(found)


def _print(found: Comparison) -> None:
    from genbench.cli.layout import say
    from genbench.cli.tables import plain_console

    console = plain_console()
    for number, task in enumerate(found.tasks):
        if number:
            console.print()
            console.print()
        _print_task(console, found, task)
    if len(found.tasks) > 1:
        console.print()
        console.print()
        _print_summary(console, found)
    console.print()
    for note in _notes(found):
        say(console, note)


def _print_task(console: Console, found: Comparison, task: ComparedTask) -> None:
    from genbench.cli.layout import say

    name, version = task.task.name, task.task.version
    title = f"{name} {version}" if task.label == name else task.label
    say(console, f"{title}, base: {_model(task.base.model)}", bold=True)
    for one in found.on(task):
        console.print()
        say(console, _model(one.model), bold=True)
        _print_readings(console, one.readings, one.perception)
        _print_quantities(console, one.quantities, task.verify_iters)
    for seeds in found.training_seeds:
        if seeds.task == task.label:
            listed = ", ".join(map(str, seeds.seeds))
            console.print()
            say(
                console,
                f"{seeds.label}: mean over {len(seeds.seeds)} training seeds ({listed})",
                bold=True,
            )
            _print_readings(console, seeds.readings)
            _print_means(console, seeds.quantities)
    for methods in found.methods:
        if methods.task == task.label:
            console.print()
            say(console, f"{methods.a} minus {methods.b}: means over training seeds", bold=True)
            console.print()
            _print_changes(console, [(one.name, one.change) for one in methods.quantities])


def _print_readings(
    console: Console, readings: list[Reading], perception: Sequence[PerceptionReading] = ()
) -> None:
    from genbench.cli.layout import say

    for sentence in (one.sentence for group in (readings, perception) for one in group):
        say(console, sentence)
    console.print()


def _print_quantities(console: Console, quantities: list[Quantity], verify_iters: int) -> None:
    from genbench.cli.layout import Row, print_rows

    rows = []
    for one in quantities:
        change = one.change
        figures = (
            str(change.n),
            str(change.clusters),
            f"{100 * one.base:.1f}",
            f"{100 * one.value:.1f}",
            *_figures(change),
        )
        rows.append(Row(_label(one, verify_iters), figures))
    titles = ("n", "clusters", "base, %", "now, %", "change, pp", "p", "corrected")
    print_rows(console, titles, rows)


def _print_means(console: Console, means: list[SeedMean]) -> None:
    from genbench.cli.layout import Row, print_rows

    rows = [
        Row(
            one.name,
            (
                str(one.change.n),
                *_figures(one.change),
                f"{100 * one.sd:.1f}",
                "-" if one.seeds_needed is None else str(one.seeds_needed),
            ),
        )
        for one in means
    ]
    titles = ("seeds", "change, pp", "p", "corrected", "SD, pp", "seeds for 4 pp")
    print_rows(console, titles, rows)


def _print_changes(console: Console, changes: list[tuple[str, DifferenceResult]]) -> None:
    from genbench.cli.layout import Row, print_rows

    rows = [Row(name, (str(change.n), *_figures(change))) for name, change in changes]
    print_rows(console, ("seeds", "difference, pp", "p", "corrected"), rows)


def _print_summary(console: Console, found: Comparison) -> None:
    """Every checkpoint on every task, in a word."""
    from genbench.cli.layout import Row, print_words

    cells: dict[str, dict[str, str]] = {}
    for one in found.checkpoints:
        cells.setdefault(one.checkpoint, {})[one.task] = _words(one.readings)
    for seeds in found.training_seeds:
        name = f"{seeds.label}, mean over seeds"
        cells.setdefault(name, {})[seeds.task] = _words(seeds.readings)
    tasks = [task.label for task in found.tasks]
    rows = [
        Row(name, tuple(words.get(task, "-") for task in tasks)) for name, words in cells.items()
    ]
    print_words(console, "checkpoint", tasks, rows)


def _words(readings: list[Reading]) -> str:
    """`memorises`; of OOD splits with different words, each word with its splits."""
    splits: dict[str, list[str]] = {}
    for reading in readings:
        splits.setdefault(reading.word, []).append(reading.split)
    if len(splits) == 1:
        return next(iter(splits))
    return "; ".join(f"{word} ({', '.join(of_word)})" for word, of_word in splits.items())


def _notes(found: Comparison) -> Iterator[str]:
    yield (
        "change: this checkpoint minus the base, paired by instance, 95% CI; corrected: "
        f"{found.correction}"
    )
    clusters = {task.label: task.task.cluster for task in found.tasks}
    units = list(dict.fromkeys(clusters.values()))
    listed = (
        units[0]
        if len(units) == 1
        else ", ".join(f"{cluster} in {label}" for label, cluster in clusters.items())
    )
    methods = dict.fromkeys(change.method for change in found.changes())
    yield f"methods: {' | '.join(methods)}; cluster: {listed}"
    if found.training_seeds:
        yield (
            "training seeds: intervals are about other seeds of the recipe, against this base on "
            "these instances, and hold for seeds that scatter about normally"
        )
        yield (
            "seeds for 4 pp: of each of two methods, to show a difference of 4 pp with 80% power "
            "at 0.05 (uncorrected) and this SD, which a few seeds give but roughly"
        )
    for note in found.notes:
        yield f"note: {note}"


def _model(model: ModelResult) -> str:
    from genbench.labels import clean
    from genbench.pairing import training_summary

    known = training_summary(model.training)
    return clean(f"{model.name} ({known})" if known else model.name)


def _figures(change: DifferenceResult) -> tuple[str, str, str]:
    """The change with its interval, p and corrected p."""
    low, high = change.ci95
    return (
        f"{100 * change.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]",
        _p(change.p_value),
        _p(change.p_value_holm),
    )


def _label(quantity: Quantity, verify_iters: int) -> str:
    """`ood within 5`, `ood - id`, `perception ood`."""
    subject = quantity.split
    if quantity.kind == "difference in differences":
        subject += " - id"
    if quantity.measure == "success":
        return subject
    if quantity.measure == "success at VIter":
        return f"{subject} within {verify_iters}"
    return f"{quantity.measure} {subject}"


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
