"""Writing the committed tables, and checking that they follow from `results/`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from genbench.errors import GenbenchError, StoreError, UsageError, closest
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
from genbench.verification import WeightsError, verify_run

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
class NotReplayed:
    """A published run whose episodes could not be played again here, and why."""

    place: str
    reason: str


@dataclass(frozen=True)
class Checked:
    """What a check looked at, and each fault as a sentence that names its file.

    A run that was not replayed, as its weights cannot be had here, is no fault: its responses were
    scored again like all others'.
    """

    runs: int
    regenerated: int
    files: int
    faults: tuple[str, ...]
    not_replayed: tuple[NotReplayed, ...] = ()


def check(
    boards_folder: Path,
    root: Path,
    names: Sequence[str] = (),
    *,
    regenerate: int = 0,
    seed: int = 0,
    device: str = "auto",
    weights: Mapping[str, str] | None = None,
    track: Track[Published] = _untracked,
) -> Checked:
    """Score every published run again and compare the committed tables with rebuilt ones.

    With `regenerate`, so many episodes of each run of that tier are played again on its weights
    too; `weights` says where they are, by the run's place below `root` or by its model's name.
    Raises BoardError and UsageError where a board is wrong or unknown, or what `weights` names.
    """
    boards = load_boards(boards_folder, names)
    folders, faults = survey(root)
    published: list[Published] = []
    for folder in folders:
        found = audit(folder, root)
        faults += found
        if not found:
            published.append(read_published(folder, root))
    given = _by_place(weights or {}, published, root, complete=len(published) == len(folders))
    regenerated, not_replayed = 0, []
    for one in track(published):
        wanted = regenerate if one.record.tier == "regenerated" else 0
        found, played, reason = _replayed(one, wanted, seed, device, given.get(one.place))
        regenerated += played
        faults += found
        if reason is not None:
            not_replayed.append(NotReplayed(one.place, reason))
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
    return Checked(len(folders), regenerated, len(files), tuple(faults), tuple(not_replayed))


def _by_place(
    weights: Mapping[str, str], published: Sequence[Published], root: Path, *, complete: bool
) -> dict[str, str]:
    """Place -> where its weights are; a place goes before a name. Raises UsageError."""
    asked = {key.removeprefix(f"{root.as_posix()}/").rstrip("/"): key for key in weights}
    known = {text for one in published for text in (one.place, one.results.model.name)}
    for key, written in asked.items():
        if key not in known and complete:
            raise UsageError(
                f"--model {written}={weights[written]}: no published run has this place or name; "
                f"{closest(key, known)}"
            )
    return {
        one.place: weights[asked[key]]
        for one in published
        for key in (one.results.model.name, one.place)
        if key in asked
    }


def _replayed(
    published: Published, regenerate: int, seed: int, device: str, weights: str | None
) -> tuple[list[str], int, str | None]:
    """Faults, the number of episodes that were played again, and why none could be.

    Raises UsageError where the weights that were given cannot be used.
    """
    folder, record = published.folder, published.record
    try:
        found = verify_run(
            folder,
            regenerate=regenerate,
            seed=seed,
            device=device,
            model=weights,
            weights_needed=weights is not None,
        )
    except WeightsError as error:
        raise UsageError(f"--model {published.place}={weights}: {error}") from None
    except GenbenchError as error:
        return [str(error)], 0, None
    faults = [f"{folder}: {difference}" for difference in found.differences[:1]]
    if len(found.differences) > 1:
        faults[0] += f" (and {len(found.differences) - 1} more: genbench verify lists them)"
    if found.passed and found.episodes != record.episodes:
        faults.append(f"{folder}: {found.episodes} episodes, {record.episodes} when published")
    return faults, found.regenerated, found.not_replayed


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
