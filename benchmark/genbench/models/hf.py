"""The default backend: checkpoints through transformers directly.

Directly, because the layers above it drop finish reasons, token counts and per-request seeds.
Only the end and padding tokens are taken from a checkpoint's `generation_config.json`; what else
it asks for is recorded and ignored, so greedy means greedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.errors import ModelError, UsageError
from genbench.models import files
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

DTYPES = ("auto", "float32", "bfloat16", "float16")
_BATCH = {"cpu": 64, "cuda": 256}
_KEPT = {
    "eos_token_id",
    "pad_token_id",
    "bos_token_id",
    "transformers_version",
    "_from_model_config",
}


def flag(arguments: Mapping[str, str], name: str) -> bool:
    """A true/false model argument. Raises UsageError for another value."""
    value = str(arguments.get(name, "false")).lower()
    if value not in ("true", "false"):
        raise UsageError(f"--model-args {name}: true or false, not '{value}'")
    return value == "true"


def resolve_device(name: str) -> str:
    """`auto` -> `cuda` where there is one, else `cpu`. Raises UsageError."""
    import torch

    available = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if available else "cpu"
    kind = name.split(":")[0]
    if kind not in ("cpu", "cuda", "mps", "xpu"):
        raise UsageError(f"--device: cpu, cuda, cuda:N, mps or xpu, not '{name}'")
    if kind == "cuda" and not available:
        raise UsageError(f"--device {name}: torch sees no CUDA device here; use --device cpu")
    return name


def resolve_dtype(name: str, device: str) -> str:
    """`auto` -> float32 on a CPU (exact whatever the batch), bfloat16 elsewhere."""
    if name not in DTYPES:
        raise UsageError(f"--dtype: one of {', '.join(DTYPES)}, not '{name}'")
    if name != "auto":
        return name
    return "float32" if device == "cpu" else "bfloat16"


def _hub_folder(name: str, revision: str | None) -> tuple[Path, str]:
    """The local snapshot of a hub id, and its commit. Raises ModelError."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "*.bin", "*.py"]
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except HFValidationError:
        raise ModelError(
            f"there is no model '{name}': no such directory, and no valid hub id"
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"there is no model '{name}': no such directory, and the hub has not given it "
            f"({reason}). A local checkpoint is given by its directory"
        ) from None
    return folder, folder.name


def local_folder(name: str, revision: str | None) -> tuple[Path, str | None]:
    """The checkpoint's folder and, for a hub id, its commit. Raises ModelError."""
    path = Path(name).expanduser()
    if path.is_dir():
        return path, None
    if path.exists():
        raise ModelError(f"{name} is a file; a checkpoint is given by its directory")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"there is no directory {name}")
    return _hub_folder(name, revision)


