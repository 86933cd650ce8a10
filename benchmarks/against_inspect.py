"""A whole genbench run against a whole evaluation of Inspect with its hf provider.

    pip install -r benchmarks/requirements.txt
    python benchmarks/against_inspect.py [--sizes 1 10] [--repeats 3] [--pairs N]

Random-weight Llama models, float32, one thread, greedy, the same prompts of gp-ood-rule, the same
batch size (Inspect's `max_connections`) and tokens; the checkpoint is loaded before. Inspect's
samples are scored by genbench's verifier, and logged. `generate` is transformers' own, in batches
of the same size. They take turns.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from suite.engine import Bare
from suite.measuring import Spent, median, progress, ratio, spent, take_turns
from suite.records import Record, Recorder, Table, need
from suite.ways import SHAPES, Genbench, Inspect, Work, agreement, quietly, random_checkpoint

from genbench.process import let_idle_threads_sleep


def compare(million: int, pairs: int | None, repeats: int, new_tokens: int, record: Record) -> None:
    """One size: the table of its ways, and its targets."""
    shape = SHAPES[million]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        parameters = f"{random_checkpoint(folder, shape) / 1e6:.1f} M"
        work = Work(folder, pairs or shape.pairs, shape.batch, new_tokens)
        ours, theirs = Genbench(work), Inspect(work)
        ways: dict[str, Callable[[], list[str]]] = {
            "genbench run": ours,
            "inspect_ai.eval": theirs,
            "generate": Bare(folder, ours.prompts, shape.batch, new_tokens),
        }
        texts = {name: way() for name, way in ways.items()}  # also warms up
        timed: dict[str, Callable[[], Spent]] = {
            "genbench run": lambda: spent(ours.run),
            "inspect_ai.eval": lambda: spent(theirs.run),
            "generate": lambda: spent(ways["generate"]),
        }
        found = take_turns(timed, repeats, lambda text: progress(text and f"{parameters}, {text}"))
    count, run_costs = len(ours.prompts), found["genbench run"]
    rows = [
        [
            name, count, median(costs), median(costs, "cpu"), count / median(costs),
            count / median(costs, "cpu"),
            None if name == "genbench run" else str(ratio(costs, run_costs)),
            None if name == "genbench run" else str(ratio(costs, run_costs, "cpu")),
            agreement(texts[name], texts["generate"]),
        ]
        for name, costs in found.items()
    ]  # fmt: skip
    record.add(
        Table(
            f"{parameters} parameters, batches of {shape.batch}",
            (
                "way", "prompts", "s", "CPU s", "prompts/s", "prompts/CPU s",
                "genbench's speed over it", "by CPU", "same texts",
            ),
            ("", "d", ".2f", ".2f", ".1f", ".1f", "s", "s", ".0%"),
            rows,
            f"{new_tokens} new tokens; medians of {repeats} turns; in brackets the least and the "
            "largest ratio of a turn. Prompts that Inspect renders as genbench does: "
            f"{agreement(theirs.rendered, ours.prompts):.0%}.",
        )
    )  # fmt: skip
    for what, by in (("wall", "by the clock"), ("cpu", "by CPU")):
        speed = ratio(found["inspect_ai.eval"], run_costs, what)
        record.aim(
            f"{parameters}: a genbench run's throughput against Inspect's evaluation, {by}",
            ">= 1x", f"{speed}", speed.value >= 1,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="*", type=int, choices=(1, 10, 100), default=[1, 10])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--pairs", type=int, help="of the task; by default as many as suit a size")
    recorder = Recorder(parser)
    given = parser.parse_args()
    need("inspect_ai", "inspect-ai")
    let_idle_threads_sleep()
    quietly()
    for million in given.sizes:
        compare(million, given.pairs, given.repeats, given.new_tokens, recorder.record)
    recorder.save(given.json)


if __name__ == "__main__":
    main()
