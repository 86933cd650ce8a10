"""Finding and reading recipes: YAML files of the task packs, with `--set key=value` applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from genbench.errors import TaskError, UsageError, closest
from genbench.registry import packs, read_yaml
from genbench.task import fingerprint
from genbench.training.recipe import METHODS, Recipe
from genbench.yamlfile import assign


def _recipe_files() -> dict[str, Path]:
    return {
        path.stem: path
        for pack in packs()
        for folder in ([pack.recipes] if isinstance(pack.recipes, Path) else pack.recipes or ())
        for path in sorted(folder.glob("*.yaml"))
    }


def recipe_names() -> list[str]:
    """The recipes of the installed packs."""
    return sorted(_recipe_files())


def load_recipe(
    name_or_file: str, assignments: Sequence[str] = (), base: str | None = None
) -> Recipe:
    """A recipe by name or file, with `base` as its model's where that is given.

    Raises UsageError or TaskError with the fault and its place.
    """
    if name_or_file.endswith((".yaml", ".yml")):
        path = Path(name_or_file)
        if not path.is_file():
            raise UsageError(f"there is no recipe file {path}")
    else:
        files = _recipe_files()
        if name_or_file not in files:
            raise UsageError(f"there is no recipe '{name_or_file}'; {closest(name_or_file, files)}")
        path = files[name_or_file]
    raw = read_yaml(path)
    for assignment in assignments:
        assign(raw, assignment)
    if base is not None:
        raw["model"] = {**(raw.get("model") or {}), "base": base}
    method = str(raw.get("method"))
    if method not in METHODS:
        raise TaskError(
            f"the recipe {path.name} names no method '{method}'; {closest(method, METHODS)}"
        )
    schema = METHODS[method]
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        faults = "; ".join(_sentence(schema, fault) for fault in error.errors())
        raise TaskError(f"the recipe {path.name} is wrong: {faults}") from None


_LATER = ("chat_template", "processor", "language_model")


def recipe_fingerprint(recipe: Recipe) -> str:
    """SHA-256 of what decides a training, but for its parent, which is recorded beside it."""
    # Settings that came later count where they are set, so that older records stay true.
    unset = {name for name in _LATER if getattr(recipe.model, name, None) is None}
    excluded: Any = {"logging": True, "model": {"base"} | unset}
    return fingerprint(recipe.model_dump(mode="json", exclude=excluded))


def _sentence(schema: type[BaseModel], fault: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"]) or "the recipe"
    if fault["type"] != "extra_forbidden":
        return f"{place}: {str(fault['msg']).removeprefix('Value error, ')}"
    return f"there is no setting {place}; {closest(str(fault['loc'][-1]), _keys(schema, fault))}"


def _keys(schema: type[BaseModel], fault: Mapping[str, Any]) -> list[str]:
    """The settings that stand beside an unknown one."""
    for part in fault["loc"][:-1]:
        annotation = schema.model_fields[str(part)].annotation
        groups = [
            kind
            for kind in (annotation, *get_args(annotation))
            if isinstance(kind, type) and issubclass(kind, BaseModel)
        ]
        if not groups:
            return []
        schema = groups[0]
    return list(schema.model_fields)
