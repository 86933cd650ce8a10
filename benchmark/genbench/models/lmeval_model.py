"""An lm-eval model behind genbench's interface.

lm-eval gives text alone: there is no log-probability, and no seed a request, so that sampling is
refused. Where it runs a transformers model, the generated tokens are seen on their way and say why
an answer ended; elsewhere that is inferred from the number of tokens in the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genbench.errors import ModelError
from genbench.models.interface import BatchedModel, Identity, LoadOptions, Request, Response
from genbench.models.lmeval import OF_IMAGES, OF_VLLM, TRANSFORMERS, WITH_DTYPE
from genbench.models.options import flag, resolve_device, resolve_dtype
from genbench.models.rendering import refusals, refuse_doubled_bos
from genbench.models.transformer import (
    check_vocabulary,
    check_weights,
    loading,
    out_of_memory,
    vocabulary,
)
from genbench.models.watch import Watch


@dataclass(frozen=True)
class Asked:
    """A request as it is put to lm-eval: the prompt, its token ids (None where lm-eval does not
    say), and decoded images."""

    request: Request
    text: str
    ids: list[int] | None
    pixels: tuple[Any, ...] = ()


class LMEvalModel(BatchedModel):
    """An lm-eval model behind genbench's interface."""

    #: what is prompted at once by default
    batch = 64

    def __init__(self, kind: str, identity: Identity, options: LoadOptions) -> None:
        import lm_eval.models  # noqa: F401
        from lm_eval.api.registry import get_model
        from lm_eval.utils import handle_arg_string

        super().__init__(options.batch_size or self.batch)
        device = resolve_device(options.device)
        arguments: dict[str, Any] = {
            key: handle_arg_string(value)
            for key, value in options.arguments.items()
            if key != "allow_pickle"
        }
        if identity.location:
            arguments["pretrained"] = identity.location
        if kind in WITH_DTYPE:
            arguments["dtype"] = resolve_dtype(options.dtype, device)
        self.device = device
        with loading(f"{identity.name} (by lm-eval)"):
            if kind in (*TRANSFORMERS, *OF_IMAGES, *OF_VLLM) and identity.location:
                check_weights(
                    Path(identity.location),
                    trust_remote_code=flag(options.arguments, "trust_remote_code"),
                )
            self._lm = get_model(kind).create_from_arg_obj(
                arguments, {"batch_size": self.batch_size, "device": device}
            )
            self._tokenizer = getattr(self._lm, "tokenizer", None)  # some load it only now
        self._chat = self._use_template(identity, options)
        self._watch = Watch.of(self._lm)

    def _use_template(self, identity: Identity, options: LoadOptions) -> bool:
        """Whether prompts are written by a chat template. Raises ModelError."""
        has_template = bool(getattr(self._tokenizer, "chat_template", None))
        if options.chat_template == "on" and not has_template:
            raise ModelError("--chat-template on: this checkpoint's tokenizer has no chat template")
        chat = options.chat_template != "off" and has_template
        if chat and getattr(self._lm, "add_bos_token", False) is None:
            # A template writes the BOS token that it wants; lm-eval would add one before it.
            self._lm.add_bos_token = False
        return chat

    # -- requests -------------------------------------------------------------------------------

    def submit(self, requests: Sequence[Request]) -> None:
        for request in requests:
            ids, size = self._looked_at(request)
            if ids is None:
                continue
            if self._watch is not None:
                check_vocabulary(ids, vocabulary(self._watch.model))
            room = self._room(request, size)
            if request.turn == 0 and room < request.max_new_tokens:
                raise ModelError(
                    f"the context of this checkpoint ({size + room} tokens) is too short: the "
                    f"prompt of {request.episode} has {size} tokens and --max-new-tokens asks for "
                    f"{request.max_new_tokens} more"
                )
        super().submit(requests)

    def _looked_at(self, request: Request) -> tuple[Sequence[int] | None, int]:
        """The token ids of a prompt (None where lm-eval does not say), an image being one, and
        the number of tokens it becomes. Raises GenbenchError where it cannot be asked."""
        ids = self._ids(self._prompt(request))
        return ids, len(ids or ())

    def _prompt(self, request: Request) -> str:
        if any(message.images for message in request.messages):
            raise ModelError(
                "this model of lm-eval reads text alone, and the task shows images: use "
                "lm-eval:hf-multimodal, or --backend hf"
            )
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
        return self._by_template(
            [{"role": message.role, "content": message.text} for message in request.messages]
        )

    def _by_template(self, chat: list[dict[str, Any]]) -> str:
        """What lm-eval's template makes of messages, which it may change."""
        with refusals(chat):
            return str(self._lm.apply_chat_template(chat, add_generation_prompt=True))

    def _ids(self, text: str) -> list[int] | None:
        """The prompt's token ids as lm-eval makes them, None where it does not say."""
        encode = getattr(self._lm, "tok_encode", None)
        if encode is None or self._tokenizer is None:
            return None
        ids = [int(token) for token in encode(text)]
        refuse_doubled_bos(ids, self._tokenizer)
        return ids

    def _asked(self, request: Request) -> Asked:
        text = self._prompt(request)
        return Asked(request, text, self._ids(text))

    def _room(self, request: Request, size: int) -> int:
        """How many tokens can be generated: the request's limit, or what the context leaves."""
        context = getattr(self._lm, "max_length", None)
        if not context:
            return request.max_new_tokens
        return min(request.max_new_tokens, int(context) - size)

    def generate(self, batch: Sequence[Request]) -> Sequence[Response]:
        asked = [self._asked(request) for request in batch]
        limit = batch[0].max_new_tokens
        rooms = [
            limit if one.ids is None else self._room(one.request, len(one.ids)) for one in asked
        ]
        # A long conversation must not shorten its neighbours' answers: it is asked alone. lm-eval
        # would cut it from its left, silently. It takes no call with and without images.
        whole = [number for number, room in enumerate(rooms) if room == limit]
        shown = [number for number in whole if asked[number].pixels]
        plain = [number for number in whole if not asked[number].pixels]
        alone = [[number] for number, room in enumerate(rooms) if room < limit]
        answers: dict[int, Response] = {}
        for group in [shown, plain, *alone]:
            if not group:
                continue
            room = rooms[group[0]]
            if room < 1:  # the conversation fills the context: nothing can be said
                answers[group[0]] = Response("", "length", len(asked[group[0]].ids or ()), 0)
                continue
            texts = self._texts([asked[number] for number in group], room, batch[0].stop)
            for number, text in zip(group, texts, strict=True):
                answers[number] = self._response(text, asked[number].ids, room, batch[0].stop)
        return [answers[number] for number in range(len(batch))]

    def _texts(self, asked: Sequence[Asked], room: int, stops: Sequence[str]) -> list[str]:
        from lm_eval.api.instance import Instance

        settings = {
            "until": list(stops),
            "max_gen_toks": room,
            "do_sample": False,
            "temperature": 0.0,
        }
        instances = []
        for number, one in enumerate(asked):
            # An empty list of images would be taken for images.
            images = ({"visual": list(one.pixels)},) if one.pixels else ()
            arguments = (one.text, dict(settings), *images)
            instances.append(Instance("generate_until", doc={}, arguments=arguments, idx=number))
        try:
            texts: list[str] = self._lm.generate_until(instances, disable_tqdm=True)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise ModelError(
                f"a batch of {len(asked)} prompts does not fit in the memory of {self.device}: "
                "use a smaller --batch-size"
            ) from None
        return texts

    def _response(
        self, text: str, prompt: Sequence[int] | None, room: int, stops: Sequence[str]
    ) -> Response:
        size = None if prompt is None else len(prompt)
        seen = None
        if self._watch and prompt is not None:
            seen = self._watch.answer(prompt, text, stops)
        if seen is not None:
            return Response(text, seen.finish_reason, size, seen.tokens)
        if self._tokenizer is None or not hasattr(self._lm, "tok_encode"):
            return Response(text, "stop", size, None)
        count = len(self._lm.tok_encode(text, add_special_tokens=False))
        return Response(text, "length" if count >= room else "stop", size, count)

    # -- what is recorded -----------------------------------------------------------------------

    def rendered(self, request: Request) -> Mapping[str, Any]:
        asked = self._asked(request)
        return {"text": asked.text, "ids": asked.ids, "chat_template": self._chat}

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
