"""`genbench leaderboard`: publish runs, build the boards, check that they follow from the runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from genbench.leaderboard.published import Published
    from genbench.leaderboard.publishing import Added

leaderboard_app = typer.Typer(
    name="leaderboard",
    help="Publish runs, build the boards from them, check that they follow.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_SHOWN = 20

ResultsOption = Annotated[str, typer.Option("--results", help="The folder of published runs.")]
BoardsOption = Annotated[str, typer.Option("--boards", help="The folder of board definitions.")]
BoardsArgument = Annotated[list[str] | None, typer.Argument(help="Boards; all by default.")]


@leaderboard_app.command()
def add(
    run: Annotated[str, typer.Argument(help="A finished run folder.")],
    board: Annotated[
        str | None, typer.Option(help="The board that must take it; any of its task by default.")
    ] = None,
    results: ResultsOption = "results",
    boards: BoardsOption = "leaderboards",
    regenerate: Annotated[
        int, typer.Option(min=0, help="Play so many random episodes again on the weights.")
    ] = 0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Which are drawn; a fresh draw by default.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The checkpoint's public name, where the run has a path.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Where the weights are now, if they have moved.")
    ] = None,
    model_args: Annotated[
        str | None,
        typer.Option(help="trust_remote_code=true, allow_pickle=true: if the run had them."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")] = "auto",
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of a result of the same weights.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay a run and copy it to the published ones; exit 1 where it does not reproduce."""
    import secrets

    from genbench.cli.run import parse_assignments
    from genbench.leaderboard.definition import load_boards
    from genbench.leaderboard.publishing import add as publish

    added = publish(
        Path(run),
        Path(results),
        load_boards(Path(boards), [board] if board else []),
        regenerate=regenerate,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        model=model,
        model_args=parse_assignments(model_args, "--model-args"),
        device=device,
        name=name,
        replace=replace,
    )
    _print_added(added, as_json)


def _print_added(added: Added, as_json: bool) -> None:
    record = added.published.record
    if as_json:
        shown = {
            "folder": str(added.published.folder),
            "tier": record.tier,
            "episodes": record.episodes,
            "regenerated": record.regenerated,
            "seed": record.seed,
            "boards": list(added.boards),
            "not_on": {name: list(reasons) for name, reasons in added.refused.items()},
            "replaced": list(added.replaced),
        }
        typer.echo(json.dumps(shown, indent=1))
        return
    replayed = (
        f", {record.regenerated} played again on the weights (seed {record.seed})"
        if record.regenerated
        else ""
    )
    typer.echo(f"{added.published.folder}: {record.tier}: {record.episodes} episodes{replayed}")
    for place in added.replaced:
        typer.echo(f"in place of {place}")
    typer.echo(f"on: {', '.join(added.boards)}")
    for name, reasons in added.refused.items():
        typer.echo(f"not on {name}: {'; '.join(reasons)}")
    typer.echo("next: genbench leaderboard build")


@leaderboard_app.command()
def build(
    names: BoardsArgument = None,
    results: ResultsOption = "results",
    boards: BoardsOption = "leaderboards",
    site: Annotated[
        str | None,
        typer.Option(help="Also write a static site there: boards, figures, every episode."),
    ] = None,
) -> None:
    """Write each board as Markdown, CSV, JSON, an HTML page and a badge; with --site, a site."""
    from genbench.cli.report import stages
    from genbench.leaderboard.building import build as write

    with stages() as stage:
        built = write(
            Path(boards),
            Path(results),
            names or [],
            site=None if site is None else Path(site),
            progress=stage,
        )
    for path in built.files:
        typer.echo(path)
    if built.site is not None:
        typer.echo(f"{built.site.page} ({len(built.site.files)} files)")


@leaderboard_app.command()
def check(
    names: BoardsArgument = None,
    results: ResultsOption = "results",
    boards: BoardsOption = "leaderboards",
    regenerate: Annotated[
        int,
        typer.Option(min=0, help="Also play so many episodes again of runs of that tier."),
    ] = 0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Which are drawn; a fresh draw by default.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLACE_OR_NAME=PATH",
            help="Where the weights of a run are, by its folder below --results or its model's "
            "name; may be repeated.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Exit 1, naming the file, where a published run was changed or a table does not follow.

    Runs whose weights cannot be had here are listed and no fault.
    """
    import secrets

    from genbench.leaderboard.building import check as examine

    weights = _weights_of(model or [], regenerate)
    drawn = secrets.randbelow(2**31) if seed is None else seed
    found = examine(
        Path(boards),
        Path(results),
        names or [],
        regenerate=regenerate,
        seed=drawn,
        device=device,
        weights=weights,
        track=_tracked,
    )
    if as_json:
        shown = {
            "passed": not found.faults,
            "runs": found.runs,
            "regenerated": found.regenerated,
            "seed": drawn if found.regenerated else None,
            "files": found.files,
            "faults": list(found.faults),
            "not_replayed": [
                {"run": one.place, "reason": one.reason} for one in found.not_replayed
            ],
        }
        typer.echo(json.dumps(shown, indent=1))
    elif not found.faults:
        replayed = (
            f" ({found.regenerated} episodes played again, seed {drawn})"
            if found.regenerated
            else ""
        )
        typer.echo(f"{found.runs} published runs reproduce{replayed}; {found.files} files follow")
    else:
        for fault in found.faults[:_SHOWN]:
            typer.echo(fault)
        if len(found.faults) > _SHOWN:
            typer.echo(f"and {len(found.faults) - _SHOWN} more (--json lists them)")
    if found.not_replayed and not as_json:
        for one in found.not_replayed:
            typer.echo(f"not replayed: {one.place}: {one.reason}")
        typer.echo("(--model PLACE_OR_NAME=PATH says where weights are)")
    if found.faults:
        raise typer.Exit(1)


@leaderboard_app.command()
def card(
    run: Annotated[str, typer.Argument(help="A finished run folder.")],
    output: Annotated[
        str | None, typer.Option(help="The card to write; printed by default.")
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Put the results into a card that exists.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="The checkpoint's public name, where the run has a path.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Where the task file is now, if it has moved.")
    ] = None,
) -> None:
    """A run as a Hugging Face model card, with its `model-index` metadata."""
    from genbench.leaderboard.card import card_of, verified_results, write_card

    results = verified_results(Path(run), task_file=task, name=name)
    if output is None:
        typer.echo(str(card_of(results)))
        return
    write_card(results, Path(output), update=update)
    typer.echo(output)


def _weights_of(model: Sequence[str], regenerate: int) -> dict[str, str]:
    """`PLACE_OR_NAME=PATH` as a mapping. Raises UsageError."""
    from genbench.errors import UsageError

    if model and not regenerate:
        raise UsageError("--model says where weights are for --regenerate N, which is not given")
    found: dict[str, str] = {}
    for text in model:
        key, _, path = text.partition("=")
        if not key or not path:
            raise UsageError(
                f"--model {text}: it takes PLACE_OR_NAME=PATH, as in org/model=./checkpoint"
            )
        if key in found:
            raise UsageError(f"--model {key} is given twice")
        found[key] = path
    return found


def _tracked(published: Sequence[Published]) -> Iterable[Published]:
    """The runs with a progress bar on stderr; nothing where stderr is no terminal."""
    import sys

    if not sys.stderr.isatty():
        return published
    from rich.console import Console
    from rich.progress import track

    return track(published, "published runs", console=Console(stderr=True), transient=True)
