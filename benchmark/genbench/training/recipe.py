"""Recipes: YAML files of the task packs, validated, with `--set key=value` applied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genbench.errors import TaskError, UsageError, closest
from genbench.registry import packs, read_yaml


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelRecipe(_Strict):
    """A model trained from scratch: a transformers configuration and a tokenizer factory."""

    model_type: str = "llama"
    config: dict[str, Any]
    tokenizer: str = Field(description="module:function that builds the tokenizer")
    save_dtype: Literal["float16", "bfloat16", "float32"] = "float16"


class DataRecipe(_Strict):
    """Training problems; `module:Class` with `batches(size)` and `record()`."""

    factory: str
    settings: dict[str, Any] = Field(default_factory=dict)


class Schedule(_Strict):
    """Optimiser and schedule: AdamW, linear warm-up, constant, linear decay to zero."""

    steps: int = Field(ge=1)
    batch_size: int = Field(default=128, ge=1)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(default=50, ge=0)
    decay_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.05, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    adam_beta2: float = Field(default=0.98, gt=0, lt=1)
    save_every: int = Field(default=0, ge=0, description="0: the last step alone")


class Recipe(_Strict):
    """One training run."""

    name: str
    method: Literal["base", "sft", "rl"]
    summary: str
    hardware: str
    seed: int = 0
    model: ModelRecipe
    data: DataRecipe
    schedule: Schedule


def _recipe_files() -> dict[str, Path]:
    return {
        path.stem: path
        for pack in packs()
        if pack.recipes is not None
        for path in sorted(pack.recipes.glob("*.yaml"))
    }


def recipe_names() -> list[str]:
    """The recipes of the installed packs."""
    return sorted(_recipe_files())


def _set(raw: dict[str, Any], assignment: str) -> None:
    import yaml

    key, equals, value = assignment.partition("=")
    if not equals:
        raise UsageError(f"--set takes key=value, not '{assignment}'")
    *path, last = key.split(".")
    where = raw
    for part in path:
        where = where.setdefault(part, {})
        if not isinstance(where, dict):
            raise UsageError(f"--set {assignment}: '{part}' is not a group of settings")
    where[last] = yaml.safe_load(value)


def load_recipe(name_or_file: str, assignments: Sequence[str] = ()) -> Recipe:
    """A recipe by name or file. Raises UsageError or TaskError with the fault and its place."""
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
        _set(raw, assignment)
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise TaskError(f"the recipe {path.name} is wrong: {faults}") from None
