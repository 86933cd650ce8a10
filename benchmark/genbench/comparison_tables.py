"""A comparison as rows: one a checkpoint and quantity, and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genbench.comparison_results import Comparison, Quantity, SeedMean, SeedQuantity
from genbench.errors import UsageError
from genbench.labels import clean, inert

_COLUMNS = (
    "checkpoint", "folder", "weights_fingerprint", "method", "step", "flops", "base", "task",
    "quantity", "kind", "measure", "split", "n", "clusters", "base_rate", "rate", "change",
    "ci95_low", "ci95_high", "p_value", "p_value_holm", "tests", "discordance", "mde", "test",
    "reading",
    # since schema version 2
    "row", "task_label", "task_version", "recipe", "seed", "seed_sd", "seeds_needed",
)  # fmt: skip


def csv_rows(comparison: Comparison) -> Iterator[dict[str, object]]:
    """One row a checkpoint and quantity, with training metadata where they are known.

    `row` is `checkpoint`; or `seeds`, a mean over training seeds (`n` counts them); or `methods`,
    the difference between two of those.
    """
    tasks = {one.label: one for one in comparison.tasks}

    def of_task(label: str) -> dict[str, object]:
        task = tasks[label]
        return {
            "base": task.base.model.name,
            "task": task.task.name,
            "task_label": label,
            "task_version": task.task.version,
            "tests": comparison.tests,
        }

    for one in comparison.checkpoints:
        words = {reading.split: reading.word for reading in one.readings}
        for found in one.quantities:
            yield {
                "row": "checkpoint",
                "checkpoint": one.model.name,
                "folder": one.folder,
                "weights_fingerprint": one.model.weights_fingerprint,
                **_training(one.model.training or {}),
                **of_task(one.task),
                **_change(found),
                "measure": found.measure,
                "base_rate": found.base,
                "rate": found.value,
                "mde": found.mde,
                "reading": words.get(found.split),
            }
    for seeds in comparison.training_seeds:
        words = {reading.split: reading.word for reading in seeds.readings}
        for mean in seeds.quantities:
            yield {
                "row": "seeds",
                "checkpoint": seeds.label,
                "method": seeds.method,
                "recipe": seeds.recipe,
                "step": seeds.step,
                "seed": " ".join(map(str, seeds.seeds)),
                **of_task(seeds.task),
                **_change(mean),
                "reading": words.get(mean.split),
            }
    for methods in comparison.methods:
        for difference in methods.quantities:
            yield {
                "row": "methods",
                "checkpoint": f"{methods.a} - {methods.b}",
                **of_task(methods.task),
                **_change(difference),
            }


def write_csv(comparison: Comparison, path: Path) -> None:
    """Write `csv_rows`. Raises UsageError where the file cannot be written."""
    try:
        with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            for row in csv_rows(comparison):
                writer.writerow({name: _cell(value) for name, value in row.items()})
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _cell(value: object) -> object:
    """A text from strangers as one line that no spreadsheet runs."""
    return inert(clean(value)) if isinstance(value, str) else value


def _training(record: Mapping[str, Any]) -> dict[str, object]:
    return {name: record.get(name) for name in ("method", "recipe", "step", "seed", "flops")}


def _change(found: Quantity | SeedQuantity) -> dict[str, object]:
    change = found.change
    row: dict[str, object] = {
        "quantity": found.name,
        "kind": found.kind,
        "measure": "success",
        "split": found.split,
        "n": change.n,
        "clusters": change.clusters,
        "change": change.value,
        "ci95_low": change.ci95[0],
        "ci95_high": change.ci95[1],
        "p_value": change.p_value,
        "p_value_holm": change.p_value_holm,
        "discordance": change.discordance,
        "test": change.method,
    }
    if isinstance(found, SeedMean):
        row |= {"seed_sd": found.sd, "seeds_needed": found.seeds_needed}
    return row
