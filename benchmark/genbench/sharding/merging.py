"""From the shards of a run to its folder: the files that one process would have written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from genbench.errors import StoreError, UsageError
from genbench.evaluation import Evaluation, described, finish, run_folder
from genbench.labels import clean
from genbench.records import EpisodeRecord, episode_key, lines_sha256
from genbench.results import Results
from genbench.sharding.playing import ShardResult, read_result
from genbench.sharding.shard import HEADER, ShardFolder
from genbench.store import JOURNAL, RunFolder, differences, read_json
from genbench.task import Task, canonical_json
from genbench.verification import described_evaluation, header_faults

#: the parts of a header that are equal in all shards of a run
_OF_THE_RUN = ("settings", "task", "model", "training_record")
_MOST_LISTED = 5


@dataclass(frozen=True)
class StoredShard:
    """A finished shard: its header (as `run.json` of a run), and what finished it."""

    folder: Path
    header: Mapping[str, Any]
    result: ShardResult

    @property
    def run(self) -> dict[str, Any]:
        """What says which run it is of."""
        return {name: self.header[name] for name in _OF_THE_RUN}

    @property
    def title(self) -> str:
        return clean(f"{self.header['model']['name']} on {self.header['task']['name']}")


@dataclass(frozen=True)
class Merged:
    """A run that was made of so many shards."""

    folder: Path
    shards: int
    results: Results


def merge_shards(
    paths: Sequence[Path], output: Path, *, task_file: str | None = None, mixed: bool = False
) -> list[Merged]:
    """Merge the shards in and below `paths`, each run's into its folder below `output`.

    Nothing is written before the shards of all runs are there. Raises UsageError where some are
    missing, overlap or are unfinished, and where they were computed in different ways (devices,
    versions) unless these may be `mixed`; StoreError where one is damaged.
    """
    groups = _grouped([_read(folder) for folder in _found(paths)])
    for shards in groups:
        _check_complete(shards, [group[0] for group in groups if group is not shards])
        if not mixed:
            _refuse_other_ways(shards)
    return [_merge(shards, _below(output, _evaluation(shards[0], task_file))) for shards in groups]


def merge_run(folder: Path, task: Task, shards: Sequence[Path]) -> Merged:
    """Merge the folders of all shards of a run on a task into the run's folder.

    Raises StoreError where they are of several runs, and else as `merge_shards`.
    """
    found = sorted((_read(one) for one in shards), key=lambda one: one.result.shard)
    # As a run that is resumed: the same weights may have come under another name since.
    last = max(found, key=lambda one: str(one.header["execution"].get("finished", "")))
    evaluation = replace(_evaluation(last, task), folder=RunFolder(folder))
    for one in found:
        ShardFolder(one.folder).check(evaluation.key)
    _check_complete(found, [])
    _refuse_other_ways(found)
    return _merge(found, evaluation)


# -- which shards ----------------------------------------------------------------------------------


def _found(paths: Sequence[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.is_dir():
            what = f"{path} is a file" if path.exists() else f"there is no folder {path}"
            raise UsageError(f"{what}: give the folders of shards, or a folder of them")
        below = sorted(place.parent for place in path.rglob(HEADER) if place.is_file())
        if not below:
            raise UsageError(f"{path} holds no shard: nothing in it was played with --shard i/n")
        for folder in below:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _read(folder: Path) -> StoredShard:
    place = ShardFolder(folder)
    if not place.finished:
        raise UsageError(
            f"{folder} is an unfinished shard: finish it with the command that began it"
        )
    header = read_json(folder / HEADER)
    try:
        found = StoredShard(folder, header, read_result(place))
        str(found.title), canonical_json(found.run), header["execution"]["plan"]
    except (KeyError, TypeError) as error:
        raise StoreError(f"{folder / HEADER} is damaged: {type(error).__name__} {error}") from None
    return found


def _grouped(shards: Sequence[StoredShard]) -> list[list[StoredShard]]:
    """The shards of each run, in order."""
    groups: dict[str, list[StoredShard]] = {}
    for one in shards:
        groups.setdefault(canonical_json(one.run), []).append(one)
    return [sorted(group, key=lambda one: one.result.shard) for group in groups.values()]


def _check_complete(shards: Sequence[StoredShard], others: Sequence[StoredShard]) -> None:
    """Raise UsageError where the shards of a run overlap, or are not all there.

    `others` are shards of other runs: one of them may have been meant.
    """
    first = shards[0]
    for one, other in pairwise(shards):
        if one.result.shard == other.result.shard:
            raise UsageError(
                f"{one.folder} and {other.folder} are both shard {one.result.shard} of "
                f"{one.title}: leave one out"
            )
        if one.result.count != other.result.count:
            raise UsageError(
                f"the shards of {one.title} overlap: {one.folder} is one of {one.result.count}, "
                f"and {other.folder} of {other.result.count}; leave the one set out or the other"
            )
    there = {one.result.index for one in shards}
    count = first.result.count
    missing = [f"{index}/{count}" for index in range(1, count + 1) if index not in there]
    if not missing:
        return
    listed = ", ".join(missing[:_MOST_LISTED])
    more = f" and {len(missing) - _MOST_LISTED} more" if len(missing) > _MOST_LISTED else ""
    told = f"of the shards of {first.title}, {listed}{more} {'is' if len(missing) == 1 else 'are'}"
    hint = ""
    for other in others[:1]:
        words = (f"in {first.folder}", f"in {other.folder}")
        found = differences(first.run, other.run, words=words)
        hint = f". {other.folder} is a shard of another run ({'; '.join(found[:3])})"
    raise UsageError(f"{told} missing: play what is missing with --shard, or give its folder{hint}")


def _refuse_other_ways(shards: Sequence[StoredShard]) -> None:
    found = _other_ways(shards)
    if found:
        raise UsageError(
            f"the shards of {shards[0].title} were computed in different ways ({found[0]}), so "
            "that the run would not be one that a single process could have made; play them "
            "alike, or merge them all the same with --mixed"
        )


def _other_ways(shards: Sequence[StoredShard]) -> list[str]:
    """How the plans of shards differ from the first one's."""
    first = shards[0]
    return [
        difference
        for one in shards[1:]
        for difference in differences(
            first.header["execution"]["plan"],
            one.header["execution"]["plan"],
            words=(f"in {first.folder}", f"in {one.folder}"),
        )
    ]


