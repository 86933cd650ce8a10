"""Choosing the next token, row by row: greedy, or by a random stream of the request's own.

A row's choice depends on its own scores and seed, never on its neighbours in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from genbench.errors import ModelError
from genbench.task import derive_seed
from genbench.thinking import is_thinking

if TYPE_CHECKING:
    import torch

NAN_SCORES = (
    "the checkpoint gives NaN scores: its weights are broken, or its values overflow in this "
    "precision (try --dtype float32)"
)
_SCORES_AT_ONCE = 2**22  # 32 MiB in double precision


@dataclass(frozen=True)
class ThinkingBudget:
    """After `tokens` generated tokens an open thinking block is closed by `closing` (ids).

    `decode` gives the text of generated ids, special tokens included.
    """

    tokens: int
    closing: tuple[int, ...]
    decode: Callable[[Sequence[int]], str]


class RowSampler:
    """A logits processor for `generate`: leaves one token highest in each row, its choice.

    Greedy rows take the highest score. Sampled rows divide by the temperature, keep the smallest
    set of most probable tokens whose mass reaches top-p (Holtzman et al. 2020), and invert the
    cumulative distribution at a uniform number of the request's stream: one number a token.
    `opened` names the rows whose prompt has opened a thinking block.
    """

    def __init__(
        self,
        requests: Sequence[Any],
        prompt_length: int,
        budget: ThinkingBudget | None = None,
        opened: Sequence[bool] = (),
    ) -> None:
        self._requests = requests
        self._prompt_length = prompt_length
        self._budget = budget
        self._opened = opened or [False] * len(requests)
        self._cut: list[int] = []  # the rows whose thinking the budget closes
        self._sampled = [row for row, one in enumerate(requests) if one.temperature > 0]
        self._streams = [Random(derive_seed("tokens", request.seed)) for request in requests]
        self._chosen_logprobs: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """scores: [rows, vocabulary]; the same shape back, with the choices highest."""
        import torch

        logprobs = torch.log_softmax(scores.float(), dim=-1)
        choice = scores.argmax(dim=-1)
        for rows in self._sampled_together(logprobs.shape[-1]):
            choice[rows] = self._sample(logprobs[rows], rows)
        if self._budget is not None:
            self._close_thinking(input_ids, choice, self._budget)
        chosen = logprobs.gather(1, choice[:, None])[:, 0]
        refuse_nan(chosen)  # one NaN or infinite score makes all of its row NaN
        self._chosen_logprobs.append(chosen)
        if not self._sampled and self._budget is None:
            return scores  # `generate` takes the highest one itself
        forced = torch.full_like(scores, float("-inf"))
        return forced.scatter(1, choice[:, None], 0.0)

    def logprobs(self, tokens: Sequence[int]) -> list[float]:
        """The log-probability of each row's first so many tokens (temperature 1)."""
        import torch

        steps = torch.stack(self._chosen_logprobs, dim=1).tolist() if any(tokens) else []
        return [sum(steps[row][:count]) if count else 0.0 for row, count in enumerate(tokens)]

    def _sampled_together(self, vocabulary: int) -> list[list[int]]:
        """The rows that are sampled, so many at a time as bounded memory holds."""
        at_once = max(1, _SCORES_AT_ONCE // vocabulary)
        return [self._sampled[i : i + at_once] for i in range(0, len(self._sampled), at_once)]

    def _sample(self, logprobs: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """The choices [rows] by logprobs [rows, vocabulary]; each row's by itself alone."""
        import torch

        def column(values: Sequence[float]) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float64, device=logprobs.device)[:, None]

        temperature = column([self._requests[row].temperature for row in rows])
        top_p = column([self._requests[row].top_p for row in rows])
        uniform = column([self._streams[row].random() for row in rows])
        probabilities = torch.softmax(logprobs.double() / temperature, dim=-1)
        ordered, tokens = torch.sort(probabilities, dim=-1, descending=True, stable=True)
        cumulative = torch.cumsum(ordered, dim=-1)
        # The first place where the mass reaches top-p belongs to the set.
        last = torch.searchsorted(cumulative, top_p).clamp(max=cumulative.shape[-1] - 1)
        point = uniform * cumulative.gather(1, last)
        place = torch.searchsorted(cumulative, point, right=True)
        return tokens.gather(1, torch.minimum(place, last))[:, 0]

    def _close_thinking(
        self, input_ids: torch.Tensor, choice: torch.Tensor, budget: ThinkingBudget
    ) -> None:
        """From the budget on, the closing tokens are forced one by one in the rows that think."""
        place = input_ids.shape[1] - self._prompt_length - budget.tokens
        if not 0 <= place < len(budget.closing):
            return
        if place == 0:
            rows = enumerate(input_ids[:, self._prompt_length :].tolist())
            self._cut = [
                row for row, ids in rows if is_thinking(budget.decode(ids), self._opened[row])
            ]
        for row in self._cut:
            choice[row] = budget.closing[place]


def refuse_nan(scores: torch.Tensor) -> None:
    """Raise ModelError where a score is NaN."""
    import torch

    if bool(torch.isnan(scores).any()):
        raise ModelError(NAN_SCORES)
