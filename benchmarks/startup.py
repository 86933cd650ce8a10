"""How long commands take to start, in seconds by the clock and of CPU, beside lm-eval's and
Inspect's.

    python benchmarks/startup.py [--repeats 5] [--only genbench lm-eval Inspect]

Whole processes, in turns, from a warm file cache. The smallest evaluations are of the first pair of
gp-ood-rule (four prompts); Inspect is measured where it is installed
(`pip install -r benchmarks/requirements.txt`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from suite.commands import (
    demo_checkpoint,
    export_pack,
    genbench_run,
    inspect_eval,
    lm_eval_run,
)
from suite.measuring import Spent, child, median, module, progress, ratio, take_turns
from suite.records import Recorder, Table, installed, need

SYSTEMS = ("genbench", "lm-eval", "Inspect")
BATCH = 4


def commands(place: Path, systems: Sequence[str]) -> dict[str, list[str]]:
    """By what is shown in the table."""
    demo = demo_checkpoint()
    found = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "genbench --help": module("genbench", "--help"),
        "import genbench": [sys.executable, "-c", "import genbench"],
        "genbench tasks list": module("genbench", "tasks", "list"),
        "genbench run, agent:oracle, one pair": genbench_run("agent:oracle", place, 1, BATCH),
        "genbench run, demo/gp-base, one pair": genbench_run("demo/gp-base", place, 1, BATCH),
    }
    if "lm-eval" in systems:
        found |= {
            "lm_eval --help": module("lm_eval", "--help"),
            "lm_eval run, demo/gp-base, one pair": lm_eval_run(demo, place, 1, BATCH),
        }
    if "Inspect" in systems:
        found |= {
            "inspect --help": module("inspect_ai", "--help"),
            "inspect eval, demo/gp-base, one pair": inspect_eval(demo, place, 1, BATCH),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--only", nargs="*", choices=SYSTEMS, help="by default all that are installed"
    )
    recorder = Recorder(parser)
    given = parser.parse_args()
    systems = given.only
    if systems is None:
        systems = [name for name in SYSTEMS if name != "Inspect" or installed("inspect_ai")]
    if "Inspect" in systems:
        need("inspect_ai", "inspect-ai")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if "lm-eval" in systems:
            export_pack(place)
        words = commands(place, systems)
        for name, one in words.items():  # the first start of a command reads files from disk
            progress(f"first start: {name}")
            child(one)
        timed: dict[str, Callable[[], Spent]] = {
            name: lambda one=one: child(one)  # type: ignore[misc]
            for name, one in words.items()
        }
        found = take_turns(timed, given.repeats, progress)
    record = recorder.record
    record.add(
        Table(
            "Start-up",
            ("command", "s", "CPU s", "peak MiB"),
            ("", ".2f", ".2f", ",.0f"),
            [
                [name, median(costs), median(costs, "cpu"), median(costs, "peak")]
                for name, costs in found.items()
            ],
            f"Medians of {given.repeats} starts.",
        )
    )
    shortest = median(found["genbench --help"])
    record.aim("`genbench --help`", "< 0.3 s", f"{shortest:.2f} s", shortest < 0.3)
    ours = found["genbench run, demo/gp-base, one pair"]
    for name, costs in found.items():
        if name.startswith(("lm_eval run", "inspect eval")):
            speed, least = ratio(costs, ours), 1.5 if name.startswith("lm_eval") else 1.0
            record.aim(
                f"`genbench run` of one pair against `{' '.join(name.split()[:2]).rstrip(',')}`",
                f">= {least:g}x", f"{speed}", speed.value >= least,
            )  # fmt: skip
    recorder.save(given.json)


if __name__ == "__main__":
    main()
