"""Our throughput against the engine beneath and against lm-eval, on the same prompts.

    python benchmarks/throughput.py [--sizes 1 10 100] [--repeats 3] [--new-tokens 48] [--no-cli]

1. Random-weight Llama models of so many million parameters, float32, one thread, greedy, the first
   prompts of gp-ood-rule, in batches of one size: a whole genbench run (prompts, generation,
   verification, journal, statistics; the model is loaded before), transformers' own `generate`
   (with tokenizing and decoding), lm-eval's `generate_until`, and `generate` prompt by prompt.
   The four take turns. Figures are CPU seconds, so that other work on the machine does not count.
2. By command line, the demo checkpoint at small n: `genbench run` against `lm_eval` on the exported
   task pack; the whole process, by CPU and by the clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import genbench
from genbench.evaluation import execute, prepare
from genbench.models.interface import LoadOptions
from genbench.process import keep_large_blocks, let_idle_threads_sleep
from genbench.runner import first_requests

TASK = "gp-ood-rule"
# Million parameters: hidden size, layers, heads; pairs of the task, batch size.
SIZES = {1: (128, 4, 4, 40, 64), 10: (384, 6, 6, 16, 64), 100: (1024, 8, 8, 4, 16)}
_ALONE = 8  # prompts that are asked one by one


def checkpoint(folder: Path, hidden: int, layers: int, heads: int) -> int:
    """Write a Llama with random weights and the demo models' tokenizer; its parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from genbench_tasks.general_points.tokenizer import build_tokenizer

    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=hidden * 11 // 4,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            max_position_embeddings=1024,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return int(model.num_parameters())


class Contest:
    """The ways to answer the same prompts with one checkpoint."""

    def __init__(self, folder: Path, pairs: int, batch: int, new_tokens: int) -> None:
        import lm_eval.models  # noqa: F401
        import torch
        from lm_eval.api.registry import get_model
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        self._batch, self._new = batch, new_tokens
        self._options = LoadOptions(device="cpu", batch_size=batch)
        self._task = genbench.load_task(TASK, limit=pairs)
        self._model = str(folder)
        self._tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self._bare = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._theirs: Any = get_model("hf").create_from_arg_obj(
            {"pretrained": str(folder), "dtype": "float32"}, {"batch_size": batch, "device": "cpu"}
        )
        with tempfile.TemporaryDirectory() as output:
            evaluation, backend = self._prepared(output)
            self._ours = backend.load(evaluation.identity, self._options)
            wanted = list(first_requests(self._task, evaluation.settings))
            self.prompts = [str((self._ours.rendered(one) or {})["text"]) for one in wanted]
        self.inside = 0.0
        own = self._ours._model.generate

        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return own(*arguments, **named)
            finally:
                self.inside += time.process_time() - began

        self._ours._model.generate = timed

    def _prepared(self, output: str) -> Any:
        return prepare(
            self._model, self._task, output=output, options=self._options, verify_iters=1,
            max_new_tokens=self._new,
        )  # fmt: skip

    def genbench(self) -> list[str]:
        with tempfile.TemporaryDirectory() as output:
            evaluation, _ = self._prepared(output)
            execute(evaluation, lambda options: self._ours, self._options)
            return [one.turns[0].response.text for one in evaluation.folder.episodes()]

    def bare(self, prompts: list[str] | None = None, batch: int | None = None) -> list[str]:
        import torch

        prompts, size, texts = prompts or self.prompts, batch or self._batch, []
        for start in range(0, len(prompts), size):
            inputs = self._tokenizer(
                prompts[start : start + size], return_tensors="pt", padding=True,
                add_special_tokens=False,
            )  # fmt: skip
            inputs.pop("token_type_ids", None)
            with torch.inference_mode():
                ids = self._bare.generate(
                    **inputs, max_new_tokens=self._new, do_sample=False,
                    pad_token_id=self._tokenizer.pad_token_id,
                )  # fmt: skip
            found = ids[:, inputs["input_ids"].shape[1] :]
            texts += self._tokenizer.batch_decode(found, skip_special_tokens=True)
        return texts

    def lm_eval(self) -> list[str]:
        from lm_eval.api.instance import Instance

        asked = {"until": [], "max_gen_toks": self._new, "do_sample": False}
        requests = [
            Instance("generate_until", doc={}, arguments=(text, dict(asked)), idx=number)
            for number, text in enumerate(self.prompts)
        ]
        return list(self._theirs.generate_until(requests, disable_tqdm=True))

    def alone(self) -> list[str]:
        return self.bare(self.prompts[:_ALONE], 1)


