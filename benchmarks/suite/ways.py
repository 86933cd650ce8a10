"""Ways to answer the same prompts with one checkpoint, each loaded before it is measured.

All are greedy and, unless `Work` says otherwise, float32 on one thread of a CPU: a whole genbench
run, lm-eval's `generate_until`, and a whole evaluation of Inspect; `suite.engine` has transformers'
own `generate`.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import genbench
from genbench.evaluation import execute, prepare
from genbench.models.interface import LoadOptions
from genbench.runner import first_requests

TASK = "gp-ood-rule"


@dataclass(frozen=True)
class Work:
    """What is asked: the first pairs of the task, of a checkpoint's folder."""

    checkpoint: Path
    pairs: int
    batch: int
    new_tokens: int
    device: str = "cpu"
    dtype: str = "float32"


@dataclass(frozen=True)
class Shape:
    """A model of random weights, and how many pairs are asked of it in batches of which size."""

    hidden: int
    layers: int
    heads: int
    pairs: int
    batch: int
    batches: tuple[int, ...]  # those that the bare engine is tried with


#: by million parameters; the batch size is the `hf` backend's own on a CPU, where there are so many
SHAPES = {
    1: Shape(128, 4, 4, 160, 128, (32, 64, 128, 256)),
    10: Shape(384, 6, 6, 64, 128, (32, 64, 128, 256)),
    100: Shape(1024, 8, 8, 16, 32, (8, 16, 32)),
    500: Shape(1280, 24, 20, 261, 256, (64, 128, 256, 512)),
    7000: Shape(4096, 32, 32, 261, 256, (64, 128, 256, 512)),
}
ON_A_GPU = (500, 7000)


def random_checkpoint(folder: Path, shape: Shape, dtype: str = "float32") -> int:
    """Write a Llama with random weights and the demo models' tokenizer; its parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from genbench_tasks.general_points.tokenizer import build_tokenizer

    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.hidden,
            intermediate_size=shape.hidden * 11 // 4,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            max_position_embeddings=1024,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).to(getattr(torch, dtype))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return int(model.num_parameters())


class Clock:
    """Seconds by the clock in which at least one call of a function was under way, in any
    thread."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock, self._running, self._since = threading.Lock(), 0, 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        with self._lock:
            if not self._running:
                self._since = time.perf_counter()
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self.seconds += time.perf_counter() - self._since

    def around(self, function: Any) -> Any:
        def timed(*arguments: Any, **named: Any) -> Any:
            with self.running():
                return function(*arguments, **named)

        return timed


class Genbench:
    """A whole run: prompts, generation, verification, journal, statistics, files.

    `prompts` are the first prompts as the model sees them; `inside` counts the seconds in the
    model's own `generate`.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._options = LoadOptions(device=work.device, dtype=work.dtype, batch_size=work.batch)
        self.task = genbench.load_task(TASK, limit=work.pairs)
        self._place = tempfile.TemporaryDirectory()  # removed with this object
        evaluation, backend = self._prepared(self._place.name)
        self._folder = evaluation.folder
        self._model = backend.load(evaluation.identity, self._options)
        wanted = list(first_requests(self.task, evaluation.settings))
        self._requests = wanted
        self.prompts = [str((self._model.rendered(one) or {})["text"]) for one in wanted]
        self.inside = Clock()
        engine: Any = self._model
        engine._model.generate = self.inside.around(engine._model.generate)

    def _prepared(self, output: str) -> Any:
        work = self._work
        return prepare(
            str(work.checkpoint), self.task, output=output, options=self._options, verify_iters=1,
            max_new_tokens=work.new_tokens,
        )  # fmt: skip

    def generation(self) -> list[str]:
        """The answers alone: the backend without the harness, from messages to texts."""
        model = self._model
        model.start(self.task)
        model.submit(self._requests)
        texts: dict[int, str] = {}
        while len(texts) < len(self._requests):
            texts |= {request.order: response.text for request, response in model.receive()}
        return [texts[request.order] for request in self._requests]

    def run(self) -> None:
        """A run in a folder of its own."""
        evaluation, _ = self._prepared(tempfile.mkdtemp(dir=self._place.name))
        execute(evaluation, lambda options: self._model, self._options)
        self._folder = evaluation.folder

    def __call__(self) -> list[str]:
        self.run()
        return [one.turns[0].response.text for one in self._folder.episodes()]


class LmEval:
    """lm-eval's own `hf` model; its generation alone, without its tasks."""

    def __init__(self, work: Work, prompts: list[str]) -> None:
        import lm_eval.models  # noqa: F401
        from lm_eval.api.registry import get_model

        self._prompts = prompts
        self._asked = {"until": [], "max_gen_toks": work.new_tokens, "do_sample": False}
        self._model: Any = get_model("hf").create_from_arg_obj(
            {"pretrained": str(work.checkpoint), "dtype": work.dtype},
            {"batch_size": work.batch, "device": work.device},
        )

    def __call__(self) -> list[str]:
        from lm_eval.api.instance import Instance

        requests = [
            Instance("generate_until", doc={}, arguments=(text, dict(self._asked)), idx=number)
            for number, text in enumerate(self._prompts)
        ]
        return list(self._model.generate_until(requests, disable_tqdm=True))


class Inspect:
    """A whole evaluation of Inspect with its `hf` provider: samples, generation, scores, log.

    `rendered` are the prompts as the provider renders them.
    """

    def __init__(self, work: Work) -> None:
        from inspect_ai.model import get_model

        from suite.inspect_task import gp_ood_rule

        self._work = work
        self._model = get_model(
            "hf/local", memoize=False, model_path=str(work.checkpoint), device="cpu",
            dtype="float32", do_sample=False,
        )  # fmt: skip
        self._task = gp_ood_rule(work.pairs)
        self._logs = tempfile.TemporaryDirectory()  # removed with this object
        self._log: Any = None
        provider: Any = self._model.api
        self.rendered = [provider.hf_chat(list(one.input), []) for one in self._task.dataset]

    def run(self) -> None:
        """An evaluation with its log."""
        from inspect_ai import eval as evaluate

        (log,) = evaluate(
            self._task, model=self._model, log_dir=self._logs.name, display="none",
            max_tokens=self._work.new_tokens,
            max_connections=self._work.batch,  # the provider's batch size
            max_samples=self._work.batch,
        )  # fmt: skip
        if log.status != "success":
            raise SystemExit(f"Inspect's evaluation ended with {log.status}: {log.error}")
        self._log = log

    def __call__(self) -> list[str]:
        self.run()
        texts = {str(one.id): one.output.completion for one in self._log.samples}
        return [texts[str(one.id)] for one in self._task.dataset]


def quietly() -> None:
    """One thread, no progress bars, and the settings that genbench's own processes have."""
    import logging

    import torch

    from genbench.models.transformer import quieten
    from genbench.process import keep_large_blocks

    keep_large_blocks()
    quieten()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)


def agreement(found: list[str], reference: list[str]) -> float:
    """The share of texts that are equal, as far as both go."""
    pairs = list(zip(found, reference, strict=False))
    return sum(a == b for a, b in pairs) / len(pairs)
