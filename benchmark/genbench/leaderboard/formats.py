"""Values as text, and any text made safe for Markdown and for spreadsheets."""

from __future__ import annotations

import re
import unicodedata

from genbench.labels import inert
from genbench.leaderboard.values import Value
from genbench.results import DifferenceResult, Rate

_MARKDOWN = str.maketrans(
    {character: f"\\{character}" for character in "\\`*_[]|~"}
    | {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
)
_LINK = re.compile(r"(?i)(?<=[a-z]):(?=//)|(?<=www)\.")  # GitHub makes links of bare addresses
_BLOCK = re.compile(r"^([-+#=]|\d+[.)])")
_LONGEST = 120


def plain(text: str, longest: int = _LONGEST) -> str:
    """One line of at most so many characters; control and direction characters become visible."""
    line = " ".join(text.split())
    shown = "".join("\ufffd" if unicodedata.category(one)[0] == "C" else one for one in line)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def markdown(text: str, longest: int = _LONGEST) -> str:
    """Text that Markdown shows as it stands: in the cell of a table, and at the start of a line."""
    escaped = plain(text, longest).translate(_MARKDOWN)
    escaped = _LINK.sub(lambda match: f"&#{ord(match[0])};", escaped)
    return _BLOCK.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", escaped)


def cell(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return inert(plain(text))


def main_part(value: Value, *, as_percent: bool = False) -> str:
    """The value without its interval: `31.4%`, `+1.5 pp`, `817,920`."""
    if value is None:
        return "-"
    if isinstance(value, DifferenceResult):
        return f"{100 * value.value:+.1f} pp"
    if isinstance(value, Rate):
        return f"{100 * value.value:.1f}%"
    if isinstance(value, str):
        return plain(value)
    if as_percent:
        return f"{100 * value:.1f}%"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def interval(value: Value) -> str:
    """`[22.6, 45.3]`, in percent or percentage points; empty where a value has none."""
    if not isinstance(value, Rate):
        return ""
    low, high = (100 * limit for limit in value.ci95)
    sign = "+" if isinstance(value, DifferenceResult) else ""
    return f"[{low:{sign}.1f}, {high:{sign}.1f}]"


def significance(value: Value) -> str:
    """The p-value of a difference, the corrected one where there is one; else empty."""
    if not isinstance(value, DifferenceResult):
        return ""
    if value.p_value_holm is not None:
        return f"{_p_value(value.p_value_holm)} (Holm)"
    return _p_value(value.p_value)


def _p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def in_full(value: Value, *, as_percent: bool = False) -> str:
    """`+1.5 pp [-12.1, +15.1], p = 0.869`."""
    text = main_part(value, as_percent=as_percent)
    if limits := interval(value):
        text += f" {limits}"
    return f"{text}, {found}" if (found := significance(value)) else text
