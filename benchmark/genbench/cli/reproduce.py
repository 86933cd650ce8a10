"""`genbench reproduce`: from a base to SFT and RL, their sweep, and what its tests conclude."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from genbench.reproduction.results import Conclusion, Tested


def reproduce(
    preset: Annotated[str, typer.Option(help="quick, full, or a preset's file.")] = "quick",
    output: Annotated[str, typer.Option(help="Where everything goes.")] = "reproduction",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Training runs of every recipe; the preset's.")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="A task in place of the preset's; may be repeated.")
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Train the base, too.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes at once, one thread each; as many as usable cores."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    plan_only: Annotated[
        bool, typer.Option("--plan", help="Say what would be done, and stop.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print conclusion.json.")] = False,
) -> None:
    """Train SFT and RL from one base, score their checkpoints, and conclude what tests bear out.

    A reproduction that was stopped goes on where it was: run the same command again.
    """
    from pathlib import Path

    from genbench.errors import InterruptedRunError
    from genbench.jobs import usable_cores
    from genbench.reproduction.plan import make_plan

    plan = make_plan(
        preset,
        Path(output),
        seeds=seeds,
        tasks=task or (),
        from_scratch=from_scratch,
        workers=workers or usable_cores(),
        device=device,
    )
    typer.echo(plan.text(), err=as_json)
    if plan_only:
        return
    from genbench.cli.sweep import print_sweep, progress_bar
    from genbench.reproduction.pipeline import CONCLUSION, PAGE
    from genbench.reproduction.pipeline import reproduce as go
    from genbench.sweep import sweep_rows

    try:
        with progress_bar("scoring") as report:
            found = go(plan, say=lambda text: typer.echo(text, err=True), report=report)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "interrupted. What was finished is on disk: run the same command again to go on"
        ) from None
    if as_json:
        typer.echo(json.dumps(found.conclusion.model_dump(mode="json"), indent=1))
        return
    print_sweep(sweep_rows(found.sweep))
    print_conclusion(found.conclusion)
    typer.echo(
        f"\n{plan.output / PAGE}/README.md, {plan.output / CONCLUSION}.md, report: {found.report}"
    )


def print_conclusion(found: Conclusion) -> None:
    """What the tests bear out, on every task in every decoding."""
    from genbench.cli.layout import say
    from genbench.cli.tables import plain_console
    from genbench.reproduction import pages

    console = plain_console()
    for group in found.groups:
        console.print()
        say(console, f"Conclusion on {pages.group_title(group)}", bold=True)
        for one in group.trainings:
            control = ", control" if one.role == "control" else ""
            console.print()
            say(console, f"{pages.heading(one)}{control}: {pages.words_of(one)}", bold=True)
            _print_tests(console, pages.tests_of(one))
            say(console, pages.unit_sentence(one))
            if (told := pages.seeds_sentence(one)) is not None:
                say(console, told)
            for told in pages.described(one):
                say(console, told)
        for contrast in group.contrasts:
            console.print()
            say(console, f"{pages.contrast_title(contrast)}: {contrast.sentence}", bold=True)
            if contrast.quantities:
                named = [(pages.name_of(each), each) for each in contrast.quantities]
                _print_tests(console, named)
                say(console, f"{contrast.detail}; over {contrast.unit}")
    console.print()
    say(console, f"correction: {found.correction}")
    for note in found.notes:
        say(console, f"note: {note}")


def _print_tests(console: Console, tests: list[tuple[str, Tested]]) -> None:
    from genbench.cli.layout import Row, print_rows
    from genbench.reproduction.pages import figures

    print_rows(
        console,
        ("base, %", "now, %", "change, pp", "95% CI", "p", "Holm p"),
        [Row(name, figures(one)) for name, one in tests],
    )
