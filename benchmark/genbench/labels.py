"""Names from strangers as harmless lines and cells, and names made different from one another."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TypeVar

_Cell = TypeVar("_Cell")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
#: marks that reorder the text around them: a name must not be able to
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

#: what begins a formula, in full-width characters too, and what some spreadsheets drop before one
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def inert(value: _Cell) -> _Cell | str:
    """A CSV cell that no spreadsheet runs: a text that begins like a formula gets a quote mark.

    Numbers are left as they are: a negative one is no text.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def clean(text: str) -> str:
    """One line without control characters, lone surrogates and marks that reorder text."""
    return "".join(
        _REPLACEMENT
        if character in _REORDERING or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        else character
        for character in text
    )


def distinct(names: Sequence[str], hints: Sequence[Sequence[str]]) -> list[str]:
    """The names, made different from one another by their hints, in order, and a number at last.

    `hints[i]` are texts that may tell name i from its equals.
    """
    found = list(names)
    for level in range(max(map(len, hints), default=0)):
        repeated = {name for name in found if found.count(name) > 1}
        found = [
            f"{name} ({hint[level]})" if name in repeated and hint[level] else name
            for name, hint in zip(found, hints, strict=True)
        ]
    taken: set[str] = set()
    for index, name in enumerate(found):
        number = 1
        while found[index] in taken:
            number += 1
            found[index] = f"{name} #{number}"
        taken.add(found[index])
    return found
