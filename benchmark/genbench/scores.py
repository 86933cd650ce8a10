"""A stored run as scores an instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genbench.api import StoredRun
from genbench.errors import StoreError
from genbench.records import EpisodeRecord
from genbench.task import Task

Scores = NDArray[np.float64]


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
    verify_iters = int(stored.results.settings["verify_iters"])
    graders = _stickiness_graders(stored, task)
    rows: dict[str, dict[str, _Rows]] = {name: {} for name in stored.results.splits}
    for episode in stored.episodes:
        if episode.split not in rows:
            raise StoreError(f"{stored.folder}: {episode.key} is of no split of results.json")
        of_split = rows[episode.split]
        row = of_split.setdefault(episode.instance_id, _Rows(episode.pair_id, episode.cluster))
        row.add(episode, verify_iters, graders.get(episode.split))
    return ScoredRun(
        stored,
        {
            name: SplitScores(
                role=stored.results.splits[name].role,
                instance_ids=tuple(found),
                pair_ids=tuple(row.pair_id for row in found.values()),
                clusters=tuple(row.cluster for row in found.values()),
                first=_means([row.first for row in found.values()]),
                last=_means([row.last for row in found.values()]),
                rule_read=_means([row.rule_read for row in found.values()]),
                sticks=_means([row.sticks for row in found.values()]),
            )
            for name, found in rows.items()
        },
    )


class _Rows:
    """The samples of one instance, as they are read."""

    def __init__(self, pair_id: str, cluster: str) -> None:
        self.pair_id, self.cluster = pair_id, cluster
        self.first: list[float] = []
        self.last: list[float] = []
        self.rule_read: list[float] = []
        self.sticks: list[float] = []

    def add(
        self,
        episode: EpisodeRecord,
        verify_iters: int,
        sticks: Callable[[EpisodeRecord], float | None] | None,
    ) -> None:
        self.first.append(float(episode.solved_within(1)))
        self.last.append(float(episode.solved_within(verify_iters)))
        read = episode.turns[0].verdict.checks.get("rule")
        if read is not None:
            self.rule_read.append(float(read))
        if sticks is not None and (value := sticks(episode)) is not None:
            self.sticks.append(value)


def _means(samples: Sequence[Sequence[float]]) -> Scores:
    return np.array([sum(row) / len(row) if row else np.nan for row in samples], dtype=np.float64)


def _stickiness_graders(
    stored: StoredRun, task: Task | None
) -> dict[str, Callable[[EpisodeRecord], float | None]]:
    """For the OOD splits with a training rule to return to: an episode -> right under that."""
    from genbench.thinking import visible_text

    if task is None:
        return {}
    thinking = stored.results.settings["thinking"]
    training = task.training_split

    def grader(split: str) -> Callable[[EpisodeRecord], float | None]:
        under = {
            instance.id: task.environment.under_rule(instance, training)
            for instance in task.splits[split].instances()
        }

        def grade(episode: EpisodeRecord) -> float | None:
            instance = under.get(episode.instance_id)
            if instance is None:
                return None
            text = visible_text(episode.turns[0].response.text, thinking)
            return float(task.verify(instance, text).correct)

        return grade

    return {
        name: grader(name)
        for name, split in task.splits.items()
        if split.spec.role == "ood"
        and task.environment.stickiness_reason(split.spec, training) is None
    }
