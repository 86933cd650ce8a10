"""vLLM's engines behind one face: prompts go in at any time, and come out as they are answered.

One copy of the model is driven step by step (`LLMEngine`); several copies (data parallel) by
vLLM's asynchronous engine, which shares the prompts out among them.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from genbench.errors import GenbenchError, ModelError
from genbench.models import files
from genbench.models.transformer import out_of_memory

_GIB = 2**30
#: keys and values on a CPU, where nothing else is said
_CPU_CACHE = 2 * _GIB


class Engine(ABC):
    """A vLLM engine; `config` is its `VllmConfig`."""

    config: Any
    _engine: Any

    @abstractmethod
    def add(self, name: str, prompt: Mapping[str, Any], sampling: Any) -> None:
        """Take a prompt in: token ids, and images if it has any."""

    @abstractmethod
    def finished(self) -> Sequence[tuple[str, Any]]:
        """Finished requests by name, as vLLM's `RequestOutput`; may be none. Blocks for a step of
        the engine, or until one is finished; something must be asked."""

    @abstractmethod
    def prompt_ids(self, prompt: Mapping[str, Any]) -> list[int]:
        """The token ids that the model is given for a prompt: with those of its images."""

    @abstractmethod
    def close(self) -> None:
        """Free what it holds, and end its processes."""

    def image_processor(self) -> str:
        """The class of transformers that makes pixels of images here."""
        processor = self._engine.renderer.get_mm_processor().info.get_hf_processor()
        return type(processor.image_processor).__name__


def start_engine(arguments: Mapping[str, Any]) -> Engine:
    """An engine with vLLM's engine arguments. Raises ModelError."""
    _prepare_environment(arguments)
    with _failing(str(arguments["model"])):
        from vllm.platforms import current_platform

        on_cpu = bool(current_platform.is_cpu())
        chosen = {**(_cpu_settings() if on_cpu else {}), **arguments}
        if int(chosen.get("data_parallel_size", 1)) > 1:
            return _SharingEngine(chosen, on_cpu)
        return _SteppedEngine(chosen, on_cpu)


def _prepare_environment(arguments: Mapping[str, Any]) -> None:
    """Before vLLM is imported; what the user set is kept."""
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")  # it would report to its makers
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_RAISE_ON_LOGIT_NANS", "1")  # it would choose a token all the same
    import logging
    import warnings

    logging.getLogger("torch._library.triton").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")
    import torch

    several = any(
        int(arguments.get(f"{kind}_parallel_size", 1)) > 1
        for kind in ("tensor", "data", "pipeline")
    )
    if torch.cuda.is_available():
        return
    if several:
        # Bound, each process would want cores of its own, and one more.
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    else:
        # An engine in a process of its own gains nothing on a CPU, and takes a minute to start.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


