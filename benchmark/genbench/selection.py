"""Which runs a call means: what to hold against what, on every task, or why that cannot be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench.api import StoredRun
from genbench.errors import UsageError
from genbench.folders import find_runs, refuse_unfinished
from genbench.grouping import (
    asked_otherwise,
    checkpoint_key,
    checkpoint_labels,
    group_by_questions,
    group_labels,
    other_settings,
    question_differences,
)
from genbench.labels import clean
from genbench.pairing import read_checked, refuse_other_questions, refuse_the_same

_MOST_LISTED = 6
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


@dataclass(frozen=True)
class Selection:
    """What is held against what, task by task; `notes` name the runs that were left out."""

    tasks: tuple[TaskRuns, ...]
    notes: tuple[str, ...]


def select_comparison(
    paths: Sequence[Path], base: Path | None = None, *, skip_unfinished: bool = False
) -> Selection:
    """The runs in and below `paths` by task.

    The base is the checkpoint of the first run, or of `base`. Runs that were asked as no run of
    the other side was are left out where others on their task were asked alike. Raises StoreError
    for a damaged run and UsageError for an unfinished one (unless such are to be skipped), fewer
    than two runs, and a task on which the base, or anything but the base, has no run asked alike.
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
    chosen = [_base_of(group, bases) for group in groups]
    ordered = [
        [one, *(run for run in group if run is not one)]
        for one, group in zip(chosen, groups, strict=True)
        if one is not None and len(group) > 1
    ]
    alone = [
        group for one, group in zip(chosen, groups, strict=True) if one is None or len(group) == 1
    ]
    notes = _left_out(alone, ordered, bases[0], skipped)
    selected = [
        TaskRuns(label, group[0], tuple(group[1:]), tuple(names))
        for label, group, names in zip(
            group_labels(ordered), ordered, checkpoint_labels(ordered), strict=True
        )
    ]
    notes += [f"{path} is unfinished and left out" for path in unfinished]
    return Selection(tuple(selected), tuple(notes))


def select_gate(candidates: Sequence[Path], baselines: Sequence[Path]) -> Selection:
    """The candidate's run on every task, with its baseline's as the base.

    Further baseline runs on such a task, asked in other ways, are left out. Raises StoreError for
    a damaged run and UsageError for an unfinished one, for a candidate run that has no baseline's,
    for a task of the baseline's alone, and for a side of several checkpoints.
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
    pairs, notes = _matched(*sides)
    labels = group_labels([[before] for before, _ in pairs])
    names = [clean(runs[0].results.model.name) for runs in (sides[1], sides[0])]
    tasks = [
        TaskRuns(label, before, (after,), tuple(names))
        for label, (before, after) in zip(labels, pairs, strict=True)
    ]
    return Selection(tuple(tasks), tuple(notes))


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
) -> tuple[list[tuple[StoredRun, StoredRun]], list[str]]:
    """(baseline, candidate) of every task, in the baseline's order; notes on what is left out."""
    found: dict[int, StoredRun] = {}
    left = []
    for after in candidates:
        fitting = [
            number
            for number, before in enumerate(baselines)
            if not question_differences(before, after)
        ]
        # Imported responses do not say how they were sampled, and fit whatever else is equal.
        if len(fitting) > 1:
            one, other = (baselines[number].folder for number in fitting[:2])
            raise UsageError(
                f"{one} and {other} are both baseline runs that {after.folder} could be held "
                "against: leave one out"
            )
        if not fitting:
            left.append(after)
        elif fitting[0] in found:
            raise UsageError(
                f"{found[fitting[0]].folder} and {after.folder} could both be held against "
                f"{baselines[fitting[0]].folder}: leave one out"
            )
        else:
            found[fitting[0]] = after
    for after in left:
        _refuse_candidate(after, baselines, len(candidates) == len(baselines) == 1)
    alone = [before for number, before in enumerate(baselines) if number not in found]
    pairs = [(baselines[number], found[number]) for number in sorted(found)]
    notes = []
    for task, runs in _by_task(alone).items():
        partners = [before for before, _ in pairs if before.results.task.name == task]
        if not partners:
            raise UsageError(
                f"the candidate was not scored on {task}, where the baseline was "
                f"({runs[0].folder}): score it there, or leave that run out of the baseline"
            )
        notes.append(_left_out_note(task, runs, partners[0], "the candidate was not asked so"))
    return pairs, notes


