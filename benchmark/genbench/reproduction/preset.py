"""Presets: which trainings a reproduction makes, and how their checkpoints are scored. Data of the
task packs; the harness knows none by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from genbench.errors import TaskError, UsageError, closest
from genbench.registry import packs, read_yaml

Role = Literal["main", "control"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BasePreset(_Strict):
    """What the trainings start from: a checkpoint, or under `--from-scratch` a recipe."""

    checkpoint: str = Field(description="a directory, demo/<name> or a hub id")
    recipe: str | None = Field(default=None, description="of the base, for --from-scratch")
    set: tuple[str, ...] = Field(default=(), description="key=value, in that recipe")
    minutes: float = Field(default=0.0, ge=0, description="of that training, on one core")


class TrainingPreset(_Strict):
    """A recipe, with what is set in it; `main` ones are what the conclusion is about."""

    recipe: str
    role: Role = "control"
    name: str = Field(default="", description="the recipe's, by default; names its folder")
    set: tuple[str, ...] = Field(default=(), description="key=value, as `train --set` takes them")
    why: str = Field(default="", description="what a control is there for, in a sentence")
    scored: tuple[int, ...] = Field(
        default=(),
        description="the steps whose checkpoints are scored; by default all that are kept",
    )
    minutes: float = Field(default=0.0, ge=0, description="of a training, on one core")

    @property
    def label(self) -> str:
        return self.name or self.recipe


class DecodingPreset(_Strict):
    """One way of drawing responses: greedy, or samples at a temperature."""

    samples: int = Field(default=1, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0)


class TaskPreset(_Strict):
    """A task and what is asked of it."""

    task: str
    verify_iters: int = Field(default=1, ge=1)
    limit: int | None = Field(default=None, ge=1, description="pairs; all by default")
    max_new_tokens: int | None = Field(default=None, ge=1, description="the task's by default")
    decodings: tuple[DecodingPreset, ...] = Field(
        default=(), description="how responses are drawn; as the preset says by default"
    )


class Preset(_Strict):
    """One reproduction."""

    name: str
    summary: str
    hardware: str
    seeds: int = Field(default=1, ge=1, description="training runs of every recipe")
    base: BasePreset
    trainings: tuple[TrainingPreset, ...] = Field(min_length=1)
    contrasts: tuple[tuple[str, str], ...] = Field(
        default=(), description="pairs of trainings: the first is held against the second"
    )
    tasks: tuple[TaskPreset, ...] = Field(min_length=1)
    decodings: tuple[DecodingPreset, ...] = (DecodingPreset(),)
    checkpoints: Literal["kept", "last"] = Field(
        default="kept", description="which checkpoints of a training are scored"
    )
    episodes_per_second: float = Field(
        default=50.0, gt=0, description="of one core, for the estimate of time"
    )

    @model_validator(mode="after")
    def _names(self) -> Preset:
        labels = [one.label for one in self.trainings]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"trainings: two are called {label}; give one a `name`")
            if not label or "/" in label or label.startswith("."):
                raise ValueError(f"trainings: '{label}' names no folder; give it a `name`")
        for pair in self.contrasts:
            for label in pair:
                if label not in labels:
                    raise ValueError(
                        f"contrasts: there is no training '{label}'; {closest(label, labels)}"
                    )
        return self


def preset_names() -> list[str]:
    """The presets of the installed packs."""
    return sorted(_files())


def _files() -> dict[str, Path]:
    return {path.stem: path for path in _paths()}


def _paths() -> Iterator[Path]:
    for pack in packs():
        if pack.reproductions is not None:
            yield from sorted(pack.reproductions.glob("*.yaml"))


def load_preset(name_or_file: str) -> Preset:
    """A preset by name or file. Raises UsageError or TaskError with the fault and its place."""
    if name_or_file.endswith((".yaml", ".yml")):
        path = Path(name_or_file)
        if not path.is_file():
            raise UsageError(f"there is no preset file {path}")
    else:
        files = _files()
        if name_or_file not in files:
            raise UsageError(f"there is no preset '{name_or_file}'; {closest(name_or_file, files)}")
        path = files[name_or_file]
    raw: dict[str, Any] = read_yaml(path)
    try:
        return Preset.model_validate(raw)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'the preset'}: "
            f"{fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        )
        raise TaskError(f"the preset {path.name} is wrong: {faults}") from None