def _cpu_settings() -> dict[str, Any]:
    """Without compilation, which takes longer to start and no less to answer; and a bound for the
    memory, of which vLLM would take most."""
    import psutil

    found: dict[str, Any] = {"enforce_eager": True}
    if not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
        found["kv_cache_memory_bytes"] = min(_CPU_CACHE, psutil.virtual_memory().available // 2)
    return found


def _refuse_head_size(config: Any) -> None:
    """Raise ModelError for a head size that vLLM's attention on a CPU has no code for: it would
    find out in the middle of a step."""
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    if config.model_config.use_mla:
        return
    size = config.model_config.get_head_size()
    known = CPUAttentionBackend.get_supported_head_sizes()
    if size not in known:
        raise ModelError(
            f"{config.model_config.model} has attention heads of size {size}, and vLLM on a CPU "
            f"computes those of {', '.join(map(str, known))}; use --backend hf"
        )


@contextmanager
def _failing(model: str) -> Iterator[None]:
    """Whatever vLLM raises while it starts becomes a ModelError with what can be done."""
    try:
        yield
    except GenbenchError:
        raise
    except Exception as error:
        text = _text(error)
        raise ModelError(f"vLLM cannot load {model}: {text}{_advice(error, text)}") from error


def _text(error: Exception) -> str:
    """What it says, in one line; of settings that vLLM refuses, why."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        lines = str(error.errors()[0]["msg"]).strip().splitlines()
        return lines[0].removeprefix("Value error, ") if lines else files.brief(error)
    return files.brief(error)


def _advice(error: BaseException, text: str) -> str:
    lower = text.lower()
    if out_of_memory(error) or any(
        said in lower for said in ("memory", "kv cache", "cache blocks")
    ):
        return (
            "; --model-args max_model_len=N takes less memory for a conversation, "
            "kv_cache_memory_bytes=N (on a CPU) and gpu_memory_utilization=SHARE say how much "
            "there is"
        )
    if "root cause above" in lower:
        return "; its own messages stand above"
    if "architecture" in lower or "not supported" in lower:
        return "; use --backend hf"
    return ""


class _SteppedEngine(Engine):
    def __init__(self, arguments: Mapping[str, Any], on_cpu: bool) -> None:
        from vllm.engine.arg_utils import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine

        made = EngineArgs(**arguments)
        self.config = made.create_engine_config()
        if on_cpu:
            _refuse_head_size(self.config)
        self._engine = LLMEngine.from_vllm_config(self.config, disable_log_stats=True)

    def add(self, name: str, prompt: Mapping[str, Any], sampling: Any) -> None:
        self._engine.add_request(name, self._rendered(prompt), sampling)

    def _rendered(self, prompt: Mapping[str, Any]) -> Any:
        from vllm.renderers.inputs.preprocess import parse_model_prompt

        parsed = parse_model_prompt(self.config.model_config, dict(prompt))
        (found,) = self._engine.renderer.render_cmpl([parsed])
        return found

    def finished(self) -> Sequence[tuple[str, Any]]:
        return [(found.request_id, found) for found in self._engine.step() if found.finished]

    def prompt_ids(self, prompt: Mapping[str, Any]) -> list[int]:
        return list(self._rendered(prompt)["prompt_token_ids"])

    def close(self) -> None:
        import gc

        self._engine.engine_core.shutdown()
        del self._engine
        gc.collect()


class _SharingEngine(Engine):
    """The asynchronous engine, on an event loop in a thread of its own."""

    def __init__(self, arguments: Mapping[str, Any], on_cpu: bool) -> None:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        made = AsyncEngineArgs(**arguments)
        self.config = made.create_engine_config()
        if on_cpu:
            _refuse_head_size(self.config)
        self._done: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="genbench-vllm", daemon=True).start()

        async def make() -> Any:
            return AsyncLLM.from_vllm_config(self.config, disable_log_stats=True)

        self._engine = asyncio.run_coroutine_threadsafe(make(), self._loop).result()

    def add(self, name: str, prompt: Mapping[str, Any], sampling: Any) -> None:
        asyncio.run_coroutine_threadsafe(self._answer(name, prompt, sampling), self._loop)

    async def _answer(self, name: str, prompt: Mapping[str, Any], sampling: Any) -> None:
        try:
            rendered = await self._rendered(prompt)
            async for found in self._engine.generate(rendered, sampling, name):
                if found.finished:
                    self._done.put((name, found))
        except BaseException as error:  # a task's own would be lost
            self._done.put((name, error))

    async def _rendered(self, prompt: Mapping[str, Any]) -> Any:
        from vllm.renderers.inputs.preprocess import parse_model_prompt

        parsed = parse_model_prompt(self.config.model_config, dict(prompt))
        (found,) = await self._engine.renderer.render_cmpl_async([parsed])
        return found

    def finished(self) -> Sequence[tuple[str, Any]]:
        found = [self._done.get()]
        while not self._done.empty():
            found.append(self._done.get())
        for _, outcome in found:
            if isinstance(outcome, BaseException):
                raise outcome
        return found

    def prompt_ids(self, prompt: Mapping[str, Any]) -> list[int]:
        future = asyncio.run_coroutine_threadsafe(self._rendered(prompt), self._loop)
        return list(future.result()["prompt_token_ids"])

    def close(self) -> None:
        self._engine.shutdown()
        del self._engine  # at the end of the process it would find its own modules gone
        self._loop.call_soon_threadsafe(self._loop.stop)
