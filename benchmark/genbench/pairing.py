"""Which run folders may be held against each other, and why others may not.

The one place that decides it: equal task, prompts, sampling and instances.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.api import StoredRun
from genbench.errors import GenbenchError, StoreError, UsageError
from genbench.folders import read_run
from genbench.grouping import (
    checkpoint_key,
    is_imported,
    other_settings,
    question_differences,
)
from genbench.labels import clean
from genbench.scores import ScoredRun, scored
from genbench.store import RunFolder
from genbench.task import Task

_MOST_NOTED = 6
_MOST_NAMED = 3
_LONGEST = 100


@dataclass(frozen=True)
class PairedRuns:
    """Runs on the same instances; `notes` say what else differs between them."""

    runs: tuple[ScoredRun, ...]
    notes: tuple[str, ...]
    regraded: str | None
    """Why stickiness could not be graded again; None where it was."""
    task: Task | None
    """As it was asked, where it is installed here and stickiness was graded by it."""


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
    return PairedRuns(runs, tuple(_notes(stored)), reason, task)


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
    if same_run(one, other):
        what = "responses" if is_imported(one) else "weights"
        raise UsageError(
            f"{one.folder} and {other.folder} are the same run: the same {what} "
            f"({clean(one.results.model.name)}) under the same settings"
        )


def same_run(one: StoredRun, other: StoredRun) -> bool:
    """Whether two runs are of the same checkpoint under the same settings.

    One file of responses that was imported under two names is two checkpoints.
    """
    return one.results.settings_hash == other.results.settings_hash and checkpoint_key(
        one
    ) == checkpoint_key(other)


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


@dataclass(frozen=True)
class _Otherwise:
    """How the answers of a run were computed in another way than its base's.

    `found` are the differences (path, value of the base, value of the run). Of several backends
    only the settings count that both have: each computes, and samples, in its own way.
    """

    backends: tuple[str, str] | None
    found: tuple[tuple[str, str, str], ...]


def _notes(stored: Sequence[StoredRun]) -> Iterator[str]:
    """What differs and may: how the answers were computed; what holds of several runs once."""
    base, *others = stored
    if any(map(is_imported, stored)):
        yield "how imported responses were sampled is not recorded, so it could not be compared"
    alike: dict[_Otherwise, list[StoredRun]] = {}
    for other in others:
        if not is_imported(base) and not is_imported(other):
            alike.setdefault(_otherwise(base, other), []).append(other)
    names = {run.results.model.name for run in stored}
    for how, runs in alike.items():
        known = [
            clean(run.results.model.name) if len(names) == len(stored) else str(run.folder)
            for run in (base, *runs)
        ]
        if text := _said(how, known[0], known[1:]):
            yield text


def _otherwise(base: StoredRun, other: StoredRun) -> _Otherwise:
    backends = base.results.model.backend, other.results.model.backend
    settings = [other_settings(run) for run in (base, other)]
    if backends[0] != backends[1]:
        shared = [
            name
            for name, value in settings[0].items()
            if name not in ("backend", "model_args")
            and value is not None
            and settings[1].get(name) is not None
        ]
        both = [{name: side[name] for name in shared} for side in settings]
        return _Otherwise(backends, tuple(_values(both[0], both[1], "settings")))
    plans = [run.header.get("execution", {}).get("plan", {}) for run in (base, other)]
    found = [
        *_values(settings[0], settings[1], "settings"),
        *_values(base.results.sampling, other.results.sampling, "sampling"),
        *_values(plans[0], plans[1], "execution"),
    ]
    return _Otherwise(None, tuple(found))


def _values(one: Any, other: Any, where: str) -> Iterator[tuple[str, str, str]]:
    """`differences` in parts."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys((*one, *other)):
            yield from _values(one.get(key), other.get(key), f"{where}.{key}")
    elif one != other:
        yield where, json.dumps(one)[:_LONGEST], json.dumps(other)[:_LONGEST]


def _said(how: _Otherwise, base: str, names: Sequence[str]) -> str:
    """A note; empty where nothing differs."""
    several = len(names) > 1
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    who = ", ".join(names[:_MOST_NAMED]) + more
    items = [
        f"{path}: {there} in {base}, {here} in {'them' if several else who}"
        for path, there, here in how.found[:_MOST_NOTED]
    ]
    if len(how.found) > _MOST_NOTED:
        items.append(f"and {len(how.found) - _MOST_NOTED} more")
    if how.backends is not None:
        backends = f"the backends differ: {base} was run by {how.backends[0]}, {who} by "
        return "; ".join([backends + how.backends[1], *items])
    if not items:
        return ""
    return f"{who} {'were' if several else 'was'} run in another way than {base}: " + "; ".join(
        items
    )


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
