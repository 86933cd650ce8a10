"""The errors a user meets: each is a sentence, and each knows its exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GenbenchError(Exception):
    """Bad input or a run that cannot go on; shown as one message, without a traceback."""

    exit_code = 2


class UsageError(GenbenchError):
    """The request is wrong: an unknown name, a bad value, a folder that cannot be used."""


class TaskError(GenbenchError):
    """A task file or a task pack is wrong."""


class ModelError(GenbenchError):
    """A checkpoint or a backend cannot be used."""


class StoreError(GenbenchError):
    """A run folder cannot be read, written or resumed."""


class IncompleteError(GenbenchError):
    """The run stopped before its end; what was finished is on disk and can be resumed."""

    exit_code = 3


class InterruptedRunError(GenbenchError):
    """The user stopped the run; what was finished is on disk and can be resumed."""

    exit_code = 130


def closest(name: str, candidates: Iterable[str]) -> str:
    """A `did you mean` clause for `name`, or the list of what there is."""
    names = sorted(candidates)
    match = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if match:
        return f"did you mean '{match[0]}'?"
    return "there is: " + ", ".join(names) if names else "there is none"