# -- merging ---------------------------------------------------------------------------------------


def _evaluation(shard: StoredShard, task: Task | str | None) -> Evaluation:
    """What a shard is of. Raises StoreError."""
    found = described_evaluation(shard.header, ShardFolder(shard.folder), task)
    faults = list(header_faults(found))
    if faults:
        raise StoreError(
            f"{shard.folder} was played on another version of its task than is installed here "
            f"({faults[0]}): play it again, or merge it where that version is"
        )
    return found


def _below(output: Path, evaluation: Evaluation) -> Evaluation:
    """With its folder there."""
    name, task = evaluation.identity.name, evaluation.task.name
    return replace(evaluation, folder=run_folder(output, name, task, evaluation.key))


def _merge(shards: Sequence[StoredShard], evaluation: Evaluation) -> Merged:
    sampling = _sampling(shards)
    records = _records(evaluation, shards)
    folder = evaluation.folder
    folder.create()
    with folder.locked():
        folder.check(evaluation.key)
        if folder.finished:
            if folder.episodes_sha256() != lines_sha256(records):
                raise StoreError(
                    f"{folder.path} holds a finished run of the same settings with other episodes; "
                    "choose another --output"
                )
            return Merged(folder.path, len(shards), evaluation.stored_results())
        journal = folder.path / JOURNAL
        if journal.is_file() and journal.stat().st_size:
            raise StoreError(
                f"{folder.path} holds the same run, played by one process and unfinished; choose "
                "another --output"
            )
        folder.write_header({**_header(shards, sampling), **described(evaluation.identity)})
        results = finish(evaluation, records, sampling)
    return Merged(folder.path, len(shards), results)


def _header(shards: Sequence[StoredShard], sampling: Mapping[str, Any]) -> dict[str, Any]:
    """`run.json` of the whole; each shard's own execution is kept in it."""
    every = [dict(one.header["execution"]) for one in shards]
    times = {
        name: choose(times)
        for name, choose in (("started", min), ("finished", max))
        if (times := [str(one[name]) for one in every if name in one])
    }
    execution = {
        "plan": every[0]["plan"],
        "hardware": every[0].get("hardware"),
        **times,
        "shards": [
            {"shard": str(one.result.shard), **found}
            for one, found in zip(shards, every, strict=True)
        ],
    }
    if mixed := _other_ways(shards):
        execution["mixed"] = mixed
    return {**shards[0].header, "sampling": dict(sampling), "execution": execution}


def _sampling(shards: Sequence[StoredShard]) -> dict[str, Any]:
    """What was recorded of the sampling: the same by all, but for the sizes of images, of which
    each lists those that it saw."""
    sizes: dict[tuple[int, int], Any] = {}
    without = []
    for one in shards:
        found = dict(one.result.sampling)
        images = found.get("images")
        if isinstance(images, dict) and isinstance(images.get("sizes"), list):
            try:
                sizes |= {(size["width"], size["height"]): size for size in images["sizes"]}
            except (KeyError, TypeError):
                raise StoreError(f"{one.folder} is damaged: the sizes of its images") from None
            found["images"] = {**images, "sizes": []}
        without.append(found)
    for one, found in zip(shards, without, strict=True):
        faults = differences(without[0], found, "sampling")
        if faults:
            raise StoreError(
                f"{shards[0].folder} and {one.folder} are of one run by their headers, but were "
                f"not sampled alike ({faults[0]}): one of them is damaged"
            )
    if sizes:
        without[0]["images"]["sizes"] = [sizes[size] for size in sorted(sizes)]
    return without[0]


def _records(evaluation: Evaluation, shards: Sequence[StoredShard]) -> list[EpisodeRecord]:
    """The episodes of all shards in canonical order. Raises StoreError where one is damaged."""
    task, samples, count = evaluation.task, evaluation.settings.samples, len(shards)
    for one in shards:
        if ShardFolder(one.folder).episodes_sha256() != one.result.episodes_sha256:
            raise StoreError(
                f"{one.folder}: its episodes were changed after it was finished; play it again "
                "with --no-resume"
            )
    stored = [ShardFolder(one.folder).episodes() for one in shards]
    records = []
    for name, split in task.splits.items():
        for number, instance in enumerate(split.instances()):
            for sample in range(samples):
                shard = number % count
                record = next(stored[shard], None)
                wanted = (name, episode_key(instance.id, sample))
                if record is None or (record.split, record.key) != wanted:
                    raise StoreError(
                        f"{shards[shard].folder} is damaged: its next episode is not {wanted[1]}"
                    )
                records.append(record)
    for one, rest in zip(shards, stored, strict=True):
        if next(rest, None) is not None:
            raise StoreError(f"{one.folder} is damaged: it has more episodes than its share")
    return records
