"""A board as Markdown, CSV, JSON and a badge; the same table gives the same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from genbench.labels import inert
from genbench.leaderboard.definition import Board
from genbench.leaderboard.formats import cell, in_full, markdown
from genbench.leaderboard.links import Links
from genbench.leaderboard.page import badge, page
from genbench.leaderboard.table import Row, Section, Table
from genbench.leaderboard.values import Value
from genbench.results import DifferenceResult, Rate
from genbench.store import json_bytes

SUFFIXES = (".md", ".csv", ".json", ".html", ".svg")
SCHEMA_VERSION = 1
_DIGITS = 6
_PROSE = 10_000


def render(table: Table, links: Links) -> dict[str, bytes]:
    """Suffix -> content."""
    return {
        ".md": _markdown(table, links).encode(),
        ".csv": _csv(table).encode(),
        ".json": json_bytes(_json(table, links)),
        ".html": page(table, links).encode(),
        ".svg": badge(table).encode(),
    }


def index(boards: Sequence[Board]) -> bytes:
    """`README.md` of the folder of boards."""
    lines = ["# Leaderboards", ""]
    for board in boards:
        lines.append(
            f"- [{markdown(board.title)}]({board.name}.md) (tasks: "
            f"{', '.join(map(markdown, board.tasks))}; also as a [page]({board.name}.html), "
            f"[CSV]({board.name}.csv), [JSON]({board.name}.json))"
        )
    lines += [
        "",
        "Built from the published runs by `genbench leaderboard build`; `genbench leaderboard "
        "check` fails where a table does not follow from them.",
    ]
    return ("\n".join(lines) + "\n").encode()


# -- Markdown -------------------------------------------------------------------------------------


def _markdown(table: Table, links: Links) -> str:
    board = table.board
    lines = [f"# {markdown(board.title)}", ""]
    if board.description:
        lines += [markdown(board.description, _PROSE), ""]
    for section in table.sections:
        lines += [f"## {section.task} {section.version}".rstrip(), ""]
        if section.rows:
            titles = ["rank", "model", *(column.label for column in board.columns)]
            titles += ["n (clusters)", "tier", "contamination", "episodes"]
            lines.append("| " + " | ".join(map(markdown, titles)) + " |")
            lines.append("|" + "---|" * len(titles))
            lines += [_markdown_row(board, row, links) for row in section.rows]
            lines.append("")
        lines += [f"- {markdown(note, _PROSE)}" for note in section.notes]
        lines.append("")
    return "\n".join(lines)


def _markdown_row(board: Board, row: Row, links: Links) -> str:
    values = [
        markdown(value)
        if isinstance(value, str)
        else in_full(value, as_percent=column.format == "percent")
        for value, column in zip(row.cells, board.columns, strict=True)
    ]
    tier: str = row.published.record.tier
    if row.regenerated_text:
        tier += f" ({row.regenerated_text})"
    if row.imported:
        tier += ", imported"
    cells = [
        row.rank_text,
        markdown(row.name),
        *values,
        f"{row.value.n} ({row.value.clusters})",
        tier,
        row.contamination_text,
        f"[run]({links.run(row.published)})",
    ]
    return "| " + " | ".join(cells) + " |"


# -- CSV ------------------------------------------------------------------------------------------


def _csv(table: Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    titles = ["task", "task_version", "rank", "tied", "model", "backend", "weights_fingerprint"]
    for column in table.board.columns:
        label = cell(column.label)
        titles += [label, f"{label} low", f"{label} high", f"{label} p"]
    writer.writerow(
        [
            *titles,
            "n",
            "clusters",
            "tier",
            "regenerated",
            "contamination",
            "genbench_version",
            "run",
        ]
    )
    for section in table.sections:
        for row in section.rows:
            writer.writerow(_csv_row(section, row))
    return out.getvalue()


def _csv_row(section: Section, row: Row) -> list[Any]:
    published = row.published
    cells: list[Any] = [
        cell(section.task),
        cell(published.results.task.version),
        "ref" if row.rank is None else row.rank,
        "yes" if row.tied else "",
        cell(row.name),
        cell(published.results.model.backend),
        cell(published.results.model.weights_fingerprint or ""),
    ]
    for value in row.cells:
        if isinstance(value, Rate):
            p_value = value.p_value if isinstance(value, DifferenceResult) else None
            cells += [_number(one) for one in (value.value, *value.ci95, p_value)]
        else:
            cells += [cell(value) if isinstance(value, str) else _number(value), "", "", ""]
    return [
        *cells,
        row.value.n,
        row.value.clusters,
        published.record.tier,
        published.record.regenerated,
        published.results.contamination.status,
        cell(published.results.genbench_version),
        inert(published.place),
    ]


def _number(value: float | None) -> Any:
    if value is None:
        return ""
    return value if isinstance(value, int) else f"{value:.{_DIGITS}g}"


# -- JSON -----------------------------------------------------------------------------------------


def _json(table: Table, links: Links) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "board": table.board.name,
        "definition": table.board.model_dump(mode="json", exclude={"name"}),
        "results": links.results,
        "tasks": {section.task: _json_section(table.board, section) for section in table.sections},
    }


def _json_section(board: Board, section: Section) -> dict[str, Any]:
    return {
        "version": section.version,
        "rows": [_json_row(board, row) for row in section.rows],
        "comparisons": [
            {
                "first": section.compared[pair.first],
                "second": section.compared[pair.second],
                "difference": _rounded(pair.value),
                "p_value": _rounded(pair.p_value),
                "p_value_holm": _rounded(pair.p_value_holm),
                "significant": pair.significant,
                "method": pair.method,
            }
            for pair in section.comparisons
        ],
        "method": list(section.notes),
    }


def _json_row(board: Board, row: Row) -> dict[str, Any]:
    published = row.published
    results, record = published.results, published.record
    return {
        "rank": row.rank,
        "reference": row.reference,
        "tied": row.tied,
        "not_separated_from": list(row.not_separated),
        "model": row.name,
        "backend": results.model.backend,
        "weights_fingerprint": results.model.weights_fingerprint,
        "revision": results.model.revision,
        "parameters": results.model.parameters,
        "ranked_by": _json_value(row.value),
        "columns": {
            column.label: _json_value(value)
            for column, value in zip(board.columns, row.cells, strict=True)
        },
        "contamination": results.contamination.status,
        "overlap": results.contamination.overlap,
        "tier": record.tier,
        "regenerated": record.regenerated,
        "verification": record.record_sha256,
        "genbench_version": results.genbench_version,
        "settings": results.settings,
        "run": published.place,
    }


def _json_value(value: Value) -> Any:
    return value.model_dump(mode="json") if isinstance(value, Rate) else value


def _rounded(value: float) -> float:
    """Without the last digits, in which processors differ."""
    return float(f"{value:.{_DIGITS}g}")
