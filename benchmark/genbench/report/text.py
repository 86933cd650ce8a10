"""Names and numbers as a report shows them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from genbench.results import DifferenceResult, Rate

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
#: marks that reorder the text around them: a name must not be able to
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: str) -> str:
    """One line without control characters, lone surrogates and marks that reorder text."""
    return "".join(
        _REPLACEMENT
        if character in _REORDERING or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        else character
        for character in text
    )


def shorten(text: str, length: int) -> str:
    """At most `length` characters; the end is kept, where paths and steps differ."""
    return text if len(text) <= length else "…" + text[-(length - 1) :]


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


def percent(value: float | None) -> str:
    """`24.1%`; `-` where there is none."""
    return "-" if value is None else f"{100 * value:.1f}%"


def interval(found: Rate, *, signed: bool = False) -> str:
    """`[18.9, 30.2]`, in percent or percentage points."""
    return limits(*found.ci95, signed=signed)


def limits(low: float, high: float, *, signed: bool = False) -> str:
    """`[18.9, 30.2]`, in percent or percentage points."""
    low, high = 100 * low + 0.0, 100 * high + 0.0
    return f"[{low:+.1f}, {high:+.1f}]" if signed else f"[{low:.1f}, {high:.1f}]"


def points(value: float) -> str:
    """`+3.1 pp`."""
    return f"{100 * value + 0.0:+.1f} pp"


def p_value(value: float | None) -> str:
    """`0.140`, `<0.001`."""
    if value is None:
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def difference(found: DifferenceResult) -> str:
    """`+3.1 pp [-1.0, +7.2]`."""
    return f"{points(found.value)} {interval(found, signed=True)}"


def span(values: Sequence[int]) -> str:
    """`261`, or `40 to 261` where they differ."""
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
