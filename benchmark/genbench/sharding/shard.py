"""What a shard is: which episodes it plays, and where it keeps them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import StoreError, UsageError
from genbench.records import episode_key
from genbench.store import SHARDS, RunFolder
from genbench.task import Task

HEADER, RESULT = "shard.json", "shard-results.json"
_MOST = 100_000


class ShardFolder(RunFolder):
    """The folder of one shard: no run folder, so that a share is never read as a whole run."""

    header_name, results_name = HEADER, RESULT


@dataclass(frozen=True, order=True)
class Shard:
    """The share `index` (from 1) of `count`: every `count`-th instance of each split.

    Twins under a paired protocol stand at one place in their splits, so they share a shard.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`2/4`. Raises UsageError."""
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
        index, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= index <= count <= _MOST:
            raise UsageError(f"--shard i/n: share i from 1 to n of n shares, as 1/4, not '{text}'")
        return cls(index, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def check(self, task: Task) -> None:
        """Raise UsageError where there is not an instance for every shard."""
        most = most_shards(task)
        if self.count > most:
            raise UsageError(
                f"--shard {self}: the largest split of {task.name} has {most} instances here, so "
                f"that there can be {most} shards at most"
            )

    def episodes(self, task: Task, samples: int) -> frozenset[str]:
        """The keys of the episodes that it plays."""
        return frozenset(
            episode_key(instance.id, sample)
            for split in task.splits.values()
            for instance in split.instances()[self.index - 1 :: self.count]
            for sample in range(samples)
        )

    def folder(self, run: Path) -> ShardFolder:
        """Its folder, beside that of the run."""
        return ShardFolder(run.with_name(f"{run.name}-shard-{self.index}-of-{self.count}"))

    def within(self, run: Path) -> ShardFolder:
        """Its folder, in that of a run which is played in shards."""
        return ShardFolder(run / SHARDS / f"{self.index}-of-{self.count}")


def every_shard(count: int) -> tuple[Shard, ...]:
    return tuple(Shard(index, count) for index in range(1, count + 1))


def most_shards(task: Task) -> int:
    """How many shards there can be: one for each instance of the largest split."""
    return max(len(split.instances()) for split in task.splits.values())


def begun_shards(run: Path) -> tuple[Shard, ...]:
    """The shards that an unfinished run was begun in; none: it was not. Raises StoreError."""
    counts = {
        int(found.group(1))
        for place in (run / SHARDS).glob("*")
        if (found := re.fullmatch(r"[0-9]+-of-([0-9]{1,6})", place.name))
    }
    if len(counts) > 1:
        raise StoreError(
            f"{run / SHARDS} holds shards of several counts ({', '.join(map(str, sorted(counts)))}"
            "): leave one set there, or start the run anew with --no-resume"
        )
    return every_shard(*counts) if counts else ()
