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
        key = digest(image), image.media_type
        if key not in self._sizes:
            with _reading(image, shown_in), _no_bomb():
                opened = _open(image)
                size = opened.size
                opened.verify()
            self._sizes[key] = size
        return self._sizes[key]

    def pixels(self, image: Image, shown_in: str) -> Pixels:
        """The image in RGB, transparency on white. Raises TaskError."""
        key = digest(image), image.media_type
        if key in self._decoded:
            self._decoded.move_to_end(key)
            return self._decoded[key]
        self.size(image, shown_in)  # refuses what would not fit in the memory
        with _reading(image, shown_in):
            found = _rgb(_open(image))
        self._held += _bytes(found)
        self._decoded[key] = found
        while self._held > self._memory and len(self._decoded) > 1:
            self._held -= _bytes(self._decoded.popitem(last=False)[1])
        return found


def digest(image: Image) -> bytes:
    """SHA-256 of its file."""
    return hashlib.sha256(image.data).digest()


def _bytes(pixels: Pixels) -> int:
    return 3 * pixels.width * pixels.height


@contextmanager
def _reading(image: Image, shown_in: str) -> Iterator[None]:
    """Whatever Pillow raises at a file becomes a TaskError."""
    try:
        yield
    except Exception as error:  # SyntaxError, struct.error, ...
        raise TaskError(
            f"an image of {shown_in} ({len(image.data)} bytes, {image.media_type}) cannot be "
            f"shown: {brief(error)}"
        ) from None


@contextmanager
def _no_bomb() -> Iterator[None]:
    """An image so large that Pillow warns of it is an error."""
    from PIL.Image import DecompressionBombWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", DecompressionBombWarning)
        yield


def _open(image: Image) -> Any:
    import PIL.Image

    if image.media_type not in _DECODERS:
        raise ValueError(f"its media type is none of {', '.join(_DECODERS)}")
    opened = PIL.Image.open(io.BytesIO(image.data), formats=[_DECODERS[image.media_type]])
    if opened.mode not in _MODES:
        raise ValueError(f"its mode is {opened.mode}; save it with 8 bits a channel")
    return opened


def _rgb(opened: Any) -> Pixels:
    import PIL.Image

    if "A" in opened.mode or "transparency" in opened.info:
        above = opened.convert("RGBA")
        return PIL.Image.alpha_composite(
            PIL.Image.new("RGBA", above.size, (255, 255, 255, 255)), above
        ).convert("RGB")
    found: Pixels = opened.convert("RGB")
    return found
