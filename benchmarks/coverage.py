"""How often the intervals of `genbench.stats` cover and its tests raise a false alarm.

    python benchmarks/coverage.py [--quick] [--summary] [--draws 500]

Two kinds of Markdown tables. Without clusters: exact, by enumeration. With clusters, and for
seeds, slopes, matched compute, retention and forgetting: simulated settings of known truth, those
that the tests play (needs the extra `test`), each with its Monte Carlo interval. `--quick` plays
the settings of the main task alone; `--summary` prints the worst setting of each method.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from genbench.stats import proportion

TESTS = Path(__file__).parents[1] / "tests" / "genbench" / "stats"

SIZES = (50, 250, 1000)
RATES = (0.0, 0.01, 0.1, 0.5)
PAIRED = ((0.0, 0.0), (0.005, 0.005), (0.05, 0.05), (0.25, 0.25), (0.1, 0.02), (0.3, 0.05))
UNPAIRED = ((0.0, 0.0), (0.01, 0.01), (0.1, 0.1), (0.5, 0.5), (0.1, 0.01), (0.9, 0.5))


def share(value: float) -> str:
    return f"{100 * value:.1f}%"


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print(f"\n### {title}\n")
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def exact_tables(truths: Any) -> None:
    """Everything without clusters, from the formulas that the tests hold the package to."""
    sizes = [f"n = {n}" for n in SIZES]
    table(
        "Success rate, Wilson: exact coverage",
        ["rate", *sizes],
        ([str(p), *(share(truths.wilson_coverage(n, p)) for n in SIZES)] for p in RATES),
    )
    table(
        "Paired difference, Bonett-Price: exact coverage",
        ["only a, only b solved", *sizes],
        (
            [f"{g}, {b}", *(share(truths.paired_coverage(n, g, b)[0]) for n in SIZES)]
            for g, b in PAIRED
        ),
    )
    table(
        "Paired difference, exact McNemar: exact share of p <= 0.05 without a difference",
        ["share of pairs that differ", *sizes],
        (
            [str(g + b), *(share(truths.paired_coverage(n, g, b)[1]) for n in SIZES)]
            for g, b in PAIRED
            if g == b
        ),
    )
    table(
        "Unpaired difference, Newcombe: exact coverage, n a side",
        ["rates", *sizes],
        (
            [f"{a}, {b}", *(share(truths.unpaired_coverage(n, a, b)) for n in SIZES)]
            for a, b in UNPAIRED
        ),
    )
    table(
        "Unpaired difference, Fisher: exact share of p <= 0.05 without a difference",
        ["rate", "n = 50 a side"],
        ([str(rate), share(truths.fisher_alarms(50, rate))] for rate in RATES),
    )


HEADER = ["setting", "truth", "draws", "covered", "p <= 0.05 without a difference"]


def simulated_tables(simulations: Any, quick: bool, summary: bool, draws: int) -> None:
    cases = [case for case in simulations.CASES if case.quick or not quick]
    ordered = sorted(cases, key=lambda case: case.method)  # stable: settings keep their order
    worst = []
    for method, group in groupby(ordered, key=lambda case: case.method):
        measured = []
        settings = list(group)
        for index, case in enumerate(settings):
            progress(f"{method}: {index + 1} of {len(settings)}")
            measured.append((case, simulations.measure(case, draws)))
        progress("")
        if summary:
            worst.append([method, *worst_of(measured)])
        else:
            table(f"{method} (simulated)", HEADER, map(row, measured))
    if summary:
        header = ["method", "settings", "least coverage", "most p <= 0.05 without a difference"]
        table(f"The worst of each method's settings ({draws} draws a setting)", header, worst)


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def row(measured: Any) -> list[str]:
    case, found = measured
    return [
        case.setting,
        f"{case.truth:+.3f}" if case.truth else "0",
        str(found.draws),
        "-" if case.alarms_only else monte_carlo(found.covered, found.draws),
        "-" if found.alarms is None or case.truth else monte_carlo(found.alarms, found.draws),
    ]


def worst_of(measured: Sequence[Any]) -> list[str]:
    """How many settings, and in words where coverage is least and alarms are most."""
    covered = [(case, found) for case, found in measured if found.draws and not case.alarms_only]
    alarming = [
        (case, found)
        for case, found in measured
        if found.draws and found.alarms is not None and not case.truth
    ]
    least = min(covered, key=lambda one: one[1].covered / one[1].draws, default=None)
    most = max(alarming, key=lambda one: one[1].alarms / one[1].draws, default=None)
    return [
        str(len(measured)),
        "-"
        if least is None
        else f"{monte_carlo(least[1].covered, least[1].draws)}: {least[0].setting}",
        "-" if most is None else f"{monte_carlo(most[1].alarms, most[1].draws)}: {most[0].setting}",
    ]


def monte_carlo(hits: int, draws: int) -> str:
    """The share with its own Wilson interval."""
    if draws == 0:
        return "never reported"
    known = proportion(np.arange(draws) < hits)
    return f"{share(known.value)} [{100 * known.low:.1f}, {100 * known.high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="the main task's settings alone")
    parser.add_argument("--summary", action="store_true", help="each method's worst setting alone")
    parser.add_argument("--draws", type=int, default=500, help="simulated runs a setting")
    options = parser.parse_args()
    if options.draws < 1:
        parser.error("--draws must be at least 1")
    sys.path.insert(0, str(TESTS))
    import simulations
    import truths

    begun = time.perf_counter()
    exact_tables(truths)
    simulated_tables(simulations, options.quick, options.summary, options.draws)
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
