"""Data beside or within a page: JSON that a page loads piece by piece, from a disk too.

A page opened from a disk may not fetch files, but it may load scripts: a piece is a script that
assigns JSON. While all pieces are small together they are kept, to be put into the page itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = "episodes"
#: the name under which pieces are assigned, on `window`
VARIABLE = "genbenchPieces"
_MARKUP = re.compile("[<>&\u2028\u2029]")


def script_json(value: Any) -> str:
    """JSON as a script holds it: ASCII, and without a character that could end the script or
    begin markup. It is JavaScript as well as JSON (ECMAScript 2019)."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return _MARKUP.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


@dataclass
class PieceStore:
    """Keeps pieces up to `limit` bytes, then writes all of them to files."""

    folder: Path
    limit: int
    written: list[str] = field(default_factory=list)
    size: int = 0
    _kept: dict[str, str] | None = field(default_factory=dict)

    def add(self, name: str, value: str) -> None:
        """Add a piece: JSON by `script_json`, under a name of letters, digits and dashes."""
        self.size += len(value)
        if self._kept is None:
            self._write(name, value)
            return
        self._kept[name] = value
        if self.size > self.limit:
            kept, self._kept = self._kept, None
            for one, text in kept.items():
                self._write(one, text)

    @property
    def inline(self) -> Iterator[tuple[str, str]]:
        """The pieces to be put into the page; none where they were written to files."""
        return iter((self._kept or {}).items())

    def _write(self, name: str, value: str) -> None:
        path = self.folder / FOLDER / f"{name}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'(window.{VARIABLE}??={{}})["{name}"]={value};\n', encoding="ascii")
        self.written.append(f"{FOLDER}/{name}.js")
