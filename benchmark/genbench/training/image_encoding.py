"""Conversations with pictures to batches of an image-text model, by its own processor."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from genbench.errors import ModelError
from genbench.task import Message
from genbench.training.encoding import IGNORED


class ImageEncoder:
    """As `Encoder`; the processor places the pictures' tokens and makes their tensors."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._tokenizer = processor.tokenizer

    def batch(self, examples: Sequence[tuple[Sequence[Message], str]]) -> dict[str, Any]:
        """Tensors of shape [examples, longest], padded on the right, and those of the pictures;
        labels are on the response and its end token. Raises ModelError."""
        answers = [response + self._tokenizer.eos_token for _, response in examples]
        texts = [
            self._prompt(messages) + answer
            for (messages, _), answer in zip(examples, answers, strict=True)
        ]
        found = self._processor(
            text=texts,
            images=[[*_pictures(messages)] for messages, _ in examples],
            padding=True,
            padding_side="right",
            add_special_tokens=False,
            return_tensors="pt",
        )
        ids, mask = found["input_ids"], found["attention_mask"]
        labels = ids.new_full(ids.shape, IGNORED)
        lengths = mask.sum(dim=1).tolist()
        prompt_tokens = []
        for row, (answer, length) in enumerate(zip(answers, lengths, strict=True)):
            own = self._tokenizer(answer, add_special_tokens=False)["input_ids"]
            start = length - len(own)
            if ids[row, start:length].tolist() != list(own):
                raise ModelError(
                    "the tokenizer merges the prompt's end with the response's start: the chat "
                    "template must end with a special token"
                )
            labels[row, start:length] = ids[row, start:length]
            prompt_tokens.append(start)
        return {**found, "labels": labels, "prompt_tokens": mask.new_tensor(prompt_tokens)}

    def _prompt(self, messages: Sequence[Message]) -> str:
        chat = [
            {"role": message.role, "content": [_part(part) for part in _parts(message)]}
            for message in messages
        ]
        return str(
            self._processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        )


def _parts(message: Message) -> Sequence[Any]:
    return (message.content,) if isinstance(message.content, str) else message.content


def _part(part: Any) -> dict[str, Any]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}


def _pictures(messages: Sequence[Message]) -> list[Any]:
    from PIL import Image

    return [
        Image.open(BytesIO(image.data)).convert("RGB")
        for message in messages
        for image in message.images
    ]
