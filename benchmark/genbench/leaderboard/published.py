"""Published runs: `results/<model>/<task>/<settings hash>/`, each with the record of its check.

A folder holds the run's three files and `verification.json`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genbench.errors import StoreError
from genbench.evaluation import read_results
from genbench.results import Results
from genbench.store import EPISODES, RESULTS, RUN, read_json, slug
from genbench.task import fingerprint

VERIFICATION = "verification.json"
FILES = (RUN, EPISODES, RESULTS)


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


def published_folders(root: Path) -> list[Path]:
    """Every folder below `root` at the depth of a run, in order of its name."""
    return sorted(
        path
        for path in root.glob("*/*/*")
        if path.is_dir() and not path.relative_to(root).parts[0].startswith(".")
    )


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
        wanted = place_of(read_results(folder))
    except StoreError as error:
        return [str(error)]
    place = folder.relative_to(root).as_posix()
    return [] if place == wanted else [f"{folder} holds the run of {root / wanted}"]


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
    try:
        return Record.model_validate(read_json(folder / VERIFICATION))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise StoreError(f"{folder / VERIFICATION} is damaged: {where}: {fault['msg']}") from None
