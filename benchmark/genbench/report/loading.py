"""Run folders found, read and checked; runs that were asked the same questions in one group."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from genbench.errors import StoreError, UsageError
from genbench.evaluation import RUN_SCHEMA_VERSION, read_results
from genbench.report.text import clean, distinct
from genbench.results import GeneralizationResult, Results, SplitResult
from genbench.settings import RunSettings
from genbench.store import RESULTS, RUN, differences, read_json, slug

_METHODS = ("base", "sft", "rl")
#: what decides the questions, and is therefore equal in a group; told where groups differ in it
_QUESTIONS = ("protocol", "prompt", "feedback", "limit")
#: differs between checkpoints of one comparison by nature
_NOT_COMPARED = ("backend", "model_args", "dtype", *_QUESTIONS)


@dataclass(frozen=True)
class ReportRun:
    """A finished run; `label` is its name within the report, different from all others' in its
    group and free of control characters."""

    folder: Path
    results: Results
    settings: RunSettings
    source: str
    label: str = ""

    @property
    def ood(self) -> dict[str, GeneralizationResult]:
        return self.results.generalization

    @property
    def compared_splits(self) -> dict[str, SplitResult]:
        """The ID split and the OOD splits, without the controls."""
        return {
            name: split for name, split in self.results.splits.items() if split.role != "control"
        }


@dataclass(frozen=True)
class Group:
    """Runs that were asked the same questions: one task, version, protocol, prompt and limit.

    `slug` names its files; `notes` are sentences that a reader of its numbers must know.
    """

    title: str
    slug: str
    runs: tuple[ReportRun, ...]
    notes: tuple[str, ...]

    @property
    def ood_splits(self) -> tuple[str, ...]:
        return tuple(self.runs[0].ood)

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.runs[0].results.splits)


def load_groups(
    paths: Sequence[Path], *, skip_unfinished: bool = False
) -> tuple[list[Group], list[Path]]:
    """The runs in and below these folders, in groups; and the unfinished ones left out.

    Raises UsageError and StoreError: a folder that is missing or holds no run, a run that is not
    finished (unless such are to be skipped), a damaged file, another schema version.
    """
    folders, unfinished = find_runs(paths)
    if unfinished and not skip_unfinished:
        raise UsageError(
            f"{unfinished[0]} is an unfinished run"
            + (f", and so are {len(unfinished) - 1} others" if len(unfinished) > 1 else "")
            + ": finish it with the command that began it, or leave such runs out with "
            "--skip-unfinished"
        )
    if not folders:
        raise UsageError(f"every run in {', '.join(map(str, paths))} is unfinished")
    groups: dict[str, list[ReportRun]] = {}
    for folder in folders:
        run = _read(folder)
        groups.setdefault(run.results.task.fingerprint, []).append(run)
    return _titled(list(groups.values())), unfinished


def find_runs(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Finished and unfinished run folders in and below `paths`, each once. Raises UsageError."""
    finished: dict[Path, Path] = {}
    unfinished: dict[Path, Path] = {}
    for path in paths:
        if not path.is_dir():
            raise UsageError(f"there is no folder {path}: give run folders, or a folder of them")
        found = [path] if _is_run(path) else _below(path)
        if not found:
            raise UsageError(
                f"{path} holds no run: neither it nor a folder below it has a {RUN} or {RESULTS}"
            )
        for folder in found:
            # Without its results a run is unfinished; without its header it is damaged, which the
            # reader says.
            kind = finished if (folder / RESULTS).is_file() else unfinished
            kind.setdefault(folder.resolve(), folder)
    return list(finished.values()), list(unfinished.values())


def _is_run(folder: Path) -> bool:
    return (folder / RUN).is_file() or (folder / RESULTS).is_file()


def _below(path: Path) -> list[Path]:
    found = {file.parent for name in (RUN, RESULTS) for file in path.rglob(name) if file.is_file()}
    return sorted(found, key=lambda folder: _natural(str(folder)))


def _natural(text: str) -> list[tuple[int, int | str]]:
    """A key under which step-200 comes before step-1000."""
    return [
        (0, int(part)) if part.isdigit() else (1, part)
        for part in re.split(r"([0-9]{1,18})", text)
        if part
    ]


