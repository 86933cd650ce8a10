"""Run folders found, read and checked; runs that were asked the same questions in one group."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import UsageError
from genbench.folders import find_runs, read_run, refuse_unfinished
from genbench.report.findings import Finding
from genbench.report.text import clean, distinct
from genbench.results import GeneralizationResult, Results, SplitResult
from genbench.settings import IMPORTED, RunSettings, setting_text
from genbench.store import slug

_METHODS = ("base", "sft", "rl")
#: what decides the questions, and is therefore equal in a group; told where groups differ in it
_QUESTIONS = ("task_settings", "protocol", "prompt", "feedback", "limit")
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
    """Runs that were asked the same questions: one task, version, protocol, prompt, limit and way
    of sampling.

    `slug` names its files; `notes` are sentences that a reader of its numbers must know.
    `compute` is what its checkpoints show along training compute, once the episodes are read;
    `compute_reason` says why nothing could be computed though there are such checkpoints.
    """

    title: str
    slug: str
    runs: tuple[ReportRun, ...]
    notes: tuple[str, ...]
    compute: tuple[Finding, ...] = ()
    compute_reason: str = ""

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
    if not skip_unfinished:
        refuse_unfinished(unfinished, skippable=True)
    if not folders:
        raise UsageError(f"every run in {', '.join(map(str, paths))} is unfinished")
    return _titled(_grouped([_read(folder) for folder in folders])), unfinished


def _grouped(runs: Sequence[ReportRun]) -> list[list[ReportRun]]:
    """One task and one way of sampling in a group; tasks and runs in the order given, of a task
    greedy runs first.

    How imported responses were drawn is not recorded: they stand with the runs of as many samples
    where these were drawn in one way alone, else among themselves.
    """
    ways: dict[tuple[str, int], set[tuple[object, ...]]] = {}
    for run in runs:
        if run.settings.backend != IMPORTED:
            place = (run.results.task.fingerprint, run.settings.samples)
            ways.setdefault(place, set()).add(_way(run))
    groups: dict[tuple[object, ...], list[ReportRun]] = {}
    for run in runs:
        place = (run.results.task.fingerprint, run.settings.samples)
        known = ways.get(place, set())
        if run.settings.backend != IMPORTED:
            way = _way(run)
        else:
            way = next(iter(known)) if len(known) == 1 else (IMPORTED,)
        groups.setdefault((*place, *way), []).append(run)
    tasks = list(dict.fromkeys(run.results.task.fingerprint for run in runs))

    def order(group: list[ReportRun]) -> tuple[int, float, int]:
        first = group[0]
        settings = first.settings
        return tasks.index(first.results.task.fingerprint), settings.temperature, settings.samples

    return sorted(groups.values(), key=order)


def _way(run: ReportRun) -> tuple[object, ...]:
    return run.settings.temperature, run.settings.top_p


def sampling_text(settings: RunSettings) -> str:
    """`greedy`, `4 samples at temperature 1`; of imported responses, what is known."""
    samples = f"{settings.samples} sample{'s' if settings.samples > 1 else ''}"
    if settings.backend == IMPORTED:
        return f"imported, {samples}"
    if settings.temperature == 0:
        return "greedy"
    nucleus = "" if settings.top_p == 1 else f", top-p {settings.top_p:g}"
    return f"{samples} at temperature {settings.temperature:g}{nucleus}"


def _read(folder: Path) -> ReportRun:
    run = read_run(folder)
    settings = RunSettings.model_validate(run.results.settings)
    return ReportRun(folder, run.results, settings, str(run.header["task"]["source"]))


def _titled(groups: list[list[ReportRun]]) -> list[Group]:
    names = [f"{group[0].results.task.name} {group[0].results.task.version}" for group in groups]
    ways = [sampling_text(_sampled_as(group)) for group in groups]
    hints = [
        [_told(_question_settings(group[0]), groups), way]
        for group, way in zip(groups, ways, strict=True)
    ]
    titles = distinct([clean(name) for name in names], hints)
    files = distinct(
        [slug(group[0].results.task.name).lower() for group in groups],
        [[slug(way).replace("__", "-")] for way in ways],
    )
    return [
        _group(title, re.sub("[^a-z0-9._-]+", "-", file).strip("-"), runs, names.count(name) > 1)
        for title, file, runs, name in zip(titles, files, groups, names, strict=True)
    ]


def _sampled_as(group: Sequence[ReportRun]) -> RunSettings:
    """The settings of a run that knows how it was sampled, where there is one."""
    return next((run for run in group if run.settings.backend != IMPORTED), group[0]).settings


def _question_settings(run: ReportRun) -> dict[str, Any]:
    settings = run.settings.model_dump(mode="json")
    return {name: settings.get(name) for name in _QUESTIONS}


def _told(chosen: dict[str, Any], groups: list[list[ReportRun]]) -> str:
    others = [_question_settings(group[0]) for group in groups]
    return ", ".join(
        setting_text(name, value)
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
            "Other runs of this task were asked other questions, or sampled in another way, and "
            "stand in a section of their own: do not compare across sections."
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
    return ", ".join(setting_text(name, values[name]) for name in names)
