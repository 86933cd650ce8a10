"""The settings of a run: everything that decides its numbers, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from genbench.errors import UsageError
from genbench.task import Task, fingerprint

MAX_VERIFY_ITERS = 100
_WORD = re.compile(r"[\w.+-]+")
IMPORTED = "import"  # the backend of responses that were made elsewhere


class RunSettings(BaseModel):
    """Equal settings, task fingerprint and weights give equal results."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: str
    model_args: dict[str, str] = Field(default_factory=dict)
    dtype: str | None = None
    chat_template: Literal["auto", "on", "off"] = "auto"
    system: str | None = None
    task_settings: dict[str, Any] = Field(
        default_factory=dict, description="of the task's environment, where not its file's"
    )
    protocol: str
    prompt: str
    feedback: Literal["none", "outcome", "detail"]
    verify_iters: int = Field(ge=1, le=MAX_VERIFY_ITERS)
    samples: int = Field(default=1, ge=1, le=1000)
    temperature: float = Field(default=0.0, ge=0, le=100)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_new_tokens: int = Field(ge=1)
    stop: tuple[str, ...] = ()
    thinking: Literal["keep", "strip"] = "strip"
    thinking_budget: int | None = Field(default=None, ge=1)
    limit: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)

    @model_serializer(mode="wrap")
    def _without_nothing(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `task_settings` where there are none: the hash of such a run is as it was before
        there could be any."""
        found: dict[str, Any] = dump(self)
        if not self.task_settings:
            found.pop("task_settings", None)
        return found

    @model_validator(mode="after")
    def _consistent(self) -> RunSettings:
        # How imported responses were drawn is not known here.
        if self.samples > 1 and self.temperature == 0 and self.backend != IMPORTED:
            raise ValueError("--samples: greedy ones are all the same; set a temperature above 0")
        if self.temperature == 0 and self.top_p != 1:
            raise ValueError("--top-p: has no effect at temperature 0; set a temperature above 0")
        if any(not stop for stop in self.stop):
            raise ValueError("--stop: an empty stop string would stop before the first token")
        if self.thinking_budget is not None and self.thinking_budget >= self.max_new_tokens:
            raise ValueError("--thinking-budget: must leave room for an answer in --max-new-tokens")
        return self


def make_settings(task: Task, **chosen: Any) -> RunSettings:
    """Settings for a task: what is None comes from the task file. Raises UsageError."""
    defaults: dict[str, Any] = {
        "task_settings": task.overrides,
        "protocol": task.protocol.name,
        "prompt": task.environment.prompt,
        "feedback": task.environment.feedback,
        "verify_iters": task.spec.verify_iters,
        "max_new_tokens": task.spec.max_new_tokens,
        "limit": task.limit,
    }
    given = {key: value for key, value in chosen.items() if value is not None}
    try:
        return RunSettings.model_validate({**defaults, **given})
    except ValidationError as error:
        faults = "; ".join(
            f"{'--' + str(fault['loc'][0]).replace('_', '-') + ': ' if fault['loc'] else ''}"
            f"{fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        )
        raise UsageError(f"these settings cannot be run: {faults}") from None


def settings_hash(key: Mapping[str, Any]) -> str:
    """The name of a run's folder: 16 hex digits over what decides its numbers."""
    return fingerprint(key)[:16]


def setting_text(name: str, value: Any) -> str:
    """A setting as a title or a label has it: `limit 30`, `system none`, `stop ["A B"]`.

    Those of the task's environment stand by their own names: `pixels 224, look.font mono`.
    """
    if name == "task_settings":
        return ", ".join(setting_texts(value)) if value else "the task's own settings"
    if isinstance(value, Mapping):
        return f"{name} {', '.join(setting_texts(value)) or 'none'}"
    return f"{name} {_plain(value)}"


def setting_texts(settings: Mapping[str, Any]) -> list[str]:
    """Each setting of a task's environment, parts by their paths: `look.font mono`."""
    return list(_parts(settings))


def _parts(settings: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _parts(value, f"{path}{key}.")
        else:
            yield f"{path}{key} {_plain(value)}"


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_item, value))}]"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _item(value: Any) -> str:
    """Of a list: a text that could be taken for several stands in quotes."""
    quoted = isinstance(value, str) and not _WORD.fullmatch(value)
    return json.dumps(value, ensure_ascii=False) if quoted else _plain(value)
