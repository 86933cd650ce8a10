"""Which runs a call means: what to hold against what, on every task, or why that cannot be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench.api import StoredRun
from genbench.errors import UsageError
from genbench.folders import find_runs, refuse_unfinished
from genbench.grouping import (
    checkpoint_key,
    checkpoint_labels,
    group_by_questions,
    group_labels,
    other_settings,
    question_differences,
)
from genbench.labels import clean
from genbench.pairing import read_checked, refuse_other_questions, refuse_the_same

_ONE_BASELINE_EACH = (
    "; --baseline takes one folder: repeat it, or give it the folder that holds all of the "
    "baseline's runs"
)


@dataclass(frozen=True)
class TaskRuns:
    """Runs that were asked the same questions: a base and what is held against it.

    `names` are the checkpoints of the base and of the others, each the same on every task.
    """

    label: str
    base: StoredRun
    others: tuple[StoredRun, ...]
    names: tuple[str, ...]


def select_comparison(
    paths: Sequence[Path], base: Path | None = None, *, skip_unfinished: bool = False
) -> tuple[list[TaskRuns], list[Path]]:
    """The runs in and below `paths` by task, and the unfinished ones left out.

    The base is the checkpoint of the first run, or of `base`. Raises StoreError for a damaged run
    and UsageError for an unfinished one (unless such are to be skipped), fewer than two runs, and
    a task on which the base, or anything but the base, was not scored.
    """
    _refuse_twice(paths)
    first = [*paths[:1]] if base is None else [base]
    finished, unfinished = find_runs([*first, *paths])
    if not skip_unfinished:
        refuse_unfinished(unfinished, skippable=True)
    skipped = f" (unfinished and left out: {', '.join(map(str, unfinished))})" if unfinished else ""
    if len(finished) < 2:
        raise UsageError(
            "a comparison takes two run folders or more, a base and a checkpoint; "
            + (f"found only {finished[0]}" if finished else "found no finished one")
            + skipped
        )
    runs = [read_checked(folder) for folder in finished]
    below = {folder.resolve() for folder in find_runs(first)[0]}
    bases = [run for run in runs if run.folder.resolve() in below]
    if not bases:
        raise UsageError(f"every run in {first[0]} is unfinished, so there is no base")
    if base is None:
        bases = bases[:1]
    _refuse_several_checkpoints(bases, "the base", "name one of its runs with --base")
    _refuse_one_checkpoint(runs, skipped)
    groups = group_by_questions(runs)
    chosen = [_base_of(group, bases, runs, skipped) for group in groups]
    ordered = [
        [one, *(run for run in group if run is not one)]
        for one, group in zip(chosen, groups, strict=True)
    ]
    for group in ordered:
        if len(group) == 1:
            raise UsageError(
                f"{group[0].folder} is the base's run on {group[0].results.task.name}, and no "
                f"other checkpoint was scored there: score one, or leave that run out{skipped}"
            )
    selected = [
        TaskRuns(label, group[0], tuple(group[1:]), tuple(names))
        for label, group, names in zip(
            group_labels(ordered), ordered, checkpoint_labels(ordered), strict=True
        )
    ]
    return selected, unfinished


def select_gate(candidates: Sequence[Path], baselines: Sequence[Path]) -> list[TaskRuns]:
    """The candidate's run on every task, with its baseline's as the base.

    Raises StoreError for a damaged run and UsageError for an unfinished one, for a run on one side
    alone, and for a side of several checkpoints.
    """
    sides = [
        _side(candidates, "the candidate", _ONE_BASELINE_EACH if len(candidates) > 1 else ""),
        _side(baselines, "the baseline", ""),
    ]
    known = {run.folder.resolve() for run in sides[1]}
    for run in sides[0]:
        if run.folder.resolve() in known:
            raise UsageError(
                f"{run.folder} is given twice, as the candidate's run and as the baseline's: a run "
                "cannot be held against itself"
            )
    pairs = _matched(*sides)
    labels = group_labels([[before] for before, _ in pairs])
    names = [clean(runs[0].results.model.name) for runs in (sides[1], sides[0])]
    return [
        TaskRuns(label, before, (after,), tuple(names))
        for label, (before, after) in zip(labels, pairs, strict=True)
    ]


def _side(paths: Sequence[Path], what: str, hint: str) -> list[StoredRun]:
    _refuse_twice(paths)
    finished, unfinished = find_runs(paths)
    refuse_unfinished(unfinished, skippable=False)
    runs = [read_checked(folder) for folder in finished]
    _refuse_several_checkpoints(runs, what, f"give its runs alone{hint}")
    for group in group_by_questions(runs):
        if len(group) > 1:
            raise UsageError(
                f"{group[0].folder} and {group[1].folder} are two runs of {what} on "
                f"{group[0].results.task.name}, asked the same: leave one out{hint}"
            )
    return runs


def _matched(
    candidates: Sequence[StoredRun], baselines: Sequence[StoredRun]
) -> list[tuple[StoredRun, StoredRun]]:
    """(baseline, candidate) of every task, in the baseline's order."""
    found = []
    left = list(candidates)
    alone = []
    for before in baselines:
        after = next((run for run in left if not question_differences(before, run)), None)
        if after is None:
            alone.append(before)
        else:
            left.remove(after)
            found.append((before, after))
    one_pair = len(candidates) == len(baselines) == 1
    for before in alone:
        for after in left:
            if one_pair or after.results.task.name == before.results.task.name:
                refuse_other_questions(before, after)
    if left:
        raise UsageError(
            f"there is no baseline run on {left[0].results.task.name}, where the candidate was "
            f"scored ({left[0].folder}): give it with --baseline, or leave that run out"
        )
    if alone:
        raise UsageError(
            f"the candidate was not scored on {alone[0].results.task.name}, where the baseline was "
            f"({alone[0].folder}): score it there, or leave that run out of the baseline"
        )
    return found


