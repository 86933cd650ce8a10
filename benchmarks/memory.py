"""The peak memory of whole processes, and their time: an agent, a demo checkpoint, random weights.

    python benchmarks/memory.py [--sizes 1 10 100] [--pairs N] [--only genbench generate ...]

The same evaluation by each: `genbench run`, transformers' `generate` (a process that holds nothing
but the prompts, the engine and the answers), `lm_eval` on the exported task pack, and
`inspect eval` where Inspect is installed (`pip install -r benchmarks/requirements.txt`). The first
pairs of gp-ood-rule, one batch size, 48 new tokens for random weights. The figure is ru_maxrss.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from suite.commands import (
    demo_checkpoint,
    export_pack,
    genbench_run,
    inspect_eval,
    lm_eval_run,
)
from suite.measuring import child, progress
from suite.records import Record, Recorder, Table, installed, need

SYSTEMS = ("genbench", "generate", "lm-eval", "Inspect")
SIZES = (1, 10, 100)
NEW_TOKENS = 48


def whole_runs(
    what: str,
    checkpoint: Path,
    place: Path,
    asked: tuple[int, int, int],
    systems: Sequence[str],
    record: Record,
) -> None:
    """The table of one checkpoint; `asked` are pairs, batch size and new tokens."""
    pairs, batch, tokens = asked
    prompts = place / "prompts.json"
    child(_own("--prompts", str(checkpoint), str(pairs), str(prompts)))
    count = len(json.loads(prompts.read_text(encoding="utf-8")))
    commands = {
        "genbench": genbench_run(str(checkpoint), place, *asked),
        "generate": _own("--generate", str(checkpoint), str(prompts), str(batch), str(tokens)),
        "lm-eval": lm_eval_run(checkpoint, place, *asked),
        "Inspect": inspect_eval(checkpoint, place, *asked),
    }
    found = {}
    for system in systems:
        progress(f"{what}: {system}")
        found[system] = child(commands[system])
    progress("")
    ours = found.get("genbench")
    record.add(
        Table(
            f"{what}: {count} prompts, batches of {batch}, {tokens} new tokens at most",
            ("process", "peak MiB", "genbench's peak over it", "s", "CPU s"),
            ("", ",.0f", ".2f", ".1f", ".1f"),
            [
                [
                    system,
                    cost.peak,
                    ours.peak / cost.peak if ours and ours.peak and cost.peak else None,
                    cost.wall,
                    cost.cpu,
                ]
                for system, cost in found.items()
            ],
        )
    )


def agents(place: Path, record: Record) -> None:
    """The table of the harness alone."""
    rows: list[list[str | float | None]] = []
    for name, pairs in (("one pair", 1), ("all pairs", 100_000)):
        progress(f"agent:oracle, {name}")
        cost = child(genbench_run("agent:oracle", place, pairs, 1))
        rows.append([f"agent:oracle, {name}", cost.peak, cost.wall, cost.cpu])
    progress("")
    record.add(
        Table(
            "The harness without a model",
            ("genbench run", "peak MiB", "s", "CPU s"),
            ("", ",.0f", ".1f", ".1f"),
            rows,
        )
    )


def _own(*words: str) -> list[str]:
    return [sys.executable, __file__, *words]


def write_prompts(checkpoint: str, pairs: str, file: str) -> None:
    """In a child: the prompts as the model sees them, as JSON."""
    from suite.ways import Genbench, Work

    prompts = Genbench(Work(Path(checkpoint), int(pairs), 1, NEW_TOKENS)).prompts
    Path(file).write_text(json.dumps(prompts), encoding="utf-8")


def write_checkpoint(million: str, folder: str) -> None:
    """In a child: random weights; their number on stdout."""
    from suite.ways import SHAPES, random_checkpoint

    shape = SHAPES[int(million)]
    parameters = random_checkpoint(Path(folder), shape)
    Path(folder, "asked.json").write_text(json.dumps([parameters, shape.pairs, shape.batch]))


def generate(checkpoint: str, file: str, batch: str, tokens: str) -> None:
    """In a child: transformers alone answers prompts."""
    from suite.engine import Bare

    prompts = json.loads(Path(file).read_text(encoding="utf-8"))
    print(len(Bare(Path(checkpoint), prompts, int(batch), int(tokens))()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="*", type=int, choices=SIZES, default=list(SIZES))
    parser.add_argument("--pairs", type=int, help="of the task; by default as many as suit a size")
    parser.add_argument("--only", nargs="*", choices=SYSTEMS, help="by default all installed ones")
    parser.add_argument("--prompts", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--generate", nargs=4, help=argparse.SUPPRESS)
    recorder = Recorder(parser)
    given = parser.parse_args()
    for words, work in (
        (given.prompts, write_prompts), (given.checkpoint, write_checkpoint),
        (given.generate, generate),
    ):  # fmt: skip
        if words:
            work(*words)
            return
    systems = given.only
    if systems is None:
        systems = [name for name in SYSTEMS if name != "Inspect" or installed("inspect_ai")]
    if "Inspect" in systems:
        need("inspect_ai", "inspect-ai")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        export_pack(place)
        agents(place, recorder.record)
        whole_runs(
            "demo/gp-base", demo_checkpoint(), place, (given.pairs or 40, 128, 256), systems,
            recorder.record,
        )  # fmt: skip
        for million in given.sizes:
            model = place / f"model-{million}"
            child(_own("--checkpoint", str(million), str(model)))
            parameters, pairs, batch = json.loads((model / "asked.json").read_text())
            whole_runs(
                f"{parameters / 1e6:.1f} M parameters", model, place,
                (given.pairs or pairs, batch, NEW_TOKENS), systems, recorder.record,
            )  # fmt: skip
    recorder.save(given.json)


if __name__ == "__main__":
    main()
