"""Draws the contact sheets of docs/vision.md: every card, every named change, every level.

`python benchmarks/card_sheets.py [FOLDER]` writes `cards.png`, `shifts.png` and `levels.jpg` (by
default into docs/pictures).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from genbench_tasks.general_points.cards import RANKS
from genbench_tasks.general_points.pictures import RENDERER, draw, table
from genbench_tasks.general_points.pictures.decks import sprite
from genbench_tasks.general_points.pictures.look import (
    GRADED,
    LEVELS,
    NAMED,
    SUIT_COLOURS,
    checked_look,
    dealt_suits,
)
from genbench_tasks.general_points.pictures.raster import UNIT
from genbench_tasks.general_points.pictures.table import Place

CARD, PICTURE = 69, 152  # pixels: a card of a picture of 224, and a picture of a sheet
HAND = ("K", "7", "10", "A")
SEED = 3


def picture(look: Mapping[str, object]) -> NDArray[np.uint8]:
    """The hand by a look."""
    checked = checked_look(look, where="sheet")
    suits = dealt_suits(HAND, str(checked["suit-colour"]), SEED)
    spec = {"renderer": RENDERER, "pixels": PICTURE, "seed": SEED, "look": checked}
    return draw(HAND, suits, spec)


def cards() -> Image.Image:
    """Every card of a deck as it is in a picture of 224 pixels."""
    across, down = CARD + 6, CARD * 7 // 5 + 6
    canvas = np.empty((4 * down + 6, len(RANKS) * across + 6, 3), dtype=np.uint8)
    canvas[:] = (53, 101, 77)
    for row, suit in enumerate(SUIT_COLOURS["all"][0]):
        for column, rank in enumerate(RANKS):
            place = Place(
                column * across + across // 2 + 3, row * down + down // 2 + 3, CARD * UNIT
            )
            table.lay(canvas, sprite(rank, suit, "all", "classic", "sans", place.width, 0), place)
    return Image.fromarray(canvas)


def labelled(rows: Sequence[tuple[str, Sequence[tuple[str, Mapping[str, object]]]]]) -> Image.Image:
    """Rows of pictures under their labels, each row with its name at the left."""
    left, top = 104, 16
    columns = max(len(found) for _, found in rows)
    sheet = Image.new(
        "RGB", (left + columns * (PICTURE + 4), len(rows) * (PICTURE + top + 4)), "white"
    )
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for row, (name, found) in enumerate(rows):
        y = row * (PICTURE + top + 4)
        pen.text((4, y + top + PICTURE // 2 - 8), name, "black", font)
        for column, (label, look) in enumerate(found):
            x = left + column * (PICTURE + 4)
            pen.text((x + 2, y + 1), label, "black", font)
            sheet.paste(Image.fromarray(picture(look)), (x, y + top))
    return sheet


def shifts() -> Image.Image:
    """Every named change."""
    return labelled(
        [(name, [(value, {name: value}) for value in values]) for name, values in NAMED.items()]
    )


def levels() -> Image.Image:
    """Every level of the graded changes."""
    return labelled(
        [
            (name, [(f"level {level}", {name: level}) for level in range(LEVELS + 1)])
            for name in GRADED
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/pictures"))
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, sheet in (("cards", cards()), ("shifts", shifts())):
        few = sheet.quantize(128, dither=Image.Dither.NONE)
        few.save(folder / f"{name}.png", optimize=True)
    levels().save(folder / "levels.jpg", quality=82)


if __name__ == "__main__":
    main()
