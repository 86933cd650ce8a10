"""The OpenAI-compatible wire format: bodies of requests, and what an answer says.

`/chat/completions`, where the server renders the messages by its own chat template, and
`/completions` for text as it is.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from genbench.errors import ModelError
from genbench.models.api_client import MalformedError
from genbench.models.api_options import ApiOptions
from genbench.models.interface import FinishReason, Request, Response
from genbench.task import Image, Message
from genbench.thinking import CLOSE, OPEN

CHAT, COMPLETIONS = "/chat/completions", "/completions"
#: every server takes a seed of so many bits (llama.cpp: 32, one value of which means none)
SEED_BITS = 31
# How servers name an end: those of OpenAI, and of llama.cpp, TGI and SGLang where they differ.
_CUT_OFF = ("length", "max_tokens", "limit")
_BROKEN_OFF = ("error", "abort", "aborted", "cancelled")
_LONGEST_NAME = 200
_CONTEXT = re.compile(
    r"context[ _-]?(length|size|window)|max_model_len|max_seq_len|exceeds? the \w* ?context",
    re.IGNORECASE,
)


def body(name: str, options: ApiOptions, request: Request, *, chat: bool, room: int) -> Any:
    """A request as JSON. Greedy ones have no seed. Raises ModelError where it cannot be made."""
    found: dict[str, Any] = {
        "model": name,
        **(
            {"messages": [message_json(message) for message in request.messages]}
            if chat
            else {"prompt": plain_text(request.messages)}
        ),
        options.token_limit: room,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stream": False,
    }
    if request.temperature > 0:
        found["seed"] = request.seed % 2**SEED_BITS
    if request.stop:
        found["stop"] = list(request.stop)
    return {**found, **(options.body or {})}


def message_json(message: Message) -> dict[str, Any]:
    """A chat message; images as data URLs, at their places."""
    if not message.images:
        return {"role": message.role, "content": sendable(message.text)}
    parts = (message.content,) if isinstance(message.content, str) else message.content
    return {
        "role": message.role,
        "content": [
            {"type": "text", "text": sendable(part)}
            if isinstance(part, str)
            else {"type": "image_url", "image_url": {"url": data_url(part)}}
            for part in parts
        ],
    }


def data_url(image: Image) -> str:
    return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"


def plain_text(messages: Sequence[Message]) -> str:
    """The contents of messages, a blank line after each, as other backends have it without a
    chat template. Raises ModelError where there is an image."""
    if any(message.images for message in messages):
        raise ModelError(
            "the task shows images, and /completions takes text alone; leave --chat-template off "
            "out"
        )
    return "".join(f"{sendable(message.text)}\n\n" for message in messages)


def sendable(text: str) -> str:
    """The text with U+FFFD for lone surrogates: an answer can hold them, many a parser does not."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def recorded(found: Any) -> Any:
    """A body as a record shows it: images by their SHA-256."""
    if isinstance(found, Mapping):
        return {key: recorded(value) for key, value in found.items()}
    if isinstance(found, list):
        return [recorded(value) for value in found]
    if isinstance(found, str) and found.startswith("data:") and ";base64," in found:
        kind, _, data = found.partition(";base64,")
        return f"{kind};sha256,{hashlib.sha256(base64.b64decode(data)).hexdigest()}"
    return found


# -- answers ---------------------------------------------------------------------------------------


def answer(found: Any, *, chat: bool, stops: Sequence[str], room: int) -> Response:
    """What an answer says. Raises MalformedError."""
    if not isinstance(found, dict):
        raise MalformedError("the answer is no JSON object")
    choices = found.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise MalformedError("the answer has no choice")
    choice = choices[0]
    text = _chat_text(choice) if chat else choice.get("text")
    if not isinstance(text, str):
        raise MalformedError("the answer has no text")
    usage = found.get("usage")
    prompt, generated = (
        _count(usage.get(name)) if isinstance(usage, dict) else None
        for name in ("prompt_tokens", "completion_tokens")
    )
    return Response(
        *_ended(text, choice.get("finish_reason"), stops, generated, room),
        prompt_tokens=prompt,
        generated_tokens=generated,
        origin=_origin(found, choice),
    )


def _chat_text(choice: Mapping[str, Any]) -> Any:
    """The message's text, with its thinking where the server has put that apart."""
    message = choice.get("message")
    if not isinstance(message, dict):
        return None
    content = message.get("content")
    if isinstance(content, list):  # parts
        content = "".join(
            part["text"]
            for part in content
            if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    if not isinstance(thoughts, str):
        # Nothing said: a refusal, a call of a tool, or a filter's doing.
        return "" if content is None else content
    if not content and choice.get("finish_reason") in _CUT_OFF:
        return f"{OPEN}{thoughts}"
    return f"{OPEN}{thoughts}{CLOSE}{'' if content is None else content}"


def _ended(
    text: str, reason: Any, stops: Sequence[str], generated: int | None, room: int
) -> tuple[str, FinishReason]:
    if reason in _BROKEN_OFF:
        raise MalformedError(f"the server broke the answer off ({reason})")
    places = [text.find(stop) for stop in stops if stop in text]
    if places:  # some servers leave the stop string in
        return text[: min(places)], "stop"
    if reason is None:  # some do not say
        cut = generated is not None and generated >= room
        return text, "length" if cut else "stop"
    return text, "length" if reason in _CUT_OFF else "stop"


def _count(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value < 2**53 else None


def _origin(found: Mapping[str, Any], choice: Mapping[str, Any]) -> dict[str, str] | None:
    said = {
        name: found[name][:_LONGEST_NAME]
        for name in ("model", "system_fingerprint")
        if isinstance(found.get(name), str) and found[name]
    }
    if filtered(choice.get("finish_reason")):
        said["filter"] = str(choice["finish_reason"])
    return said or None


def filtered(code: Any) -> bool:
    """Whether a code says that a filter of the service stood between question and answer."""
    return code in ("content_filter", "content_policy_violation")


def over_context(detail: str, code: str) -> bool:
    """Whether a refusal says that the conversation is too long for the model."""
    return bool(_CONTEXT.search(f"{code} {detail}"))


# -- models ----------------------------------------------------------------------------------------


def listed(found: Any) -> list[dict[str, Any]]:
    """The entries of `/models`. Raises MalformedError."""
    entries = found.get("data") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        raise MalformedError("the list of models has no data")
    return [
        entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    ]


# What stays the same while a server serves the same; not `created`, which is some servers' clock.
_STABLE = ("id", "root", "parent", "owned_by", "max_model_len", "context_length", "meta")


def reported(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a server says of a model that tells it from another one."""
    return {name: entry[name] for name in _STABLE if _plain(entry.get(name))}


def _plain(value: Any, depth: int = 0) -> bool:
    if isinstance(value, dict):
        return depth == 0 and len(value) <= 50 and all(_plain(one, 1) for one in value.values())
    if isinstance(value, str):
        return len(value) <= 1000
    return isinstance(value, int | float)
