"""What it gains that the images of the next batch are processed while the last one is answered.

    python benchmarks/look_ahead.py [--model demo/gp-vl-base] [--task gp-vl-ood-rule] [--limit 50]
                                    [--repeats 3]

Whole runs of one attempt each, with it and without, in turns; seconds by the clock, with one
thread of torch, so that a second core is needed to see anything. Pictures are drawn and decoded
anew in each run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from typing import Any

import torch

import genbench
from genbench.evaluation import execute, prepare
from genbench.models.ahead import Ahead
from genbench.models.images import Images
from genbench.models.interface import LoadOptions
from genbench.process import keep_large_blocks, let_idle_threads_sleep
from genbench_tasks.general_points import seen as cards
from genbench_tasks.navigation import seen as streets
from genbench_tasks.recent_pictures import RecentPictures


def forget_pictures() -> None:
    """What was drawn lately is drawn again."""
    for module in (cards, streets):
        for one in vars(module).values():
            if isinstance(one, RecentPictures):
                one.forget()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo/gp-vl-base")
    parser.add_argument("--task", default="gp-vl-ood-rule")
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    let_idle_threads_sleep()
    keep_large_blocks()
    torch.set_num_threads(1)
    begin = Ahead.begin
    inside = 0.0

    def seconds(ahead: bool) -> tuple[float, float]:
        """Of a run, and of those in `generate`."""
        nonlocal inside
        forget_pictures()
        model._prompts._images = Images()
        setattr(Ahead, "begin", begin if ahead else lambda self, key, make: None)  # noqa: B010
        task = genbench.load_task(given.task, limit=given.limit)
        with tempfile.TemporaryDirectory() as output:
            evaluation, _ = prepare(given.model, task, output=output, verify_iters=1)
            inside, began = 0.0, time.perf_counter()
            execute(evaluation, lambda options: model, LoadOptions())
            return time.perf_counter() - began, inside

    with tempfile.TemporaryDirectory() as output:
        task = genbench.load_task(given.task, limit=given.limit)
        evaluation, backend = prepare(given.model, task, output=output)
        model: Any = backend.load(evaluation.identity, LoadOptions(device="cpu"))
    own = model._model.generate

    def timed(*arguments: Any, **named: Any) -> Any:
        nonlocal inside
        began = time.perf_counter()
        try:
            return own(*arguments, **named)
        finally:
            inside += time.perf_counter() - began

    model._model.generate = timed
    seconds(True)
    found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for _ in range(given.repeats):
        for ahead, values in found.items():
            values.append(seconds(ahead))
    middle = {
        ahead: [statistics.median(one[place] for one in values) for place in (0, 1)]
        for ahead, values in found.items()
    }
    for ahead, (whole, within) in middle.items():
        name = "ahead" if ahead else "in turn"
        print(
            f"images {name:8} {whole:6.1f} s, in generate {within:6.1f} s, "
            f"harness's share {100 * (1 - within / whole):.0f}%"
        )
    print(f"ratio {middle[False][0] / middle[True][0]:.2f}")


if __name__ == "__main__":
    main()
