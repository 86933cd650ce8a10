"""A report from run folders to files: figures, tables and the page, written as one."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import StoreError, UsageError
from genbench.report.chunks import PieceStore
from genbench.report.compute import along_compute
from genbench.report.compute_table import compute_csv, compute_markdown
from genbench.report.conversations import load_conversations
from genbench.report.episodes import collect
from genbench.report.figures import Rendered, render
from genbench.report.loading import Group, load_groups
from genbench.report.page import Section, render_page
from genbench.report.tables import (
    Row,
    headline_csv,
    headline_markdown,
    headline_rows,
    outcomes_csv,
    rates_csv,
    readings_csv,
    scaling_csv,
)
from genbench.report.text import clean

PAGE, MANIFEST = "index.html", "report.json"
#: texts of episodes up to this size are put into the page; larger ones are files beside it
INLINE_BYTES = 6_000_000
_OURS = re.compile(r"index\.html|(figures|tables|episodes)/[A-Za-z0-9._/-]+")


@dataclass(frozen=True)
class Report:
    """What was written: `files` are relative to `folder`."""

    folder: Path
    files: tuple[str, ...]
    runs: int
    episodes: int
    skipped: tuple[Path, ...]
    rows: tuple[Row, ...]

    @property
    def page(self) -> Path:
        return self.folder / PAGE


def build_report(
    runs: Sequence[str | Path],
    output: str | Path,
    *,
    title: str = "genbench report",
    skip_unfinished: bool = False,
    inline_bytes: int = INLINE_BYTES,
    progress: Callable[[str], None] = lambda stage: None,
) -> Report:
    """Report on the runs in and below these folders.

    `output` is new, empty, or an earlier report, which is replaced only once the new one is
    whole. Raises UsageError and StoreError, naming the folder at fault.
    """
    folder = Path(output)
    progress("reading the runs")
    groups, skipped = load_groups([Path(run) for run in runs], skip_unfinished=skip_unfinished)
    earlier = _earlier_files(folder)
    with _writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
            draft = Path(name)
            rows, episodes = _write(groups, draft, title, skipped, inline_bytes, progress)
            paths = sorted(path for path in draft.rglob("*") if path.is_file())
            written = tuple(path.relative_to(draft).as_posix() for path in paths)
            _put(draft / MANIFEST, json.dumps({"files": written}, indent=1) + "\n")
            _move(draft, folder, earlier, [*written, MANIFEST])
    count = sum(len(group.runs) for group in groups)
    return Report(folder, written, count, episodes, tuple(skipped), tuple(rows))


def _write(
    groups: list[Group],
    draft: Path,
    title: str,
    skipped: Sequence[Path],
    inline_bytes: int,
    progress: Callable[[str], None],
) -> tuple[list[Row], int]:
    progress("reading the episodes")
    conversations = [load_conversations(group) for group in groups]
    pieces = PieceStore(draft, inline_bytes)
    collected = collect(groups, conversations, pieces)
    index = collected.index
    progress("comparing checkpoints along training compute")
    groups = along_compute(groups, collected.scores)
    rows = headline_rows(groups)
    _write_tables(groups, rows, draft / "tables")
    sections = []
    for group in groups:
        progress(f"drawing the figures of {group.title}")
        figures = list(render(group))
        for one in figures:
            if isinstance(one, Rendered):
                place = draft / "figures" / group.slug
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{one.kind.name}.png").write_bytes(one.png)
                (place / f"{one.kind.name}.svg").write_bytes(one.svg)
        sections.append(Section(group, figures, [row for row in rows if row.group is group]))
    progress("writing the page")
    left_out = [clean(str(path)) for path in skipped]
    page = render_page(clean(title), sections, conversations, index, pieces, left_out)
    _put(draft / PAGE, page)
    return rows, len(index)


def _write_tables(groups: Sequence[Group], rows: Sequence[Row], place: Path) -> None:
    place.mkdir(parents=True)
    _put(place / "headline.md", headline_markdown(rows))
    along = compute_markdown(groups)
    if along is not None:
        _put(place / "compute.md", along)
    tables = {
        "headline": headline_csv(rows),
        "rates": rates_csv(groups),
        "outcomes": outcomes_csv(groups),
        "readings": readings_csv(groups),
        "scaling": scaling_csv(groups),
        "compute": compute_csv(groups),
    }
    for name, text in tables.items():
        if text is not None:
            _put(place / f"{name}.csv", text)


def _put(path: Path, text: str) -> None:
    # Lone surrogates, which JSON can hold, are no text in any encoding.
    path.write_bytes(text.encode("utf-8", "replace"))


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the report {folder} cannot be written: {error.strerror or error}; choose another "
            "--output, or make room"
        ) from None


def _earlier_files(folder: Path) -> list[str]:
    """The files of an earlier report in `folder`. Raises UsageError where it holds anything else:
    a report never deletes what it did not write."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise UsageError(f"--output {folder} is a file")
    manifest = folder / MANIFEST
    if not manifest.is_file():
        if any(folder.iterdir()):
            raise UsageError(
                f"--output {folder} holds other files; choose an empty folder, a new one, or one "
                "of an earlier report"
            )
        return []
    try:
        listed = json.loads(manifest.read_bytes())["files"]
        found = [name for name in listed if _OURS.fullmatch(name) and ".." not in name.split("/")]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(
            f"{manifest} is no list of a report's files; choose another --output"
        ) from None
    return found


def _move(draft: Path, folder: Path, earlier: Sequence[str], written: Sequence[str]) -> None:
    folder.mkdir(exist_ok=True)
    for name in written:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(draft / name, target)
    for name in set(earlier) - set(written):
        (folder / name).unlink(missing_ok=True)
    for name in ("figures", "tables", "episodes"):
        _drop_empty(folder / name)


def _drop_empty(folder: Path) -> None:
    if not folder.is_dir():
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    if not any(folder.iterdir()):
        folder.rmdir()
