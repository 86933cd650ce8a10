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
    from importlib.metadata import EntryPoint

    from genbench.task import Environment, Task, TaskPack, TaskSpec

GROUP = "genbench.tasks"


@lru_cache(maxsize=1)
def packs() -> tuple[TaskPack, ...]:
    """The installed task packs, by entry point. Raises TaskError."""
    from importlib.metadata import entry_points

    return tuple(_pack(entry) for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name))


def _pack(entry: EntryPoint) -> TaskPack:
    from genbench.task import TaskPack

    where = f"the task pack '{entry.name}' ({entry.value})"
    if entry.dist is not None:
        where += f" of the distribution {entry.dist.name}"
    try:
        found = entry.load()
    except Exception as error:  # a stranger's module may raise anything
        raise TaskError(
            f"{where} cannot be loaded: {type(error).__name__}: {error}; mend it or uninstall it"
        ) from error
    if not isinstance(found, TaskPack):
        raise TaskError(f"{where} is a {type(found).__name__}, not a genbench.task.TaskPack")
    return found


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a task's YAML file. Raises TaskError."""
    from genbench.yamlfile import read_mapping

    return read_mapping(path, "the task file")


@lru_cache(maxsize=1)
def _task_files() -> dict[str, Path]:
    files: dict[str, Path] = {}
    for pack in packs():
        for folder in pack.task_dirs:
            paths = sorted(folder.glob("*.yaml"))
            if not paths:
                raise TaskError(
                    f"the task pack '{pack.name}' has no task file (*.yaml) in {folder}; are they "
                    "among the package data of its distribution?"
                )
            for path in paths:
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
    spec = parse_spec(read_yaml(files[text]), text)
    if spec.name != text:
        raise TaskError(
            f"the task file {files[text]} calls its task '{spec.name}'; an installed task has the "
            "name of its file"
        )
    return spec


def task_path(spec: TaskSpec) -> Path:
    """The file that a task was loaded from."""
    return _task_files().get(spec.source, Path(spec.source))


def environment_class(name: str) -> type[Environment]:
    """The environment of that name, from the packs. Raises TaskError."""
    known: dict[str, str] = {}
    for pack in packs():
        for key, target in pack.environments.items():
            if known.setdefault(key, target) != target:
                raise TaskError(f"two packs have an environment '{key}': {known[key]}, {target}")
    if name not in known:
        raise TaskError(f"there is no environment '{name}'; {closest(name, known)}")
    return _import_environment(name, known[name])


def _import_environment(name: str, target: str) -> type[Environment]:
    from genbench.task import Environment

    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a stranger's module may raise anything
        raise TaskError(
            f"the environment '{name}' ({target}) cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Environment)):
        raise TaskError(f"the environment '{name}' ({target}) is no subclass of Environment")
    lacking = sorted(found.__abstractmethods__)
    if lacking:
        raise TaskError(f"the environment '{name}' ({target}) lacks {', '.join(lacking)}")
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
    N pairs; `settings` override the task file's, but not those that a split sets itself: that is
    refused. Raises UsageError and TaskError with the closest valid name.
    """
    from genbench.overriding import overridden, refuse_fixed
    from genbench.task import Task

    spec = load_spec(name_or_file)
    chosen = protocol or next(iter(spec.protocols))
    if chosen not in spec.protocols:
        hint = closest(chosen, spec.protocols)
        raise UsageError(
            f"task '{spec.name}' has no protocol '{chosen}'; {hint}"
            + (f" It has: {', '.join(spec.protocols)}" if hint.endswith("?") else "")
        )
    if limit is not None and limit < 1:
        raise UsageError(f"--limit must be at least 1, not {limit}")
    kind = environment_class(spec.environment)
    environment = kind(
        prompt=prompt or spec.prompt or kind.prompts[0],
        feedback=feedback or spec.feedback,
        settings=overridden(spec.settings, settings or {}, kind.merged_settings),
    )
    if settings:
        refuse_fixed(spec, chosen, settings, kind.merged_settings, task_path(spec))
    return Task(spec, environment, spec.protocols[chosen], limit, settings)
