"""From chat messages to prompt text and token ids, by a tokenizer's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from genbench.errors import ModelError
from genbench.task import Message


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
        from jinja2 import TemplateError

        # A template's own mistakes (None joined to a text, say) come as TypeError or ValueError.
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    chat, add_generation_prompt=True, tokenize=False
                )
            )
        except (TemplateError, TypeError, ValueError) as error:
            roles = ", ".join(message.role for message in messages)
            raise ModelError(
                f"the checkpoint's chat template refuses messages of the roles {roles}: {error}; "
                "leave --system out, or use --chat-template off"
            ) from None

    def ids(self, text: str) -> list[int]:
        """Token ids. Raises ModelError where the sequence starts with two BOS tokens."""
        found: list[int] = self._tokenizer(text, add_special_tokens=not self.uses_template)[
            "input_ids"
        ]
        refuse_doubled_bos(found, self._tokenizer)
        return found


def refuse_doubled_bos(ids: Sequence[int], tokenizer: Any) -> None:
    """Raise ModelError where a prompt starts with two BOS tokens."""
    bos = tokenizer.bos_token_id
    if bos is not None and list(ids[:2]) == [bos, bos]:
        raise ModelError(
            "the prompt starts with two BOS tokens: the chat template writes one too many, or "
            "the tokenizer adds one to it; remove one of them from the checkpoint"
        )
