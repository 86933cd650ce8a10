"""Published runs: `results/<model>/<task>/<settings hash>/`, each with the record of its check.

A folder holds the run's three files and `verification.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genbench.errors import GenbenchError, StoreError, UsageError
from genbench.evaluation import RUN_SCHEMA_VERSION, read_results
from genbench.registry import load_spec
from genbench.results import Results
from genbench.store import EPISODES, RESULTS, RUN, read_json, slug
from genbench.task import fingerprint

VERIFICATION = "verification.json"
FILES = (RUN, EPISODES, RESULTS)
RECORD_SCHEMA_VERSION = 1
STAGING = ".publishing-"
_KEPT = (".gitattributes", ".gitignore", ".gitkeep", "README.md")  # may lie beside the runs
PAGES = "reproduction"
"""The folder beside the runs that holds pages of `genbench reproduce`; no model is called so."""


class Record(BaseModel):
    """`verification.json`: what was checked when the run was published, and of which bytes.

    Its own digest finds a slip, not a forger: whoever edits a record can compute it again. What
    holds is that every run can be scored again, and played again by anyone who has the weights.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    tier: Literal["rescored", "regenerated"]
    genbench_version: str
    episodes: int = Field(ge=1)
    regenerated: int = Field(ge=0, description="episodes played again on the weights")
    seed: int | None = Field(description="which ones; null where none was")
    files: dict[str, str] = Field(description="file -> SHA-256")
    record_sha256: str = Field(default="", description="of the other fields, as canonical JSON")

    def digest(self) -> str:
        return fingerprint(self.model_dump(mode="json", exclude={"record_sha256"}))

    def fault(self) -> str | None:
        """What is wrong with the record in itself."""
        if self.record_sha256 != self.digest():
            return "its fields are not those that were written"
        if (self.tier == "regenerated") != (self.regenerated > 0):
            return f"the tier {self.tier} does not fit {self.regenerated} regenerated episodes"
        if self.regenerated > self.episodes:
            return f"{self.regenerated} regenerated of {self.episodes} episodes"
        if set(self.files) != set(FILES):
            return f"it lists the files {', '.join(sorted(self.files))}"
        return None


@dataclass(frozen=True)
class Published:
    """A published run; `place` is its folder below `results/`, with slashes."""

    folder: Path
    place: str
    results: Results
    record: Record


def survey(root: Path) -> tuple[list[Path], list[str]]:
    """Every folder below `root` at the depth of a run, by name; and what else lies there, each as
    a sentence. Links are not followed: what they lead to may be anywhere."""
    if not root.exists():
        return [], []
    if not root.is_dir():
        raise UsageError(f"--results {root} is no folder")
    strays: list[str] = []
    level = [root]
    for depth in range(3):
        below: list[Path] = []
        for folder in level:
            entries = [
                path for path in sorted(folder.iterdir()) if not (depth == 0 and _is_kept(path))
            ]
            if not entries and folder != root:
                strays.append(f"{folder} is an empty folder: delete it")
            for path in entries:
                if path.is_symlink() or not path.is_dir():
                    kind = "a link" if path.is_symlink() else "a file"
                    strays.append(f"{path} is {kind} and no part of a published run: delete it")
                elif path.name.startswith(STAGING):
                    strays.append(f"{path} was left by an `add` that was killed: delete it")
                else:
                    below.append(path)
        level = below
    return level, strays


def _is_kept(path: Path) -> bool:
    """Whether it may lie beside the runs, and is none."""
    if path.name == PAGES:
        return path.is_dir() and not path.is_symlink()
    return path.name in _KEPT and path.is_file()


def published_folders(root: Path) -> list[Path]:
    """Every folder below `root` at the depth of a run, in order of its name."""
    return survey(root)[0]


def read_all(root: Path) -> list[Published]:
    """Every published run. Raises StoreError where one is damaged or was changed, and where
    anything else lies among them."""
    folders, strays = survey(root)
    if strays:
        raise StoreError(strays[0])
    published = [read_published(folder, root) for folder in folders]
    if faults := repeated(published):
        raise StoreError(faults[0])
    return published


