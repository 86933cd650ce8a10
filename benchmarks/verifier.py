"""How fast GeneralPoints' verifier judges typical responses, and its worst time for hostile ones.

    python benchmarks/verifier.py [--seconds 2]

CPU time of one process on one core. The targets are 20,000 verdicts/s on typical responses and
50 ms for any megabyte. The hostile texts are those of the tests (needs the extra `test`).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from random import Random

from suite.records import Recorder, Table

from genbench.task import Instance
from genbench_tasks.general_points.cards import RULES
from genbench_tasks.general_points.environment import GeneralPoints

TARGET_RATE = 20_000
TARGET_MS = 50
HANDS = 200
TESTS = Path(__file__).parents[1] / "tests" / "genbench_tasks" / "general_points"

Pairs = list[tuple[Instance, str]]
ENVIRONMENT = GeneralPoints(prompt="paper", feedback="outcome", settings={})


def answered_hands(stream: Random) -> Pairs:
    """Hands drawn among all solvable ones, with a right answer that shows its steps."""
    rule = "face-11-12-13"
    ranks = ("A", *map(str, range(2, 11)), "J", "Q", "K")
    found: Pairs = []
    for cards in stream.sample(list(combinations_with_replacement(ranks, 4)), 4 * HANDS):
        data = {"cards": list(cards), "rule": rule, "values": dict(RULES[rule]), "target": 24}
        instance = Instance("-".join(cards), "", "", data)
        answer = next(iter(ENVIRONMENT.solutions(instance)), None)
        if answer is not None:
            found.append((instance, answer))
    return found[:HANDS]


def reasoning(stream: Random) -> str:
    """About 1,500 characters of text as a model thinks aloud, with sums, sets and LaTeX."""
    text = ""
    while len(text) < 1_450:
        a, b = stream.randint(1, 13), stream.randint(1, 13)
        text += (
            f"Let me try {a} * {b} = {a * b}, which leaves the others of {{{a}, {b}}}; with "
            f"\\frac{{{a}}}{{{b}}} it isn't 24 either, so I go back.\n"
        )
    return text


def kinds(right: Pairs, stream: Random) -> dict[str, Pairs]:
    """Typical responses by kind."""
    change: dict[str, Callable[[str], str]] = {
        "right, with steps (as the demo model answers)": lambda text: text,
        "wrong value": swapped,
        "wrong numbers": lambda text: text[: text.rindex("=")] + '+1=24"}',
        "Python dict, lenient": lambda text: text.replace('"', "'"),
        "fenced": lambda text: f"```json\n{text}\n```",
        "right, after 1,500 characters of reasoning": lambda text: reasoning(stream) + text,
        "no answer, 1,500 characters": lambda text: reasoning(stream),
    }
    return {name: [(hand, one(text)) for hand, text in right] for name, one in change.items()}


def swapped(text: str) -> str:
    """The answer with other signs in its formula: nearly always a wrong value."""
    cut = text.index('"formula"')
    return text[:cut] + text[cut:].translate(str.maketrans("+-*", "-+/"))


def rate(pairs: Pairs, seconds: float) -> float:
    """Verdicts per second of CPU time, the best of three parts of the time."""
    best = 0.0
    for _ in range(3):
        count, start = 0, time.process_time()
        while (used := time.process_time() - start) < seconds / 3:
            for instance, response in pairs:
                ENVIRONMENT.verify(instance, response)
            count += len(pairs)
        best = max(best, count / used)
    return best


def worst_ms(instance: Instance, texts: Sequence[str]) -> float:
    """The milliseconds of the slowest text, each the best of three."""

    def once(text: str) -> float:
        start = time.process_time()
        ENVIRONMENT.verify(instance, text)
        return time.process_time() - start

    return max(min(once(text) for _ in range(3)) * 1_000 for text in texts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU time per figure")
    recorder = Recorder(parser)
    given = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    from test_verifier import HOSTILE  # type: ignore[import-not-found]

    stream = Random(0)
    right = answered_hands(stream)
    found = kinds(right, stream)
    short = [pair for name, pairs in found.items() if "1,500" not in name for pair in pairs]
    every = [pair for pairs in found.values() for pair in pairs]
    found |= {"mixture of the short ones": short, "mixture of all": every}
    rows: list[tuple[str, float, float, float]] = []
    for name, pairs in found.items():
        speed = rate(pairs, given.seconds)
        rows.append(
            (name, sum(len(text) for _, text in pairs) / len(pairs), speed, speed / TARGET_RATE)
        )
    record = recorder.record
    record.add(
        Table(
            "Typical responses",
            ("responses", "mean characters", "verdicts/s", "times the target"),
            ("", ",.0f", ",.0f", ".2f"),
            rows,
            "Per second of CPU time on one core, the best of three parts of the time.",
        )
    )
    slowest = min(rows, key=lambda row: row[2])
    record.aim(
        "verdicts/s on the slowest kind of typical responses", f">= {TARGET_RATE:,}",
        f"{slowest[2]:,.0f} ({slowest[0]})", slowest[2] >= TARGET_RATE,
    )  # fmt: skip
    worst = worst_ms(right[0][0], HOSTILE)
    record.aim(
        f"the slowest of {len(HOSTILE)} hostile texts of up to a megabyte",
        f"<= {TARGET_MS} ms", f"{worst:.1f} ms", worst <= TARGET_MS,
    )  # fmt: skip
    recorder.save(given.json)


if __name__ == "__main__":
    main()
