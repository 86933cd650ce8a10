"""The entry point `genbench`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["tasks", "list"]:
        # typer imports pydantic to convert options, 0.2 s; the bare listing has none.
        from genbench.cli.listing import print_tasks

        try:
            print_tasks()
            sys.stdout.flush()
        except BrokenPipeError:  # `| head`: as click does for the other commands
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        return
    from genbench.cli.main import run_app

    run_app()
