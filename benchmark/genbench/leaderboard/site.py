"""The boards as a static site: an index, a page a board, and a report with the episodes a task.

    index.html
    boards/<board>.html|csv|json|svg
    tasks/<task>/index.html             the report on all published runs of the task
    runs/<model>/<task>/<hash>/         the published runs themselves

It asks no network for anything, and works from a web server as well as from a disk.
"""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench import __version__
from genbench.errors import UsageError
from genbench.leaderboard.formats import interval, main_part
from genbench.leaderboard.links import Links
from genbench.leaderboard.page import badge, static_page
from genbench.leaderboard.published import FILES, VERIFICATION, Published
from genbench.leaderboard.rendering import render
from genbench.leaderboard.table import Section, Table
from genbench.report import build_report
from genbench.report.folder import OutputKind, written_whole

_BOARDS, _TASKS, _RUNS = "boards", "tasks", "runs"
_LINKS = Links(results=f"../{_RUNS}", reports=f"../{_TASKS}", index="../index.html")
_SUFFIXES = (".html", ".csv", ".json", ".svg")  # Markdown is for the repository
_SITE = OutputKind(
    "site",
    "--site",
    "site.json",
    re.compile(rf"index\.html|\.nojekyll|({_BOARDS}|{_TASKS}|{_RUNS})/[A-Za-z0-9._/-]+"),
)


@dataclass(frozen=True)
class Site:
    """What was written: `files` are relative to `folder`."""

    folder: Path
    files: tuple[str, ...]

    @property
    def page(self) -> Path:
        return self.folder / "index.html"


def build_site(
    tables: Sequence[Table],
    published: Sequence[Published],
    folder: Path,
    *,
    apart_from: Sequence[Path] = (),
    progress: Callable[[str], None] = lambda stage: None,
) -> Site:
    """Write the site whole, in place of an earlier one and of nothing else.

    Raises UsageError where `folder` holds anything else, lies within one of `apart_from` or holds
    it; StoreError where a run cannot be read or the site cannot be written.
    """
    for other in (path.resolve() for path in apart_from):
        place = folder.resolve()
        if place == other or other in place.parents or place in other.parents:
            raise UsageError(
                f"--site {folder}: a site lies apart from {other.name}/; choose another folder"
            )
    tasks = dict.fromkeys(task for table in tables for task in table.board.tasks)
    with written_whole(folder, _SITE) as draft:
        for task in tasks:
            runs = [run for run in published if run.results.task.name == task]
            if runs:
                progress(f"reporting on {task}")
                build_report(
                    [run.folder for run in runs],
                    draft.path / _TASKS / task,
                    title=f"{task}: published runs",
                    inline_bytes=0,  # a visitor loads the episodes that are opened
                    links={"All boards": "../../index.html"},
                )
                _copy(runs, draft.path / _RUNS)
        (draft.path / _BOARDS).mkdir(exist_ok=True)
        for table in tables:
            for suffix, content in render(table, _LINKS).items():
                if suffix in _SUFFIXES:
                    (draft.path / _BOARDS / (table.board.name + suffix)).write_bytes(content)
        (draft.path / "index.html").write_text(_index(tables), encoding="utf-8")
        (draft.path / ".nojekyll").write_bytes(b"")  # GitHub Pages serves the files as they are
    return Site(folder, draft.files)


def _copy(runs: Sequence[Published], place: Path) -> None:
    for run in runs:
        target = place / run.place
        target.mkdir(parents=True)
        for name in (*FILES, VERIFICATION):
            shutil.copyfile(run.folder / name, target / name)


def _index(tables: Sequence[Table]) -> str:
    return static_page(
        "index.html", boards=[_board(table) for table in tables], version=__version__
    )


def _board(table: Table) -> dict[str, Any]:
    name = table.board.name
    return {
        "title": table.board.title,
        "description": table.board.description,
        "page": f"{_BOARDS}/{name}.html",
        "csv": f"{_BOARDS}/{name}.csv",
        "json": f"{_BOARDS}/{name}.json",
        "badge": f"{_BOARDS}/{name}.svg",
        "picture": "data:image/svg+xml;base64," + base64.b64encode(badge(table).encode()).decode(),
        "metric": table.board.rank_by.metric,
        "tasks": [_task(section) for section in table.sections],
    }


def _task(section: Section) -> dict[str, Any]:
    ranked = [row for row in section.rows if row.rank is not None]
    return {
        "name": section.task,
        "version": section.version,
        "rows": len(ranked),
        "references": len(section.rows) - len(ranked),
        "leaders": [
            {"name": row.name, "value": main_part(row.value), "interval": interval(row.value)}
            for row in ranked
            if row.rank == 1
        ],
        "report": f"{_TASKS}/{section.task}/index.html" if section.rows else None,
    }
