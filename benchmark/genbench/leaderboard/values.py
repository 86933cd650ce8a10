"""Dotted paths into `results.json`: checked against its schema, then read."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel

from genbench.errors import closest
from genbench.results import Rate, Results

Value: TypeAlias = Rate | float | int | str | None
"""What a column can show; a DifferenceResult is a Rate with a test."""


def steps(path: str) -> list[str]:
    """The parts of a path; the `.value` of a rate is the rate, whose interval belongs to it."""
    parts = path.split(".")
    return parts[:-1] if len(parts) > 1 and parts[-1] == "value" else parts


def check_path(path: str, keys: Mapping[str, Iterable[str]]) -> None:
    """Raise ValueError, with the closest name, where no run's results can hold `path`.

    `keys` are the names that the mappings at the top have (`splits`, `generalization`).
    """
    parts = steps(path)
    kind: Any = Results
    for position, part in enumerate(parts):
        before = ".".join(parts[:position]) or "results"
        kind = _without_none(kind)
        if kind is Any:
            return
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if part not in kind.model_fields:
                raise ValueError(
                    f"'{path}': {before} has no '{part}'; {closest(part, kind.model_fields)}"
                )
            kind = kind.model_fields[part].annotation
        elif get_origin(kind) is dict:
            known = set(keys.get(parts[0], ())) if position == 1 else set()
            if known and part not in known:
                raise ValueError(f"'{path}': {before} has no '{part}'; {closest(part, known)}")
            kind = get_args(kind)[1]
        else:
            raise ValueError(f"'{path}': {before} is one value and has nothing below it")
    kind = _without_none(kind)
    if not (kind is Any or (isinstance(kind, type) and issubclass(kind, Rate | int | float | str))):
        raise ValueError(f"'{path}' is a group of values; a column shows one: name one below it")


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (one for one in get_args(kind) if one is not type(None))
    return kind


def value_at(results: Results, path: str) -> Value:
    """The value of a run at a path; None where it has none."""
    found: Any = results
    for part in steps(path):
        if isinstance(found, BaseModel):
            found = getattr(found, part)
        elif isinstance(found, Mapping):
            found = found.get(part)
        else:
            return None
    if found is None or isinstance(found, Rate | float | int | str):
        return found
    return str(found)
