"""From chat messages to prompt text and token ids, by a checkpoint's own chat template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from genbench.errors import ModelError
from genbench.task import Image, Message

_PART = "'type': 'text'"  # what a list of parts looks like where a template prints it whole


class Renderer:
    """Prompts of one tokenizer. With a template: its text as it is. Without: the contents of the
    messages, a blank line after each, with the tokenizer's own special tokens."""

    def __init__(self, tokenizer: Any, chat_template: Literal["auto", "on", "off"]) -> None:
        if chat_template == "on" and not tokenizer.chat_template:
            raise ModelError("--chat-template on: this checkpoint's tokenizer has no chat template")
        self._tokenizer = tokenizer
        self.uses_template = chat_template != "off" and bool(tokenizer.chat_template)

    def text(self, messages: Sequence[Message]) -> str:
        """The prompt. Raises ModelError where the template refuses the messages."""
        if any(message.images for message in messages):
            raise ModelError("this backend reads text alone, and the task shows images")
        if not self.uses_template:
            return "".join(f"{message.text}\n\n" for message in messages)
        chat = [{"role": message.role, "content": message.text} for message in messages]
        return templated(self._tokenizer, chat)

    def ids(self, text: str) -> list[int]:
        """Token ids. Raises ModelError where the sequence starts with two BOS tokens."""
        found: list[int] = self._tokenizer(text, add_special_tokens=not self.uses_template)[
            "input_ids"
        ]
        refuse_doubled_bos(found, self._tokenizer)
        return found


class ImageRenderer:
    """Prompts of an image-text-to-text checkpoint, whose template says where images stand.

    `source` is its processor, or its tokenizer where it has none and is asked in text alone. With
    a template: its text, one image token (of the processor) for each image. Without: the contents
    of the messages, a blank line after each, an image token where an image stands.
    """

    def __init__(self, source: Any, chat_template: Literal["auto", "on", "off"]) -> None:
        self._source = source
        self._tokenizer = getattr(source, "tokenizer", source)
        self._template = getattr(source, "chat_template", None) or self._tokenizer.chat_template
        if chat_template == "on" and not self._template:
            raise ModelError("--chat-template on: this checkpoint has no chat template")
        self.uses_template = chat_template != "off" and bool(self._template)
        #: the token that stands for an image in a prompt's text
        self.image_token: str | None = getattr(source, "image_token", None)
        self._placeholders = _placeholders(source)

    def text(self, messages: Sequence[Message]) -> str:
        """The prompt. Raises ModelError where the template refuses or garbles the messages."""
        if self.image_token is None and any(message.images for message in messages):
            raise ModelError("this checkpoint has no image processor, and the task shows images")
        if not self.uses_template:
            return "".join(
                "".join(
                    self.spelled(part) if isinstance(part, str) else str(self.image_token)
                    for part in parts_of(message)
                )
                + "\n\n"
                for message in messages
            )
        # Templates of such checkpoints take a message as a list of parts; some take what has no
        # image, the system message above all, as a text.
        fault: str | ModelError = ""
        for as_parts in (True, False):
            chat = [self._chat(message, as_parts) for message in messages]
            try:
                text = templated(self._source, chat, chat_template=self._template)
            except ModelError as error:
                fault = fault or error
                continue
            found = self.fault(text, messages)
            if found is None:
                return text
            fault = fault or found
        if isinstance(fault, ModelError):
            raise fault
        raise ModelError(f"the checkpoint's chat template {fault}")

    def _chat(self, message: Message, as_parts: bool) -> dict[str, Any]:
        if not as_parts and not message.images:
            return {"role": message.role, "content": self.spelled(message.text)}
        parts: list[dict[str, str]] = [
            {"type": "text", "text": self.spelled(part)}
            if isinstance(part, str)
            else {"type": "image"}
            for part in parts_of(message)
        ]
        return {"role": message.role, "content": parts}

    def fault(self, text: str, messages: Sequence[Message]) -> str | None:
        """What is wrong with the text that a template made of messages."""
        expected = sum(len(message.images) for message in messages)
        found = text.count(self.image_token) if self.image_token else 0
        if found != expected:
            return f"writes {found} image tokens ({self.image_token}) where {expected} images stand"
        written = sum(message.text.count(_PART) for message in messages)
        if text.count(_PART) > written:
            return "does not take messages as lists of parts"
        for message in messages:
            for part in parts_of(message) if message.role != "assistant" else ():
                if isinstance(part, str) and self.spelled(part).strip() not in text:
                    return "leaves out the text of a message"
        return None

    def spelled(self, text: str) -> str:
        """A text in which no token stands for an image: an answer may have written one out."""
        for token in self._placeholders:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def adds_special_tokens(self, text: str) -> bool:
        """Whether the tokenizer is to add its own special tokens: transformers' processors have
        it so, unless the template has written the BOS token."""
        bos = self._tokenizer.bos_token
        return bos is None or not text.startswith(bos)

    def ids(self, text: str) -> list[int]:
        """Token ids, one for each image. Raises ModelError where they start with two BOS tokens."""
        found: list[int] = self._tokenizer(text, add_special_tokens=self.adds_special_tokens(text))[
            "input_ids"
        ]
        refuse_doubled_bos(found, self._tokenizer)
        return found


def templated(source: Any, chat: list[dict[str, Any]], **settings: Any) -> str:
    """What the chat template of a tokenizer or a processor makes of messages. Raises ModelError."""
    with refusals(chat):
        return str(
            source.apply_chat_template(chat, add_generation_prompt=True, tokenize=False, **settings)
        )


@contextmanager
def refusals(chat: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """A chat template's refusal of messages becomes a ModelError."""
    from jinja2 import TemplateError

    # A template's own mistakes (None joined to a text, say) come as TypeError or ValueError.
    try:
        yield
    except (TemplateError, TypeError, ValueError) as error:
        roles = ", ".join(message["role"] for message in chat)
        raise ModelError(
            f"the checkpoint's chat template refuses messages of the roles {roles}: {error}; "
            "leave --system out, or use --chat-template off"
        ) from None


def takes_texts(tokenizer: Any) -> bool:
    """Whether a chat template shows a message that is a text, and no list of parts."""
    return "Question?" in templated(tokenizer, [{"role": "user", "content": "Question?"}])


def parts_of(message: Message) -> Iterator[str | Image]:
    """Its texts and images, in reading order."""
    yield from (message.content,) if isinstance(message.content, str) else message.content


def _placeholders(source: Any) -> tuple[str, ...]:
    """The tokens that stand for an image, a video or a sound, the longest first."""
    found = {
        getattr(holder, f"{kind}_token", None)
        for holder in (source, getattr(source, "tokenizer", None))
        for kind in ("image", "video", "audio")
    }
    return tuple(sorted((str(token) for token in found if token), key=len, reverse=True))


def refuse_doubled_bos(ids: Sequence[int], tokenizer: Any) -> None:
    """Raise ModelError where a prompt starts with two BOS tokens."""
    bos = tokenizer.bos_token_id
    if bos is not None and list(ids[:2]) == [bos, bos]:
        raise ModelError(
            "the prompt starts with two BOS tokens: the chat template writes one too many, or "
            "the tokenizer adds one to it; remove one of them from the checkpoint"
        )
