"""The independent reference: text models through lm-eval's registry (`lm-eval:hf`, ...).

lm-eval gives text alone: there is no log-probability, and no seed a request, so that sampling is
refused. Where it runs a transformers model, the generated tokens are seen on their way and say why
an answer ended; elsewhere that is inferred from the number of tokens in the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genbench.errors import ModelError, UsageError, closest
from genbench.models import files
from genbench.models.hf import flag, local_folder, resolve_device, resolve_dtype
from genbench.models.interface import (
    Backend,
    BatchedModel,
    Identity,
    LoadOptions,
    Model,
    Request,
    Response,
)
from genbench.models.rendering import refuse_doubled_bos
from genbench.models.transformer import (
    check_complete,
    check_vocabulary,
    loading,
    out_of_memory,
    quieten,
)
from genbench.models.watch import Watch
from genbench.task import fingerprint

_BATCH = 64
_OWN = ("device", "batch_size", "max_batch_size")
# The names of lm-eval's own transformers model.
_TRANSFORMERS = ("hf", "hf-auto", "huggingface")
# The models of lm-eval that take a `dtype`.
_WITH_DTYPE = (
    "hf",
    "hf-auto",
    "huggingface",
    "hf-multimodal",
    "steered",
    "vllm",
    "vllm-vlm",
    "sglang",
    "mamba_ssm",
)
# Model arguments that name more files which decide an answer.
_MORE_FILES = ("tokenizer", "peft", "delta")


class LMEvalBackend(Backend):
    """A model class of lm-eval's registry: `--backend lm-eval:hf`, or `--model lm-eval:hf` with
    `--model-args pretrained=...`; model arguments go to lm-eval as they are."""

    arguments = None
    seeds_requests = False

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
            folder, trust_remote_code=flag(options.arguments, "trust_remote_code")
        )
        weights = files.weight_files(folder, allow_pickle=flag(options.arguments, "allow_pickle"))
        of_weights, of_files = files.fingerprints(folder, weights)
        more = {
            key: files.fingerprints(Path(path), sorted(Path(path).glob("*.safetensors")))
            for key in _MORE_FILES
            if Path(path := options.arguments.get(key, "")).is_dir() and path
        }
        if more:
            of_files = fingerprint([of_files, more])
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
        if options.dtype != "auto" and self._kind not in _WITH_DTYPE:
            raise UsageError(f"--dtype is not available with the backend {self.name}")

    def precision(self, options: LoadOptions) -> str | None:
        if self._kind not in _WITH_DTYPE:
            return None
        return resolve_dtype(options.dtype, resolve_device(options.device))

    def load(self, identity: Identity, options: LoadOptions) -> Model:
        return LMEvalModel(self._kind, identity, options)


def _check_weights(folder: Path, options: LoadOptions) -> None:
    """Raise ModelError where weights are missing; no weight is read for it."""
    from transformers import AutoModelForCausalLM

    quieten()
    _, found = AutoModelForCausalLM.from_pretrained(
        folder,
        device_map="meta",
        trust_remote_code=flag(options.arguments, "trust_remote_code"),
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    check_complete(folder, found)


class LMEvalModel(BatchedModel):
    """An lm-eval model behind genbench's interface."""

    def __init__(self, kind: str, identity: Identity, options: LoadOptions) -> None:
        import lm_eval.models  # noqa: F401
        from lm_eval.api.registry import get_model
        from lm_eval.utils import handle_arg_string

        super().__init__(options.batch_size or _BATCH)
        device = resolve_device(options.device)
        arguments: dict[str, Any] = {
            key: handle_arg_string(value)
            for key, value in options.arguments.items()
            if key != "allow_pickle"
        }
        if identity.location:
            arguments["pretrained"] = identity.location
        if kind in _WITH_DTYPE:
            arguments["dtype"] = resolve_dtype(options.dtype, device)
        self.device = device
        with loading(f"{identity.name} (by lm-eval)"):
            if kind in _TRANSFORMERS and identity.location:
                _check_weights(Path(identity.location), options)
            self._lm = get_model(kind).create_from_arg_obj(
                arguments, {"batch_size": self.batch_size, "device": device}
            )
            self._tokenizer = getattr(self._lm, "tokenizer", None)  # some load it only now
        has_template = bool(getattr(self._tokenizer, "chat_template", None))
        if options.chat_template == "on" and not has_template:
            raise ModelError("--chat-template on: this checkpoint's tokenizer has no chat template")
        self._chat = options.chat_template != "off" and has_template
        if self._chat and getattr(self._lm, "add_bos_token", False) is None:
            # A template writes the BOS token that it wants; lm-eval would add one before it.
            self._lm.add_bos_token = False
        self._watch = Watch.of(self._lm)

    # -- requests -------------------------------------------------------------------------------

    def submit(self, requests: Sequence[Request]) -> None:
        for request in requests:
            ids = self._ids(self._prompt(request))
            if ids is None:
                continue
            if self._watch is not None:
                check_vocabulary(ids, self._watch.model)
            room = self._room(request, ids)
            if request.turn == 0 and room < request.max_new_tokens:
                raise ModelError(
                    f"the context of this checkpoint ({len(ids) + room} tokens) is too short: the "
                    f"prompt of {request.episode} has {len(ids)} tokens and --max-new-tokens asks "
                    f"for {request.max_new_tokens} more"
                )
        super().submit(requests)

    def _prompt(self, request: Request) -> str:
        if any(message.images for message in request.messages):
            raise ModelError("the lm-eval backend reads text alone, and the task shows images")
        if not self._chat:
            return "".join(f"{message.text}\n\n" for message in request.messages)
        text = self._templated(request)
        if request.messages[0].role == "system":
            # lm-eval leaves the system message out, silently, where the template refuses it.
            without = replace(request, messages=request.messages[1:])
            if text == self._templated(without):
                raise ModelError(
                    "the checkpoint's chat template refuses the system message; leave --system "
                    "out, or use --chat-template off"
                )
        return text

    def _templated(self, request: Request) -> str:
        from jinja2 import TemplateError

        # A fresh list: lm-eval's templates may change the messages they are given.
        chat = [{"role": message.role, "content": message.text} for message in request.messages]
        try:
            return str(self._lm.apply_chat_template(chat, add_generation_prompt=True))
        except (TemplateError, TypeError, ValueError) as error:
            roles = ", ".join(message.role for message in request.messages)
            raise ModelError(
                f"the checkpoint's chat template refuses messages of the roles {roles}: {error}; "
                "leave --system out, or use --chat-template off"
            ) from None

    def _ids(self, text: str) -> list[int] | None:
        """The prompt's token ids as lm-eval makes them, None where it does not say."""
        encode = getattr(self._lm, "tok_encode", None)
        if encode is None or self._tokenizer is None:
            return None
        ids = [int(token) for token in encode(text)]
        refuse_doubled_bos(ids, self._tokenizer)
        return ids

    def _room(self, request: Request, ids: Sequence[int]) -> int:
        """How many tokens can be generated: the request's limit, or what the context leaves."""
        context = getattr(self._lm, "max_length", None)
        if not context:
            return request.max_new_tokens
        return min(request.max_new_tokens, int(context) - len(ids))

    def generate(self, batch: Sequence[Request]) -> Sequence[Response]:
        prompts = [self._prompt(request) for request in batch]
        ids = [self._ids(prompt) for prompt in prompts]
        limit = batch[0].max_new_tokens
        rooms = [
            limit if known is None else self._room(request, known)
            for request, known in zip(batch, ids, strict=True)
        ]
        # A long conversation must not shorten its neighbours' answers: it is asked alone. lm-eval
        # would cut it from its left, silently.
        whole = [number for number, room in enumerate(rooms) if room == limit]
        alone = [[number] for number, room in enumerate(rooms) if room < limit]
        answers: dict[int, Response] = {}
        for group in [whole, *alone]:
            if not group:
                continue
            room = rooms[group[0]]
            if room < 1:  # the conversation fills the context: nothing can be said
                answers[group[0]] = Response("", "length", len(ids[group[0]] or ()), 0)
                continue
            texts = self._texts([prompts[number] for number in group], room, batch[0].stop)
            for number, text in zip(group, texts, strict=True):
                answers[number] = self._response(text, ids[number], room, batch[0].stop)
        return [answers[number] for number in range(len(batch))]

    def _texts(self, prompts: Sequence[str], room: int, stops: Sequence[str]) -> list[str]:
        from lm_eval.api.instance import Instance

        settings = {
            "until": list(stops),
            "max_gen_toks": room,
            "do_sample": False,
            "temperature": 0.0,
        }
        try:
            texts: list[str] = self._lm.generate_until(
                [
                    Instance("generate_until", doc={}, arguments=(text, dict(settings)), idx=number)
                    for number, text in enumerate(prompts)
                ],
                disable_tqdm=True,
            )
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise ModelError(
                f"a batch of {len(prompts)} prompts does not fit in the memory of {self.device}: "
                "use a smaller --batch-size"
            ) from None
        return texts

    def _response(
        self, text: str, prompt: Sequence[int] | None, room: int, stops: Sequence[str]
    ) -> Response:
        size = None if prompt is None else len(prompt)
        seen = self._watch.answer(prompt, stops) if self._watch and prompt is not None else None
        if seen is not None:
            return Response(text, seen.finish_reason, size, seen.tokens)
        if self._tokenizer is None or not hasattr(self._lm, "tok_encode"):
            return Response(text, "stop", size, None)
        count = len(self._lm.tok_encode(text, add_special_tokens=False))
        return Response(text, "length" if count >= room else "stop", size, count)

    # -- what is recorded -----------------------------------------------------------------------

    def rendered(self, request: Request) -> Mapping[str, Any]:
        text = self._prompt(request)
        return {"text": text, "ids": self._ids(text), "chat_template": self._chat}

    def execution(self) -> Mapping[str, Any]:
        return {"device": self.device, "batch_size": self.batch_size}

    def sampling(self) -> Mapping[str, Any]:
        found: dict[str, Any] = {"chat_template": self._chat}
        if self._watch is not None:
            kept = self._watch.kept
            found |= {
                "end_token_ids": list(kept.ends),
                "ignored_from_generation_config": dict(kept.ignored),
            }
        return found
