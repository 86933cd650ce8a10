"""Exact token counts of a training, and its FLOPs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass
class TokenCounts:
    """Exact counts, padding excluded, over all devices.

    `trained`: tokens that went forward and backward, the sum of `prompt` and `response`;
    `rollout_prompt` and `generated`: tokens read and written while sampling (each sample reads
    its prompt, each turn its whole conversation); `reference`: tokens through the reference
    model; `rescored`: tokens through the trained model again for their old log-probabilities.
    """

    trained: int = 0
    prompt: int = 0
    response: int = 0
    rollout_prompt: int = 0
    generated: int = 0
    reference: int = 0
    rescored: int = 0

    def json(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def names(cls) -> list[str]:
        return [field.name for field in fields(cls)]


def flops(parameters: int, counts: TokenCounts) -> int:
    """6 N a trained token, 2 N a token of a forward pass alone (Kaplan et al. 2020, section 2.1;
    Chu et al. 2025, appendix C.3). N is the whole model's, under LoRA too, where the true cost of
    the backward pass is lower."""
    forward = counts.rollout_prompt + counts.generated + counts.reference + counts.rescored
    return 6 * parameters * counts.trained + 2 * parameters * forward


def count_batch(counts: TokenCounts, attention_mask: Any, prompt_tokens: Any) -> None:
    """Add a batch that was trained on (tensors of `Encoder.batch`)."""
    prompt, every = int(prompt_tokens.sum()), int(attention_mask.sum())
    counts.trained += every
    counts.prompt += prompt
    counts.response += every - prompt
