"""Names and numbers as a report shows them."""

from __future__ import annotations

from collections.abc import Sequence

from genbench.labels import clean as clean
from genbench.labels import distinct as distinct
from genbench.results import DifferenceResult, Rate


def shorten(text: str, length: int) -> str:
    """At most `length` characters; the end is kept, where paths and steps differ."""
    return text if len(text) <= length else "…" + text[-(length - 1) :]


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
