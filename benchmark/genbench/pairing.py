"""Which run folders may be held against each other, and why others may not.

The one place that decides it: equal task, prompts, sampling and instances.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.api import StoredRun
from genbench.errors import GenbenchError, StoreError, UsageError
from genbench.folders import read_run
from genbench.grouping import is_imported, other_settings, question_differences
from genbench.labels import clean
from genbench.scores import ScoredRun, scored
from genbench.store import RunFolder, differences
from genbench.task import Task

_MOST_NOTED = 6


@dataclass(frozen=True)
class PairedRuns:
    """Runs on the same instances; `notes` say what else differs between them."""

    runs: tuple[ScoredRun, ...]
    notes: tuple[str, ...]
    regraded: str | None
    """Why stickiness could not be graded again; None where it was."""


def read_runs(
    folders: Sequence[Path], *, same_weights: bool = False, stickiness: bool = True
) -> PairedRuns:
    """Read run folders and `pair` them. Raises StoreError where one is no sound finished run."""
    return pair(
        [read_checked(folder) for folder in folders],
        same_weights=same_weights,
        stickiness=stickiness,
    )


def pair(
    stored: Sequence[StoredRun], *, same_weights: bool = False, stickiness: bool = True
) -> PairedRuns:
    """Runs that answer the same questions, the first of them the base, as scores an instance.

    `same_weights` allows the same checkpoint under the same settings twice (in two folders).
    Without `stickiness` no response is graded again. Raises UsageError, naming the difference,
    where two cannot be compared.
    """
    if not same_weights:
        for number, one in enumerate(stored):
            for other in stored[:number]:
                refuse_the_same(other, one)
    for other in stored[1:]:
        refuse_other_questions(stored[0], other)
    task, reason = _task(stored[0]) if stickiness else (None, "it was not asked for")
    runs = tuple(scored(one, task) for one in stored)
    for run in runs[1:]:
        _refuse_other_instances(runs[0], run)
    notes = [note for other in stored[1:] for note in _notes(stored[0], other)]
    return PairedRuns(runs, tuple(dict.fromkeys(notes)), reason)


def read_checked(folder: Path) -> StoredRun:
    """A finished run whose numbers are those of its episodes. Raises StoreError."""
    stored = read_run(folder)
    if RunFolder(folder).episodes_sha256() != stored.results.episodes_sha256:
        raise StoreError(
            f"{folder}: results.json was not made from this episodes.jsonl; `genbench verify "
            f"{folder}` says what was changed"
        )
    return stored


def refuse_the_same(one: StoredRun, other: StoredRun) -> None:
    """Raise UsageError for the same checkpoint under the same settings."""
    if one.results.settings_hash == other.results.settings_hash:
        raise UsageError(
            f"{one.folder} and {other.folder} are the same run: the same weights "
            f"({clean(one.results.model.name)}) under the same settings"
        )


def refuse_other_questions(one: StoredRun, other: StoredRun) -> None:
    """Raise UsageError, naming what differs, where two runs were asked different questions."""
    found = question_differences(one, other)
    if found:
        raise UsageError(
            "these runs were not asked the same questions in the same way, so their difference "
            f"would say nothing of the checkpoints: {'; '.join(found)}. Score one of them again as "
            "the other was, or leave it out"
        )


def _refuse_other_instances(one: ScoredRun, other: ScoredRun) -> None:
    for name in dict.fromkeys((*one.splits, *other.splits)):
        ids = [
            set(run.splits[name].instance_ids) if name in run.splits else set()
            for run in (one, other)
        ]
        if ids[0] != ids[1]:
            odd = min(ids[0] ^ ids[1])
            where = one.folder if odd in ids[0] else other.folder
            raise UsageError(
                f"these runs hold different instances of the split '{name}' ({len(ids[0])} in "
                f"{one.folder}, {len(ids[1])} in {other.folder}): {odd} is in {where} alone"
            )
        if one.splits[name].instance_ids != other.splits[name].instance_ids:
            raise UsageError(
                f"the instances of the split '{name}' stand in another order in {one.folder} than "
                f"in {other.folder}; `genbench verify` says which folder was changed"
            )


def _notes(one: StoredRun, other: StoredRun) -> Iterator[str]:
    """What differs and may, as notes: how the answers were computed."""
    first, second = one.results, other.results
    words = (f"in {first.model.name}", f"in {second.model.name}")
    found = differences(other_settings(one), other_settings(other), "settings", words)
    found += differences(first.sampling, second.sampling, "sampling", words)
    plans = [run.header.get("execution", {}).get("plan", {}) for run in (one, other)]
    found += differences(plans[0], plans[1], "execution", words)
    if found:
        shown = "; ".join(found[:_MOST_NOTED])
        if len(found) > _MOST_NOTED:
            shown += f"; and {len(found) - _MOST_NOTED} more"
        yield f"{other.folder} was run in another way than {one.folder}: {shown}"
    if is_imported(one) or is_imported(other):
        yield "how imported responses were sampled is not recorded, so it could not be compared"


def _task(stored: StoredRun) -> tuple[Task | None, str | None]:
    """The task of a run, to grade its responses again; or why it cannot be had."""
    from genbench.verification import stored_evaluation

    try:
        task = stored_evaluation(stored.folder).task
    except GenbenchError as error:
        return None, str(error)
    if task.fingerprint != stored.results.task.fingerprint:
        return None, f"the installed task {task.name} has another fingerprint than the runs'"
    return task, None


def training_summary(training: Mapping[str, Any] | None) -> str | None:
    """`rl, step 400, 1.2e+15 FLOPs`: what is known of how a checkpoint was trained."""
    if training is None:
        return None
    parts = []
    if training.get("method"):
        parts.append(str(training["method"]))
    if training.get("step") is not None:
        parts.append(f"step {training['step']}")
    flops = training.get("flops")
    if isinstance(flops, int | float):
        parts.append(f"{flops:.3g} FLOPs")
    return ", ".join(parts) or None
