"""`genbench train`: make checkpoints by recipes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

train_app = typer.Typer(
    name="train",
    help="Train checkpoints by recipes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value, such as schedule.steps=200; may be repeated."),
]


@train_app.command("list")
def list_recipes() -> None:
    """The installed recipes, with what hardware each needs."""
    from genbench.training.recipe import load_recipe, recipe_names

    for name in recipe_names():
        recipe = load_recipe(name)
        typer.echo(f"{name}  ({recipe.method})  {recipe.summary}\n    {recipe.hardware}")


@train_app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A recipe's name or file.")], assign: _Set = None
) -> None:
    """A recipe as it would be run, after validation."""
    from genbench.training.recipe import load_recipe

    typer.echo(json.dumps(load_recipe(name, assign or ()).model_dump(mode="json"), indent=1))


@train_app.command("base")
def base(
    recipe: Annotated[str, typer.Option(help="A recipe's name or file.")],
    output: Annotated[str, typer.Option(help="The folder of the checkpoint.")],
    assign: _Set = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; torch's own.")] = None,
) -> None:
    """Train a model from scratch. A killed training goes on from its last saved step."""
    from genbench.training.recipe import load_recipe

    chosen = load_recipe(recipe, assign or ())
    from genbench.training.base import train_base

    folder = train_base(
        chosen, Path(output), device=device, threads=threads, say=lambda text: typer.echo(text)
    )
    typer.echo(f"checkpoint: {folder}")