class HFBackend(Backend):
    """Causal language models in the Hugging Face format: a directory or a hub id."""

    name = "hf"
    arguments = ("revision", "trust_remote_code", "allow_pickle", "attn_implementation")

    def identify(self, name: str, options: LoadOptions) -> Identity:
        self.check_arguments(options)
        trust = flag(options.arguments, "trust_remote_code")
        allow_pickle = flag(options.arguments, "allow_pickle")
        folder, commit = local_folder(name, options.arguments.get("revision"))
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
        from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        self.device = resolve_device(options.device)
        self.dtype = resolve_dtype(options.dtype, self.device)
        super().__init__(options.batch_size or _BATCH.get(self.device.split(":")[0], 64))
        trust = flag(options.arguments, "trust_remote_code")
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=trust, padding_side="left"
            )
            self._model = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=getattr(torch, self.dtype),
                trust_remote_code=trust,
                use_safetensors=None if flag(options.arguments, "allow_pickle") else True,
                attn_implementation=options.arguments.get("attn_implementation"),
            )
        except (OSError, ValueError, RuntimeError, KeyError, ImportError, TypeError) as error:
            raise ModelError(f"{folder} cannot be loaded: {error}") from error
        self._model.eval().to(self.device)
        self._renderer = Renderer(self.tokenizer, options.chat_template)
        given = self._model.generation_config.to_diff_dict()
        self._ignored = {key: given[key] for key in given if key not in _KEPT}
        self._ends = _end_tokens(self._model.generation_config, self.tokenizer)
        self._pad = self.tokenizer.pad_token_id
        if self._pad is None:
            self._pad = self._ends[0] if self._ends else 0
        self._model.generation_config = GenerationConfig(
            eos_token_id=self._ends or None, pad_token_id=self._pad
        )
        self._context: int | None = getattr(
            self._model.config.get_text_config(), "max_position_embeddings", None
        )
        self._budget = self._thinking(options.thinking_budget)
        self._halvings: list[int] = []
        self._ids: dict[tuple[str, int], list[int]] = {}

    def _thinking(self, tokens: int | None) -> ThinkingBudget | None:
        if tokens is None:
            return None
        closing = self.tokenizer("</think>\n", add_special_tokens=False)["input_ids"]
        return ThinkingBudget(tokens, tuple(closing))

    # -- requests -------------------------------------------------------------------------------

    def submit(self, requests: Sequence[Request]) -> None:
        for request in requests:
            ids = self._renderer.ids(self._renderer.text(request.messages))
            if request.turn == 0:
                self._check_context(len(ids), request)
            self._ids[request.episode, request.turn] = ids
        super().submit(requests)

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
        answers = self._answers(batch)
        for request in batch:
            del self._ids[request.episode, request.turn]
        return answers

    def _answers(self, batch: Sequence[Request]) -> list[Response]:
        """One batch through the model; halved where the memory does not hold it."""
        import torch

        prompts = [self._ids[request.episode, request.turn] for request in batch]
        rooms = [self._room(request, len(ids)) for request, ids in zip(batch, prompts, strict=True)]
        room = min(rooms)
        if room < batch[0].max_new_tokens and len(batch) > 1:
            # A long conversation must not shorten its neighbours' answers: it is asked alone.
            alone = [i for i, one in enumerate(rooms) if one < batch[0].max_new_tokens]
            rest = [i for i in range(len(batch)) if i not in alone]
            answers = {i: self._answers([batch[i]])[0] for i in alone}
            together = self._answers([batch[i] for i in rest]) if rest else []
            answers |= dict(zip(rest, together, strict=True))
            return [answers[i] for i in range(len(batch))]
        if room < 1:  # the conversation fills the context: nothing can be said
            return [Response("", "length", len(prompts[0]), 0, 0.0)]
        try:
            return self._generate(batch, prompts, room)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
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

    def _room(self, request: Request, prompt: int) -> int:
        """How many tokens can be generated: the request's limit, or what the context leaves."""
        if self._context is None:
            return request.max_new_tokens
        return min(request.max_new_tokens, self._context - prompt)

    def _generate(
        self, batch: Sequence[Request], prompts: Sequence[list[int]], room: int
    ) -> list[Response]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        longest = max(len(ids) for ids in prompts)
        padded = torch.tensor([[self._pad] * (longest - len(ids)) + ids for ids in prompts])
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts])
        sampler = RowSampler(batch, longest, self._budget)
        settings = GenerationConfig(
            max_new_tokens=room,
            do_sample=False,
            eos_token_id=self._ends or None,
            pad_token_id=self._pad,
            stop_strings=list(batch[0].stop) or None,
        )
        with torch.inference_mode():
            output = self._model.generate(
                padded.to(self.device),
                attention_mask=mask.to(self.device),
                generation_config=settings,
                logits_processor=LogitsProcessorList([sampler]),
                tokenizer=self.tokenizer if batch[0].stop else None,
            )
        rows = output[:, longest:].tolist()
        return [
            self._response(request, len(ids), row, sampler, number)
            for number, (request, ids, row) in enumerate(zip(batch, prompts, rows, strict=True))
        ]

    def _response(
        self, request: Request, prompt: int, row: list[int], sampler: RowSampler, number: int
    ) -> Response:
        length = next((i for i, token in enumerate(row) if token in self._ends), len(row))
        ended = length < len(row)
        if not ended and request.stop:  # a row that a stop string ended is filled up with padding
            while length and row[length - 1] == self._pad:
                length -= 1
        text = self.tokenizer.decode(row[:length], skip_special_tokens=True)
        stops = [text.find(stop) for stop in request.stop if stop in text]
        if stops:
            text = text[: min(stops)]
        tokens = length + ended
        return Response(
            text=text,
            finish_reason="stop" if ended or stops else "length",
            prompt_tokens=prompt,
            generated_tokens=tokens,
            logprob=round(sampler.logprob(number, tokens), 4),
        )

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
            "end_token_ids": self._ends,
            "chat_template": self._renderer.uses_template,
            "ignored_from_generation_config": self._ignored,
        }

    def events(self) -> Mapping[str, Any]:
        """What happened on the way: batches halved for want of memory (their sizes)."""
        return {"halved_batches": self._halvings}


def _end_tokens(config: Any, tokenizer: Any) -> list[int]:
    given = config.eos_token_id
    ends = list(given) if isinstance(given, list) else [] if given is None else [given]
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ends:
        ends.append(tokenizer.eos_token_id)
    return [int(token) for token in ends]


def _out_of_memory(error: BaseException) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
