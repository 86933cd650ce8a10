"""Jack, queen and king: half figures that stand on the middle line of a card, own drawings.

A figure fills x from -1200 to 1200 and y from -2650 (the top of its frame) to 0 (the middle of the
card). They differ in outline as well as in detail: the king has a spiked crown, a full beard and
a sword; the queen a low tiara, long hair and a flower; the jack a flat cap with a feather, a bob
and a striped tunic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from genbench_tasks.general_points.pictures.raster import Contour
from genbench_tasks.general_points.pictures.shapes import (
    box,
    contour,
    disc,
    ellipse,
    mirrored,
    outlined,
    polygon,
    rounded,
    stroke,
)

#: (name of a colour, what is painted with it), from the bottom up
Layers = list[tuple[str, list[Contour]]]

WIDTH, HEIGHT = 1200, 2650
_LINE = 44  # the width of drawn lines


def _both(*contours: Contour) -> list[Contour]:
    """The contours and their mirror images, run the same way round."""
    return [*contours, *(points[::-1] * np.array((-1, 1)) for points in contours)]


def _inked(colour: str, contours: Sequence[Contour], line: int = _LINE) -> Layers:
    """Something of that colour with a dark outline."""
    return [("line", outlined(contours, line)), (colour, [*contours])]


def _face(y: int, across: int, down: int) -> Layers:
    """A face around (0, y): skin, eyes under brows, a nose."""
    return [
        *_inked("skin", [ellipse(0, y, across, down)]),
        (
            "line",
            [
                *_both(ellipse(150, y - 60, 52, 62)),
                *_both(*stroke([(80, y - 185), (150, y - 205), (235, y - 175)], 46)),
                *stroke([(0, y - 40), (-46, y + 120), (20, y + 130)], 40),
            ],
        ),
    ]


def _hand(x: int, y: int) -> Layers:
    """A fist around what stands at x."""
    return [
        *_inked("skin", [ellipse(x, y, 165, 122)]),
        ("line", [box(x - 120, y - 50, x + 120, y - 24), box(x - 120, y + 24, x + 120, y + 50)]),
    ]


def _king() -> Layers:
    shoulders = mirrored(
        (0, -1180),
        [(500, -1150), (900, -1060), (1080, -800)],
        [(1180, -600), (1200, -300), (1200, 0)],
        [(0, 0)],
    )
    ermine = mirrored(
        (0, -1200),
        [(520, -1180)],
        [(660, -1050), (660, -800), (520, -640)],
        [(330, -480), (150, -430), (0, -420)],
    )
    crown = mirrored(
        (0, -2480),
        [(190, -2130)],
        [(540, -2420)],
        [(440, -1840)],
        [(300, -1790), (150, -1770), (0, -1770)],
    )
    beard = mirrored(
        (0, -1290),
        [(130, -1330), (250, -1400), (330, -1620)],
        [(400, -1680)],
        [(490, -1350), (430, -950), (0, -800)],
    )
    moustache = mirrored(
        (0, -1440),
        [(90, -1490), (210, -1440), (330, -1300)],
        [(190, -1280), (90, -1300), (0, -1350)],
    )
    band = [(-450, -1950), (-220, -1895), (0, -1880), (220, -1895), (450, -1950)]
    spots = ((420, -980), (500, -780), (300, -620), (200, -790))
    return [
        ("robe", [shoulders]),
        *_inked("gold", [box(-170, -700, 170, 0)]),
        ("robe", [disc(0, -120, 95), disc(0, -340, 95)]),
        *_inked("white", [ermine]),
        ("line", [*_both(*(ellipse(x, y, 40, 70) for x, y in spots)), ellipse(0, -560, 40, 70)]),
        *_inked("hair", _both(disc(420, -1560, 130), disc(450, -1360, 130))),
        *_face(-1590, 380, 470),
        *_inked("hair", [beard]),
        ("red", [ellipse(0, -1275, 105, 46)]),
        *_inked("hair", [moustache], 30),
        *_inked("gold", [crown]),
        ("line", stroke(band, 44)),
        *_inked("robe", [disc(0, -2490, 84), *_both(disc(540, -2430, 84))]),
        ("robe", [disc(0, -2050, 70), *_both(ellipse(260, -2050, 56, 70))]),
        *_sword(),
    ]


def _sword() -> Layers:
    blade = polygon((860, -2520), (950, -2380), (950, -900), (770, -900), (770, -2380))
    return [
        *_inked("white", [blade]),
        ("line", [box(848, -2300, 872, -900)]),
        *_inked("gold", [rounded(800, -900, 920, -400, 50)]),
        *_inked("gold", [rounded(560, -960, 1150, -840, 50)]),
        *_hand(860, -640),
    ]


def _queen() -> Layers:
    gown = mirrored(
        (0, -820),
        [(380, -1010), (600, -1030), (820, -930)],
        [(1080, -800), (1190, -400), (1200, 0)],
        [(0, 0)],
    )
    hair = mirrored(
        (0, -2230),
        [(330, -2240), (590, -2060), (600, -1700)],
        [(610, -1480), (560, -1300), (640, -1120)],
        [(720, -960), (640, -800), (470, -760)],
        [(250, -760)],
        [(0, -900)],
    )
    fringe = mirrored(
        (0, -2200),
        [(330, -2180), (420, -1960), (410, -1640)],
        [(330, -1780), (200, -1870), (0, -2010)],
    )
    bosom = mirrored(
        (0, -1330),
        [(120, -1330)],
        [(130, -1150), (240, -1060), (430, -1000)],
        [(300, -800), (140, -690), (0, -660)],
    )
    tiara = mirrored(
        (0, -2430),
        [(60, -2300), (100, -2260), (200, -2330)],
        [(230, -2220), (300, -2190), (420, -2210)],
        [(390, -2060)],
        [(240, -2140), (120, -2160), (0, -2160)],
    )
    lattice = [polygon((x, y - 105), (x + 90, y), (x, y + 105), (x - 90, y)) for x, y in _LATTICE]
    neckline = [(-430, -1000), (-200, -790), (0, -680), (200, -790), (430, -1000)]
    jewels = [disc(0, -2470, 72), *_both(disc(210, -2370, 54), disc(420, -2240, 50))]
    return [
        *_inked("blond", [hair]),
        ("robe", [gown]),
        ("gold", lattice),
        ("skin", [bosom]),
        *_inked("white", stroke(neckline, 70), 30),
        *_face(-1680, 345, 430),
        ("red", [ellipse(0, -1430, 105, 50)]),
        *_inked("blond", [fringe], 30),
        *_inked("gold", [tiara]),
        *_inked("white", jewels, 36),
        *_inked("white", [disc(x, y, 40) for x, y in _PEARLS], 26),
        *_flower(),
    ]


_PEARLS = ((-190, -1110), (-100, -1045), (0, -1020), (100, -1045), (190, -1110))
_LATTICE = (
    *((x, -150) for x in range(-900, 901, 300)),
    *((x, -450) for x in (-1050, -750, -450, 450, 750, 1050)),
    *((x, -750) for x in (-900, -600, 600, 900)),
    *((x, -450) for x in (-150, 150)),
)


def _flower() -> Layers:
    petals = ((900, -1800), (1060, -1670), (1000, -1480), (800, -1480), (740, -1670))
    leaf = contour(
        (890, -1000),
        [(1000, -1130), (1110, -1120), (1160, -1190)],
        [(1150, -1030), (1040, -920), (890, -900)],
    )
    stem = stroke([(900, -1600), (890, -1100), (850, -480)], 50)
    return [
        *_inked("green", [leaf, *stem], 30),
        *_inked("robe", [disc(x, y, 115) for x, y in petals]),
        *_inked("gold", [disc(900, -1620, 95)], 36),
        *_hand(855, -660),
    ]


def _jack() -> Layers:
    tunic = mirrored(
        (0, -1160),
        [(420, -1130), (760, -1080), (960, -860)],
        [(1130, -640), (1190, -320), (1200, 0)],
        [(0, 0)],
    )
    stripes = [box(left, top, left + 180, 0) for left, top in _STRIPES]
    bob = mirrored(
        (0, -2150),
        [(380, -2150), (540, -1950), (540, -1650)],
        [(570, -1300)],
        [(560, -1190), (390, -1160), (330, -1230)],
        [(330, -1500)],
        [(0, -1500)],
    )
    cap = contour(
        (-640, -1960),
        [(-800, -2230), (-420, -2480), (60, -2440)],
        [(500, -2410), (760, -2230), (640, -1960)],
        [(300, -2070), (-300, -2070), (-640, -1960)],
    )
    feather = contour(
        (380, -2140),
        [(520, -2420), (760, -2600), (1080, -2560)],
        [(1120, -2330), (820, -2120), (440, -2060)],
    )
    collar = mirrored(
        (0, -1120),
        [(150, -1230)],
        [(420, -1150)],
        [(250, -860)],
        [(0, -1010)],
    )
    fringe = contour(
        (-390, -1780),
        [(-380, -2010), (380, -2010), (390, -1780)],
        [(250, -1910), (-250, -1910), (-390, -1780)],
    )
    band = [(-640, -1975), (-300, -2060), (300, -2060), (640, -1975)]
    return [
        ("robe", [tunic]),
        ("gold", stripes),
        *_inked("brown", [bob]),
        *_inked("skin", [box(-140, -1300, 140, -1060)]),
        *_face(-1620, 360, 420),
        ("red", [ellipse(0, -1390, 95, 36)]),
        ("brown", [fringe]),
        *_inked("white", [collar]),
        *_inked("white", [feather]),
        ("line", stroke([(420, -2110), (700, -2330), (960, -2470)], 40)),
        *_inked("robe", [cap]),
        *_inked("gold", stroke(band, 84)),
        *_halberd(),
    ]


_STRIPES = ((-1090, -560), (-690, -960), (-290, -1050), (110, -1050), (510, -960), (910, -560))


def _halberd() -> Layers:
    axe = contour(
        (860, -1820),
        [(1000, -1800), (1110, -1860), (1150, -1960)],
        [(1190, -1700), (1180, -1450), (1120, -1250)],
        [(1060, -1380), (980, -1440), (860, -1440)],
    )
    return [
        *_inked("white", [axe]),
        *_inked("brown", stroke([(850, -1960), (850, -60)], 84)),
        *_hand(850, -640),
    ]


_FIGURES: Mapping[str, Callable[[], Layers]] = {"J": _jack, "Q": _queen, "K": _king}


@lru_cache(maxsize=8)
def figure(rank: str) -> Layers:
    """The half figure of that rank."""
    return _FIGURES[rank]()
