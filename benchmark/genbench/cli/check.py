"""`genbench check`: the CI gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from genbench.gate import GateResult


def check(
    run: Annotated[str, typer.Argument(help="The run folder of the candidate.")],
    baseline: Annotated[str, typer.Option(help="The run folder that it must not fall behind.")],
    max_drop: Annotated[
        float, typer.Option(help="The allowed drop of a rate, and growth of a gap, as a share.")
    ] = 0.02,
    alpha: Annotated[float, typer.Option(help="The error rate of either decision.")] = 0.05,
    on_inconclusive: Annotated[
        str, typer.Option(help="pass, warn or fail where the run is too small to tell.")
    ] = "warn",
    junit: Annotated[str | None, typer.Option(help="Write JUnit XML here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge a run against a baseline: pass, fail (exit 1) or inconclusive."""
    from genbench.errors import UsageError, closest

    choices = ("pass", "warn", "fail")
    if on_inconclusive not in choices:
        raise UsageError(
            f"--on-inconclusive '{on_inconclusive}': {closest(on_inconclusive, choices)}"
        )
    import os
    from pathlib import Path

    from genbench import gate, gate_reports

    result = gate.check(
        Path(run),
        Path(baseline),
        max_drop=max_drop,
        alpha=alpha,
        on_inconclusive=on_inconclusive,  # type: ignore[arg-type]  # checked above
    )
    if as_json:
        typer.echo(result.model_dump_json(indent=1))
    else:
        typer.echo(gate_reports.headline(result))
        _print(result)
    if junit is not None:
        gate_reports.write_junit(result, Path(junit))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        gate_reports.append_summary(result, Path(summary))
    if result.verdict == "inconclusive" and on_inconclusive == "warn":
        typer.echo(
            "genbench: warning: the run is too small to tell; --on-inconclusive fail makes this "
            "an error",
            err=True,
        )
    if not result.passed:
        raise typer.Exit(1)


def _print(result: GateResult) -> None:
    from rich.table import Table
    from rich.text import Text

    from genbench.cli.tables import percent, plain_console
    from genbench.gate_reports import needs

    console = plain_console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("quantity", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    confidence = f"{100 * (1 - result.alpha):g}%"
    for title in ("n", "baseline", "candidate", "drop", f"{confidence} limits", "fail p", "pass p"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in result.quantities:
        table.add_row(
            Text(one.name),
            one.verdict,
            str(one.n),
            percent(one.baseline),
            percent(one.candidate),
            f"{100 * one.drop:+.1f} pp",
            f"{100 * one.lower:+.1f}, {100 * one.upper:+.1f}",
            _p(one.p_fail_holm),
            _p(one.p_pass),
        )
    console.print(table)
    console.print()
    for one in result.quantities:
        if one.verdict == "inconclusive":
            console.print(Text(needs(one)), soft_wrap=True)
    reasons = dict.fromkeys(one.reason for one in result.quantities if one.verdict == "pass")
    methods = dict.fromkeys(one.method for one in result.quantities)
    notes = [
        *(f"pass: {reason}" for reason in reasons),
        f"allowed drop: {100 * result.max_drop:g} pp of a success rate (first attempts), or growth "
        "of a gap (id - ood)",
        f"limits: one-sided; {result.correction}",
        f"methods: {' | '.join(methods)}",
        *(f"note: {note}" for note in result.notes),
    ]
    for note in notes:
        console.print(Text(note), soft_wrap=True)


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"
