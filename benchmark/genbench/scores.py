"""A stored run as scores an instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from genbench.api import StoredRun
from genbench.errors import StoreError
from genbench.records import EpisodeRecord
from genbench.recount import Recount
from genbench.results import Results
from genbench.settings import RunSettings
from genbench.steps import first_attempts, sticks
from genbench.task import Task

Scores = NDArray[np.float64]
Grader: TypeAlias = Callable[[EpisodeRecord], float | None]


@dataclass(frozen=True)
class SplitScores:
    """One split of a run; every array has one value an instance, the mean over its samples."""

    role: str
    instance_ids: tuple[str, ...]
    pair_ids: tuple[str, ...]
    clusters: tuple[str, ...]
    first: Scores
    """Success at the first attempt."""
    last: Scores
    """Success within VIter attempts."""
    perception: Scores
    """First responses that saw the problem; NaN where none exposes what it saw."""
    rule_read: Scores
    """First responses that read the rule as stated; NaN where none exposes how it was read."""
    sticks: Scores
    """First responses that are right under the training rule; NaN where that is undefined."""

    def values(self, measure: str) -> Scores:
        """The array of that name."""
        found: Scores = getattr(self, measure)
        return found


@dataclass(frozen=True)
class ScoredRun:
    """A stored run and its scores."""

    stored: StoredRun
    splits: Mapping[str, SplitScores]

    @property
    def folder(self) -> Path:
        return self.stored.folder

    @property
    def name(self) -> str:
        return self.stored.results.model.name

    @property
    def verify_iters(self) -> int:
        return int(self.stored.results.settings["verify_iters"])

    def paired(self, ood: str) -> bool:
        """Whether that OOD split holds the same problems as the ID split."""
        return self.stored.results.generalization[ood].paired

    def named(self, role: str) -> list[str]:
        """The splits of a role."""
        return [name for name, split in self.splits.items() if split.role == role]


def scored(stored: StoredRun, task: Task | None) -> ScoredRun:
    """The scores of a run. Raises StoreError where its results count otherwise."""
    rows = ScoreRows(stored.results, _stickiness_graders(stored, task))
    recount = Recount()
    for episode in stored.episodes:
        if not rows.add(episode):
            raise StoreError(f"{stored.folder}: {episode.key} is of no split of results.json")
        recount.add(episode)
    recount.check(stored.results, stored.folder)
    return ScoredRun(stored, rows.splits())


class ScoreRows:
    """The scores of a run, gathered episode by episode as they are read.

    `graders` are by OOD split: an episode -> whether its first response is right under the
    training rule, None where that is undefined.
    """

    def __init__(
        self, results: Results, graders: Mapping[str, Grader] = MappingProxyType({})
    ) -> None:
        self._roles = {name: split.role for name, split in results.splits.items()}
        self._rows: dict[str, dict[str, _Row]] = {name: {} for name in results.splits}
        self._verify_iters = int(results.settings["verify_iters"])
        self._graders = graders

    def add(self, episode: EpisodeRecord) -> bool:
        """Count an episode in; False where it is of no split of the results."""
        of_split = self._rows.get(episode.split)
        if of_split is None:
            return False
        row = of_split.get(episode.instance_id)
        if row is None:
            row = of_split[episode.instance_id] = _Row(episode.pair_id, episode.cluster)
        row.add(episode, self._verify_iters, self._graders.get(episode.split))
        return True

    def splits(self) -> dict[str, SplitScores]:
        """The scores of what was added, instances in the order of their first episode."""
        return {
            name: SplitScores(
                role=self._roles[name],
                instance_ids=tuple(found),
                pair_ids=tuple(row.pair_id for row in found.values()),
                clusters=tuple(row.cluster for row in found.values()),
                first=_means([row.first for row in found.values()]),
                last=_means([row.last for row in found.values()]),
                perception=_means([row.perception for row in found.values()]),
                rule_read=_means([row.rule_read for row in found.values()]),
                sticks=_means([row.sticks for row in found.values()]),
            )
            for name, found in self._rows.items()
        }


class _Row:
    """The samples of one instance."""

    __slots__ = ("cluster", "first", "last", "pair_id", "perception", "rule_read", "sticks")

    def __init__(self, pair_id: str, cluster: str) -> None:
        self.pair_id, self.cluster = pair_id, cluster
        self.first: list[float] = []
        self.last: list[float] = []
        self.perception: list[float] = []
        self.rule_read: list[float] = []
        self.sticks: list[float] = []

    def add(self, episode: EpisodeRecord, verify_iters: int, sticks: Grader | None) -> None:
        self.first.append(float(episode.solved_within(1)))
        self.last.append(float(episode.solved_within(verify_iters)))
        firsts = [turn.verdict for turn in episode.turns if turn.attempt == 1]
        for name, shares in (("perception", self.perception), ("rule", self.rule_read)):
            checks = [first.checks.get(name) for first in firsts]
            known = [check for check in checks if check is not None]
            if known:
                shares.append(sum(known) / len(known))
        if sticks is not None and (value := sticks(episode)) is not None:
            self.sticks.append(value)


def _means(samples: Sequence[Sequence[float]]) -> Scores:
    return np.array([sum(row) / len(row) if row else np.nan for row in samples], dtype=np.float64)


def _stickiness_graders(stored: StoredRun, task: Task | None) -> dict[str, Grader]:
    """For the OOD splits with a training rule to return to: an episode -> right under that."""
    if task is None:
        return {}
    settings = RunSettings.model_validate(stored.results.settings)
    training = task.training_split

    def grader(split: str) -> Grader:
        instances = {instance.id: instance for instance in task.splits[split].instances()}

        def grade(episode: EpisodeRecord) -> float | None:
            instance = instances.get(episode.instance_id)
            if instance is None:
                return None
            steps = first_attempts(task, settings, instance, episode)
            values = (sticks(task, settings, training, step) for step in steps)
            found = [value for value in values if value is not None]
            return sum(found) / len(found) if found else None

        return grade

    return {
        name: grader(name)
        for name, split in task.splits.items()
        if split.spec.role == "ood"
        and task.environment.stickiness_reason(split.spec, training) is None
    }
