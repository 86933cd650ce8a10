"""The independent reference: text models through lm-eval's registry (`lm-eval:hf`, ...).

lm-eval gives text alone: the finish reason is inferred from the number of tokens, there is no
log-probability, and there is no seed a request, so that sampling is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genbench.errors import ModelError, UsageError, closest
from genbench.models import files
from genbench.models.hf import local_folder, resolve_device, resolve_dtype
from genbench.models.interface import (
    Backend,
    BatchedModel,
    Identity,
    LoadOptions,
    Model,
    Request,
    Response,
)
from genbench.task import fingerprint

_BATCH = 64
_OWN = ("device", "batch_size", "max_batch_size")


class LMEvalBackend(Backend):
    """A model class of lm-eval's registry: `--backend lm-eval:hf`, or `--model lm-eval:hf` with
    `--model-args pretrained=...`; model arguments go to lm-eval as they are."""

    arguments = None

    def __init__(self, kind: str) -> None:
        self.name = f"lm-eval:{kind}"
        self._kind = kind

    def identify(self, name: str, options: LoadOptions) -> Identity:
        self._check(options)
        pretrained = options.arguments.get("pretrained", "")
        if name == self.name and not pretrained:
            pretrained = options.arguments.get("model", "")
            if not pretrained:
                raise UsageError(
                    f"--model {self.name} needs --model-args pretrained=<directory or hub id>"
                )
        target = pretrained or name
        shown = target if name == self.name else name
        if "base_url" in options.arguments:  # a server's weights cannot be seen
            return Identity(shown, self.name, None, fingerprint(dict(options.arguments)))
        folder, commit = local_folder(target, options.arguments.get("revision"))
        files.check_causal_lm(
            folder,
            trust_remote_code=options.arguments.get("trust_remote_code", "").lower() == "true",
        )
        weights = files.weight_files(folder, allow_pickle=False)
        of_weights, of_files = files.fingerprints(folder, weights)
        return Identity(
            name=shown,
            backend=self.name,
            weights_fingerprint=of_weights,
            files_fingerprint=of_files,
            revision=commit,
            parameters=files.parameter_count(weights),
            training=files.training_record(folder),
            location=str(folder),
        )

    def _check(self, options: LoadOptions) -> None:
        if options.thinking_budget is not None:
            raise UsageError(f"--thinking-budget is not available with the backend {self.name}")
        for key in _OWN:
            if key in options.arguments:
                option = "--batch-size" if "batch" in key else "--device"
                raise UsageError(f"--model-args {key}: use {option}")
        if "dtype" in options.arguments:
            raise UsageError("--model-args dtype: use --dtype")
        # lm-eval fills its registry only while it is empty: its own models come first.
        import lm_eval.models  # noqa: F401
        from lm_eval.api.registry import model_registry

        known = list(model_registry.keys())
        if self._kind not in known:
            raise UsageError(f"lm-eval has no model '{self._kind}'; {closest(self._kind, known)}")

    def precision(self, options: LoadOptions) -> str:
        return resolve_dtype(options.dtype, resolve_device(options.device))

    def load(self, identity: Identity, options: LoadOptions) -> Model:
        return LMEvalModel(self._kind, identity, options)


class LMEvalModel(BatchedModel):
    """An lm-eval model behind genbench's interface."""

    def __init__(self, kind: str, identity: Identity, options: LoadOptions) -> None:
        import lm_eval.models  # noqa: F401
        from lm_eval.api.registry import get_model

        super().__init__(options.batch_size or _BATCH)
        device = resolve_device(options.device)
        arguments: dict[str, Any] = dict(options.arguments)
        if identity.location:
            arguments["pretrained"] = identity.location
        if kind in ("hf", "vllm"):
            arguments["dtype"] = resolve_dtype(options.dtype, device)
        self.device = device
        self._template = options.chat_template
        try:
            self._lm = get_model(kind).create_from_arg_obj(
                arguments, {"batch_size": self.batch_size, "device": device}
            )
        except (
            OSError, ValueError, RuntimeError, KeyError, ImportError, TypeError, AssertionError,
        ) as error:  # fmt: skip
            raise ModelError(f"lm-eval cannot load {identity.name}: {error}") from error
        tokenizer = getattr(self._lm, "tokenizer", None)
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if self._template == "on" and not has_template:
            raise ModelError("--chat-template on: this checkpoint's tokenizer has no chat template")
        self._chat = self._template == "on" or (self._template == "auto" and has_template)

    def _prompt(self, request: Request) -> str:
        if any(message.images for message in request.messages):
            raise ModelError("the lm-eval backend reads text alone, and the task shows images")
        if not self._chat:
            return "".join(f"{message.text}\n\n" for message in request.messages)
        # A fresh list: lm-eval's templates may change the messages they are given.
        chat = [{"role": message.role, "content": message.text} for message in request.messages]
        return str(self._lm.apply_chat_template(chat, add_generation_prompt=True))

    def submit(self, requests: Sequence[Request]) -> None:
        for request in requests:
            if request.temperature > 0:
                raise UsageError(
                    "sampling needs a seed for each request, which lm-eval does not take: use "
                    "--backend hf for --temperature above 0"
                )
        super().submit(requests)

    def rendered(self, request: Request) -> Mapping[str, Any]:
        text = self._prompt(request)
        return {"text": text, "ids": self._tokens(text), "chat_template": self._chat}

    def _tokens(self, text: str) -> list[int] | None:
        encode = getattr(self._lm, "tok_encode", None)
        if encode is None or getattr(self._lm, "tokenizer", None) is None:
            return None
        return [int(token) for token in encode(text, add_special_tokens=False)]

    def generate(self, batch: Sequence[Request]) -> Sequence[Response]:
        from lm_eval.api.instance import Instance

        prompts = [self._prompt(request) for request in batch]
        sizes = [None if (ids := self._tokens(text)) is None else len(ids) for text in prompts]
        # lm-eval cuts a prompt that is too long from its left, silently: refused here.
        context = getattr(self._lm, "max_length", None)
        for request, size in zip(batch, sizes, strict=True):
            if context and size is not None and size + request.max_new_tokens > context:
                raise ModelError(
                    f"the context of this checkpoint ({context} tokens) is too short for turn "
                    f"{request.turn + 1} of {request.episode}: {size} tokens of prompt and "
                    f"{request.max_new_tokens} new ones"
                )
        settings = {
            "until": list(batch[0].stop),
            "max_gen_toks": batch[0].max_new_tokens,
            "do_sample": False,
            "temperature": 0.0,
        }
        texts = self._lm.generate_until(
            [
                Instance("generate_until", doc={}, arguments=(text, dict(settings)), idx=number)
                for number, text in enumerate(prompts)
            ],
            disable_tqdm=True,
        )
        return [
            self._response(request, text, size)
            for request, text, size in zip(batch, texts, sizes, strict=True)
        ]

    def _response(self, request: Request, text: str, prompt: int | None) -> Response:
        tokens = self._tokens(text)
        count = None if tokens is None else len(tokens)
        cut = count is not None and count >= request.max_new_tokens
        return Response(text, "length" if cut else "stop", prompt, count)

    def execution(self) -> Mapping[str, Any]:
        return {"device": self.device, "batch_size": self.batch_size}

    def sampling(self) -> Mapping[str, Any]:
        return {"chat_template": self._chat}
