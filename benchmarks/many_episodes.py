"""Many episodes of a scripted agent: seconds, memory and bytes on disk, and how they grow.

    python benchmarks/many_episodes.py [N] [--shape run|board] [--agent random] [--verify-iters 1]

N is 1,000,000 by default; N/100 and N/10 are measured beside it, each in a process of its own.
`run` is one run of N episodes (samples of every instance of gp-ood-rule): what a run holds is its
episodes, so memory grows with N. `board` is a run of every instance after another, each under a
seed of its own, as a board of thousands of checkpoints has them: memory must not grow.
Seconds of CPU do not count other work on the machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from suite.measuring import progress, text_of
from suite.records import Recorder, Table

TASK = "gp-ood-rule"
_MIB = 2**20


def episodes_of_a_run() -> int:
    """The instances of all splits."""
    import genbench

    return sum(len(split.instances()) for split in genbench.load_task(TASK).splits.values())


def play(shape: str, wanted: int, agent: str, verify_iters: int, output: Path) -> int:
    """Play about so many episodes below `output`; returns how many."""
    import genbench

    one = episodes_of_a_run()
    times = max(1, round(wanted / one))
    common: dict[str, Any] = {
        "output": output, "temperature": 1.0, "verify_iters": verify_iters,
    }  # fmt: skip
    if shape == "run":
        if times > 1000:
            raise SystemExit(f"a run has at most 1,000 samples: {1000 * one:,} episodes")
        genbench.run(f"agent:{agent}", TASK, samples=times, **common)
    else:
        for seed in range(times):
            genbench.run(f"agent:{agent}", TASK, seed=seed, **common)
    return times * one


def measured(shape: str, wanted: int, agent: str, verify_iters: int) -> dict[str, float]:
    """What a process of its own takes: seconds of CPU, its peak in MiB, bytes on disk."""
    import genbench.analysis

    # The first run of a process loads libraries and tables; it is not counted either.
    with tempfile.TemporaryDirectory() as place:
        genbench.run(f"agent:{agent}", TASK, limit=5, output=place)
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as place:
        output = Path(place)
        began, wall = time.process_time(), time.perf_counter()
        episodes = play(shape, wanted, agent, verify_iters, output)
        seconds, wall = time.process_time() - began, time.perf_counter() - wall
        files = [path.stat().st_size for path in output.rglob("*") if path.is_file()]
    return {
        "episodes": episodes,
        "seconds": seconds,
        "wall": wall,
        "before": peak_before,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "bytes": sum(files),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("n", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--shape", choices=("run", "board"), help="both by default")
    parser.add_argument("--agent", default="random")
    parser.add_argument("--verify-iters", type=int, default=1)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    recorder = Recorder(parser)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measured(given.shape, given.n, given.agent, given.verify_iters)))
        return
    for shape in (given.shape,) if given.shape else ("run", "board"):
        rows: list[list[Any]] = []
        for n in (given.n // 100, given.n // 10, given.n):
            progress(f"{shape} of {n:,} episodes")
            words = [
                sys.executable, __file__, str(n), "--child", "--shape", shape,
                "--agent", given.agent, "--verify-iters", str(given.verify_iters),
            ]  # fmt: skip
            found = json.loads(text_of(words))
            episodes, above = found["episodes"], found["peak"] - found["before"]
            rows.append(
                [
                    episodes, found["wall"], found["seconds"], 1e6 * found["seconds"] / episodes,
                    found["peak"], 1024 * above / episodes, found["bytes"] / _MIB,
                    found["bytes"] / 1024 / episodes,
                ]
            )  # fmt: skip
        progress("")
        what = "one run" if shape == "run" else "run after run of all instances"
        recorder.record.add(
            Table(
                f"agent:{given.agent}, VIter {given.verify_iters}, {what}",
                (
                    "episodes", "s", "CPU s", "CPU us each", "peak MiB",
                    "KiB each above the start", "MiB on disk", "KiB each",
                ),
                (",d", ",.1f", ",.1f", ".0f", ",.0f", ".2f", ",.1f", ".2f"),
                rows,
            )
        )  # fmt: skip
        growth = rows[-1][3] / min(rows[0][3], rows[1][3])
        recorder.record.aim(
            f"{what}, VIter {given.verify_iters}: CPU time an episode at {rows[-1][0]:,} episodes "
            "over that at fewer",
            "<= 1.1x", f"{growth:.2f}", growth <= 1.1,
        )  # fmt: skip
    recorder.save(given.json)


if __name__ == "__main__":
    main()
