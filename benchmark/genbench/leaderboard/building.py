"""Writing the committed tables, and checking that they follow from `results/`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from genbench.errors import GenbenchError, StoreError
from genbench.leaderboard.definition import Board, load_boards
from genbench.leaderboard.links import Links
from genbench.leaderboard.published import (
    Published,
    audit,
    read_all,
    read_published,
    repeated,
    survey,
)
from genbench.leaderboard.rendering import SUFFIXES, index, render
from genbench.leaderboard.table import Table, table_of
from genbench.store import write_atomically
from genbench.verification import verify_run

if TYPE_CHECKING:
    from genbench.leaderboard.site import Site

INDEX = "README.md"
_SHOWN = 160

_Item = TypeVar("_Item")
Track = Callable[[Sequence[_Item]], Iterable[_Item]]


def _untracked(items: Sequence[_Item]) -> Iterable[_Item]:
    return items


@dataclass(frozen=True)
class Built:
    """The tables beside the boards' definitions, and the site where one was asked for."""

    files: tuple[Path, ...]
    site: Site | None


def build(
    boards_folder: Path,
    root: Path,
    names: Sequence[str] = (),
    *,
    site: Path | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Built:
    """Write the tables of the boards (all, or those named), and a site of them to `site`.

    Raises StoreError where a published run is damaged or was changed, or something else lies among
    the runs; UsageError where the site would take the place of other files.
    """
    boards = load_boards(boards_folder, names)
    progress("reading the published runs")
    published = read_all(root)
    tables = [table_of(board, published) for board in boards]
    made = None
    if site is not None:
        from genbench.leaderboard.site import build_site

        made = build_site(
            tables, published, site, apart_from=(boards_folder, root), progress=progress
        )
    files = rendered(tables, boards_folder, root)
    files[INDEX] = index(load_boards(boards_folder))
    for name, content in files.items():
        write_atomically(boards_folder / name, [content])
    return Built(tuple(boards_folder / name for name in files), made)


def rendered(tables: Sequence[Table], boards_folder: Path, root: Path) -> dict[str, bytes]:
    """File name -> content, of the boards' tables."""
    links = Links(results=Path(os.path.relpath(root, boards_folder)).as_posix())
    return {
        table.board.name + suffix: content
        for table in tables
        for suffix, content in render(table, links).items()
    }


@dataclass(frozen=True)
class Checked:
    """What a check looked at, and each fault as a sentence that names its file."""

    runs: int
    regenerated: int
    files: int
    faults: tuple[str, ...]


def check(
    boards_folder: Path,
    root: Path,
    names: Sequence[str] = (),
    *,
    regenerate: int = 0,
    seed: int = 0,
    device: str = "auto",
    track: Track[Path] = _untracked,
) -> Checked:
    """Score every published run again and compare the committed tables with rebuilt ones.

    With `regenerate`, so many episodes of each run of that tier are played again on its weights
    too. Raises BoardError and UsageError where a board is wrong or unknown.
    """
    boards = load_boards(boards_folder, names)
    folders, faults = survey(root)
    published: list[Published] = []
    regenerated = 0
    for folder in track(folders):
        found = audit(folder, root)
        if not found:
            one = read_published(folder, root)
            wanted = regenerate if one.record.tier == "regenerated" else 0
            found, played = _replayed(one, wanted, seed, device)
            regenerated += played
            published.append(one)
        faults += found
    faults += repeated(published)
    # Under runs that are not sound the tables mean nothing.
    files: Mapping[str, bytes] = {}
    if not faults:
        tables = [table_of(board, published) for board in boards]
        files = rendered(tables, boards_folder, root)
        if not names:
            files = {**files, INDEX: index(boards)}
            faults += _orphans(boards, boards_folder)
        for name, content in files.items():
            fault = _stale(boards_folder / name, content)
            faults += [fault] if fault else []
    return Checked(len(folders), regenerated, len(files), tuple(faults))


def _replayed(
    published: Published, regenerate: int, seed: int, device: str
) -> tuple[list[str], int]:
    folder, record = published.folder, published.record
    try:
        found = verify_run(folder, regenerate=regenerate, seed=seed, device=device)
    except GenbenchError as error:
        return [str(error)], 0
    faults = [f"{folder}: {difference}" for difference in found.differences[:1]]
    if len(found.differences) > 1:
        faults[0] += f" (and {len(found.differences) - 1} more: genbench verify lists them)"
    if found.passed and found.episodes != record.episodes:
        faults.append(f"{folder}: {found.episodes} episodes, {record.episodes} when published")
    return faults, found.regenerated


def _stale(path: Path, content: bytes) -> str | None:
    """The first line where a committed file does not follow from the results."""
    advice = "run `genbench leaderboard build` and commit what it writes"
    try:
        there = path.read_bytes()
    except FileNotFoundError:
        return f"{path} is missing: {advice}"
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None
    if there == content:
        return None
    lines = zip_longest(there.decode(errors="replace").split("\n"), content.decode().split("\n"))
    for number, (old, new) in enumerate(lines, start=1):
        if old != new:
            shown, wanted = _around(old, new)
            return (
                f"{path} does not follow from the results: line {number} is {shown}, but the "
                f"results give {wanted}: {advice}"
            )
    return f"{path} does not follow from the results, byte by byte: {advice}"


def _around(old: str | None, new: str | None) -> tuple[str, str]:
    """Both lines from shortly before they part."""
    pairs = zip(old or "", new or "", strict=False)
    common = next((place for place, (one, other) in enumerate(pairs) if one != other), 0)
    start = max(0, common - _SHOWN // 4)

    def shown(line: str | None) -> str:
        if line is None:
            return "no line"
        return repr(("…" if start else "") + line[start : start + _SHOWN])

    return shown(old), shown(new)


def _orphans(boards: Sequence[Board], boards_folder: Path) -> list[str]:
    names = {board.name + suffix for board in boards for suffix in SUFFIXES} | {INDEX}
    return [
        f"{path} is of no board: there is no {path.stem}.yaml"
        for path in sorted(boards_folder.iterdir())
        if path.suffix in SUFFIXES and path.name not in names
    ]
