"""The images of a prompt as pixels: read by Pillow, refused where they are damaged or too large."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from genbench.errors import TaskError
from genbench.models.files import brief
from genbench.task import Image

if TYPE_CHECKING:
    from PIL.Image import Image as Pixels

# Media types, and the one decoder of Pillow that may read each.
_DECODERS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
_MEMORY = 2**28


class Images:
    """Decoded images, each kept while there is room: at most `memory` bytes of pixels."""

    def __init__(self, memory: int = _MEMORY) -> None:
        self._memory = memory
        self._held = 0
        self._decoded: OrderedDict[tuple[bytes, str], Pixels] = OrderedDict()
        self._sizes: dict[tuple[bytes, str], tuple[int, int]] = {}

    def size(self, image: Image, shown_in: str) -> tuple[int, int]:
        """(width, height) in pixels. Nothing is decoded, but a damaged file is seen by its check
        sums where the format has them. Raises TaskError, naming the episode it is shown in."""
        file = _read(image, shown_in)
        return self._size(file, shown_in)

    def pixels(self, image: Image, shown_in: str) -> Pixels:
        """The image in RGB, transparency on white. Raises TaskError."""
        file = _read(image, shown_in)
        if file.key in self._decoded:
            self._decoded.move_to_end(file.key)
            return self._decoded[file.key]
        self._size(file, shown_in)  # refuses what would not fit in the memory
        with _showing(file, shown_in):
            found = _rgb(file.open())
        self._held += _bytes(found)
        self._decoded[file.key] = found
        while self._held > self._memory and len(self._decoded) > 1:
            self._held -= _bytes(self._decoded.popitem(last=False)[1])
        return found

    def _size(self, file: _File, shown_in: str) -> tuple[int, int]:
        if file.key not in self._sizes:
            with _showing(file, shown_in), _no_bomb():
                opened = file.open()
                size = opened.size
                opened.verify()
            self._sizes[file.key] = size
        return self._sizes[file.key]


def digest(image: Image) -> bytes:
    """SHA-256 of its file."""
    return hashlib.sha256(image.data).digest()


class _File:
    """What an image was when it was read: it may be drawn anew each time."""

    def __init__(self, image: Image) -> None:
        self.data = image.data
        self.media_type = image.media_type
        self.key = hashlib.sha256(self.data).digest(), self.media_type

    def open(self) -> Any:
        """As Pillow has it, not decoded yet."""
        import PIL.Image

        if self.media_type not in _DECODERS:
            raise ValueError(f"its media type is none of {', '.join(_DECODERS)}")
        opened = PIL.Image.open(io.BytesIO(self.data), formats=[_DECODERS[self.media_type]])
        if opened.mode not in _MODES:
            raise ValueError(f"its mode is {opened.mode}; save it with 8 bits a channel")
        return opened


def _read(image: Image, shown_in: str) -> _File:
    try:
        return _File(image)
    except Exception as error:  # a stranger's task may raise anything
        raise TaskError(f"an image of {shown_in} cannot be drawn: {brief(error)}") from error


def _bytes(pixels: Pixels) -> int:
    return 3 * pixels.width * pixels.height


@contextmanager
def _showing(file: _File, shown_in: str) -> Iterator[None]:
    """Whatever Pillow raises at a file becomes a TaskError."""
    try:
        yield
    except Exception as error:  # SyntaxError, struct.error, ...
        raise TaskError(
            f"an image of {shown_in} ({len(file.data)} bytes, {file.media_type}) cannot be "
            f"shown: {brief(error)}"
        ) from None


@contextmanager
def _no_bomb() -> Iterator[None]:
    """An image so large that Pillow warns of it is an error."""
    from PIL.Image import DecompressionBombWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", DecompressionBombWarning)
        yield


def _rgb(opened: Any) -> Pixels:
    import PIL.Image

    if "A" in opened.mode or "transparency" in opened.info:
        above = opened.convert("RGBA")
        return PIL.Image.alpha_composite(
            PIL.Image.new("RGBA", above.size, (255, 255, 255, 255)), above
        ).convert("RGB")
    found: Pixels = opened.convert("RGB")
    return found
