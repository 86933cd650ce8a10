"""Finding tasks: the packs behind the entry-point group `genbench.tasks`, and task files.

A bundled task, a third-party pack's and a file of one's own come the same way: YAML, validated.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.errors import TaskError, UsageError, closest

if TYPE_CHECKING:
    from genbench.task import Environment, Task, TaskPack, TaskSpec

GROUP = "genbench.tasks"


@lru_cache(maxsize=1)
def packs() -> tuple[TaskPack, ...]:
    """The installed task packs, by entry point."""
    from importlib.metadata import entry_points

    return tuple(entry.load() for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises TaskError."""
    import yaml

    try:
        found = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (OSError, yaml.YAMLError) as error:
        raise TaskError(f"the task file {path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise TaskError(f"the task file {path} holds no mapping")
    return found


@lru_cache(maxsize=1)
def _task_files() -> dict[str, Path]:
    files: dict[str, Path] = {}
    for pack in packs():
        for folder in pack.task_dirs:
            for path in sorted(folder.glob("*.yaml")):
                if path.stem in files:
                    raise TaskError(
                        f"two packs have a task '{path.stem}': {files[path.stem]}, {path}"
                    )
                files[path.stem] = path
    return files


def task_summaries() -> dict[str, str]:
    """Name -> one line, of every installed task."""
    return {name: str(read_yaml(path).get("summary", "")) for name, path in _task_files().items()}


def load_spec(name_or_file: str | Path) -> TaskSpec:
    """The specification of a task, by its name or its file. Raises UsageError, TaskError."""
    from genbench.taskfile import parse_spec

    text = str(name_or_file)
    if text.endswith((".yaml", ".yml")):
        path = Path(text)
        if not path.is_file():
            raise UsageError(f"there is no task file {path}")
        return parse_spec(read_yaml(path), str(path))
    files = _task_files()
    if text not in files:
        raise UsageError(f"there is no task '{text}'; {closest(text, files)}")
    return parse_spec(read_yaml(files[text]), text)


def environment_class(name: str) -> type[Environment]:
    """The environment of that name, from the packs. Raises TaskError."""
    known = {key: target for pack in packs() for key, target in pack.environments.items()}
    if name not in known:
        raise TaskError(f"there is no environment '{name}'; {closest(name, known)}")
    module, _, attribute = known[name].partition(":")
    found: type[Environment] = getattr(importlib.import_module(module), attribute)
    return found


def load_task(
    name_or_file: str | Path,
    *,
    protocol: str | None = None,
    prompt: str | None = None,
    feedback: str | None = None,
    limit: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Task:
    """A task ready to be played.

    `protocol` is `paired` by default (else the first that the task has); `limit` keeps the first
    N pairs; `settings` override the task file's. Raises UsageError and TaskError with the closest
    valid name.
    """
    from genbench.task import Task

    spec = load_spec(name_or_file)
    chosen = protocol or next(iter(spec.protocols))
    if chosen not in spec.protocols:
        raise UsageError(
            f"task '{spec.name}' has no protocol '{chosen}'; {closest(chosen, spec.protocols)}"
        )
    if limit is not None and limit < 1:
        raise UsageError(f"--limit must be at least 1, not {limit}")
    kind = environment_class(spec.environment)
    environment = kind(
        prompt=prompt or spec.prompt or kind.prompts[0],
        feedback=feedback or spec.feedback,
        settings={**spec.settings, **(settings or {})},
    )
    return Task(spec, environment, spec.protocols[chosen], limit)
