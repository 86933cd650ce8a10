"""The table of a sweep: a row a checkpoint, task, way of decoding and OOD split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genbench.evaluation import read_results
from genbench.report.loading import sampling_text
from genbench.results import DifferenceResult, Rate, Results
from genbench.settings import RunSettings
from genbench.store import RESULTS
from genbench.sweep.plan import Subject, SweepPlan


@dataclass(frozen=True)
class SweepRow:
    """A checkpoint on one OOD split; all rates are of first attempts."""

    checkpoint: str
    is_base: bool
    folder: str
    task: str
    decoding: str
    ood: str
    training: dict[str, Any]
    id_rate: Rate
    ood_rate: Rate
    gap: DifferenceResult
    stickiness: Rate | None
    rule_read: Rate | None

    def json(self) -> dict[str, Any]:
        """As `genbench sweep --json` prints it."""

        def dumped(found: Rate | None) -> dict[str, Any] | None:
            return None if found is None else found.model_dump(mode="json")

        known = ("method", "recipe", "step", "seed", "flops")
        return {
            "checkpoint": self.checkpoint,
            "is_base": self.is_base,
            "folder": self.folder,
            "task": self.task,
            "decoding": self.decoding,
            "ood": self.ood,
            **{name: self.training.get(name) for name in known},
            "id_rate": dumped(self.id_rate),
            "ood_rate": dumped(self.ood_rate),
            "gap": dumped(self.gap),
            "stickiness": dumped(self.stickiness),
            "rule_read": dumped(self.rule_read),
        }


def sweep_rows(plan: SweepPlan) -> list[SweepRow]:
    """The rows of all finished runs, by task and decoding, then by checkpoint."""
    return [
        row
        for number in range(len(plan.scorings))
        for subject in plan.subjects
        if (subject.folders[number] / RESULTS).is_file()
        for row in _rows(subject, number, read_results(subject.folders[number]))
    ]


def _rows(subject: Subject, number: int, results: Results) -> list[SweepRow]:
    return [
        SweepRow(
            checkpoint=subject.label,
            is_base=subject.is_base,
            folder=str(subject.folders[number]),
            task=results.task.name,
            decoding=sampling_text(RunSettings.model_validate(results.settings)),
            ood=ood,
            training=results.model.training or {},
            id_rate=results.splits["id"].success_rate,
            ood_rate=results.splits[ood].success_rate,
            gap=found.gap,
            stickiness=found.stickiness,
            rule_read=results.splits[ood].checks.get("rule"),
        )
        for ood, found in results.generalization.items()
    ]
