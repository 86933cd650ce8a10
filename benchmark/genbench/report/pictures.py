"""Pictures of prompts as a page holds them: within the page, large ones made smaller."""

from __future__ import annotations

import base64
import io
from typing import Any

from genbench.task import Image

#: pictures that a page may show; anything else is named only
_SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_LARGE = 24 * 1024  # bytes; a page may hold thousands of pictures
_SIDE = 384
_QUALITY = 60


def page_picture(image: Image) -> Any:
    """`{"image": data URI}`, or a sentence in its place. A large picture is there as a smaller copy
    with the `size` that the model was shown, [width, height]."""
    data = image.data
    if image.media_type not in _SHOWN:
        return f"[a picture of type {image.media_type}, {len(data)} bytes]"
    reduced = _reduced(data) if len(data) > _LARGE else None
    if reduced is None:
        return {"image": _uri(image.media_type, data)}
    copy, size = reduced
    return {"image": _uri("image/webp", copy), "size": size}


def _reduced(data: bytes) -> tuple[bytes, list[int]] | None:
    """A copy of a picture within 384 x 384 pixels, and its own size; None where it is not smaller,
    or where the picture cannot be read."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(io.BytesIO(data)) as picture:
            size = list(picture.size)
            copy = picture.convert("RGB")
            copy.thumbnail((_SIDE, _SIDE))
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError):
        return None
    buffer = io.BytesIO()
    copy.save(buffer, "WEBP", quality=_QUALITY)
    found = buffer.getvalue()
    return (found, size) if len(found) < len(data) else None


def _uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
