"""Seconds and memory of functions and of whole processes, taken in turns.

Nothing heavy is imported here: a child's peak memory is never counted below that of its parent.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT = 3600.0


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock and of CPU (all threads); `peak` is the largest resident set, in MiB,
    of a process of its own."""

    wall: float
    cpu: float
    peak: float | None = None


@dataclass(frozen=True)
class Ratio:
    """The median of the turns' ratios, the least and the largest of them."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = 2 if self.value < 10 else 1
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def spent(work: Callable[[], Any]) -> Spent:
    """What a call takes in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def take_turns(
    ways: Mapping[str, Callable[[], Spent]], repeats: int, say: Callable[[str], None] | None = None
) -> dict[str, list[Spent]]:
    """Every way so many times, one after another; each round begins with another one."""
    found: dict[str, list[Spent]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(repeats):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            if say:
                say(f"turn {number + 1} of {repeats}: {name}")
            found[name].append(ways[name]())
    if say:
        say("")
    return found


def median(values: Sequence[Spent], what: str = "wall") -> float:
    """The median of `wall`, `cpu` or `peak`."""
    return float(statistics.median(getattr(one, what) for one in values))


def ratio(
    above: Sequence[Spent], below: Sequence[Spent], what: str = "wall", scale: float = 1.0
) -> Ratio:
    """`above` over `below` turn by turn, times `scale`."""
    found = [scale * getattr(a, what) / getattr(b, what) for a, b in zip(above, below, strict=True)]
    return Ratio(statistics.median(found), min(found), max(found))


def child(command: Sequence[str], limit: float = LIMIT, **environment: str) -> Spent:
    """What a command takes as a process of its own, with one thread and no look-ups in the hub.

    Exits with the end of its errors where it fails.
    """
    output, result = _run(command, limit, environment)
    if result is None or result[0] != 0:
        how = f"ran longer than {limit:g} s" if result is None else f"failed ({result[0]})"
        raise SystemExit(f"{' '.join(command)} {how}:\n{output[-3000:]}")
    return result[1]


def text_of(command: Sequence[str]) -> str:
    """What a command prints, errors apart. Exits where it fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False, env=_environment({})
    )
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout


def module(name: str, *words: str) -> list[str]:
    """The command that starts a module of this environment."""
    return [sys.executable, "-m", name, *words]


def progress(text: str) -> None:
    """Show on a terminal what is being measured."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    # lm-eval and Inspect look their models up, and wait for answers, where they are not told.
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **more}


def _run(
    command: Sequence[str], limit: float, environment: Mapping[str, str]
) -> tuple[str, tuple[int, Spent] | None]:
    """What it wrote, and its exit status and cost; None for these where it was too slow."""
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "output"
        with log.open("wb") as file:
            wall = time.perf_counter()
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                env=_environment(environment),
            )  # fmt: skip
            found = _awaited(process, wall + limit)
            wall = time.perf_counter() - wall
        output = log.read_text(errors="replace")
    if found is None:
        return output, None
    status, usage = found
    cost = Spent(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
    return output, (os.waitstatus_to_exitcode(status), cost)


def _awaited(process: subprocess.Popen[bytes], end: float) -> tuple[int, Any] | None:
    """Status and usage of this child alone; None where it was killed at the end of its time."""
    pause = 0.001
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return status, usage
        if time.perf_counter() > end:
            process.kill()
            process.wait()
            return None
        time.sleep(pause)
        pause = min(1.5 * pause, 0.01)