def compare(million: int, repeats: int, new_tokens: int) -> None:
    """Print episodes a CPU second of every way, and the ratios."""
    hidden, layers, heads, pairs, batch = SIZES[million]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        parameters = checkpoint(folder, hidden, layers, heads)
        contest = Contest(folder, pairs, batch, new_tokens)
        ways: dict[str, tuple[Callable[[], list[str]], int]] = {
            "genbench": (contest.genbench, len(contest.prompts)),
            "generate": (contest.bare, len(contest.prompts)),
            "lm-eval": (contest.lm_eval, len(contest.prompts)),
            "one by one": (contest.alone, _ALONE),
        }
        texts = {name: way() for name, (way, _) in ways.items()}  # also warms up
        alike = {
            name: sum(a == b for a, b in zip(found, texts["generate"], strict=False)) / len(found)
            for name, found in texts.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        shares = []
        for _ in range(repeats):
            for name, (way, _) in ways.items():
                contest.inside = 0.0
                began = time.process_time()
                way()
                seconds[name].append(time.process_time() - began)
                if name == "genbench":
                    shares.append(1 - contest.inside / seconds[name][-1])
        rate = {name: count / statistics.median(seconds[name]) for name, (_, count) in ways.items()}
    print(
        f"{parameters / 1e6:6.1f} M, {len(contest.prompts)} prompts, batch {batch}, "
        f"{new_tokens} new tokens: "
        + ", ".join(f"{name} {value:.2f}/s" for name, value in rate.items())
    )
    print(
        f"         genbench against generate {rate['genbench'] / rate['generate']:.2f}, "
        f"lm-eval's generation {rate['genbench'] / rate['lm-eval']:.2f}, "
        f"one by one {rate['genbench'] / rate['one by one']:.1f}; "
        f"harness share {100 * statistics.median(shares):.1f}%; texts equal to generate's: "
        + ", ".join(f"{name} {100 * value:.0f}%" for name, value in alike.items()),
        flush=True,
    )


def command_lines(pairs: int, repeats: int) -> None:
    """Print what whole processes take, in turns."""
    import genbench_tasks
    from genbench.export import export

    demo = Path(genbench_tasks.__file__).parent / "checkpoints" / "gp-base"
    with tempfile.TemporaryDirectory() as place:
        export(genbench.load_task(TASK), Path(place) / "pack", "lm-eval")
        arguments: dict[str, list[str]] = {
            "genbench": [
                *("genbench", "run", "--model", "demo/gp-base", "--task", TASK),
                *("--verify-iters", "1", "--limit", str(pairs), "--batch-size", "64"),
                *("--device", "cpu", "--no-resume", "--output", f"{place}/runs"),
            ],
            "lm-eval": [
                *("lm_eval", "--model", "hf", "--apply_chat_template", "--tasks", "gp_ood_rule"),
                *("--model_args", f"pretrained={demo},dtype=float32", "--device", "cpu"),
                *("--include_path", f"{place}/pack", "--limit", str(pairs), "--batch_size", "64"),
                *("--log_samples", "--output_path", f"{place}/out"),
            ],
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in arguments}
        for _ in range(repeats):
            for name, words in arguments.items():
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                began = time.perf_counter()
                subprocess.run(
                    [sys.executable, "-m", *words], capture_output=True, check=True,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                )  # fmt: skip
                wall = time.perf_counter() - began
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                found[name].append((cpu, wall))
    middle = {
        name: [statistics.median(one[place] for one in values) for place in (0, 1)]
        for name, values in found.items()
    }
    print(
        f"by command line, demo/gp-base, {4 * pairs} prompts: "
        + ", ".join(
            f"{name} {cpu:.1f} CPU s ({wall:.0f} s)" for name, (cpu, wall) in middle.items()
        )
        + f"; ratio {middle['lm-eval'][0] / middle['genbench'][0]:.2f} of CPU, "
        f"{middle['lm-eval'][1] / middle['genbench'][1]:.2f} by the clock",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", type=int, choices=SIZES, default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--pairs", type=int, default=5, help="of the runs by command line")
    parser.add_argument("--no-cli", action="store_true", help="without the command lines")
    given = parser.parse_args()
    let_idle_threads_sleep()
    keep_large_blocks()
    for million in given.sizes:
        compare(million, given.repeats, given.new_tokens)
    if not given.no_cli:
        command_lines(given.pairs, given.repeats)


if __name__ == "__main__":
    main()