def _read(folder: Path) -> ReportRun:
    results = read_results(folder)
    header = read_json(folder / RUN)
    version = header.get("schema_version")
    if version != RUN_SCHEMA_VERSION:
        raise StoreError(
            f"{folder / RUN} has the schema version {version}; this genbench reads "
            f"{RUN_SCHEMA_VERSION}"
        )
    try:
        settings = RunSettings.model_validate(results.settings)
        task: dict[str, Any] = header["task"]
        source = str(task["source"])
        there = {"settings": header["settings"], "fingerprint": task["fingerprint"]}
    except (KeyError, TypeError, ValidationError) as error:
        text = str(error).splitlines()[0] if str(error) else ""
        raise StoreError(f"{folder} is damaged: {type(error).__name__} {text}") from None
    here = {"settings": results.settings, "fingerprint": results.task.fingerprint}
    found = differences(there, here, words=(f"in {RUN}", f"in {RESULTS}"))
    if found:
        raise StoreError(f"the files of {folder} are of different runs: {'; '.join(found[:3])}")
    if not results.generalization or "id" not in results.splits:
        raise StoreError(f"{folder / RESULTS} has no ID split or no OOD split")
    missing = [name for name in results.generalization if name not in results.splits]
    if missing:
        raise StoreError(f"{folder / RESULTS} has a gap, but no split, '{missing[0]}'")
    _check_numbers(results.model_dump(mode="python"), str(folder / RESULTS))
    return ReportRun(folder, results, settings, source)


def _check_numbers(value: Any, where: str) -> None:
    """JSON readers let NaN and infinity pass; no figure or test can be made of them."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_numbers(item, f"{where}: {key}")
            if str(key).startswith("p_value") and item is not None and not 0 <= item <= 1:
                raise StoreError(f"{where} is damaged: {key} is {item}, and no p-value")
    elif isinstance(value, list | tuple):
        for item in value:
            _check_numbers(item, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise StoreError(f"{where} is damaged: {value} is no number")


def _titled(groups: list[list[ReportRun]]) -> list[Group]:
    names = [f"{group[0].results.task.name} {group[0].results.task.version}" for group in groups]
    hints = [[_told(_question_settings(group[0]), groups), ""] for group in groups]
    titles = distinct([clean(name) for name in names], hints)
    files = distinct(
        [slug(group[0].results.task.name).lower() for group in groups], [[]] * len(groups)
    )
    return [
        _group(title, re.sub("[^a-z0-9._-]+", "-", file), runs, names.count(name) > 1)
        for title, file, runs, name in zip(titles, files, groups, names, strict=True)
    ]


def _question_settings(run: ReportRun) -> dict[str, Any]:
    settings = run.settings.model_dump(mode="json")
    return {name: settings[name] for name in _QUESTIONS}


def _told(chosen: dict[str, Any], groups: list[list[ReportRun]]) -> str:
    others = [_question_settings(group[0]) for group in groups]
    return ", ".join(
        f"{name} {'none' if value is None else value}"
        for name, value in chosen.items()
        if any(other[name] != value for other in others)
    )


def _group(title: str, file: str, runs: list[ReportRun], repeated: bool) -> Group:
    runs = sorted(runs, key=_training_order)
    varied = _varied([run.settings for run in runs])
    labels = distinct(
        [clean(run.results.model.name) or "(no name)" for run in runs],
        [[clean(_listed(run.settings, varied)), run.results.settings_hash[:6]] for run in runs],
    )
    notes = []
    if varied:
        notes.append(
            "These runs differ in settings other than the checkpoint ("
            + ", ".join(varied)
            + "): differences between them are not the checkpoints' alone."
        )
    if repeated:
        notes.append(
            "Other runs of this task were asked other questions and stand in a section of their "
            "own: do not compare across sections."
        )
    named = [
        ReportRun(run.folder, run.results, run.settings, run.source, label)
        for run, label in zip(runs, labels, strict=True)
    ]
    for run in named:
        notes += [f"{run.label}: {clean(warning)}" for warning in run.results.warnings]
    return Group(title, file, tuple(named), tuple(notes))


def _training_order(run: ReportRun) -> tuple[int, float]:
    """Checkpoints with a training record by method and compute; others keep their order."""
    training = run.results.model.training or {}
    method, flops = training.get("method"), training.get("flops")
    if method not in _METHODS or not isinstance(flops, int | float):
        return len(_METHODS), 0.0
    return _METHODS.index(method), float(flops)


def _varied(settings: Iterable[RunSettings]) -> list[str]:
    every = [one.model_dump(mode="json") for one in settings]
    return [
        name
        for name in every[0]
        if name not in _NOT_COMPARED and any(one[name] != every[0][name] for one in every)
    ]


def _listed(settings: RunSettings, names: list[str]) -> str:
    values = settings.model_dump(mode="json")
    return ", ".join(f"{name} {values[name]}" for name in names)
