"""A folder of output written whole, in place of what an earlier build wrote and of nothing else."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import StoreError, UsageError


@dataclass(frozen=True)
class OutputKind:
    """A kind of output folder: its name in messages, the option that names it, the list of its
    files that each build leaves in it, and the names that such a list may hold."""

    name: str
    option: str
    manifest: str
    ours: re.Pattern[str]


@dataclass
class Draft:
    """A folder to be filled; `files`, relative and in order, are known once it is in its place."""

    path: Path
    files: tuple[str, ...] = ()


@contextmanager
def written_whole(folder: Path, kind: OutputKind) -> Iterator[Draft]:
    """A draft that takes its place as `folder` at the end; where the body raises, nothing changes.

    `folder` is new, empty, or of an earlier build. Raises UsageError where it is anything else, or
    where a file that no build wrote is in the way; StoreError where it cannot be written.
    """
    earlier = _earlier_files(folder, kind)
    with _writing(folder, kind):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
            draft = Draft(Path(name))
            yield draft
            paths = sorted(path for path in draft.path.rglob("*") if path.is_file())
            draft.files = tuple(path.relative_to(draft.path).as_posix() for path in paths)
            _refuse_what_is_in_the_way(folder, draft.files, earlier, kind)
            _move(draft, folder, earlier, kind)


@contextmanager
def _writing(folder: Path, kind: OutputKind) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the {kind.name} {folder} cannot be written: {error.strerror or error}; choose "
            f"another {kind.option}, or make room"
        ) from None


def _earlier_files(folder: Path, kind: OutputKind) -> list[str]:
    """The files of an earlier build in `folder`. Raises UsageError where it holds anything else:
    what a build did not write it never deletes."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise UsageError(f"{kind.option} {folder} is a file")
    manifest = folder / kind.manifest
    if not manifest.is_file():
        if any(folder.iterdir()):
            raise UsageError(
                f"{kind.option} {folder} holds other files; choose an empty folder, a new one, or "
                f"one of an earlier {kind.name}"
            )
        return []
    try:
        listed = json.loads(manifest.read_bytes())["files"]
        found = [
            name for name in listed if kind.ours.fullmatch(name) and ".." not in name.split("/")
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(
            f"{manifest} does not list the files of a {kind.name}; choose another {kind.option}"
        ) from None
    return found


def _refuse_what_is_in_the_way(
    folder: Path, files: Sequence[str], earlier: Sequence[str], kind: OutputKind
) -> None:
    known = set(earlier)
    for name in files:
        target = folder / name
        foreign = [place for place in _folders_above(target, folder) if _is_no_folder(place)]
        if target.is_symlink() or target.is_dir() or (target.exists() and name not in known):
            foreign.append(target)
        if foreign:
            raise UsageError(
                f"{kind.option} {folder}: {foreign[0].relative_to(folder)} is in the way, and no "
                f"{kind.name} wrote it; move it, or choose another folder"
            )


def _folders_above(target: Path, folder: Path) -> list[Path]:
    """From the outermost, without `folder` itself."""
    return [parent for parent in reversed(target.parents) if folder in parent.parents]


def _is_no_folder(place: Path) -> bool:
    return place.is_symlink() or (place.exists() and not place.is_dir())


def _move(draft: Draft, folder: Path, earlier: Sequence[str], kind: OutputKind) -> None:
    folder.mkdir(exist_ok=True)
    # Both lists first: after a kill half way the next build still knows all files that are there.
    _list(folder, sorted({*earlier, *draft.files}), kind)
    for name in draft.files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(draft.path / name, target)
    for name in set(earlier) - set(draft.files):
        (folder / name).unlink(missing_ok=True)
    _list(folder, draft.files, kind)
    for top in sorted({name.split("/")[0] for name in (*earlier, *draft.files) if "/" in name}):
        _drop_empty(folder / top)


def _list(folder: Path, files: Sequence[str], kind: OutputKind) -> None:
    text = json.dumps({"files": list(files)}, indent=1) + "\n"
    (folder / kind.manifest).write_text(text, encoding="utf-8")


def _drop_empty(folder: Path) -> None:
    if not folder.is_dir():
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()
    if not any(folder.iterdir()):
        folder.rmdir()
