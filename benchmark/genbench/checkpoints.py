"""Checkpoints of training runs, found below folders by their training records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import ModelError, UsageError
from genbench.folders import natural
from genbench.models import find_backend, identify
from genbench.models.files import TRAINING_RECORD, read_json
from genbench.models.interface import Identity, LoadOptions
from genbench.training.folders import TRAINER, step_folder
from genbench.training.tuning import NOTE


@dataclass(frozen=True)
class FoundCheckpoint:
    """A folder with a training record; whether its weights are whole is not yet known."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def training(self) -> Path:
        """The folder of its training run."""
        step = self.record.get("step")
        named = isinstance(step, int) and self.folder == step_folder(self.folder.parent, step)
        return self.folder.parent if named else self.folder

    @property
    def parent(self) -> tuple[str, str] | None:
        """Name and weights fingerprint of what it was trained from, by its record."""
        parent = self.record.get("parent")
        if not isinstance(parent, Mapping):
            return None
        found = parent.get("name"), parent.get("weights_fingerprint")
        if not isinstance(found[0], str) or not isinstance(found[1], str):
            return None
        return found[0], found[1]


def find_checkpoints(paths: Sequence[Path]) -> list[FoundCheckpoint]:
    """The checkpoints in and below the folders, each once, by training run and step.

    Raises UsageError where a folder is missing, holds none, or holds an unfinished training.
    """
    found: dict[Path, FoundCheckpoint] = {}
    for path in paths:
        if not path.is_dir():
            what = f"{path} is a file" if path.exists() else f"there is no folder {path}"
            raise UsageError(f"{what}: give the folders of training runs")
        _refuse_unfinished(path)
        below = [
            file.parent
            for file in path.rglob(TRAINING_RECORD)
            if not any(part.startswith(".") for part in file.relative_to(path).parts)
        ]
        if not below:
            raise UsageError(
                f"{path} holds no checkpoint: neither it nor a folder below it has a "
                f"{TRAINING_RECORD}, which `genbench train` writes beside the weights"
            )
        of_path = [FoundCheckpoint(folder, read_json(folder / TRAINING_RECORD)) for folder in below]
        for one in sorted(of_path, key=_order):
            found.setdefault(one.folder.resolve(), one)
    return list(found.values())


def _order(one: FoundCheckpoint) -> tuple[Any, ...]:
    step = one.record.get("step")
    return (
        natural(str(one.training)),
        step if isinstance(step, int) else 0,
        natural(str(one.folder)),
    )


def _refuse_unfinished(path: Path) -> None:
    for note in sorted(path.rglob(NOTE)):
        base = note.parent.name == TRAINER  # a base keeps its note among its states alone
        training = note.parent.parent if base else note.parent
        if not (_finished_base(training) if base else _finished(training)):
            raise UsageError(
                f"{training} is an unfinished training: finish it with the command that began it, "
                "or leave it out"
            )


def _finished_base(training: Path) -> bool:
    return (training / TRAINING_RECORD).is_file()


def _finished(training: Path) -> bool:
    """Its states are deleted at the end; those that a kill then left know the last step."""
    kept = any(training.glob(f"step-*/{TRAINING_RECORD}"))
    if not kept or not (training / TRAINER).is_dir():
        return kept
    for state in (training / TRAINER).glob("checkpoint-*/trainer_state.json"):
        last = read_json(state).get("max_steps")
        if isinstance(last, int) and (step_folder(training, last) / TRAINING_RECORD).is_file():
            return True
    return False


@dataclass(frozen=True)
class Base:
    """What checkpoints are held against: a model by name, and the fingerprint of its weights."""

    name: str
    weights_fingerprint: str | None


def find_base(found: Sequence[FoundCheckpoint], asked: str | None) -> Base | None:
    """The model that was asked for, else the common parent of the checkpoints by their records;
    None where none has a parent. Where it is one of them, by its folder. Raises UsageError.
    """
    if asked is not None:
        return _among(found, Base(asked, _identity(asked).weights_fingerprint))
    trained = {one.record.get("weights_fingerprint") for one in found if one.parent is not None}
    parents: dict[str, str] = {}
    for one in found:
        if one.parent is not None and one.parent[1] not in trained:
            parents.setdefault(one.parent[1], one.parent[0])
    if not parents:
        parents = {one.parent[1]: one.parent[0] for one in found if one.parent is not None}
    if not parents:
        return None
    if len(parents) > 1:
        raise UsageError(
            "the checkpoints have no common parent by their records, but "
            f"{' and '.join(sorted(parents.values()))}: name the one that they are held against "
            "with --base, or sweep them apart"
        )
    ((fingerprint, name),) = parents.items()
    among = _among(found, Base(name, fingerprint))
    if among.name != name:
        return among
    try:
        identity = _identity(name)
    except (ModelError, UsageError) as error:
        raise UsageError(
            f"the parent of the checkpoints by their records, {name}, cannot be found ({error}): "
            "give it with --base"
        ) from None
    if identity.weights_fingerprint != fingerprint:
        raise UsageError(
            f"{name} has other weights now than the checkpoints were trained from: give what they "
            "were trained from with --base"
        )
    return among


def _identity(name: str) -> Identity:
    return identify(name, find_backend(name), LoadOptions())


def _among(found: Sequence[FoundCheckpoint], base: Base) -> Base:
    """The base under the name of its folder, where it was found itself."""
    for one in found:
        # A training whose rewards were all equal leaves the weights of its parent.
        child = one.parent is not None and one.parent[1] == base.weights_fingerprint
        if not child and one.record.get("weights_fingerprint") == base.weights_fingerprint:
            return Base(str(one.folder), base.weights_fingerprint)
    return base