def _base_of(
    group: Sequence[StoredRun],
    bases: Sequence[StoredRun],
    runs: Sequence[StoredRun],
    skipped: str,
) -> StoredRun:
    """The base's run among runs that were asked the same. Raises UsageError."""
    key = checkpoint_key(bases[0])
    found = [run for run in group if run in bases]
    if not found:
        found = [run for run in group if checkpoint_key(run) == key]
    if len(found) > 1:
        alike = [run for run in found if other_settings(run) == other_settings(bases[0])]
        found = alike if len(alike) == 1 else found
    if len(found) > 1:
        refuse_the_same(found[0], found[1])
        raise UsageError(
            f"{found[0].folder} and {found[1].folder} are both runs of the base on "
            f"{found[0].results.task.name}: leave one out, or name the base's run with --base"
        )
    if found:
        return found[0]
    stranger = group[0]
    for run in runs:
        if checkpoint_key(run) == key and run.results.task.name == stranger.results.task.name:
            refuse_other_questions(run, stranger)
    name = clean(bases[0].results.model.name)
    raise UsageError(
        f"the base, {name}, has no run on {stranger.results.task.name}, so {stranger.folder} has "
        f"nothing to be held against: score {name} there in the same way, or leave that run out"
        f"{skipped}"
    )


def _refuse_one_checkpoint(runs: Sequence[StoredRun], skipped: str) -> None:
    """Where every task has one run, and all are of one checkpoint, nothing is compared."""
    if len({checkpoint_key(run) for run in runs}) > 1:
        return
    for number, run in enumerate(runs):
        for other in runs[:number]:
            if not question_differences(other, run):
                return
    if len({run.results.task.name for run in runs}) == len(runs):
        raise UsageError(
            f"every run found is one of {clean(runs[0].results.model.name)}: a comparison takes "
            f"the runs of another checkpoint, too{skipped}"
        )


def _refuse_several_checkpoints(runs: Sequence[StoredRun], what: str, hint: str) -> None:
    for run in runs[1:]:
        if checkpoint_key(run) != checkpoint_key(runs[0]):
            names = [clean(one.results.model.name) for one in (runs[0], run)]
            second = "other weights of that name" if names[0] == names[1] else names[1]
            raise UsageError(
                f"{what} is one checkpoint, but {runs[0].folder} is a run of {names[0]} and "
                f"{run.folder} of {second}: {hint}"
            )


def _refuse_twice(paths: Sequence[Path]) -> None:
    for number, path in enumerate(paths):
        if path.resolve() in {other.resolve() for other in paths[:number]}:
            raise UsageError(f"{path} is given twice: leave one out")


def notes_of_tasks(tasks: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """The notes on every task, each once, with the tasks it is about where there are several."""
    found: dict[str, list[str]] = {}
    for label, notes in tasks:
        for note in notes:
            found.setdefault(note, []).append(label)
    if len(tasks) == 1:
        return list(found)
    return [f"{', '.join(labels)}: {note}" for note, labels in found.items()]
