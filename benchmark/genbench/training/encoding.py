"""Conversations to token ids, as every trainer here reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from genbench.models.rendering import Renderer
from genbench.task import Message

IGNORED = -100  # the label that transformers' losses leave out


class Encoder:
    """Conversations and responses to token ids and labels, by the model's own chat template."""

    def __init__(self, tokenizer: Any, *, loss_on_prompt: bool = False) -> None:
        self.tokenizer = tokenizer
        self.loss_on_prompt = loss_on_prompt
        self._renderer = Renderer(tokenizer, "auto")

    def encode(self, messages: Sequence[Message], response: str) -> tuple[list[int], list[int]]:
        """(prompt ids, response ids with the end token). Raises ModelError (chat template)."""
        prompt = self._renderer.ids(self._renderer.text(messages))
        ended = response + self.tokenizer.eos_token
        return prompt, list(self.tokenizer(ended, add_special_tokens=False)["input_ids"])

    def batch(self, examples: Sequence[tuple[Sequence[Message], str]]) -> dict[str, Any]:
        """Tensors of shape [examples, longest], padded on the right; `prompt_tokens` of shape
        [examples] is for the counts, not for the model."""
        import torch

        encoded = [self.encode(messages, response) for messages, response in examples]
        longest = max(len(prompt) + len(answer) for prompt, answer in encoded)
        rows = torch.full((len(encoded), longest), self.tokenizer.pad_token_id)
        labels = torch.full((len(encoded), longest), IGNORED)
        mask = torch.zeros((len(encoded), longest), dtype=torch.long)
        for i, (prompt, answer) in enumerate(encoded):
            ids = torch.tensor([*prompt, *answer])
            rows[i, : len(ids)] = ids
            mask[i, : len(ids)] = 1
            start = 0 if self.loss_on_prompt else len(prompt)
            labels[i, start : len(ids)] = ids[start:]
        return {
            "input_ids": rows,
            "attention_mask": mask,
            "labels": labels,
            "prompt_tokens": torch.tensor([len(prompt) for prompt, _ in encoded]),
        }
