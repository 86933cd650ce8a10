"""How many card pictures a core draws and encodes, by size and by shift.

`python benchmarks/pictures.py` prints PNG pictures a second of CPU time: the first hands of a
process, whose cards must be drawn, and further ones, whose cards are kept.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from random import Random

from genbench_tasks.general_points.cards import RANKS
from genbench_tasks.general_points.pictures import RENDERER, png
from genbench_tasks.general_points.pictures.look import GRADED, checked_look, dealt_suits

HANDS = [Random(number).choices(RANKS, k=4) for number in range(40)]
SIZES = (96, 128, 224, 448, 1200)
SHIFTS: tuple[Mapping[str, object], ...] = (
    {"suit-colour": "red"},
    {"deck-style": "vintage"},
    {"layout": "fan"},
    {"layout": "scatter"},
    {"background": "clutter"},
    *({name: 3} for name in GRADED),
)


def rate(pixels: int, look: Mapping[str, object]) -> float:
    """Pictures a second of CPU time."""
    checked = checked_look(look, where="benchmark")
    started = time.process_time()
    for number, hand in enumerate(HANDS):
        suits = dealt_suits(hand, str(checked["suit-colour"]), number)
        picture = {"renderer": RENDERER, "pixels": pixels, "seed": number, "look": checked}
        png(hand, suits, picture)
    return len(HANDS) / (time.process_time() - started)


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    print(f"{'pixels':<8}{'look':<24}{'first/s':>9}{'then/s':>9}")
    for pixels, look in [(size, {}) for size in SIZES] + [(448, look) for look in SHIFTS]:
        named = ", ".join(f"{name} {value}" for name, value in look.items()) or "default"
        first, then = rate(pixels, look), rate(pixels, look)
        print(f"{pixels:<8}{named:<24}{first:>9.0f}{then:>9.0f}")


if __name__ == "__main__":
    main()
