"""Pictures of cards on a table, drawn from whole numbers: the same pixels on every machine.

Outlines (`shapes`, `courts`, `glyphs`) are filled by our own rasteriser (`raster`), put together
to cards (`decks`), laid on a table (`table`) and seen through a camera (`camera`); `look` names
what may change. This module makes a picture from what an instance says of it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from genbench.task import TaskError, seeded
from genbench_tasks.general_points.pictures.look import RENDERER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from genbench_tasks.general_points.pictures.decks import Sprite
    from genbench_tasks.general_points.pictures.table import Place


def draw(
    cards: Sequence[str], suits: Sequence[str], picture: Mapping[str, Any]
) -> NDArray[np.uint8]:
    """The picture of cards (labels) with their suits as RGB pixels, shape (pixels, pixels, 3).

    `picture` is an instance's: `renderer`, `pixels` (the side), `seed` and the whole `look`. Raises
    TaskError where it was made for another renderer, or where a library would change pixels.
    """
    from genbench_tasks.general_points.pictures import camera, table

    if picture["renderer"] != RENDERER:
        raise TaskError(
            f"this picture is of renderer {picture['renderer']}, and this genbench has {RENDERER}; "
            "use the version that made it"
        )
    look, stream = picture["look"], _streams(picture)
    canvas = table.cloth(look["background"], picture["pixels"], stream("background"))
    places = placed_cards(len(cards), picture)
    for card, suit, place in zip(cards, suits, places, strict=True):
        table.lay(canvas, sprite_of(card, suit, look, place), place)
    if look["occlusion"]:
        table.cover(canvas, places, look["occlusion"], look["deck-style"], stream("occlusion"))
    if look["blur"]:
        canvas = camera.blurred(canvas, look["blur"])
    if look["noise"]:
        canvas = camera.noisy(canvas, look["noise"], stream("noise"))
    if look["jpeg"]:
        canvas = camera.compressed(canvas, look["jpeg"])
    return canvas


def _streams(picture: Mapping[str, Any]) -> Callable[[str], Random]:
    """A random stream for each change, so that none of them moves another one's draws."""
    return lambda name: seeded("picture", picture["seed"], name)


def placed_cards(count: int, picture: Mapping[str, Any]) -> list[Place]:
    """Where the cards of a picture lie, in the order of the hand; later ones lie on top."""
    from genbench_tasks.general_points.pictures import table

    places = table.places(picture["look"]["layout"], count, picture["pixels"])
    return table.moved(places, picture["look"], picture["pixels"], _streams(picture))


def sprite_of(card: str, suit: str, look: Mapping[str, Any], place: Place) -> Sprite:
    """The pixels of a card at a place, by a look."""
    from genbench_tasks.general_points.pictures.decks import sprite

    printed = look["suit-colour"], look["deck-style"], look["font"]
    return sprite(card, suit, *printed, place.width, place.degrees)


def png(cards: Sequence[str], suits: Sequence[str], picture: Mapping[str, Any]) -> bytes:
    """The picture as a PNG file. Its pixels are the same everywhere; how tightly they are packed
    is the business of the machine's zlib."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(draw(cards, suits, picture)).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """SHA-256 of RGB pixels and their shape."""
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()


__all__ = ["RENDERER", "draw", "pixel_hash", "placed_cards", "png", "sprite_of"]
