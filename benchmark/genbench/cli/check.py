"""`genbench check`: the CI gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from genbench.gate import GatedTask, GateResult


def check(
    runs: Annotated[
        list[str],
        typer.Argument(help="The candidate's run folders, or a folder that holds them."),
    ],
    baseline: Annotated[
        list[str],
        typer.Option(
            help="A run folder that it must not fall behind, or a folder of such; may be repeated."
        ),
    ],
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
    """Judge a checkpoint against a baseline, on every task: pass, fail (exit 1) or inconclusive."""
    from genbench.errors import UsageError, closest

    choices = ("pass", "warn", "fail")
    if on_inconclusive not in choices:
        raise UsageError(
            f"--on-inconclusive '{on_inconclusive}': {closest(on_inconclusive, choices)}"
        )
    import os
    from pathlib import Path

    from genbench import gate, gate_reports
    from genbench.cli.layout import waiting
    from genbench.store import json_bytes

    with waiting("reading and judging the runs"):
        result = gate.check(
            [Path(run) for run in runs],
            [Path(run) for run in baseline],
            max_drop=max_drop,
            alpha=alpha,
            on_inconclusive=on_inconclusive,  # type: ignore[arg-type]  # checked above
        )
    if as_json:
        # In ASCII: names may hold what no encoding can say.
        typer.echo(json_bytes(result.model_dump(mode="json")).decode(), nl=False)
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
    from genbench.cli.layout import say
    from genbench.cli.tables import plain_console
    from genbench.gate_reports import needed

    console = plain_console()
    for task in result.tasks:
        if len(result.tasks) > 1:
            console.print()
            say(console, f"{task.label}: {task.verdict}", bold=True)
        _print_task(console, result, task)
    console.print()
    for text in needed(result):
        say(console, text)
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
        say(console, note)


def _print_task(console: Console, result: GateResult, task: GatedTask) -> None:
    from genbench.cli.layout import Row, print_rows
    from genbench.cli.tables import percent
    from genbench.gate_reports import p_text

    rows = [
        Row(
            one.name,
            (
                str(one.n),
                percent(one.baseline),
                percent(one.candidate),
                f"{100 * one.drop:+.1f} pp",
                f"{100 * one.lower:+.1f}, {100 * one.upper:+.1f}",
                p_text(one.p_fail_holm),
                p_text(one.p_pass),
            ),
            one.verdict,
        )
        for one in result.on(task)
    ]
    confidence = f"{100 * (1 - result.alpha):g}%"
    titles = ("n", "baseline", "candidate", "drop", f"{confidence} limits", "fail p", "pass p")
    print_rows(console, titles, rows, heads=("quantity", "verdict"))
