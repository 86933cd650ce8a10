"""A board as a static HTML page and as a badge; neither asks the network for anything."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from genbench.leaderboard.definition import Board
from genbench.leaderboard.formats import interval, main_part, plain, significance
from genbench.leaderboard.links import Links
from genbench.leaderboard.published import VERIFICATION
from genbench.leaderboard.table import Row, Section, Table
from genbench.leaderboard.values import Value, steps
from genbench.results import DifferenceResult, Rate
from genbench.store import RESULTS

if TYPE_CHECKING:
    from jinja2 import Environment

_PIXELS = 6.3  # the mean width of a character of a badge


@lru_cache(maxsize=1)
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("genbench", "leaderboard/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def static_page(template: str, **values: Any) -> str:
    """A page in the boards' style, without a script."""
    from markupsafe import Markup

    style = Markup(_templates().get_template("board.css").render())
    return _templates().get_template(template).render(style=style, **values)


def page(table: Table, links: Links) -> str:
    """The page of a board."""
    from markupsafe import Markup

    script = _templates().get_template("board.js").render()
    # The element holds a line break before the script, and its policy is of all its text.
    digest = hashlib.sha256(f"\n{script}".encode()).digest()
    return static_page(
        "board.html",
        board=table.board,
        index=links.index,
        sections=[_section(table.board, section, links) for section in table.sections],
        script=Markup(script),
        script_sha256=Markup(base64.b64encode(digest).decode()),
    )


def _section(board: Board, section: Section, links: Links) -> dict[str, Any]:
    return {
        "task": section.task,
        "version": section.version,
        "notes": section.notes,
        "report": links.report(section.task) if section.rows else None,
        "rows": [_row(board, row, links) for row in section.rows],
    }


def _row(board: Board, row: Row, links: Links) -> dict[str, Any]:
    results, folder = row.published.results, links.run(row.published)
    ranked_by = steps(board.rank_by.metric)
    return {
        "name": row.name,
        "reference": row.reference,
        "rank": row.rank_text,
        "rank_order": "" if row.rank is None else row.rank,
        "not_separated": row.not_separated,
        "cells": [
            {
                "text": main_part(value, as_percent=column.format == "percent"),
                "interval": interval(value),
                "test": significance(value),
                "order": _order(value),
                "bar": _bar(value) if steps(column.metric) == ranked_by else None,
            }
            for column, value in zip(board.columns, row.cells, strict=True)
        ],
        "n": row.value.n,
        "clusters": row.value.clusters,
        "tier": row.published.record.tier,
        "imported": row.imported,
        "regenerated": row.regenerated_text,
        "regenerated_count": row.published.record.regenerated,
        "contamination": row.contamination_text,
        "status": "none" if row.reference else results.contamination.status,
        "weights": (results.model.weights_fingerprint or "")[:8],
        "episodes": links.episodes(row.published),
        # A server that lists no folders has no page for one.
        "files": {"run": folder}
        if links.reports is None
        else {"results": folder + RESULTS, "check": folder + VERIFICATION},
    }


def _order(value: Value) -> Any:
    """What a column is sorted by."""
    if isinstance(value, Rate):
        return f"{value.value:.6g}"
    return "" if value is None else value


def _bar(value: Value) -> dict[str, str] | None:
    """The interval and the value on the whole scale of the metric, in percent of its length."""
    if not isinstance(value, Rate):
        return None
    start, length = (-1.0, 2.0) if isinstance(value, DifferenceResult) else (0.0, 1.0)
    low, high = value.ci95
    return {
        "low": f"{100 * (low - start) / length:.2f}",
        "width": f"{100 * (high - low) / length:.2f}",
        "value": f"{100 * (value.value - start) / length:.2f}",
    }


def badge(table: Table) -> str:
    """The leader of the board's first task as a small picture (SVG)."""
    section = table.sections[0]
    leaders = [row for row in section.rows if row.rank == 1]
    text = "no ranked run yet"
    if leaders:
        text = f"{plain(leaders[0].name, 60)} {main_part(leaders[0].value)}"
        if len(leaders) > 1:
            text += f", {len(leaders)} share rank 1"
    label = f"genbench {section.task}"
    return (
        _templates()
        .get_template("badge.svg")
        .render(
            label=label,
            text=text,
            label_width=round(_PIXELS * len(label)) + 14,
            text_width=round(_PIXELS * len(text)) + 14,
        )
    )
