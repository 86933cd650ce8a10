"""How a picture looks: its named, independent changes, as a task file states them under `look`.

`suit-colour`, `deck-style`, `font`, `layout` and `background` take a name; `rotation`, `size`,
`occlusion`, `noise`, `blur` and `jpeg` a level from 0 (none) to 5. Nothing is drawn here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genbench.task import TaskError, closest, seeded

#: counts the versions of the drawing: whatever changes a pixel of any picture changes it
RENDERER = 1
LEVELS = 5
SMALLEST, DEFAULT_PIXELS, LARGEST = 64, 1200, 4096

#: suit colour -> (suits dealt, the suits whose ink they are printed in)
SUIT_COLOURS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "black": (("spades", "clubs"), "own"),
    "red": (("hearts", "diamonds"), "own"),
    "all": (("spades", "hearts", "clubs", "diamonds"), "own"),
    "red-spades": (("spades", "clubs"), "red"),
    "black-hearts": (("hearts", "diamonds"), "black"),
}
DECK_STYLES = ("classic", "minimal", "jumbo", "bare", "vintage", "four-colour", "night")
FONTS = ("sans", "serif", "mono", "italic", "light")
LAYOUTS = ("grid", "row", "fan", "scatter")
BACKGROUNDS = ("green", "blue", "burgundy", "wood", "checker", "clutter")

#: what a named change may be, the default first
NAMED: Mapping[str, Sequence[str]] = {
    "suit-colour": tuple(SUIT_COLOURS),
    "deck-style": DECK_STYLES,
    "font": FONTS,
    "layout": LAYOUTS,
    "background": BACKGROUNDS,
}
GRADED = ("rotation", "size", "occlusion", "noise", "blur", "jpeg")
DEFAULT_LOOK: Mapping[str, str | int] = {
    **{name: values[0] for name, values in NAMED.items()},
    **dict.fromkeys(GRADED, 0),
}


def checked_look(*looks: Any, where: str) -> dict[str, str | int]:
    """The default look with these changes, later ones first. Raises TaskError."""
    found: dict[str, str | int] = dict(DEFAULT_LOOK)
    for look in looks:
        if not isinstance(look, Mapping):
            raise TaskError(f"{where}: look is a mapping of changes, not {look!r}")
        for name, value in look.items():
            known = _known(name, where)
            found[known] = _value(known, value, where)
    if found["deck-style"] == "bare" and found["occlusion"]:
        raise TaskError(
            f"{where}: occlusion leaves a corner index to read, and the deck-style 'bare' has none"
        )
    if found["layout"] == "fan" and found["rotation"]:
        raise TaskError(f"{where}: a fan turns its cards itself; rotation goes with other layouts")
    return found


def checked_pixels(value: Any, where: str) -> int:
    """The side of a picture in pixels. Raises TaskError."""
    if type(value) is not int or not SMALLEST <= value <= LARGEST:
        raise TaskError(f"{where}: pixels is a whole number {SMALLEST}..{LARGEST}, not {value!r}")
    return value


def dealt_suits(cards: Sequence[str], suit_colour: str, *key: str | int) -> list[str]:
    """A suit for each card, drawn by the key.

    Cards of one rank have different suits while there are any; with two suits in play, the third
    card of a rank repeats one. Twins in black and in red correspond, spades to hearts and clubs to
    diamonds, since the same draws pick from either pair; so do cards that stand in one place.
    """
    pool = SUIT_COLOURS[suit_colour][0]
    stream = seeded("suits", *key)
    dealt: dict[str, list[str]] = {}
    found = []
    for card in cards:
        of_rank = dealt.setdefault(card, [])
        start = stream.randrange(12)  # a whole number of times as large as every pool
        turns = [pool[(start + step) % len(pool)] for step in range(len(pool))]
        suit = min(turns, key=of_rank.count)
        of_rank.append(suit)
        found.append(suit)
    return found


def _known(name: Any, where: str) -> str:
    if name not in DEFAULT_LOOK:
        raise TaskError(f"{where}: a look has no '{name}'; {closest(str(name), DEFAULT_LOOK)}")
    return str(name)


def _value(name: str, value: Any, where: str) -> str | int:
    if name in NAMED:
        if value not in NAMED[name]:
            raise TaskError(
                f"{where}: there is no {name} '{value}'; {closest(str(value), NAMED[name])}"
            )
        return str(value)
    if type(value) is not int or not 0 <= value <= LEVELS:
        raise TaskError(f"{where}: {name} is a level from 0 to {LEVELS}, not {value!r}")
    return value
