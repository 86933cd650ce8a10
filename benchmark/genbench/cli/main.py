"""The commands, and errors as sentences with their exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from genbench.cli.check import check
from genbench.cli.compare import compare
from genbench.cli.leaderboard import leaderboard_app
from genbench.cli.merge import merge
from genbench.cli.parity import parity
from genbench.cli.report import report
from genbench.cli.reproduce import reproduce
from genbench.cli.run import run
from genbench.cli.sweep import sweep, with_address
from genbench.cli.tasks import tasks_app
from genbench.cli.train import train_app
from genbench.cli.verify import import_command, verify

INTERRUPTED = 130

app = typer.Typer(
    name="genbench",
    help="Did post-training teach the model the rule, or did it memorise its training data?",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(run)
app.add_typer(tasks_app)
app.command()(verify)
app.command("import")(import_command)
app.command()(merge)
app.command()(compare)
app.command()(check)
app.command()(parity)
app.command()(report)
app.add_typer(leaderboard_app)
app.add_typer(train_app)
app.command()(sweep)
app.command()(reproduce)


def _version(wanted: bool) -> None:
    if wanted:
        from genbench import __version__

        typer.echo(f"genbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Did post-training teach the model the rule, or did it memorise its training data?"""


def run_app() -> None:
    """Run the command line; a GenbenchError becomes one message and its exit code."""
    from genbench.errors import GenbenchError
    from genbench.process import let_idle_threads_sleep

    let_idle_threads_sleep()
    try:
        app(with_address(sys.argv[1:]))
    except GenbenchError as error:
        typer.echo(f"genbench: {error}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # what typer makes of a Ctrl-C, without a word
            typer.echo("genbench: interrupted", err=True)
        raise
    except KeyboardInterrupt:
        typer.echo("genbench: interrupted", err=True)
        sys.exit(INTERRUPTED)