def _refuse_candidate(after: StoredRun, baselines: Sequence[StoredRun], one_pair: bool) -> None:
    """Raise UsageError for a candidate's run that no baseline run was asked like."""
    task = after.results.task.name
    there = [before for before in baselines if before.results.task.name == task]
    if one_pair or len(there) == 1:
        refuse_other_questions((there or baselines)[0], after)
    if there:
        raise UsageError(_only_otherwise("the baseline", there, after))
    raise UsageError(
        f"there is no baseline run on {task}, where the candidate was scored ({after.folder}): "
        "give it with --baseline, or leave that run out"
    )


def _only_otherwise(who: str, runs: Sequence[StoredRun], other: StoredRun) -> str:
    """That runs on the task of `other` were all asked in other ways than it."""
    ways = [f"{', '.join(asked_otherwise(run, other))} ({run.folder})" for run in runs]
    here = ", ".join(dict.fromkeys(way for run in runs for way in asked_otherwise(other, run)))
    return (
        f"{who} was scored on {other.results.task.name} only in other ways than {other.folder} "
        f"({here}): with {_listed(ways)}. Score one as the other was, or leave it out"
    )


def _left_out_note(task: str, runs: Sequence[StoredRun], kept: StoredRun, why: str) -> str:
    ways = [f"{run.folder} ({', '.join(asked_otherwise(run, kept))})" for run in runs]
    return f"left out of {clean(task)}, as {why}: {_listed(ways)}"


def _listed(items: Sequence[str]) -> str:
    more = [f"and {len(items) - _MOST_LISTED} more"] if len(items) > _MOST_LISTED else []
    return "; ".join([*items[:_MOST_LISTED], *more])


def _by_task(runs: Sequence[StoredRun]) -> dict[str, list[StoredRun]]:
    found: dict[str, list[StoredRun]] = {}
    for run in runs:
        found.setdefault(run.results.task.name, []).append(run)
    return found


def _base_of(group: Sequence[StoredRun], bases: Sequence[StoredRun]) -> StoredRun | None:
    """The base's run among runs that were asked the same, if it has one. Raises UsageError."""
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
    return found[0] if found else None


def _left_out(
    alone: Sequence[Sequence[StoredRun]],
    compared: Sequence[Sequence[StoredRun]],
    base: StoredRun,
    skipped: str,
) -> list[str]:
    """Notes on groups of the base alone, or without it, on tasks that are compared.

    Raises UsageError for a task on which nothing is.
    """
    kept = {group[0].results.task.name: group[0] for group in reversed(compared)}
    name, key = clean(base.results.model.name), checkpoint_key(base)
    notes = []
    for task, runs in _by_task([run for group in alone for run in group]).items():
        of_base = [run for run in runs if checkpoint_key(run) == key]
        others = [run for run in runs if checkpoint_key(run) != key]
        if task not in kept:
            _refuse_task(of_base, others, name, skipped)
        if of_base:
            notes.append(
                _left_out_note(task, of_base, kept[task], "no other checkpoint was asked so")
            )
        if others:
            notes.append(
                _left_out_note(task, others, kept[task], f"the base, {name}, was not asked so")
            )
    return notes


def _refuse_task(
    of_base: Sequence[StoredRun], others: Sequence[StoredRun], name: str, skipped: str
) -> None:
    """Raise UsageError for a task on which the base and the others have no run asked alike."""
    if not others:
        raise UsageError(
            f"{of_base[0].folder} is the base's run on {of_base[0].results.task.name}, and no "
            f"other checkpoint was scored there: score one, or leave that run out{skipped}"
        )
    if not of_base:
        raise UsageError(
            f"the base, {name}, has no run on {others[0].results.task.name}, so "
            f"{others[0].folder} has nothing to be held against: score {name} there in the same "
            f"way, or leave that run out{skipped}"
        )
    if len(of_base) == 1:
        refuse_other_questions(of_base[0], others[0])
    raise UsageError(_only_otherwise(f"the base, {name},", of_base, others[0]) + skipped)


def _refuse_one_checkpoint(runs: Sequence[StoredRun], skipped: str) -> None:
    """Where all runs are of one checkpoint, and no two were asked the same, nothing is compared."""
    if len({checkpoint_key(run) for run in runs}) > 1:
        return
    for number, run in enumerate(runs):
        for other in runs[:number]:
            if not question_differences(other, run):
                return
    raise UsageError(
        f"every run found is one of {clean(runs[0].results.model.name)}, and no two of them were "
        f"asked the same: a comparison takes the runs of another checkpoint, too{skipped}"
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
