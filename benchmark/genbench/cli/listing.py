"""The plain listing of the installed tasks."""

from __future__ import annotations

import sys


def print_tasks() -> None:
    """One line a task: its name and summary. A broken pack is one message, exit code 2."""
    from genbench.errors import GenbenchError
    from genbench.registry import task_summaries

    try:
        summaries = task_summaries()
    except GenbenchError as error:
        print(f"genbench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    width = max((len(name) for name in summaries), default=0)
    for name, summary in summaries.items():
        print(f"{name:<{width}}  {summary}")
