"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

TaskSet = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="A setting of the task, key=value, such as pixels=224; may be repeated."
    ),
]
