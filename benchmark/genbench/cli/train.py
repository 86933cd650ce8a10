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
    from genbench.training.recipes import load_recipe, recipe_names

    for name in recipe_names():
        recipe = load_recipe(name)
        typer.echo(f"{name}  ({recipe.method})  {recipe.summary}\n    {recipe.hardware}")


@train_app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A recipe's name or file.")], assign: _Set = None
) -> None:
    """A recipe as it would be run, after validation."""
    from genbench.training.recipes import load_recipe

    typer.echo(json.dumps(load_recipe(name, assign or ()).model_dump(mode="json"), indent=1))


_Recipe = Annotated[str, typer.Option(help="A recipe's name or file.")]
_Device = Annotated[str, typer.Option(help="auto, cpu, cuda.")]
_Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; torch's own.")]
_Model = Annotated[
    str | None,
    typer.Option(help="What to start from: a directory, demo/<name>, a hub id; the recipe's."),
]
_Output = Annotated[str, typer.Option(help="The folder of the checkpoints, <output>/step-<n>.")]


@train_app.command("base")
def base(
    recipe: _Recipe,
    output: Annotated[str, typer.Option(help="The folder of the checkpoint.")],
    assign: _Set = None,
    device: _Device = "auto",
    threads: _Threads = None,
) -> None:
    """Train a model from scratch. A killed training goes on from its last saved step."""
    from genbench.training.recipes import load_recipe

    chosen = load_recipe(recipe, assign or ())
    from genbench.training.base import train_base

    folder = train_base(
        chosen, Path(output), device=device, threads=threads, say=lambda text: typer.echo(text)
    )
    typer.echo(f"checkpoint: {folder}")


@train_app.command("sft")
def sft(
    recipe: _Recipe,
    output: _Output,
    model: _Model = None,
    assign: _Set = None,
    device: _Device = "auto",
    threads: _Threads = None,
) -> None:
    """Fine-tune on solutions (TRL's SFTTrainer). A killed training goes on from its last state."""
    _tune("sft", recipe, output, model, assign, device, threads)


@train_app.command("rl")
def rl(
    recipe: _Recipe,
    output: _Output,
    model: _Model = None,
    assign: _Set = None,
    device: _Device = "auto",
    threads: _Threads = None,
) -> None:
    """Reinforce by the verifier (TRL's GRPO or RLOO). A killed training goes on likewise."""
    _tune("rl", recipe, output, model, assign, device, threads)


def _tune(
    method: str,
    name: str,
    output: str,
    model: str | None,
    assign: list[str] | None,
    device: str,
    threads: int | None,
) -> None:
    from genbench.errors import UsageError
    from genbench.training.recipe import RLRecipe, SFTRecipe
    from genbench.training.recipes import load_recipe

    recipe = load_recipe(name, assign or (), model)
    if not isinstance(recipe, SFTRecipe | RLRecipe) or recipe.method != method:
        raise UsageError(f"recipe '{recipe.name}' is for `genbench train {recipe.method}`")
    from genbench.training.plan import Job
    from genbench.training.tuning import tune

    tune(recipe, Path(output), Job(device, threads, lambda text: typer.echo(text)))


@train_app.command("accelerate")
def accelerate(
    name: Annotated[str | None, typer.Argument(help="The file's name, such as fsdp.")] = None,
) -> None:
    """The path of a bundled configuration for `accelerate launch`, or the list of them."""
    from genbench.errors import UsageError, closest

    folder = Path(__file__).parent.parent / "training" / "accelerate_configs"
    files = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name is None:
        for path in files.values():
            typer.echo(path)
    elif name in files:
        typer.echo(files[name])
    else:
        raise UsageError(f"there is no configuration '{name}'; {closest(name, files)}")
