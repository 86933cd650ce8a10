"""`genbench compare`: checkpoints on the same instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from genbench.comparison import CheckpointComparison, Comparison, Quantity


def compare(
    runs: Annotated[list[str], typer.Argument(help="Run folders; the first is the base.")],
    base: Annotated[
        str | None, typer.Option(help="The run folder to compare with, if not the first.")
    ] = None,
    csv: Annotated[
        str | None, typer.Option(help="Write one row a checkpoint and quantity here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare checkpoints by instance: changes on ID and OOD, and what they amount to."""
    from pathlib import Path

    from genbench import comparison

    found = comparison.compare([Path(run) for run in runs], None if base is None else Path(base))
    if csv is not None:
        comparison.write_csv(found, Path(csv))
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        _print(found)


def _print(found: Comparison) -> None:
    from rich.text import Text

    from genbench.cli.tables import plain_console
    from genbench.pairing import training_summary

    console = plain_console()

    def label(name: str, training: dict[str, object] | None) -> str:
        known = training_summary(training)
        return f"{name} ({known})" if known else name

    base = label(found.base.model.name, found.base.model.training)
    console.print(
        Text(f"{found.task.name} {found.task.version}, base: {base}", style="bold"), soft_wrap=True
    )
    for one in found.checkpoints:
        console.print()
        console.print(Text(label(one.model.name, one.model.training), style="bold"), soft_wrap=True)
        for reading in one.readings:
            console.print(Text(reading.sentence), soft_wrap=True)
        console.print()
        console.print(_table(found, one))
    methods = dict.fromkeys(
        quantity.change.method for one in found.checkpoints for quantity in one.quantities
    )
    notes = [
        f"change: this checkpoint minus the base, paired by instance, 95% CI; corrected: "
        f"{found.correction}",
        f"methods: {' | '.join(methods)}; cluster: {found.task.cluster}",
        *(f"note: {note}" for note in found.notes),
    ]
    console.print()
    for note in notes:
        console.print(Text(note), soft_wrap=True)


def _table(found: Comparison, one: CheckpointComparison) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", overflow="fold")
    for title in ("n", "clusters", "base, %", "now, %", "change, pp", "p", "corrected"):
        table.add_column(title, justify="right", no_wrap=True)
    for quantity in one.quantities:
        change = quantity.change
        low, high = change.ci95
        table.add_row(
            Text(_label(quantity, found.verify_iters)),
            str(change.n),
            str(change.clusters),
            f"{100 * quantity.base:.1f}",
            f"{100 * quantity.value:.1f}",
            f"{100 * change.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]",
            _p(change.p_value),
            _p(change.p_value_holm),
        )
    return table


def _label(quantity: Quantity, verify_iters: int) -> str:
    """`ood within 5`, `ood - id`, `stickiness ood`."""
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
