"""`genbench report`: figures, tables and a page over any set of runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer


def report(
    runs: Annotated[list[str], typer.Argument(help="Run folders, or folders that hold some.")],
    output: Annotated[str, typer.Option(help="Where the report goes.")],
    title: Annotated[str, typer.Option(help="The page's title.")] = "genbench report",
    skip_unfinished: Annotated[
        bool, typer.Option("--skip-unfinished", help="Leave unfinished runs out.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written.")] = False,
) -> None:
    """Make figures (PNG and SVG), tables (CSV and Markdown) and an HTML page of runs."""
    from genbench.report import build_report

    with stages() as stage:
        made = build_report(
            runs, output, title=title, skip_unfinished=skip_unfinished, progress=stage
        )
    if as_json:
        found = {
            "page": str(made.page),
            "runs": made.runs,
            "episodes": made.episodes,
            "skipped": [str(path) for path in made.skipped],
            "files": list(made.files),
        }
        typer.echo(json.dumps(found, indent=1))
        return
    for path in made.skipped:
        typer.echo(f"genbench: {path} is unfinished and left out", err=True)
    counts = {"run": made.runs, "episode": made.episodes, "file": len(made.files)}
    said = (f"{count:,} {what}{'' if count == 1 else 's'}" for what, count in counts.items())
    typer.echo(f"{', '.join(said)}: {made.page}")


@contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """What is being done, on stderr; nothing where stderr is no terminal."""
    import sys

    if not sys.stderr.isatty():
        yield lambda stage: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status("") as status:
        yield lambda stage: status.update(escape(stage))
