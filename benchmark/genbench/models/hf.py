"""The default backend: checkpoints through transformers directly.

Directly, because the layers above it drop finish reasons, token counts and per-request seeds.
Only the end and padding tokens are taken from a checkpoint's `generation_config.json`; what else
it asks for is recorded and ignored, so greedy means greedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import ModelError, UsageError
from genbench.models import files
from genbench.models.decoding import Decoder, StopStrings
from genbench.models.interface import (
    Backend,
    BatchedModel,
    Identity,
    LoadOptions,
    Model,
    Request,
    Response,
)
from genbench.models.rendering import Renderer
from genbench.models.sampling import RowSampler, ThinkingBudget
from genbench.models.transformer import (
    check_complete,
    check_vocabulary,
    keep_end_tokens,
    loading,
    out_of_memory,
    quieten,
)
from genbench.thinking import CLOSE, OPEN

DTYPES = ("auto", "float32", "bfloat16", "float16")
_BATCH = {"cpu": 128, "cuda": 256}


def flag(arguments: Mapping[str, str], name: str) -> bool:
    """A true/false model argument. Raises UsageError for another value."""
    value = str(arguments.get(name, "false")).lower()
    if value not in ("true", "false"):
        raise UsageError(f"--model-args {name}: true or false, not '{value}'")
    return value == "true"


def resolve_device(name: str) -> str:
    """`auto` -> `cuda` where there is one, else `cpu`. Raises UsageError."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, colon, number = name.partition(":")
    counted = {"cuda": torch.cuda, "mps": torch.mps, "xpu": torch.xpu}
    numbered = not colon or (number.isascii() and number.isdigit())
    if (kind != "cpu" and kind not in counted) or not numbered:
        raise UsageError(f"--device: cpu, cuda, cuda:N, mps or xpu, not '{name}'")
    if kind in counted:
        count = counted[kind].device_count()
        if count == 0:
            raise UsageError(
                f"--device {name}: torch sees no {kind.upper()} device here; use --device cpu"
            )
        if number and int(number) >= count:
            raise UsageError(
                f"--device {name}: the last {kind.upper()} device here is {kind}:{count - 1}"
            )
    return name


def resolve_dtype(name: str, device: str) -> str:
    """`auto` -> float32 on a CPU (exact whatever the batch), bfloat16 elsewhere."""
    if name not in DTYPES:
        raise UsageError(f"--dtype: one of {', '.join(DTYPES)}, not '{name}'")
    if name != "auto":
        return name
    return "float32" if device == "cpu" else "bfloat16"


def _hub_folder(name: str, revision: str | None, allow_pickle: bool) -> tuple[Path, str]:
    """The local snapshot of a hub id, and its commit. Raises ModelError."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "*.py"]
    if allow_pickle:
        patterns.append("*.bin")
    try:
        folder = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"]
            )
        )
    except HFValidationError:
        raise ModelError(
            f"there is no model '{name}': no such directory, and no valid hub id"
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"there is no model '{name}': no such directory, and the hub has not given it "
            f"({files.brief(error)}). A local checkpoint is given by its directory"
        ) from None
    return folder, folder.name


def local_folder(
    name: str, revision: str | None, *, allow_pickle: bool = False
) -> tuple[Path, str | None]:
    """The checkpoint's folder and, for a hub id, its commit. Raises ModelError."""
    if not name.strip():
        raise ModelError("the model's name is empty: give a directory or a hub id")
    path = Path(name).expanduser()
    if path.is_dir():
        return path, None
    if path.exists():
        raise ModelError(f"{name} is a file; a checkpoint is given by its directory")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"there is no directory {name}")
    return _hub_folder(name, revision, allow_pickle)


class HFBackend(Backend):
    """Causal language models in the Hugging Face format: a directory or a hub id."""

    name = "hf"
    arguments = ("revision", "trust_remote_code", "allow_pickle", "attn_implementation")

    def identify(self, name: str, options: LoadOptions) -> Identity:
        self.check_arguments(options)
        trust = flag(options.arguments, "trust_remote_code")
        allow_pickle = flag(options.arguments, "allow_pickle")
        folder, commit = local_folder(
            name, options.arguments.get("revision"), allow_pickle=allow_pickle
        )
        files.check_causal_lm(folder, trust_remote_code=trust)
        weights = files.weight_files(folder, allow_pickle=allow_pickle)
        parameters = files.parameter_count(weights)
        of_weights, of_files = files.fingerprints(folder, weights)
        return Identity(
            name=name,
            backend=self.name,
            weights_fingerprint=of_weights,
            files_fingerprint=of_files,
            revision=commit,
            parameters=parameters,
            training=files.training_record(folder),
            location=str(folder),
        )

    def precision(self, options: LoadOptions) -> str:
        return resolve_dtype(options.dtype, resolve_device(options.device))

    def load(self, identity: Identity, options: LoadOptions) -> Model:
        return HFModel(Path(str(identity.location)), options)


