"""The schema of a task file, and the specification that comes of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from genbench.errors import TaskError
from genbench.task import Protocol, SplitSpec, TaskSpec


class _Split(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["id", "ood", "control"]
    shift: str | None = None
    rule: str | None = None
    control_of: str | None = None
    numbers: Literal["id", "ood"] | None = None
    level: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    settings: dict[str, Any] = Field(default_factory=dict)


class _Protocol(BaseModel):
    model_config = ConfigDict(extra="forbid")

    paired: bool
    splits: dict[str, _Split]

    @model_validator(mode="after")
    def _roles(self) -> _Protocol:
        if "id" not in self.splits or self.splits["id"].role != "id":
            raise ValueError("a protocol needs a split named 'id' with the role id")
        if not any(split.role == "ood" for split in self.splits.values()):
            raise ValueError("a protocol needs at least one split with the role ood")
        for name, split in self.splits.items():
            if split.role == "id" and name != "id":
                raise ValueError(f"split '{name}': the one ID split is named 'id'")
            if split.role == "ood" and not split.shift:
                raise ValueError(f"split '{name}': an OOD split names its shift")
            if split.level is not None and split.role != "ood":
                raise ValueError(f"split '{name}': a level is the distance of an OOD split from ID")
            if split.role == "control":
                of = self.splits.get(split.control_of or "")
                if of is None or of.role != "ood" or split.numbers is None:
                    raise ValueError(
                        f"split '{name}': a control names its OOD split (control_of) and whose "
                        "numbers it carries (numbers: id or ood)"
                    )
        return self


class _TaskFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    version: str
    summary: str
    environment: str
    cluster: str
    prompt: str = ""
    feedback: Literal["none", "outcome", "detail"] = "outcome"
    verify_iters: int = Field(default=1, ge=1, le=100)
    max_new_tokens: int = Field(default=512, ge=1)
    settings: dict[str, Any] = Field(default_factory=dict)
    protocols: dict[str, _Protocol] = Field(min_length=1)


def parse_spec(raw: dict[str, Any], source: str) -> TaskSpec:
    """Validate a task file's content. Raises TaskError with every fault and its place."""
    try:
        file = _TaskFile.model_validate(raw)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'task'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise TaskError(f"the task file {source} is wrong: {faults}") from None
    protocols = {
        name: Protocol(
            name,
            protocol.paired,
            tuple(
                SplitSpec(name=split_name, **split.model_dump())
                for split_name, split in protocol.splits.items()
            ),
        )
        for name, protocol in file.protocols.items()
    }
    fields = file.model_dump(exclude={"protocols"})
    return TaskSpec(protocols=protocols, source=source, **fields)
