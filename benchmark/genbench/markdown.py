"""Text from strangers that stays text in GitHub's Markdown, and plain text that stays readable."""

from __future__ import annotations

import re

# What is markup wherever it stands in a line of GitHub's Markdown: code, emphasis (an underscore
# within a word is none), links, the cells of a table, formulas, mentions, bare addresses.
_INLINE = re.compile(
    r"([\\`*\[\]#|~$@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.)", re.IGNORECASE
)
# HTML's own, for readers that take no backslash before these.
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_BLOCK = re.compile(r"^([-+=]|\d+[.)])(?=\s|$|[-=])")  # a list, a rule, an underline


def markdown_text(text: str) -> str:
    """One line that is shown as it stands, within a line or the cell of a table."""
    line = " ".join(text.encode(errors="replace").decode().split())
    return _INLINE.sub(r"\\\1", line).translate(_ENTITIES)


def markdown_line(text: str) -> str:
    """`markdown_text` that may also begin a line, or the item of a list."""
    return _BLOCK.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", markdown_text(text))
