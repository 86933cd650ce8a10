"""What a change on ID and on OOD means, in one word, by stated rules.

Three tests decide, each two-sided, corrected for multiplicity and significant at alpha: the
change on ID, the change on OOD, and the difference in differences (OOD change minus ID change,
that is, minus the growth of the gap). Each is `up`, `down` or `flat` (not shown to have changed).
The first rule that holds gives the word; nothing is read from an estimate that its test does not
bear out.

forgets both            ID down and OOD down
memorises               OOD down, ID not; or the difference in differences down, ID not down and
                        OOD not up
trades ID for OOD       OOD up and ID down
sharpens both, ID more  OOD up, ID up, and the difference in differences down
generalises             OOD up otherwise: its gain is not shown to be smaller than ID's
forgets ID              ID down, OOD neither
sharpens ID             ID up, OOD neither, the gap not shown to grow: it may have carried over
narrows the gap         only the difference in differences is up
no change shown         none of the three; what could have been detected stands beside it
"""

from __future__ import annotations

from typing import Literal

Direction = Literal["up", "down", "flat"]
Word = Literal[
    "forgets both",
    "memorises",
    "trades ID for OOD",
    "sharpens both, ID more",
    "generalises",
    "forgets ID",
    "sharpens ID",
    "narrows the gap",
    "no change shown",
]


def direction(value: float, corrected_p: float, alpha: float) -> Direction:
    """`flat` unless the corrected test is significant."""
    if corrected_p > alpha or value == 0:
        return "flat"
    return "up" if value > 0 else "down"


def read(in_distribution: Direction, out: Direction, difference: Direction) -> Word:
    """The word for the directions of the ID change, the OOD change and their difference."""
    if out == "down":
        return "forgets both" if in_distribution == "down" else "memorises"
    if out == "up":
        if in_distribution == "down":
            return "trades ID for OOD"
        if in_distribution == "up" and difference == "down":
            return "sharpens both, ID more"
        return "generalises"
    if in_distribution == "down":
        return "forgets ID"
    if difference == "down":
        return "memorises"
    if in_distribution == "up":
        return "sharpens ID"
    return "narrows the gap" if difference == "up" else "no change shown"
