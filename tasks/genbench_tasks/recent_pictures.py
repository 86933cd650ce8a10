"""Pictures that were drawn lately: one is read several times on its way to a model, and in every
turn."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"


class RecentPictures:
    """The last PNG files that were drawn, up to `limit` bytes of them. `draw` makes one of a text
    that says all that it depends on.

    Where the environment variable `folder` names a folder, files are kept there as well, and are
    drawn once by all processes; a damaged one is drawn again.
    """

    def __init__(self, limit: int, draw: Callable[[str], bytes], folder: str = "") -> None:
        self._limit, self._draw, self._folder = limit, draw, folder
        self._size = 0
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def file(self, drawn: str) -> bytes:
        """The PNG file of a text."""
        with self._lock:
            if drawn in self._files:
                self._files.move_to_end(drawn)
                return self._files[drawn]
        found = self._kept(drawn)
        with self._lock:
            if drawn not in self._files:
                self._files[drawn] = found
                self._size += len(found)
            while self._size > self._limit and self._files:
                self._size -= len(self._files.popitem(last=False)[1])
        return found

    def forget(self) -> None:
        """Draw them anew when they are asked for; files in a folder stay."""
        with self._lock:
            self._files.clear()
            self._size = 0

    def _kept(self, drawn: str) -> bytes:
        folder = os.environ.get(self._folder, "") if self._folder else ""
        if not folder:
            return self._draw(drawn)
        name = hashlib.sha256(drawn.encode()).hexdigest()
        path = Path(folder).expanduser() / name[:2] / f"{name}.png"
        with suppress(OSError):
            found = path.read_bytes()
            if found.startswith(_PNG) and found.endswith(_PNG_END):
                return found
        found = self._draw(drawn)
        with suppress(OSError):  # a full disk costs time, and no run
            _write(path, found)
        return found


def _write(path: Path, data: bytes) -> None:
    """Write a file whole: another process may read it at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(draft, path)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise
