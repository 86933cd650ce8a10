"""A checkpoint in vLLM's engine behind genbench's interface.

The engine is kept full: an episode that ends makes room at once, and a conversation that goes on is
asked before new ones, while the engine still holds its beginning. What it generates is read as
`hf` reads it (`decoding`): where an answer ends, why, and its text.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, IncompleteError, ModelError
from genbench.models import files
from genbench.models.decoding import Decoder
from genbench.models.folder import load_config, load_prompts
from genbench.models.interface import Identity, LoadOptions, Model, Request, Response
from genbench.models.options import flag, resolve_dtype
from genbench.models.prompts import ImagePrompts, Prompt
from genbench.models.sampling import NAN_SCORES
from genbench.models.transformer import (
    check_vocabulary,
    check_weights,
    kept_tokens,
    loading,
    out_of_memory,
)
from genbench.models.vllm import engine_arguments
from genbench.models.vllm_engine import Engine, start_engine
from genbench.task import Task, derive_seed
from genbench.thinking import CLOSE, is_thinking

#: prompts that the engine holds, for each one that it computes: the next is there when one ends
_AHEAD = 2


@dataclass
class _Asked:
    """A request in the engine: its prompt, and the tokens that its answer has so far."""

    request: Request
    prompt: Prompt
    room: int
    said: list[int] = field(default_factory=list)


class VLLMModel(Model):
    """A language model in vLLM's engine, of text or of images and text."""

    def __init__(self, identity: Identity, options: LoadOptions) -> None:
        started = time.monotonic()
        folder = Path(str(identity.location))
        self._arguments = engine_arguments(options)
        self.tokenizer, self._prompts = load_prompts(folder, options)
        trust = flag(options.arguments, "trust_remote_code")
        with loading(str(folder)):
            # vLLM takes half of a pair of weights that it fuses for the whole.
            check_weights(folder, trust_remote_code=trust)
        config = load_config(folder, options)
        self._vocabulary = int(config.get_text_config().vocab_size)
        self._kept = kept_tokens(_generation(folder, config), self.tokenizer, self._vocabulary)
        self._decoder = Decoder(self.tokenizer, self._kept.ends)
        self._budget = options.thinking_budget
        self._closing: tuple[int, ...] = tuple(
            self.tokenizer(f"{CLOSE}\n", add_special_tokens=False)["input_ids"]
        )
        self.dtype = resolve_dtype(options.dtype, _device())
        self._engine: Engine = start_engine(
            {
                "model": str(folder),
                "dtype": self.dtype,
                "trust_remote_code": trust,
                "load_format": "auto" if flag(options.arguments, "allow_pickle") else "safetensors",
                # Of the checkpoint's own, only the end tokens are used; they go with each prompt.
                "generation_config": "vllm",
                "use_tqdm_on_load": False,
                **({"max_num_seqs": options.batch_size} if options.batch_size else {}),
                **self._image_settings(options),
                **self._arguments,
            }
        )
        self._context = int(self._engine.config.model_config.max_model_len)
        self._at_once = int(self._engine.config.scheduler_config.max_num_seqs)
        self._started_in = time.monotonic() - started
        self._waiting: list[tuple[int, int, int, Request]] = []  # a heap
        self._tickets = itertools.count()
        self._asked: dict[str, _Asked] = {}
        self._ready: list[tuple[Request, Response]] = []
        self._reused = self._shown = 0

    def _image_settings(self, options: LoadOptions) -> dict[str, Any]:
        """The resolution that the model arguments ask for, as vLLM's processor takes it."""
        if not isinstance(self._prompts, ImagePrompts):
            return {}
        changed = self._prompts.resolution(options.arguments)
        return {"mm_processor_kwargs": changed} if changed else {}

    # -- requests -------------------------------------------------------------------------------

    def start(self, task: Task) -> None:
        self._prompts.start()
        self._reused = self._shown = 0

    def submit(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self._prompts.look(request)
            if request.turn == 0:
                self._check(request)
            if request.known is not None:
                self._ready.append((request, request.known))
                continue
            heapq.heappush(
                self._waiting, (-request.turn, request.order, next(self._tickets), request)
            )

    def _check(self, request: Request) -> None:
        """Raise ModelError where a first prompt cannot be answered at full length."""
        prompt = self._prompt(request)
        size = self._prompts.length(prompt)
        if size + request.max_new_tokens > self._context:
            images = f" (with those of its images: {len(prompt.images)})" if prompt.images else ""
            raise ModelError(
                f"the context of this checkpoint in vLLM ({self._context} tokens) is too short: "
                f"the prompt of {request.episode} has {size} tokens{images} and --max-new-tokens "
                f"asks for {request.max_new_tokens} more"
            )

    def _prompt(self, request: Request) -> Prompt:
        prompt = self._prompts.prompt(request)
        check_vocabulary(prompt.ids, self._vocabulary)
        return prompt

    def receive(self) -> Sequence[tuple[Request, Response]]:
        while not self._ready:
            while self._waiting and len(self._asked) < _AHEAD * self._at_once:
                self._ask(heapq.heappop(self._waiting)[-1])
            if self._ready:  # what can be said without the engine: nothing
                break
            for name, found in self._finished():
                asked = self._asked.pop(name)
                response = self._heard(asked, found)
                if response is not None:
                    self._ready.append((asked.request, response))
        answers, self._ready = self._ready, []
        return answers

    def _ask(self, request: Request) -> None:
        prompt = self._prompt(request)
        size = self._prompts.length(prompt)
        room = min(request.max_new_tokens, self._context - size)
        if room < 1:  # the conversation fills the context: nothing can be said
            self._ready.append((request, Response("", "length", size, 0)))
            return
        self._send(_Asked(request, prompt, room))

    def _send(self, asked: _Asked) -> None:
        name = f"{asked.request.episode}/{asked.request.turn}"
        self._asked[name] = asked
        self._engine.add(name, self._inputs(asked.prompt, asked.said), self._sampling(asked))

    def _inputs(self, prompt: Prompt, said: Sequence[int] = ()) -> dict[str, Any]:
        found: dict[str, Any] = {"prompt_token_ids": [*prompt.ids, *said]}
        if prompt.images:
            assert isinstance(self._prompts, ImagePrompts)
            found["multi_modal_data"] = {"image": self._prompts.pixels(prompt)}
        return found

    def _sampling(self, asked: _Asked) -> Any:
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        request = asked.request
        sampled = request.temperature > 0
        # Any part of an answer has a stream of its own.
        seed = derive_seed("vllm", request.seed, len(asked.said)) if sampled else None
        # Where a stop string names a special token, or thinking tags are special, what vLLM
        # compares it with is not the text of the answer: the whole is generated, and cut here.
        stops = [stop for stop in request.stop if self._decoder.shown_alike(stop)]
        return SamplingParams(
            temperature=request.temperature,
            top_p=request.top_p,
            seed=seed,
            max_tokens=self._limit(asked),
            stop=stops,
            stop_token_ids=list(self._kept.ends),
            ignore_eos=True,
            detokenize=bool(stops),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _limit(self, asked: _Asked) -> int:
        """How many tokens come next: up to the thinking budget, or all."""
        left = asked.room - len(asked.said)
        if self._budget is not None and len(asked.said) < self._budget:
            return min(left, self._budget - len(asked.said))
        return left

    def _finished(self) -> Sequence[tuple[str, Any]]:
        try:
            return self._engine.finished()
        except GenbenchError:
            raise
        except Exception as error:  # vLLM's engine is over
            text = files.brief(error)
            if "NaNs detected" in text:
                raise ModelError(NAN_SCORES) from error
            if out_of_memory(error):
                raise ModelError(
                    f"vLLM ran out of memory ({text}): use a smaller --batch-size (prompts at "
                    "once), --model-args gpu_memory_utilization=SHARE or max_model_len=N"
                ) from error
            raise IncompleteError(
                f"vLLM's engine ended ({type(error).__name__}: {text}). The turns finished before "
                "are on disk: run the same command again to go on"
            ) from error

    def _heard(self, asked: _Asked, found: Any) -> Response | None:
        """The response; None where its answer goes on."""
        (output,) = found.outputs
        expected = self._prompts.length(asked.prompt) + len(asked.said)
        if len(found.prompt_token_ids) != expected:
            raise ModelError(
                f"vLLM makes {len(found.prompt_token_ids)} tokens of the prompt of "
                f"{asked.request.episode}, and the checkpoint's processor {expected}: its images "
                "are processed in another way; use --backend hf"
            )
        self._shown += expected
        self._reused += found.num_cached_tokens or 0
        asked.said.extend(output.token_ids)
        stops = asked.request.stop
        if self._goes_on(asked, output.finish_reason):
            text = self._decoder.raw(asked.said)
            if is_thinking(text, asked.prompt.opened):
                left = asked.room - len(asked.said)
                asked.said.extend(self._closing[:left])
            if len(asked.said) < asked.room:
                self._send(asked)
                return None
        answer = self._decoder.answer(asked.said, stops)
        return Response(
            text=answer.text,
            finish_reason=answer.finish_reason,
            prompt_tokens=self._prompts.length(asked.prompt),
            generated_tokens=answer.tokens,
        )

    def _goes_on(self, asked: _Asked, reason: str) -> bool:
        """Whether an answer has come to its thinking budget, and not to its end."""
        return (
            self._budget is not None
            and reason == "length"
            and len(asked.said) == self._budget
            and len(asked.said) < asked.room
            and not self._decoder.stopped(asked.said, asked.request.stop)
        )

    def rendered(self, request: Request) -> Mapping[str, Any]:
        """As the default backend; the token ids are those that vLLM's engine is given."""
        found = dict(self._prompts.rendered(request))
        prompt = self._prompt(request)
        if prompt.images:
            found["ids"] = self._engine.prompt_ids(self._inputs(prompt))
        return found

    def prompt_key(self, request: Request) -> str:
        return self._prompt(request).text

    # -- what is recorded -----------------------------------------------------------------------

    def execution(self) -> Mapping[str, Any]:
        import torch
        from vllm.platforms import current_platform

        config = self._engine.config
        parallel = config.parallel_config
        return {
            "device": str(current_platform.device_type),
            "device_name": str(current_platform.get_device_name()),
            "batch_size": self._at_once,
            "threads": torch.get_num_threads(),
            "vllm": {
                "max_model_len": self._context,
                "max_num_batched_tokens": config.scheduler_config.max_num_batched_tokens,
                "block_size": config.cache_config.block_size,
                "enable_prefix_caching": bool(config.cache_config.enable_prefix_caching),
                "enforce_eager": bool(config.model_config.enforce_eager),
                "tensor_parallel_size": parallel.tensor_parallel_size,
                "pipeline_parallel_size": parallel.pipeline_parallel_size,
                "data_parallel_size": self._arguments.get("data_parallel_size", 1),
                **(
                    {"image_processor": self._engine.image_processor()}
                    if isinstance(self._prompts, ImagePrompts)
                    else {}
                ),
            },
        }

    def sampling(self) -> Mapping[str, Any]:
        return {
            "end_token_ids": list(self._kept.ends),
            "ignored_from_generation_config": dict(self._kept.ignored),
            **self._prompts.recorded(),
        }

    def events(self) -> Mapping[str, Any]:
        """The prompt tokens of this session, and how many of them the engine still held."""
        return {
            "started_in_seconds": round(self._started_in, 3),
            "prompt_tokens": self._shown,
            "prompt_tokens_reused": self._reused,
        }

    def close(self) -> None:
        self._engine.close()


def _generation(folder: Path, config: Any) -> Any:
    """The checkpoint's generation settings, as transformers reads them. Raises ModelError."""
    from transformers import GenerationConfig

    with loading(f"the generation settings of {folder}"):
        if (folder / "generation_config.json").is_file():
            return GenerationConfig.from_pretrained(folder)
        return GenerationConfig.from_model_config(config)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
