"""What a run was asked and which checkpoint answered: the two things that runs are matched by."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from genbench.api import StoredRun
from genbench.labels import clean, distinct
from genbench.settings import IMPORTED, setting_text
from genbench.store import differences

GENERATION = (
    "system", "chat_template", "temperature", "top_p", "max_new_tokens", "stop", "thinking",
    "thinking_budget",
)  # fmt: skip
#: what a task is loaded with, and what its fingerprint therefore follows
LOADED = ("task_settings", "protocol", "prompt", "feedback", "limit")
ASKED = (*LOADED, "verify_iters", "samples")


def question_settings(run: StoredRun) -> dict[str, Any]:
    """The settings that decide the questions; of imported responses, without the sampling, which
    their run does not know."""
    names = ASKED if is_imported(run) else (*ASKED, *GENERATION)
    return {name: run.results.settings.get(name) for name in names}


def other_settings(run: StoredRun) -> dict[str, Any]:
    """The settings that say how the answers were computed."""
    asked = {*ASKED, *GENERATION}
    return {name: value for name, value in run.results.settings.items() if name not in asked}


def is_imported(run: StoredRun) -> bool:
    return run.results.model.backend == IMPORTED


def question_differences(one: StoredRun, other: StoredRun) -> list[str]:
    """How the questions of two runs differ; nothing where they were asked the same."""
    words = (f"in {one.folder}", f"in {other.folder}")
    tasks = [run.results.task.model_dump() for run in (one, other)]
    for part in ("name", "version"):
        if tasks[0][part] != tasks[1][part]:
            # Of other tasks and versions, everything else differs too.
            return differences(tasks[0][part], tasks[1][part], f"task.{part}", words)
    asked = _asked_in_both(one, other)
    found = differences(asked[0], asked[1], "settings", words)
    if not any(asked[0][name] != asked[1][name] for name in LOADED):
        for part in ("fingerprint", "cluster"):
            if tasks[0][part] != tasks[1][part]:
                return [*differences(tasks[0][part], tasks[1][part], f"task.{part}", words), *found]
    return found


def asked_otherwise(run: StoredRun, other: StoredRun) -> list[str]:
    """How a run was asked where another one on its task was not: `limit 30`, `prompt reasoned`."""
    versions = [one.results.task.version for one in (run, other)]
    if versions[0] != versions[1]:
        return [f"version {clean(versions[0])}"]
    here, there = _asked_in_both(run, other)
    told = [
        clean(setting_text(name, value)) for name, value in here.items() if value != there[name]
    ]
    return told or ["another fingerprint of the task"]


def _asked_in_both(one: StoredRun, other: StoredRun) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings that decide the questions, as far as both runs know them."""
    asked = question_settings(one), question_settings(other)
    shared = [name for name in asked[0] if name in asked[1]]
    first, second = ({name: side[name] for name in shared} for side in asked)
    return first, second


def group_by_questions(runs: Sequence[StoredRun]) -> list[list[StoredRun]]:
    """Runs that were asked the same in one group; groups and runs in the order given."""
    groups: list[list[StoredRun]] = []
    for run in runs:
        for group in groups:
            if not any(question_differences(member, run) for member in group):
                group.append(run)
                break
        else:
            groups.append([run])
    return groups


def group_labels(groups: Sequence[Sequence[StoredRun]]) -> list[str]:
    """The task's name of every group; where groups share it, with what tells them apart."""
    firsts = [group[0] for group in groups]
    names = [clean(run.results.task.name) for run in firsts]
    hints = []
    for run, name in zip(firsts, names, strict=True):
        alike = [one for one, other in zip(firsts, names, strict=True) if other == name]
        versions = {one.results.task.version for one in alike}
        settings = question_settings(run)
        told = [
            setting_text(key, value)
            for key, value in settings.items()
            if any(question_settings(one).get(key, value) != value for one in alike)
        ]
        hints.append(
            [clean(run.results.task.version) if len(versions) > 1 else "", clean(", ".join(told))]
        )
    return distinct(names, hints)


def checkpoint_key(run: StoredRun) -> str:
    """Equal for the runs of one checkpoint: by its weights; where a run has none, by its name.

    What an imported run has in their place is the hash of its file of responses.
    """
    model = run.results.model
    if model.weights_fingerprint is None or is_imported(run):
        return f"name {model.name}"
    return f"weights {model.weights_fingerprint}"


def checkpoint_labels(groups: Sequence[Sequence[StoredRun]]) -> list[list[str]]:
    """A name for the checkpoint of every run, the same in all groups and different from others'.

    Two runs of one checkpoint in one group, as by two backends, count as two checkpoints.
    """
    counts = [Counter(map(checkpoint_key, group)) for group in groups]
    twice = {key for of_group in counts for key, count in of_group.items() if count > 1}

    def key_of(run: StoredRun) -> str:
        key = checkpoint_key(run)
        if key not in twice:
            return key
        model = run.results.model
        how = [other_settings(run), model.files_fingerprint, model.weights_fingerprint]
        return f"{key} {json.dumps(how, sort_keys=True)}"

    firsts: dict[str, StoredRun] = {}
    for group in groups:
        for run in group:
            firsts.setdefault(key_of(run), run)
    names = [clean(run.results.model.name) or "(no name)" for run in firsts.values()]
    hints = [
        [
            str(run.results.settings.get("backend")),
            str(run.results.settings.get("dtype") or ""),
            (run.results.model.weights_fingerprint or "")[:8],
        ]
        for run in firsts.values()
    ]
    labels = dict(zip(firsts, distinct(names, hints), strict=True))
    return [[labels[key_of(run)] for run in group] for group in groups]
