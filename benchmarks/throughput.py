"""Our throughput against the engine beneath and against lm-eval, on the same prompts.

    python benchmarks/throughput.py [--sizes 1 10 100] [--repeats 3] [--pairs N] [--no-cli]
    python benchmarks/throughput.py --device cuda --sizes 100 500 7000 --no-cli      # in bfloat16

1. Random-weight Llama models of so many million parameters, greedy, float32, one thread, the first
   prompts of gp-ood-rule: a whole genbench run (prompts, generation, verification, journal,
   statistics; the model is loaded before), its backend's generation alone (chat template,
   tokenizing, decoding), transformers' own `generate` (with tokenizing and decoding) at several
   batch sizes, lm-eval's `generate_until`, and `generate` prompt by prompt. They take turns. The
   harness's share is the part of a run's seconds by the clock in which the model's `generate` was
   not under way.
2. By command line, the demo checkpoint at small n: `genbench run` against `lm_eval` on the exported
   task pack; the whole processes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from suite.commands import demo_checkpoint, export_pack, genbench_run, lm_eval_run
from suite.engine import Bare
from suite.measuring import Ratio, Spent, child, median, progress, ratio, spent, take_turns
from suite.records import Record, Recorder, Table
from suite.ways import (
    ON_A_GPU,
    SHAPES,
    Genbench,
    LmEval,
    Work,
    agreement,
    quietly,
    random_checkpoint,
)

from genbench.process import let_idle_threads_sleep

_ALONE = 8  # prompts that are asked one by one
_COLUMNS = (
    "way", "batch", "prompts", "s", "CPU s", "prompts/s", "genbench's speed over it", "by CPU",
    "same texts",
)  # fmt: skip
_FORMS = ("", "d", "d", ".2f", ".2f", ".1f", "s", "s", ".0%")


def compare(
    million: int, pairs: int | None, repeats: int, new_tokens: int, device: str, record: Record
) -> None:
    """One size: the table of its ways, and its targets."""
    shape = SHAPES[million]
    dtype = "float32" if device == "cpu" else "bfloat16"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        parameters = f"{random_checkpoint(folder, shape, dtype) / 1e6:.1f} M"
        work = Work(folder, pairs or shape.pairs, shape.batch, new_tokens, device, dtype)
        ours = Genbench(work)
        bare = Bare(folder, ours.prompts, shape.batch, new_tokens, device, dtype)
        count = len(ours.prompts)
        batches = sorted({min(size, count) for size in shape.batches})
        engines = {f"generate, {size}": (bare.asked(size), size, count) for size in batches}
        ways: dict[str, tuple[Callable[[], list[str]], int, int]] = {
            "genbench run": (ours, shape.batch, count),
            "genbench's generation": (ours.generation, shape.batch, count),
            **engines,
            "lm-eval's generation": (LmEval(work, ours.prompts), shape.batch, count),
            "generate, one by one": (bare.asked(1, _ALONE), 1, min(_ALONE, count)),
        }
        texts = {}
        for name, (way, _, _) in ways.items():  # also warms up
            progress(f"{parameters}, first turn: {name}")
            texts[name] = way()
        shares: list[tuple[float, float]] = []  # seconds of a run, and inside `generate`

        def run() -> Spent:
            ours.inside.seconds = 0.0
            cost = spent(ours.run)
            shares.append((cost.wall, ours.inside.seconds))
            return cost

        timed: dict[str, Callable[[], Spent]] = {
            name: run if way is ours else lambda way=way: spent(way)  # type: ignore[misc]
            for name, (way, _, _) in ways.items()
        }
        found = take_turns(timed, repeats, lambda text: progress(text and f"{parameters}, {text}"))
    best = min(engines, key=lambda name: median(found[name]))

    def speed(way: str, over: str, what: str = "wall") -> Ratio:
        """Of a way of genbench over another."""
        return ratio(found[over], found[way], what, count / ways[over][2])

    def over_it(name: str, what: str) -> str | None:
        return None if name == "genbench run" else str(speed("genbench run", name, what))

    record.add(
        Table(
            f"{parameters} parameters",
            _COLUMNS,
            _FORMS,
            [
                [
                    name.partition(",")[0] if name in engines else name,
                    batch,
                    prompts,
                    median(found[name]),
                    median(found[name], "cpu"),
                    prompts / median(found[name]),
                    over_it(name, "wall"),
                    over_it(name, "cpu"),
                    agreement(texts[name], texts[best]),
                ]
                for name, (_, batch, prompts) in ways.items()
            ],
            f"{new_tokens} new tokens; medians of {repeats} turns; in brackets the least and the "
            f"largest ratio of a turn.{_where(device)}",
        )
    )
    outside = sorted((wall - inside) / wall for wall, inside in shares)
    share, most = outside[len(outside) // 2], 0.25 if million < 10 else 0.05
    record.aim(
        f"{parameters}: the harness's share of a run's time",
        f"< {most:.0%}", f"{share:.1%} [{outside[0]:.1%}, {outside[-1]:.1%}]", share < most,
    )  # fmt: skip
    at_best = f"`generate` at its best batch size ({ways[best][1]})"
    for ours_by, name, claim, least in (
        ("genbench's generation", best, at_best, 0.95),
        ("genbench run", best, at_best, 0.95),
        ("genbench's generation", "lm-eval's generation", "lm-eval's generation", 1.0),
        ("genbench run", "lm-eval's generation", "lm-eval's generation", 1.0),
        ("genbench run", "generate, one by one", "`generate` prompt by prompt", 5.0),
    ):
        ours_over = speed(ours_by, name)
        whole = "a whole genbench run" if ours_by == "genbench run" else ours_by
        record.aim(
            f"{parameters}: throughput of {whole} against {claim}",
            f">= {least:g}x", f"{ours_over}", ours_over.value >= least,
        )  # fmt: skip


def _where(device: str) -> str:
    if device == "cpu":
        return ""
    import torch

    return f" On {torch.cuda.get_device_name(device)}, in bfloat16."


def command_lines(pairs: int, repeats: int, record: Record) -> None:
    """What whole processes take, in turns."""
    demo = demo_checkpoint()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        export_pack(place)
        commands = {
            "genbench run": genbench_run("demo/gp-base", place, pairs, 64),
            "lm_eval, on the exported pack": lm_eval_run(demo, place, pairs, 64),
        }
        found = take_turns(
            {name: lambda words=words: child(words) for name, words in commands.items()},  # type: ignore[misc]
            repeats,
            progress,
        )
    ours, theirs = found.values()
    wall = ratio(theirs, ours)
    record.add(
        Table(
            f"By command line, demo/gp-base, {4 * pairs} prompts",
            ("command", "s", "CPU s", "genbench's speed over it", "by CPU"),
            ("", ".1f", ".1f", "s", "s"),
            [
                ["genbench run", median(ours), median(ours, "cpu"), None, None],
                [
                    "lm_eval, on the exported pack", median(theirs), median(theirs, "cpu"),
                    str(wall), str(ratio(theirs, ours, "cpu")),
                ],
            ],
            f"Whole processes, start-up and loading included; medians of {repeats} turns.",
        )
    )  # fmt: skip
    record.aim(
        f"a whole run of {4 * pairs} prompts against lm_eval's", ">= 1.5x", f"{wall}",
        wall.value >= 1.5,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="*", type=int, choices=SHAPES, default=[1, 10, 100])
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--pairs", type=int, help="of the task; by default as many as suit a size")
    parser.add_argument("--cli-pairs", type=int, default=5, help="of the runs by command line")
    parser.add_argument("--no-cli", action="store_true", help="without the command lines")
    recorder = Recorder(parser)
    given = parser.parse_args()
    if given.device == "cpu" and (large := sorted(set(given.sizes) & set(ON_A_GPU))):
        parser.error(f"--sizes {' '.join(map(str, large))}: give --device cuda")
    if given.device != "cpu":
        import torch

        if not torch.cuda.is_available():
            parser.error(f"--device {given.device}: torch sees no CUDA device here")
    let_idle_threads_sleep()
    quietly()
    for million in given.sizes:
        compare(
            million, given.pairs, given.repeats, given.new_tokens, given.device, recorder.record
        )
    if not given.no_cli:
        command_lines(given.cli_pairs, given.repeats, recorder.record)
    recorder.save(given.json)


if __name__ == "__main__":
    main()
