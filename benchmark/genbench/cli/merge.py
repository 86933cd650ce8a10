"""`genbench merge`: the shards of a run into the run."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def merge(
    shards: Annotated[list[str], typer.Argument(help="Folders of shards, or that hold some.")],
    output: Annotated[str, typer.Option(help="Where run folders go.")] = "runs",
    task: Annotated[
        str | None, typer.Option(help="Where the task file is now, if it has moved.")
    ] = None,
    mixed: Annotated[
        bool,
        typer.Option(
            "--mixed", help="Also where shards were computed on other devices or versions."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json.")] = False,
) -> None:
    """Merge what `genbench run --shard i/n` has played: the files are those of one process."""
    from pathlib import Path

    from genbench.cli.tables import print_results
    from genbench.sharding.merging import merge_shards

    found = merge_shards(
        [Path(shard) for shard in shards], Path(output), task_file=task, mixed=mixed
    )
    if as_json:
        shown = [one.results.model_dump(mode="json") for one in found]
        typer.echo(json.dumps(shown[0] if len(shown) == 1 else shown, indent=1))
        return
    for one in found:
        print_results(one.results, one.folder)
        typer.echo(f"(merged from {one.shards} shards)", err=True)
