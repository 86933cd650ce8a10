"""The HTML page: everything of a run goes in as escaped text or as JSON that is shown as text."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from genbench import __version__
from genbench.report.chunks import PieceStore, script_json
from genbench.report.compute_table import (
    COMPUTE_COLUMNS,
    COMPUTE_METHOD,
    compute_lines,
    not_computed,
)
from genbench.report.conversations import Conversations
from genbench.report.episodes import EpisodeIndex
from genbench.report.figures import SCALING, Absent, Rendered
from genbench.report.loading import Group, ReportRun
from genbench.report.tables import HEADLINE, METHOD, OOD_SPLIT, Row
from genbench.report.text import clean, points
from genbench.results import run_key
from genbench.settings import setting_text

_PIXELS = 96  # CSS pixels an inch


@dataclass(frozen=True)
class Section:
    """A group with its figures, as the page shows it."""

    group: Group
    figures: Sequence[Rendered | Absent]
    rows: Sequence[Row]


def render_page(
    title: str,
    sections: Sequence[Section],
    conversations: Sequence[Conversations],
    index: EpisodeIndex,
    pieces: PieceStore,
    skipped: Sequence[str],
    links: Mapping[str, str],
) -> str:
    """The page as HTML. It loads nothing but its own pieces, and runs no script but its own."""
    script, style = _asset("page.js"), _asset("page.css")
    inline = list(pieces.inline)
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=title,
        version=__version__,
        policy=content_policy(script, style, outside=bool(pieces.written)),
        script=Markup(script),
        style=Markup(style),
        sections=[_section(section) for section in sections],
        method=METHOD,
        compute_columns=COMPUTE_COLUMNS,
        compute_method=COMPUTE_METHOD,
        episodes=len(index),
        runs=sum(len(section.group.runs) for section in sections),
        skipped=skipped,
        links=links,
        settings=[_settings(run) for section in sections for run in section.group.runs],
        data=Markup(script_json(_data(sections, conversations, index))),
        pieces=[(name, Markup(value)) for name, value in inline],
    )


def content_policy(script: str, style: str, *, outside: bool) -> str:
    """The Content-Security-Policy: this script and this style by their hashes, pictures within
    the page, nothing else. With pieces in files beside the page, what this very script asks for
    is loaded as well (`strict-dynamic`), which also holds for pages on a disk."""
    more = " 'strict-dynamic'" if outside else ""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'{more}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _asset(name: str) -> str:
    return (files("genbench.report") / "templates" / name).read_text(encoding="utf-8")


def _section(section: Section) -> dict[str, Any]:
    group = section.group
    # With one OOD split its name would say nothing in every row.
    single = len(group.ood_splits) == 1
    columns = [column for column in HEADLINE if not (single and column is OOD_SPLIT)]
    figures = [_figure(one, group) for one in section.figures if isinstance(one, Rendered)]
    return {
        "title": group.title,
        "slug": group.slug,
        "notes": group.notes,
        "checkpoints": len(group.runs),
        "figures": figures,
        "absent": [
            (one.kind.heading, clean(one.reason))
            for one in section.figures
            if isinstance(one, Absent)
        ],
        "columns": columns,
        "rows": [[(column, column.cell(row)) for column in columns] for row in section.rows],
        "detectable": _detectable(section.rows),
        "compute": compute_lines(group),
        "not_computed": not_computed(group),
        # Under its figure, and at the end where there is none.
        "compute_after": next((f["name"] for f in figures if f["name"] == SCALING), None),
    }


def _figure(one: Rendered, group: Group) -> dict[str, Any]:
    return {
        "name": one.kind.name,
        "heading": one.kind.heading,
        "caption": one.kind.caption,
        "alt": f"{one.kind.heading}, {group.title}. {one.kind.caption} The numbers are in the "
        "tables.",
        "light": _uri(one.svg),
        "dark": _uri(one.dark_svg),
        "width": round(one.size[0] * _PIXELS),
        "height": round(one.size[1] * _PIXELS),
        "file": f"figures/{group.slug}/{one.kind.name}",
    }


def _uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def _detectable(rows: Sequence[Row]) -> str:
    """What gap the runs of a section could have found."""
    values = [row.found.mde.value for row in rows if row.found.mde is not None]
    known = [value for value in values if value is not None]
    if not values:
        return ""
    if not known:
        return "No gap could have been told with 80% power by these runs: they are too small."
    low, high = points(min(known)).lstrip("+"), points(max(known)).lstrip("+")
    some = "" if len(known) == len(values) else " (some runs could have told none)"
    size = high if low == high else f"{low} to {high}"
    return f"Smallest gap that these runs find with 80% power: {size}{some}."


def _settings(run: ReportRun) -> dict[str, Any]:
    model, task = run.results.model, run.results.task
    seen = run.results.contamination
    listed: dict[str, Any] = {
        "task": f"{task.name} {task.version}",
        "task fingerprint": task.fingerprint,
        "cluster": task.cluster,
        "model": model.name,
        "backend": model.backend,
        "revision": model.revision,
        "weights fingerprint": model.weights_fingerprint,
        "parameters": None if model.parameters is None else f"{model.parameters:,}",
        "training": _line(model.training),
        "contamination": seen.status
        + ("" if seen.overlap is None else f" ({_line(seen.overlap)} problems seen)"),
        "settings": _line(run.settings.model_dump(mode="json")),
        "sampling": _line(run.results.sampling),
        "settings hash": run.results.settings_hash,
        "genbench": run.results.genbench_version,
    }
    return {
        "label": run.label,
        "items": [(key, clean(str(value))) for key, value in listed.items() if value],
    }


def _line(values: Mapping[str, Any] | None) -> str:
    return ", ".join(setting_text(key, value) for key, value in (values or {}).items())


def _data(
    sections: Sequence[Section], conversations: Sequence[Conversations], index: EpisodeIndex
) -> dict[str, Any]:
    return {
        "groups": [
            {
                "title": section.group.title,
                "reason": clean(conversation.reason) if conversation.reason else None,
                "shared": conversation.shared_prompts,
            }
            for section, conversation in zip(sections, conversations, strict=True)
        ],
        "runs": [
            {
                "group": number,
                "label": run.label,
                "key": run_key(run.results),
                "system": run.settings.system,
                "thinking": run.settings.thinking,
            }
            for number, section in enumerate(sections)
            for run in section.group.runs
        ],
        "index": index.json(),
    }
