"""Playing a shard: as a run is played, resumable alike, but without numbers of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genbench.errors import StoreError
from genbench.evaluation import Evaluation, carry_out
from genbench.models.interface import LoadOptions, Model
from genbench.records import EpisodeRecord, dump_lines
from genbench.runner import Progress
from genbench.sharding.shard import Shard
from genbench.store import RunFolder, read_json


class ShardResult(BaseModel):
    """`shard-results.json`: that a shard is finished, and of which bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    index: int = Field(ge=1)
    count: int = Field(ge=1)
    episodes: int = Field(ge=1)
    episodes_sha256: str
    sampling: dict[str, Any]

    @property
    def shard(self) -> Shard:
        return Shard(self.index, self.count)


def execute_shard(
    evaluation: Evaluation,
    load: Callable[[LoadOptions], Model],
    options: LoadOptions,
    *,
    alike: Mapping[str, Any] | None = None,
    resume: bool = True,
    report: Callable[[Progress], None] = lambda progress: None,
) -> ShardResult:
    """Play what is not yet played of the evaluation's shard, and finish its folder.

    `alike` is the plan that other shards of the run were begun with, if that is known.
    Raises IncompleteError where the disk is full or responses failed: resumable.
    """
    shard = evaluation.shard
    assert shard is not None, "prepare(..., shard=...) makes the evaluation of a shard"

    def conclude(episodes: list[EpisodeRecord], sampling: dict[str, Any]) -> ShardResult:
        digest = evaluation.folder.write_episodes(dump_lines(episodes))
        found = ShardResult(
            index=shard.index,
            count=shard.count,
            episodes=len(episodes),
            episodes_sha256=digest,
            sampling=sampling,
        )
        evaluation.folder.write_results(found.model_dump(mode="json"))
        return found

    return carry_out(
        evaluation,
        load,
        options,
        conclude,
        lambda: read_result(evaluation.folder, shard),
        only=shard.episodes(evaluation.task, evaluation.settings.samples),
        alike=alike,
        resume=resume,
        report=report,
    )


def read_result(folder: RunFolder, shard: Shard | None = None) -> ShardResult:
    """What finished a shard's folder; it must be of `shard`, if given. Raises StoreError."""
    path = folder.path / folder.results_name
    try:
        found = ShardResult.model_validate(read_json(path))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise StoreError(f"{path} is damaged: {where}: {fault['msg']}") from None
    if not found.index <= found.count or shard not in (None, found.shard):
        raise StoreError(
            f"{folder.path} holds shard {found.shard}{'' if shard is None else f', not {shard}'}: "
            "it was renamed or changed"
        )
    return found
