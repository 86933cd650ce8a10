"""YAML that a person writes, in files and as `--set key=value`: read safely, and strictly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, TaskError, UsageError

_EXPONENT = re.compile(r"[+-]?[0-9]+e[+-]?[0-9]+", re.IGNORECASE)


def read_mapping(path: Path, what: str, error: type[GenbenchError] = TaskError) -> dict[str, Any]:
    """The mapping in a YAML file; a key that stands twice is a fault, and not the second value.

    `what` is what the file is called in an error, "the task file". Raises `error`.
    """
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            for key in keys:
                if keys.count(key) > 1:
                    raise yaml.YAMLError(f"the key '{key}' stands twice{node.start_mark}")
            return super().construct_mapping(node, deep=deep)

    try:
        found = Loader(path.read_bytes()).get_single_data()  # SafeLoader: data, and no objects
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as fault:
        raise error(f"{what} {path} cannot be read: {fault}") from None
    if not isinstance(found, dict):
        raise error(f"{what} {path} holds no mapping")
    return found


def assign(raw: dict[str, Any], assignment: str) -> None:
    """Put `a.b=value`, the value as YAML, into a mapping of mappings. Raises UsageError."""
    import yaml

    key, equals, value = assignment.partition("=")
    if not equals:
        raise UsageError(f"--set takes key=value, not '{assignment}'")
    *path, last = key.split(".")
    where = raw
    for part in path:
        if where.get(part) is None:
            where[part] = {}
        where = where[part]
        if not isinstance(where, dict):
            raise UsageError(f"--set {assignment}: '{part}' is not a group of settings")
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        raise UsageError(f"--set {assignment}: the value is no YAML") from None
    if isinstance(read, str) and _EXPONENT.fullmatch(read):  # YAML 1.1 takes 1e-3 for a text
        read = float(read)
    where[last] = read


def assigned(assignments: Sequence[str] | None) -> dict[str, Any]:
    """What `--set` assigns, as a mapping. Raises UsageError."""
    found: dict[str, Any] = {}
    for assignment in assignments or ():
        assign(found, assignment)
    return found
