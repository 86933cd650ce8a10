"""The default backend: checkpoints through transformers directly.

Directly, because the layers above it drop finish reasons, token counts and per-request seeds.
Only the end and padding tokens are taken from a checkpoint's `generation_config.json`; what else
it asks for is recorded and ignored, so greedy means greedy. Models of text and models that are
shown images differ in how their prompts are made (`prompts`), and in nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genbench.errors import ModelError
from genbench.models import files
from genbench.models.ahead import Ahead
from genbench.models.decoding import Decoder, StopStrings
from genbench.models.folder import FolderBackend, load_prompts
from genbench.models.interface import (
    BatchedModel,
    Identity,
    LoadOptions,
    Model,
    Request,
    Response,
)
from genbench.models.options import flag, resolve_device, resolve_dtype
from genbench.models.prompts import Inputs, Prompt
from genbench.models.sampling import RowSampler, ThinkingBudget
from genbench.models.transformer import (
    check_complete,
    check_vocabulary,
    keep_end_tokens,
    loading,
    model_class,
    out_of_memory,
    quieten,
    vocabulary,
)
from genbench.task import Task
from genbench.thinking import CLOSE

_BATCH = {"cpu": 128, "cuda": 256, "mps": 64, "xpu": 64}
_BATCH_WITH_IMAGES = {"cpu": 16, "cuda": 32, "mps": 16, "xpu": 16}
_KEPT_PROMPTS = 4096


class HFBackend(FolderBackend):
    """Causal language models and image-text-to-text models in the Hugging Face format: a
    directory or a hub id."""

    name = "hf"
    arguments = (*FolderBackend.arguments, "attn_implementation")

    def load(self, identity: Identity, options: LoadOptions) -> Model:
        return HFModel(Path(str(identity.location)), options)


class HFModel(BatchedModel):
    """A language model in memory, of text or of images and text."""

    def __init__(self, folder: Path, options: LoadOptions) -> None:
        import torch

        quieten()
        self.device = resolve_device(options.device)
        self.dtype = resolve_dtype(options.dtype, self.device)
        reads_images = files.reads_images(files.read_json(folder / "config.json"))
        usual = (_BATCH_WITH_IMAGES if reads_images else _BATCH)[self.device.partition(":")[0]]
        super().__init__(options.batch_size or usual)
        self.tokenizer, self._prompts = load_prompts(folder, options)
        with loading(str(folder)):
            self._model, found = model_class(reads_images).from_pretrained(
                folder,
                dtype=getattr(torch, self.dtype),
                trust_remote_code=flag(options.arguments, "trust_remote_code"),
                use_safetensors=None if flag(options.arguments, "allow_pickle") else True,
                attn_implementation=options.arguments.get("attn_implementation"),
                ignore_mismatched_sizes=True,  # refused below, with their names
                output_loading_info=True,
            )
            check_complete(folder, found)
            self._model.eval().to(self.device)
        self._kept = keep_end_tokens(self._model, self.tokenizer)
        self._decoder = Decoder(self.tokenizer, self._kept.ends)
        self._context: int | None = getattr(
            self._model.config.get_text_config(), "max_position_embeddings", None
        )
        self._budget = self._thinking(options.thinking_budget)
        self._halvings: list[int] = []
        #: first prompts from their check until they are asked, as far as bounded memory holds them
        self._checked: dict[tuple[str, int], Prompt] = {}
        self._ahead: Ahead[Inputs] = Ahead()

    def _thinking(self, tokens: int | None) -> ThinkingBudget | None:
        if tokens is None:
            return None
        closing = self.tokenizer(f"{CLOSE}\n", add_special_tokens=False)["input_ids"]
        return ThinkingBudget(tokens, tuple(closing), self._decoder.raw)

    # -- requests -------------------------------------------------------------------------------

    def start(self, task: Task) -> None:
        self._checked.clear()
        self._prompts.start()

    def submit(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self._prompts.look(request)
            if request.turn == 0:
                self._check(request)
        super().submit(requests)

    def _check(self, request: Request) -> None:
        """Raise ModelError where a first prompt cannot be answered at full length."""
        prompt = self._prompt(request)
        if len(self._checked) < _KEPT_PROMPTS:
            self._checked[request.episode, request.turn] = prompt
        size = self._prompts.length(prompt)
        if self._context is not None and size + request.max_new_tokens > self._context:
            images = f" (with those of its images: {len(prompt.images)})" if prompt.images else ""
            raise ModelError(
                f"the context of this checkpoint ({self._context} tokens) is too short: the "
                f"prompt of {request.episode} has {size} tokens{images} and --max-new-tokens asks "
                f"for {request.max_new_tokens} more"
            )

    def _prompt(self, request: Request) -> Prompt:
        found = self._checked.get((request.episode, request.turn))
        if found is not None and found.request is request:
            return found
        prompt = self._prompts.prompt(request)
        check_vocabulary(prompt.ids, vocabulary(self._model))
        return prompt

    def rendered(self, request: Request) -> Mapping[str, Any]:
        return self._prompts.rendered(request)

    def prompt_key(self, request: Request) -> str:
        return self._prompt(request).text

    def generate(self, batch: Sequence[Request]) -> Sequence[Response]:
        try:
            return self._answered(batch)
        finally:
            self._ahead.settle()

    def _answered(self, batch: Sequence[Request]) -> list[Response]:
        prompts = [self._prompt(request) for request in batch]
        for request in batch:
            self._checked.pop((request.episode, request.turn), None)
        # Some processors take no batch in which some prompts have images and others have none.
        shown = [place for place, prompt in enumerate(prompts) if prompt.images]
        plain = [place for place, prompt in enumerate(prompts) if not prompt.images]
        return self._in_parts(prompts, [shown, plain])

    def _in_parts(self, batch: Sequence[Prompt], parts: Sequence[Sequence[int]]) -> list[Response]:
        """The answers in the order of the batch; its parts, places in it, are asked one by one."""
        answers: dict[int, Response] = {}
        for part in filter(None, parts):
            found = self._answers([batch[place] for place in part])
            answers |= dict(zip(part, found, strict=True))
        return [answers[place] for place in range(len(batch))]

    def _answers(self, batch: Sequence[Prompt]) -> list[Response]:
        """One batch through the model; halved where the memory does not hold it."""
        limit = batch[0].request.max_new_tokens
        rooms = [self._room(limit, self._prompts.length(prompt)) for prompt in batch]
        if min(rooms) < limit and len(batch) > 1:
            # A long conversation must not shorten its neighbours' answers: it is asked alone.
            alone = [[place] for place, room in enumerate(rooms) if room < limit]
            rest = [place for place, room in enumerate(rooms) if room == limit]
            return self._in_parts(batch, [*alone, rest])
        if rooms[0] < 1:  # the conversation fills the context: nothing can be said
            return [Response("", "length", self._prompts.length(batch[0]), 0, 0.0)]
        try:
            return self._generate(batch, rooms[0])
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        return self._halved(batch)

    def _halved(self, batch: Sequence[Prompt]) -> list[Response]:
        import torch

        if len(batch) == 1:
            smaller = ", smaller images (--model-args)" if batch[0].images else ""
            raise ModelError(
                f"one prompt alone does not fit in the memory of {self.device}: use a smaller "
                f"--dtype, fewer --max-new-tokens{smaller} or another device"
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        middle = (len(batch) + 1) // 2
        self._halvings.append(len(batch))
        return [*self._answers(batch[:middle]), *self._answers(batch[middle:])]

    def _room(self, limit: int, length: int) -> int:
        """How many tokens can be generated: the request's limit, or what the context leaves."""
        return limit if self._context is None else min(limit, self._context - length)

    def _generate(self, batch: Sequence[Prompt], room: int) -> list[Response]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        inputs = self._inputs(batch)
        longest = max(inputs.lengths)
        sampler = RowSampler(
            [prompt.request for prompt in batch],
            longest,
            self._budget,
            [prompt.opened for prompt in batch],
        )
        stops = batch[0].request.stop
        settings = GenerationConfig(
            max_new_tokens=room,
            do_sample=False,
            eos_token_id=self._kept.ends or None,
            pad_token_id=self._kept.pad,
        )
        ids, others = self._on_device(inputs)
        with torch.inference_mode(), _fitting(batch):
            output = self._model.generate(
                ids,
                **others,
                generation_config=settings,
                logits_processor=LogitsProcessorList([sampler]),
                stopping_criteria=StoppingCriteriaList(
                    [StopStrings(stops, self._decoder, longest)] if stops else []
                ),
            )
        answers = [self._decoder.answer(row, stops) for row in output[:, longest:].tolist()]
        logprobs = sampler.logprobs([answer.tokens for answer in answers])
        return [
            Response(
                text=answer.text,
                finish_reason=answer.finish_reason,
                prompt_tokens=length,
                generated_tokens=answer.tokens,
                logprob=round(logprob, 4),
            )
            for length, answer, logprob in zip(inputs.lengths, answers, logprobs, strict=True)
        ]

    def _inputs(self, batch: Sequence[Prompt]) -> Inputs:
        """The inputs of a batch; those of the next one are begun, where they have images, which
        may take longer to draw, read and process than to answer."""
        found = self._ahead.take(_key([prompt.request for prompt in batch]))
        if found is None:
            self._ahead.settle()
            found = self._prompts.inputs(batch, self._kept.pad)
        shown = [one for one in self.following if any(part.images for part in one.messages)]
        self.following = ()
        # A stop string or a thinking budget keeps the tokenizer at work in `generate`.
        if shown and not shown[0].stop and self._budget is None:
            self._ahead.begin(
                _key(shown),
                lambda: self._prompts.inputs(
                    [self._prompt(request) for request in shown], self._kept.pad
                ),
            )
        return found

    def _on_device(self, inputs: Inputs) -> tuple[Any, dict[str, Any]]:
        """Token ids, and the other tensors; pixels in the model's precision."""
        moved = {
            name: tensor.to(
                self.device, self._model.dtype if tensor.is_floating_point() else tensor.dtype
            )
            for name, tensor in inputs.tensors.items()
        }
        return moved.pop("input_ids"), moved

    # -- what is recorded -----------------------------------------------------------------------

    def execution(self) -> Mapping[str, Any]:
        import torch

        return {
            "device": self.device,
            "device_name": (
                torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else "CPU"
            ),
            "batch_size": self.batch_size,
            "threads": torch.get_num_threads(),
        }

    def sampling(self) -> Mapping[str, Any]:
        return {
            "end_token_ids": list(self._kept.ends),
            "ignored_from_generation_config": dict(self._kept.ignored),
            **self._prompts.recorded(),
        }

    def events(self) -> Mapping[str, Any]:
        """What happened on the way: batches halved for want of memory (their sizes)."""
        return {"halved_batches": self._halvings}


def _key(requests: Sequence[Request]) -> tuple[tuple[str, int], ...]:
    return tuple((request.episode, request.turn) for request in requests)


@contextmanager
def _fitting(batch: Sequence[Prompt]) -> Iterator[None]:
    """A model that cannot take the pixels it is given says so in many ways: a ModelError."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if not batch[0].images or out_of_memory(error):
            raise
        raise ModelError(
            "the model refuses its images as the processor makes them; --model-args image_size, "
            f"min_pixels and max_pixels change their size: {files.brief(error)}"
        ) from error
