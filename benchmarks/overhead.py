"""What the harness costs beside the model's own `generate`, and its speed against lm-eval's.

    python benchmarks/overhead.py [--model demo/gp-base] [--limit N] [--repeats 3]

1. One run of the main task: the share of its wall time that is not inside transformers'
   `generate` (prompts, tokenization, verification, journal, statistics).
2. The first prompts of the task, greedy, same weights, batch size and threads: episodes/s of the
   `hf` backend and of lm-eval's own `HFLM.generate_until`. Interleaved; medians and their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import genbench
from genbench.evaluation import execute, prepare
from genbench.models.hf import HFModel
from genbench.models.interface import LoadOptions, Request
from genbench.process import keep_large_blocks, let_idle_threads_sleep
from genbench.runner import first_requests


def overhead(model: str, limit: int | None) -> None:
    """Print the share of a run's wall time outside the model's `generate`."""
    task = genbench.load_task("gp-ood-rule", limit=limit)
    inside = 0.0
    with tempfile.TemporaryDirectory() as output:
        evaluation, backend = prepare(model, task, output=output)

        def load(options: LoadOptions) -> Any:
            loaded = backend.load(evaluation.identity, options)
            own = loaded._model.generate

            def timed(*arguments: Any, **named: Any) -> Any:
                nonlocal inside
                begun = time.perf_counter()
                try:
                    return own(*arguments, **named)
                finally:
                    inside += time.perf_counter() - begun

            loaded._model.generate = timed
            nonlocal started
            started = time.perf_counter()
            return loaded

        started = 0.0
        execute(evaluation, load, LoadOptions())
        total = time.perf_counter() - started
    print(
        f"run of {sum(len(split.instances()) for split in task.splits.values())} episodes: "
        f"{total:.1f} s, {inside:.1f} s in generate, {total - inside:.2f} s outside "
        f"({100 * (total - inside) / total:.1f}%)"
    )


def requests(model: str, limit: int | None) -> tuple[Path, list[Request]]:
    """The checkpoint's folder and the first requests of the main task."""
    task = genbench.load_task("gp-ood-rule", limit=limit)
    with tempfile.TemporaryDirectory() as output:
        evaluation, _ = prepare(model, task, output=output)
        location = Path(str(evaluation.identity.location))
        return location, list(first_requests(task, evaluation.settings))


def against_lm_eval(model: str, limit: int | None, repeats: int, batch: int) -> None:
    """Print episodes/s of both on the same prompts, interleaved."""
    import lm_eval.models  # noqa: F401
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.api.registry import get_model

    folder, wanted = requests(model, limit)
    ours = HFModel(folder, LoadOptions(device="cpu", batch_size=batch))
    theirs: Any = get_model("hf").create_from_arg_obj(
        {"pretrained": str(folder), "dtype": "float32"}, {"batch_size": batch, "device": "cpu"}
    )
    chats = [[{"role": m.role, "content": m.text} for m in one.messages] for one in wanted]
    prompts = [theirs.apply_chat_template(chat, add_generation_prompt=True) for chat in chats]
    asked = {"until": [], "max_gen_toks": wanted[0].max_new_tokens, "do_sample": False}

    def of_ours() -> list[str]:
        ours.submit(wanted)
        found: dict[int, str] = {}
        while len(found) < len(wanted):
            found |= {request.order: response.text for request, response in ours.receive()}
        return [found[request.order] for request in wanted]

    def of_theirs() -> list[str]:
        instances = [
            Instance("generate_until", doc={}, arguments=(text, dict(asked)), idx=i)
            for i, text in enumerate(prompts)
        ]
        return list(theirs.generate_until(instances, disable_tqdm=True))

    assert of_ours() == of_theirs(), "the two do not answer alike"  # also warms both up
    seconds: dict[str, list[float]] = {"hf": [], "lm-eval": []}
    for _ in range(repeats):
        for name, run in (("hf", of_ours), ("lm-eval", of_theirs)):
            begun = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begun)
    speed = {name: len(wanted) / statistics.median(values) for name, values in seconds.items()}
    print(
        f"{len(wanted)} prompts, batch {batch}, {torch.get_num_threads()} threads, equal texts: "
        f"hf {speed['hf']:.1f} episodes/s, lm-eval {speed['lm-eval']:.1f} episodes/s, "
        f"ratio {speed['hf'] / speed['lm-eval']:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo/gp-base")
    parser.add_argument("--limit", type=int, default=None, help="the first N pairs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128)
    arguments = parser.parse_args()
    let_idle_threads_sleep()
    keep_large_blocks()
    overhead(arguments.model, arguments.limit)
    against_lm_eval(arguments.model, arguments.limit, arguments.repeats, arguments.batch_size)


if __name__ == "__main__":
    main()
