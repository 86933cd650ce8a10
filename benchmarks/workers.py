"""One run by one process of two threads, of one thread, and by workers of one thread each.

    python benchmarks/workers.py [--model demo/gp-base] [--task gp-ood-rule] [--workers 2]
                                 [--repeats 3] [-- more options of `genbench run`]

Every repeat is a whole `genbench run` by command line, start and statistics included; the ways take
turns, and each has its best of the repeats: other work on the machine only adds. CPU seconds are
those of all its processes. Ends with an error where the files of the runs differ.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_SET_CHILD_SUBREAPER = 36  # <sys/prctl.h>
_FILES = ("episodes.jsonl", "results.json")


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and of CPU."""

    wall: float
    cpu: float


def adopt_orphans() -> None:
    """Have processes whose parents end become children of this one, so that they are counted."""
    if not sys.platform.startswith("linux"):
        raise SystemExit("counting the CPU seconds of processes that are left needs Linux")
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1)


def cost(arguments: list[str], threads: int) -> Cost:
    """What `genbench run ARGUMENTS` takes, all of its processes together."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "genbench", "run", *arguments],
        env=environment, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wall = time.perf_counter() - began
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu)


def contents(output: Path) -> list[bytes]:
    return [path.read_bytes() for name in _FILES for path in sorted(output.rglob(name))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo/gp-base")
    parser.add_argument("--task", default="gp-ood-rule")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("more", nargs="*", help="more options of `genbench run`, after --")
    given = parser.parse_args()
    adopt_orphans()
    many = given.workers
    ways = {
        f"1 process, {many} threads": (many, 1),
        "1 process, 1 thread": (1, 1),
        f"--workers {many}": (many, many),
    }
    asked = ["--model", given.model, "--task", given.task, "--device", "cpu", *given.more]
    best: dict[str, Cost] = {}
    seen: list[bytes] = []
    for _ in range(given.repeats):
        for name, (threads, workers) in ways.items():
            with tempfile.TemporaryDirectory() as place:
                found = cost([*asked, "--output", place, "--workers", str(workers)], threads)
                files = contents(Path(place))
            if seen and files != seen:
                raise SystemExit(f"{name}: other files than the first way's")
            seen = files
            old = best.get(name, found)
            best[name] = Cost(min(old.wall, found.wall), min(old.cpu, found.cpu))
            print(f"  {name}: {found.wall:.1f} s, {found.cpu:.1f} CPU s", flush=True)
    first = next(iter(best.values()))
    print(f"{given.model} on {given.task}, best of {given.repeats}, equal files")
    print(f"{'':<24}{'wall s':>9}{'CPU s':>9}{'times as fast':>15}{'CPU ratio':>11}")
    for name, one in best.items():
        print(
            f"{name:<24}{one.wall:>9.1f}{one.cpu:>9.1f}{first.wall / one.wall:>15.2f}"
            f"{one.cpu / first.cpu:>11.2f}"
        )


if __name__ == "__main__":
    main()
