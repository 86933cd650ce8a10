"""Conversations with pictures to batches of an image-text model, by its own processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from genbench.errors import ModelError
from genbench.models.images import Images
from genbench.models.rendering import ImageRenderer
from genbench.task import Message
from genbench.training.encoding import IGNORED

_SHOWN_IN = "a training problem"


class ImageEncoder:
    """As `Encoder`; the processor places the pictures' tokens and makes their tensors."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._renderer = ImageRenderer(processor, "auto")
        self._images = Images(memory=0)  # a picture is trained on once

    def batch(self, examples: Sequence[tuple[Sequence[Message], str]]) -> dict[str, Any]:
        """Tensors of shape [examples, longest], padded on the right, and those of the pictures;
        labels are on the response and its end token. Raises ModelError and TaskError."""
        prompts = [self._renderer.text(messages) for messages, _ in examples]
        answers = [
            self._renderer.spelled(response) + self._tokenizer.eos_token for _, response in examples
        ]
        found = self._processor(
            text=[prompt + answer for prompt, answer in zip(prompts, answers, strict=True)],
            images=[
                [self._images.pixels(image, _SHOWN_IN) for one in messages for image in one.images]
                for messages, _ in examples
            ],
            padding=True,
            padding_side="right",
            add_special_tokens=self._renderer.adds_special_tokens(prompts[0]),
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
