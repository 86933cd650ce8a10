"""How often `genbench check` errs: fails unchanged models, passes models worse than allowed.

    python benchmarks/gate.py [--pools 50] [--gates 60]

Baseline and candidate are drawn from one pool of 16 samples an instance, ID and OOD in pairs (the
pools of the tests; needs the extra `test`). A gate has three quantities: ID, OOD, gap. Rates come
with intervals that count gates of one pool as dependent. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from genbench.gate import judge, overall
from genbench.stats import proportion

TESTS = Path(__file__).parents[1] / "tests" / "genbench"
ALPHA = 0.05
SINGLE = [1] * 250
LARGE = [1] * 2400
FEW = [5] * 20


def settings(sizes: Any) -> list[tuple[str, Any, float]]:
    return [
        ("261 hands in 80 clusters (the main task's)", sizes, 0.02),
        ("261 hands in 80 clusters (the main task's)", sizes, 0.1),
        ("250 instances, each its own cluster", SINGLE, 0.02),
        ("250 instances, each its own cluster", SINGLE, 0.1),
        ("2,400 instances, each its own cluster", LARGE, 0.02),
        ("2,400 instances, each its own cluster", LARGE, 0.05),
        ("100 instances in 20 clusters", FEW, 0.1),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pools", type=int, default=50)
    parser.add_argument("--gates", type=int, default=60, help="gates a pool, of each kind")
    options = parser.parse_args()
    if options.pools < 2 or options.gates < 1:
        parser.error("--pools must be at least 2, --gates at least 1")
    sys.path.insert(0, str(TESTS))
    import test_check

    begun = time.perf_counter()
    print(f"{options.pools} pools of {options.gates} gates a cell, alpha {ALPHA:g}\n")
    print(
        "| pool | allowed drop | unchanged: fails | unchanged: passes "
        "| OOD worse by the allowed drop: passes | OOD worse by 3 times that: fails |"
    )
    print("|---|---|---|---|---|---|")
    for name, sizes, allowed in settings(test_check.GP_SIZES):
        cells = [
            rate(test_check.Pool, sizes, allowed, drop, verdict, options)
            for drop, verdict in (
                (0.0, "fail"), (0.0, "pass"), (allowed, "pass"), (3 * allowed, "fail"),
            )
        ]  # fmt: skip
        print(f"| {name} | {100 * allowed:g} pp | {' | '.join(cells)} |", flush=True)
    print(f"\n{time.perf_counter() - begun:.0f} s")


def rate(
    pool: Any, sizes: Any, allowed: float, drop: float, verdict: str, options: argparse.Namespace
) -> str:
    found, pools = [], []
    for seed in range(options.pools):
        drawn = pool(sizes, seed)
        for _ in range(options.gates):
            judged = judge(drawn.drops(drop), allowed, ALPHA, permutations=999)
            found.append(float(overall([one.verdict for one in judged]) == verdict))
            pools.append(seed)
    known = proportion(np.array(found), pools)
    return f"{100 * known.value:.1f}% [{100 * known.low:.1f}, {100 * known.high:.1f}]"


if __name__ == "__main__":
    main()
