"""transformers' own `generate` on prompts, with tokenizing and decoding; nothing of genbench."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path


class Bare:
    """Greedy answers, batch by batch, in the order of the prompts."""

    def __init__(
        self,
        folder: Path,
        prompts: Sequence[str],
        batch: int,
        new_tokens: int,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._prompts, self._batch, self._new = list(prompts), batch, new_tokens
        self._tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        found = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
        self._model = found.eval().to(device)

    def asked(self, batch: int, prompts: int | None = None) -> Bare:
        """The same engine with batches of another size, and the first so many prompts alone."""
        other = copy.copy(self)
        other._batch, other._prompts = batch, self._prompts[:prompts]
        return other

    def __call__(self) -> list[str]:
        import torch

        texts = []
        for start in range(0, len(self._prompts), self._batch):
            inputs = self._tokenizer(
                self._prompts[start : start + self._batch],
                return_tensors="pt", padding=True, add_special_tokens=False,
            )  # fmt: skip
            inputs.pop("token_type_ids", None)
            inputs = inputs.to(self._model.device)
            with torch.inference_mode():
                ids = self._model.generate(
                    **inputs, max_new_tokens=self._new, do_sample=False,
                    pad_token_id=self._tokenizer.pad_token_id,
                )  # fmt: skip
            found = ids[:, inputs["input_ids"].shape[1] :]
            texts += self._tokenizer.batch_decode(found, skip_special_tokens=True)
        return texts
