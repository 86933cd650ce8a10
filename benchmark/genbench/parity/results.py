"""What a check of parity found, as it is written."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from genbench.results import Rate

SCHEMA_VERSION = 1
#: what of a turn is compared, in the order in which a difference shows
KINDS = (
    "prompt",
    "token_ids",
    "prompt_tokens",
    "text",
    "finish_reason",
    "generated_tokens",
    "verdict",
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BackendRun(_Strict):
    """How one backend played: `load_seconds` until it could answer, `play_seconds` from the first
    request to the last verdict."""

    backend: str
    model: str
    weights_fingerprint: str | None
    dtype: str | None
    execution: dict[str, Any]
    turns: int
    prompt_tokens: int | None
    generated_tokens: int | None
    load_seconds: float
    play_seconds: float


class Agreement(_Strict):
    """Of `n` turns whose conversations were equal before, `agree` are equal; `rate` is null where
    there is none, and where a backend does not say."""

    n: int
    agree: int
    rate: Rate | None


class Difference(_Strict):
    """The first turn, in canonical order, at which two backends differ in `kind`.

    `turn` counts from 1. `position` is the place of the first character (of a prompt or a text) or
    token id that differs, null for the rest. `values` are what the two have.
    """

    kind: Literal[
        "prompt",
        "token_ids",
        "prompt_tokens",
        "text",
        "finish_reason",
        "generated_tokens",
        "verdict",
    ]
    split: str
    instance_id: str
    turn: int
    position: int | None
    values: tuple[Any, Any]


class Pair(_Strict):
    """Two backends. `first` has the first turn of every episode, `later` the turns after it, as
    long as the two had said the same before; `not_compared` counts the turns after a difference.
    """

    backends: tuple[str, str]
    first: dict[str, Agreement]
    later: dict[str, Agreement]
    not_compared: int
    solved: Agreement
    differences: list[Difference]

    @property
    def agrees(self) -> bool:
        return not self.differences


class ParityReport(_Strict):
    """A check of parity; greedy."""

    schema_version: int = SCHEMA_VERSION
    genbench_version: str
    task: dict[str, str]
    settings: dict[str, Any] = Field(description="of the first backend's run")
    backends: list[BackendRun]
    pairs: list[Pair]

    @property
    def agrees(self) -> bool:
        return all(pair.agrees for pair in self.pairs)
