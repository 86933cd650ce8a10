"""The entry point `genbench`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["tasks", "list"]:
        # typer imports pydantic to convert options, 0.2 s; the bare listing has none.
        from genbench.cli.listing import print_tasks

        print_tasks()
        return
    from genbench.cli.main import run_app

    run_app()
