"""Text and tables that fit the terminal: figures are never cut, words never broken."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_ENDLESS = 10_000


@dataclass(frozen=True)
class Row:
    """A quantity; `word` is a verdict beside its name, where the table has such a column."""

    name: str
    figures: tuple[str, ...]
    word: str | None = None


def say(console: Console, text: str, *, bold: bool = False) -> None:
    """A line; wrapped between words on a terminal, whole elsewhere, where programs read it."""
    from rich.text import Text

    from genbench.labels import clean

    console.print(
        Text(clean(text), style="bold" if bold else ""), soft_wrap=not console.is_terminal
    )


def print_table(console: Console, table: Table) -> None:
    """A table without the blanks that would fill its last column: nobody sees them, and whatever
    is copied has them."""
    from rich.segment import Segment, Segments

    lines: list[Segment] = []
    for line in console.render_lines(table, pad=False):
        while line and not line[-1].text.strip():
            line.pop()
        if line:
            text, style, control = line[-1]
            line[-1] = Segment(text.rstrip(), style, control)
        lines += [*line, Segment.line()]
    console.print(Segments(lines), end="")


def print_rows(
    console: Console, titles: Sequence[str], rows: Sequence[Row], *, heads: Sequence[str] = ("",)
) -> None:
    """A table: a column for each of `heads` (the name's and the word's), and for each of `titles`.

    Where it is wider than the terminal, each name stands on a line of its own above its figures.
    """
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in heads:
        table.add_column(title, no_wrap=True)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        first = (row.name,) if row.word is None else (row.name, row.word)
        table.add_row(*(Text(cell) for cell in (*first, *row.figures)))
    endless = console.options.update(width=_ENDLESS)
    if Measurement.get(console, endless, table).maximum <= console.width:
        print_table(console, table)
        return
    for line in _stacked(titles, rows):
        console.print(Text(line), soft_wrap=True)


def _stacked(titles: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    widths = [
        max(len(title), *(len(row.figures[index]) for row in rows))
        for index, title in enumerate(titles)
    ]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return "  " + "  ".join(padded)

    yield line(titles)
    for row in rows:
        yield row.name if row.word is None else f"{row.name}: {row.word}"
        yield line(row.figures)


def print_words(console: Console, title: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """A table of words; where that is wider than the terminal, a list of them under every name."""
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in (title, *columns):
        table.add_column(Text(head), no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in (row.name, *row.figures)))
    endless = console.options.update(width=_ENDLESS)
    if Measurement.get(console, endless, table).maximum <= console.width:
        print_table(console, table)
        return
    for row in rows:
        say(console, row.name)
        for column, words in zip(columns, row.figures, strict=True):
            for line in textwrap.wrap(
                f"{column}: {words}",
                console.width,
                initial_indent="  ",
                subsequent_indent="    ",
                break_on_hyphens=False,
            ):
                say(console, line)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Says on stderr what takes its time; nothing where stderr is no terminal."""
    import sys

    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(escape(text)):
        yield
