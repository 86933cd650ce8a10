"""YAML files that a person writes: read safely, and strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, TaskError


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
        found = yaml.load(path.read_bytes(), Loader=Loader)  # noqa: S506  a subclass of SafeLoader
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as fault:
        raise error(f"{what} {path} cannot be read: {fault}") from None
    if not isinstance(found, dict):
        raise error(f"{what} {path} holds no mapping")
    return found
