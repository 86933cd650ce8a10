"""`genbench verify` and `genbench import`: check stored runs, score responses made elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.options import Protocol, TaskSet

if TYPE_CHECKING:
    from genbench.verification import Verification

_SHOWN = 20


def verify(
    runs: Annotated[list[str], typer.Argument(help="Run folders.")],
    regenerate: Annotated[
        int, typer.Option(min=0, help="Play so many random episodes again on the weights.")
    ] = 0,
    seed: Annotated[
        int | None, typer.Option(help="Which episodes are drawn; a fresh draw by default.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Where the weights are now, if they have moved.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Where the task file is now, if it has moved.")
    ] = None,
    model_args: Annotated[
        str | None,
        typer.Option(help="trust_remote_code=true, allow_pickle=true: if the run had them."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score stored runs again from their responses; exit 1 and name what differs, 2 where a folder
    cannot be checked."""
    import secrets

    from genbench.cli.run import parse_assignments
    from genbench.errors import GenbenchError
    from genbench.verification import verify_run

    given = parse_assignments(model_args, "--model-args")
    drawn = secrets.randbelow(2**31) if seed is None else seed
    found: list[Verification] = []
    unreadable: dict[str, str] = {}
    for run in runs:
        try:
            one = verify_run(
                Path(run),
                task_file=task,
                regenerate=regenerate,
                seed=drawn,
                model=model,
                model_args=given,
                device=device,
            )
        except GenbenchError as error:
            unreadable[run] = str(error)
        else:
            found.append(one)
    if as_json:
        shown = [
            {
                "folder": str(one.folder),
                "passed": one.passed,
                "tier": one.tier,
                "episodes": one.episodes,
                "regenerated": one.regenerated,
                "seed": drawn if one.regenerated else None,
                "differences": list(one.differences),
            }
            for one in found
        ] + [
            {"folder": run, "passed": False, "tier": "none", "error": fault}
            for run, fault in unreadable.items()
        ]
        typer.echo(json.dumps(shown, indent=1))
    else:
        for one in found:
            if one.passed:
                replayed = (
                    f", {one.regenerated} played again on the weights (seed {drawn})"
                    if one.regenerated
                    else ""
                )
                typer.echo(f"{one.folder}: {one.tier}: {one.episodes} episodes agree{replayed}")
                continue
            plural = "" if len(one.differences) == 1 else "s"
            typer.echo(f"{one.folder}: {len(one.differences)} difference{plural}")
            for difference in one.differences[:_SHOWN]:
                typer.echo(f"  {difference}")
            if len(one.differences) > _SHOWN:
                typer.echo(f"  and {len(one.differences) - _SHOWN} more (--json lists them)")
    for fault in unreadable.values():
        typer.echo(f"genbench: {fault}", err=True)
    if not all(one.passed for one in found):
        raise typer.Exit(1)
    if unreadable:
        raise typer.Exit(2)


def import_command(
    responses: Annotated[str, typer.Argument(help="A .jsonl or .csv file of responses.")],
    task: Annotated[str, typer.Option(help="A task's name or file.")],
    output: Annotated[str, typer.Option(help="Where run folders go.")] = "runs",
    model: Annotated[
        str | None,
        typer.Option(help="The name of the model that made them; the file's by default."),
    ] = None,
    protocol: Protocol = None,
    prompt: Annotated[str | None, typer.Option(help="The prompt variant that was asked.")] = None,
    assign: TaskSet = None,
    verify_iters: Annotated[
        int | None, typer.Option(min=1, help="Attempts; the highest in the file by default.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="The first N pairs of each split.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json.")] = False,
) -> None:
    """Score responses made elsewhere (columns: instance_id, response, attempt, sample, ...)."""
    from genbench.cli.tables import print_results
    from genbench.importing import import_responses
    from genbench.registry import load_task
    from genbench.yamlfile import assigned

    settings = assigned(assign)
    chosen = load_task(task, protocol=protocol, prompt=prompt, limit=limit, settings=settings)
    evaluation, results, unused = import_responses(
        Path(responses), chosen, Path(output), model=model, verify_iters=verify_iters
    )
    if as_json:
        typer.echo(json.dumps(results.model_dump(mode="json"), indent=1))
    else:
        print_results(results, evaluation.folder.path)
    if unused:
        typer.echo(
            f"({unused} responses came after their instance was solved or for controls, which are "
            "asked once; they count for nothing)",
            err=True,
        )
