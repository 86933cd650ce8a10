"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

TaskSet = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A setting of the task, key=value, such as pixels=224; may be repeated. What a split "
        "sets itself cannot be set.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")]
BatchSize = Annotated[str, typer.Option(help="Prompts a batch, or auto.")]
VerifyIters = Annotated[
    int | None, typer.Option(help="Attempts an instance (VIter); the task's by default.")
]
Protocol = Annotated[
    str | None,
    typer.Option(
        help="One of the task's protocols, by default its first; a wrong name lists them."
    ),
]
Prompt = Annotated[str | None, typer.Option(help="The prompt variant.")]
Feedback = Annotated[str | None, typer.Option(help="none, outcome or detail.")]
System = Annotated[str | None, typer.Option(help="A system message.")]
ChatTemplate = Annotated[str, typer.Option(help="auto, on or off.")]
MaxNewTokens = Annotated[int | None, typer.Option(help="Tokens a response.")]
Limit = Annotated[int | None, typer.Option(help="The first N pairs of each split.")]
Stop = Annotated[list[str] | None, typer.Option(help="A stop string; may be repeated.")]
