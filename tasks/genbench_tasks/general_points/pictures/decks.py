"""The cards of every deck as coloured outlines, and their sprites.

A card is 5000 units wide and 7000 high, (0, 0) its upper left corner. A number card shows as many
pips as its number in the arrangement of printed decks (11, 12 and 13 as in decks for six players);
greater numerals stand large in the middle. Jack, queen and king are double-ended figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genbench_tasks.general_points.pictures import courts
from genbench_tasks.general_points.pictures.glyphs import label
from genbench_tasks.general_points.pictures.look import SUIT_COLOURS
from genbench_tasks.general_points.pictures.raster import (
    UNIT,
    Contour,
    Coverage,
    Outline,
    fill,
    joined,
    paint,
)
from genbench_tasks.general_points.pictures.shapes import (
    FIXED,
    SUITS,
    frame,
    placed,
    rounded,
    turn,
)

WIDTH, HEIGHT = 5000, 7000
_RADIUS = 300
RED_SUITS = ("hearts", "diamonds")

Colour = tuple[int, int, int]
Layer = tuple[Colour, list[Contour]]
JoinedLayer = tuple[Colour, Outline]


@dataclass(frozen=True)
class Deck:
    """How the cards of a deck are printed. Lengths in card units.

    `index` is (middle, top, height, width at most) of the corner label, `index_suit` (middle, size)
    of the suit below it. `inks` maps a suit, or `black` and `red`, to its colour.
    """

    paper: Colour = (255, 255, 255)
    edge: Colour = (120, 120, 120)
    inks: Mapping[str, Colour] = field(
        default_factory=lambda: {"black": (22, 22, 28), "red": (206, 22, 38)}
    )
    robes: Mapping[str, Colour] = field(
        default_factory=lambda: {"black": (45, 74, 140), "red": (190, 36, 52)}
    )
    line: Colour = (24, 24, 30)
    index: tuple[int, int, int, int] | None = (690, 330, 1050, 1020)
    index_suit: tuple[int, int] | None = (2080, 860)
    both_corners: bool = True
    pips: str = "pips"  # or "suit": one large suit, whatever the card
    middle: tuple[int, int, int] = (2500, 3500, 2600)  # the large suit: x, y, size
    pip_columns: tuple[int, int, int] = (1720, 2500, 3280)
    pip_rows: tuple[int, int] = (1350, 5650)
    pip_scale: int = 1000
    court_scale: int = 940
    frame_width: int = 40
    border: int = 0

    @property
    def index_circle(self) -> tuple[int, int, int]:
        """A circle (x, y, radius) that holds the upper left label. Only with an index."""
        assert self.index is not None
        middle, top, height, most = self.index
        return middle, top + height // 2, (height + most) * 36 // 100


#: by the names that a look's `deck-style` may have
DECKS: Mapping[str, Deck] = {
    "classic": Deck(),
    "minimal": Deck(
        index=(900, 420, 1400, 1400),
        index_suit=(2500, 1100),
        pips="suit",
        middle=(2500, 3500, 2000),
    ),
    "jumbo": Deck(
        index=(1900, 450, 2900, 3200),
        index_suit=None,
        both_corners=False,
        pips="suit",
        middle=(3100, 5150, 2900),
    ),
    "bare": Deck(
        index=None,
        index_suit=None,
        pip_columns=(1350, 2500, 3650),
        pip_rows=(1150, 5850),
        pip_scale=1180,
        court_scale=1180,
    ),
    "vintage": Deck(
        paper=(243, 230, 199),
        edge=(120, 96, 60),
        inks={"black": (58, 46, 40), "red": (158, 52, 38)},
        robes={"black": (62, 88, 82), "red": (164, 74, 50)},
        line=(58, 46, 40),
        index=(760, 480, 900, 820),
        index_suit=(1830, 640),
        pip_columns=(1760, 2500, 3240),
        pip_rows=(1500, 5500),
        pip_scale=860,
        court_scale=860,
        border=50,
    ),
    "four-colour": Deck(
        inks={
            "black": (22, 22, 28),
            "red": (206, 22, 38),
            "clubs": (14, 124, 56),
            "diamonds": (24, 92, 200),
        },
    ),
    "night": Deck(
        paper=(30, 34, 46),
        edge=(150, 156, 170),
        inks={"black": (226, 230, 238), "red": (255, 118, 118)},
        robes={"black": (84, 124, 200), "red": (206, 72, 82)},
        line=(12, 12, 18),
    ),
}

_FIGURE_COLOURS: Mapping[str, Colour] = {
    "gold": (232, 176, 56),
    "skin": (246, 216, 184),
    "white": (252, 252, 250),
    "hair": (156, 156, 164),
    "blond": (214, 164, 84),
    "brown": (112, 68, 38),
    "red": (190, 60, 60),
    "green": (60, 124, 62),
}

# The pips of a number: (column 0..2, place from the top in 24ths of the rows' distance).
_LEFT_RIGHT = (0, 2)
_ROWS_OF = {2: (0, 24), 3: (0, 12, 24), 4: (0, 8, 16, 24), 5: (0, 6, 12, 18, 24)}


def _sides(rows: int) -> tuple[tuple[int, int], ...]:
    return tuple((column, y) for y in _ROWS_OF[rows] for column in _LEFT_RIGHT)


_PIPS: Mapping[int, tuple[int, tuple[tuple[int, int], ...]]] = {
    # number: (size of a pip, their places)
    1: (2600, ((1, 12),)),
    2: (1150, ((1, 0), (1, 24))),
    3: (1150, ((1, 0), (1, 12), (1, 24))),
    4: (1100, _sides(2)),
    5: (1100, (*_sides(2), (1, 12))),
    6: (1060, _sides(3)),
    7: (960, (*_sides(3), (1, 6))),
    8: (960, (*_sides(3), (1, 6), (1, 18))),
    9: (920, (*_sides(4), (1, 12))),
    10: (920, (*_sides(4), (1, 4), (1, 20))),
    11: (880, (*_sides(4), (1, 4), (1, 12), (1, 20))),
    12: (800, (*_sides(4), *((1, y) for y in _ROWS_OF[4]))),
    13: (760, (*_sides(5), (1, 3), (1, 12), (1, 21))),
}


def ink_of(suit: str, suit_colour: str, deck: Deck) -> tuple[Colour, Colour]:
    """The colours of a suit's ink and of its courts' robes."""
    own = "red" if suit in RED_SUITS else "black"
    printed = SUIT_COLOURS[suit_colour][1]
    name = own if printed == "own" else printed
    special = deck.inks.get(suit) if printed == "own" else None
    return special or deck.inks[name], deck.robes[name]


@lru_cache(maxsize=256)
def card_layers(
    card: str, suit: str, suit_colour: str, deck_style: str, font: str
) -> tuple[JoinedLayer, ...]:
    """What is painted on the paper of a card, from the bottom up, in card units."""
    deck = DECKS[deck_style]
    ink, robe = ink_of(suit, suit_colour, deck)
    layers: list[Layer] = []
    if deck.border:
        layers.append((ink, _frame(360, deck.border)))
        layers.append((ink, _frame(470, deck.border // 2)))
    if deck.pips == "suit":
        layers.append((ink, placed(SUITS[suit], *deck.middle)))
    elif card in ("J", "Q", "K"):
        layers += _court(card, suit, ink, robe, deck)
    else:
        layers.append((ink, _number(card, suit, font, deck)))
    if deck.index is not None:
        corner = _corner(card, suit, font, deck)
        if deck.both_corners:
            corner += [(WIDTH, HEIGHT) - points for points in corner]
        layers.append((ink, corner))
    return tuple((colour, joined(contours)) for colour, contours in layers)


def _frame(inset: int, width: int) -> list[Contour]:
    return frame(inset, inset, WIDTH - inset, HEIGHT - inset, width)


def _corner(card: str, suit: str, font: str, deck: Deck) -> list[Contour]:
    assert deck.index is not None
    middle, top, height, most = deck.index
    letters, width = label(card, font, height)
    found = _standing(letters, width, most, middle, top + height)
    if deck.index_suit is not None:
        y, size = deck.index_suit
        found += placed(SUITS[suit], middle, y, size)
    return found


def _standing(
    letters: list[Contour], width: int, most: int, middle: int, bottom: int
) -> list[Contour]:
    """Letters around `middle`, narrowed where they are wider than `most`."""
    shown = min(width, most)
    found = []
    for points in letters:
        moved = points.copy()
        moved[:, 0] = points[:, 0] * shown // width + middle - shown // 2
        moved[:, 1] += bottom
        found.append(moved)
    return found


def _number(card: str, suit: str, font: str, deck: Deck) -> list[Contour]:
    number = 1 if card == "A" else int(card)
    if number not in _PIPS:
        letters, width = label(card, font, 2400)
        return [
            *_standing(letters, width, 2600, WIDTH // 2, 4200),
            *placed(SUITS[suit], WIDTH // 2, 5200, 1200),
        ]
    size, places = _PIPS[number]
    if number > 1:
        size = size * deck.pip_scale // 1000
    top, bottom = deck.pip_rows
    found: list[Contour] = []
    for column, y in places:
        place = top + (bottom - top) * y // 24
        found += placed(SUITS[suit], deck.pip_columns[column], place, size, turned=y > 12)
    return found


def _court(card: str, suit: str, ink: Colour, robe: Colour, deck: Deck) -> list[Layer]:
    scale = deck.court_scale
    across, down = courts.WIDTH * scale // 1000, courts.HEIGHT * scale // 1000
    x, y = WIDTH // 2, HEIGHT // 2
    colours = {**_FIGURE_COLOURS, "line": deck.line, "robe": robe}
    layers: list[Layer] = []
    for name, contours in courts.figure(card):
        halves = placed(contours, x, y, scale) + placed(contours, x, y, scale, turned=True)
        layers.append((colours[name], halves))
    corner = SUITS[suit]
    inset = 300 * scale // 1000
    size = 540 * scale // 1000
    layers.append(
        (
            ink,
            [
                *frame(x - across, y - down, x + across, y + down, deck.frame_width),
                *placed(corner, x - across + inset, y - down + inset, size),
                *placed(corner, x + across - inset, y + down - inset, size, turned=True),
            ],
        )
    )
    return layers


def transformed(points: Contour, width: int, degrees: int) -> Contour:
    """Card units to device units around the card's middle, for a card that many device units wide,
    turned clockwise."""
    c, s = turn(degrees)
    x, y = points[:, 0] - WIDTH // 2, points[:, 1] - HEIGHT // 2
    scale = WIDTH * FIXED
    found = np.empty_like(points)
    found[:, 0] = ((x * c - y * s) * width + scale // 2) // scale
    found[:, 1] = ((x * s + y * c) * width + scale // 2) // scale
    return found


@dataclass(frozen=True)
class Sprite:
    """A card as pixels: colours, and opacity 0..255; its middle lies where four pixels meet."""

    colours: NDArray[np.uint8]
    opacity: Coverage


_RIM = 60
_OUTER = joined([rounded(0, 0, WIDTH, HEIGHT, _RADIUS)])
_INNER = joined([rounded(_RIM, _RIM, WIDTH - _RIM, HEIGHT - _RIM, _RADIUS - _RIM)])


@lru_cache(maxsize=112)
def sprite(
    card: str, suit: str, suit_colour: str, deck_style: str, font: str, width: int, degrees: int
) -> Sprite:
    """A card that many device units wide, turned clockwise by whole degrees."""
    deck = DECKS[deck_style]
    reach = np.abs(transformed(_OUTER.points, width, degrees)).max(axis=0)
    across, down = (int(-(-side // UNIT)) + 1 for side in reach)
    colours = np.empty((2 * down, 2 * across, 3), dtype=np.uint8)
    colours[:] = deck.edge

    def laid(outline: Outline) -> Outline:
        middle = np.array((across * UNIT, down * UNIT))
        return Outline(transformed(outline.points, width, degrees) + middle, outline.following)

    paint(colours, laid(_INNER), deck.paper)
    for colour, outline in card_layers(card, suit, suit_colour, deck_style, font):
        paint(colours, laid(outline), colour)
    opacity = np.zeros((2 * down, 2 * across), dtype=np.uint8)
    left, top, mask = fill(laid(_OUTER), 2 * across, 2 * down)
    opacity[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return Sprite(colours, opacity)