def repeated(published: Sequence[Published]) -> list[str]:
    """Results of one checkpoint under one set of settings that stand there twice."""
    seen: dict[tuple[Any, ...], Published] = {}
    return [
        f"{run.folder} and {other.folder} are results of the same weights under the same settings: "
        "delete one"
        for run in published
        if (other := seen.setdefault(contestant(run.results), run)) is not run
    ]


def contestant(results: Results) -> tuple[Any, ...]:
    """What makes two results those of one row: the task, the weights and the settings."""
    model = results.model
    # Imported responses have no weights, and the fingerprint of their file changes with a blank.
    weights = model.weights_fingerprint or f"named {model.name}"
    return results.task.name, weights, model.revision, fingerprint(results.settings)


def read_published(folder: Path, root: Path) -> Published:
    """A published run. Raises StoreError where it is damaged or was changed."""
    faults = audit(folder, root)
    if faults:
        raise StoreError(f"{faults[0]}; `genbench leaderboard check` lists all faults")
    return Published(
        folder, folder.relative_to(root).as_posix(), read_results(folder), _record(folder)
    )


def audit(folder: Path, root: Path) -> list[str]:
    """What of a published folder is not as it was published: each fault names its file."""
    try:
        record = _record(folder)
    except StoreError as error:
        return [str(error)]
    fault = record.fault()
    if fault is not None:
        return [f"{folder / VERIFICATION} was changed after it was published: {fault}"]
    faults = [
        f"{path} is no part of a published run"
        for path in sorted(folder.iterdir())
        if path.name not in (*FILES, VERIFICATION) or path.is_symlink() or not path.is_file()
    ]
    for name in FILES:
        path = folder / name
        if not path.is_file():
            faults.append(f"{path} is missing")
        elif (found := file_sha256(path)) != record.files[name]:
            faults.append(
                f"{path} was changed after it was published: SHA-256 {record.files[name][:16]} "
                f"recorded, {found[:16]} found"
            )
    if faults:
        return faults
    try:
        results = read_results(folder)
    except StoreError as error:
        return [str(error)]
    place, wanted = folder.relative_to(root).as_posix(), place_of(results)
    if place != wanted:
        return [f"{folder} holds the run of {root / wanted}"]
    return _other_task(results, folder)


def _other_task(results: Results, folder: Path) -> list[str]:
    task = results.task
    try:
        source = read_header(folder)["task"].get("source")
    except StoreError as error:
        return [str(error)]
    if source != task.name:
        return [f"{folder / RUN}: task.source is {source!r}, and not the task {task.name}"]
    try:
        installed = load_spec(task.name).version
    except GenbenchError as error:
        return [f"{folder} is a run of a task that is not at hand: {error}"]
    if installed == task.version:
        return []
    return [
        f"{folder} is a run of {task.name} {task.version}; the installed task is {installed}: make "
        "the run again, or delete the folder"
    ]


def read_header(folder: Path) -> dict[str, Any]:
    """`run.json` with the parts that a published run needs. Raises StoreError."""
    header = read_json(folder / RUN)
    version = header.get("schema_version")
    if version != RUN_SCHEMA_VERSION:
        raise StoreError(
            f"{folder / RUN} has the schema version {version}; this genbench reads "
            f"{RUN_SCHEMA_VERSION}"
        )
    for part in ("task", "model", "settings", "execution"):
        if not isinstance(header.get(part), dict):
            raise StoreError(f"{folder / RUN} is damaged: it has no {part}")
    return header


def place_of(results: Results) -> str:
    """Where a run is published, below `results/`."""
    return f"{slug(results.model.name)}/{results.task.name}/{results.settings_hash}"


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file. Raises StoreError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None


def _record(folder: Path) -> Record:
    if not (folder / VERIFICATION).is_file():
        raise StoreError(
            f"{folder} holds no published run: it has no {VERIFICATION}; delete it, and publish "
            "runs with `genbench leaderboard add`"
        )
    raw = read_json(folder / VERIFICATION)
    version = raw.get("schema_version")
    if version != RECORD_SCHEMA_VERSION:
        raise StoreError(
            f"{folder / VERIFICATION} has the schema version {version}; this genbench reads "
            f"{RECORD_SCHEMA_VERSION}"
        )
    try:
        return Record.model_validate(raw)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise StoreError(f"{folder / VERIFICATION} is damaged: {where}: {fault['msg']}") from None