class HFModel(BatchedModel):
    """A causal language model in memory."""

    def __init__(self, folder: Path, options: LoadOptions) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        quieten()
        self.device = resolve_device(options.device)
        self.dtype = resolve_dtype(options.dtype, self.device)
        super().__init__(options.batch_size or _BATCH.get(self.device.split(":")[0], 64))
        trust = flag(options.arguments, "trust_remote_code")
        with loading(f"the tokenizer of {folder}"):
            self.tokenizer = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=trust, padding_side="left"
            )
        self._renderer = Renderer(self.tokenizer, options.chat_template)
        with loading(str(folder)):
            self._model, found = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=getattr(torch, self.dtype),
                trust_remote_code=trust,
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

    def _thinking(self, tokens: int | None) -> ThinkingBudget | None:
        if tokens is None:
            return None
        closing = self.tokenizer(f"{CLOSE}\n", add_special_tokens=False)["input_ids"]
        return ThinkingBudget(tokens, tuple(closing), self._decoder.raw)

    # -- requests -------------------------------------------------------------------------------

    def submit(self, requests: Sequence[Request]) -> None:
        for request in requests:
            if request.turn == 0:
                self._check_context(len(self._prompt(request).ids), request)
        super().submit(requests)

    def _prompt(self, request: Request) -> _Prompt:
        text = self._renderer.text(request.messages)
        prompt = _Prompt(request, self._renderer.ids(text), text.rstrip().endswith(OPEN))
        check_vocabulary(prompt.ids, self._model)
        return prompt

    def _check_context(self, prompt: int, request: Request) -> None:
        if self._context is not None and prompt + request.max_new_tokens > self._context:
            raise ModelError(
                f"the context of this checkpoint ({self._context} tokens) is too short: the "
                f"prompt of {request.episode} has {prompt} tokens and --max-new-tokens asks for "
                f"{request.max_new_tokens} more"
            )

    def rendered(self, request: Request) -> Mapping[str, Any]:
        text = self._renderer.text(request.messages)
        return {
            "text": text,
            "ids": self._renderer.ids(text),
            "chat_template": self._renderer.uses_template,
        }

    def generate(self, batch: Sequence[Request]) -> Sequence[Response]:
        return self._answers([self._prompt(request) for request in batch])

    def _answers(self, batch: Sequence[_Prompt]) -> list[Response]:
        """One batch through the model; halved where the memory does not hold it."""
        import torch

        limit = batch[0].request.max_new_tokens
        rooms = [self._room(prompt) for prompt in batch]
        if min(rooms) < limit and len(batch) > 1:
            # A long conversation must not shorten its neighbours' answers: it is asked alone.
            alone = [i for i, one in enumerate(rooms) if one < limit]
            rest = [i for i in range(len(batch)) if i not in alone]
            answers = {i: self._answers([batch[i]])[0] for i in alone}
            together = self._answers([batch[i] for i in rest]) if rest else []
            answers |= dict(zip(rest, together, strict=True))
            return [answers[i] for i in range(len(batch))]
        if rooms[0] < 1:  # the conversation fills the context: nothing can be said
            return [Response("", "length", len(batch[0].ids), 0, 0.0)]
        try:
            return self._generate(batch, rooms[0])
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
        if len(batch) == 1:
            raise ModelError(
                f"one prompt alone does not fit in the memory of {self.device}: use a smaller "
                "--dtype, fewer --max-new-tokens or another device"
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        middle = (len(batch) + 1) // 2
        self._halvings.append(len(batch))
        return [*self._answers(batch[:middle]), *self._answers(batch[middle:])]

    def _room(self, prompt: _Prompt) -> int:
        """How many tokens can be generated: the request's limit, or what the context leaves."""
        limit = prompt.request.max_new_tokens
        return limit if self._context is None else min(limit, self._context - len(prompt.ids))

    def _generate(self, batch: Sequence[_Prompt], room: int) -> list[Response]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        every = [prompt.ids for prompt in batch]
        longest = max(len(ids) for ids in every)
        padded = torch.tensor([[self._kept.pad] * (longest - len(ids)) + ids for ids in every])
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in every])
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
        with torch.inference_mode():
            output = self._model.generate(
                padded.to(self.device),
                attention_mask=mask.to(self.device),
                generation_config=settings,
                logits_processor=LogitsProcessorList([sampler]),
                stopping_criteria=StoppingCriteriaList(
                    [StopStrings(stops, self._decoder, longest)] if stops else []
                ),
            )
        answers = [self._decoder.answer(row, stops) for row in output[:, longest:].tolist()]
        return [
            Response(
                text=answer.text,
                finish_reason=answer.finish_reason,
                prompt_tokens=len(ids),
                generated_tokens=answer.tokens,
                logprob=round(sampler.logprob(number, answer.tokens), 4),
            )
            for number, (ids, answer) in enumerate(zip(every, answers, strict=True))
        ]

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
            "chat_template": self._renderer.uses_template,
            "ignored_from_generation_config": dict(self._kept.ignored),
        }

    def events(self) -> Mapping[str, Any]:
        """What happened on the way: batches halved for want of memory (their sizes)."""
        return {"halved_batches": self._halvings}


@dataclass(frozen=True)
class _Prompt:
    """A request's token ids, and whether they end with an open thinking block."""

    request: Request
    ids: list[int]
    opened: bool
