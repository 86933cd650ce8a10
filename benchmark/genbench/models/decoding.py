"""From generated tokens to an answer: where it ends, why, and its text."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from genbench.thinking import CLOSE, OPEN

if TYPE_CHECKING:
    import torch

# A stop string may come in other tokens than its own: its bytes, and some that only touch it.
_MARGIN = 8


@dataclass(frozen=True)
class Answer:
    """`tokens` counts what was generated up to the end: an end token and a stop string included."""

    text: str
    tokens: int
    finish_reason: Literal["stop", "length"]


class Decoder:
    """Reads what a checkpoint generates; `ends` are its end tokens."""

    def __init__(self, tokenizer: Any, ends: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self._ends = frozenset(ends)
        special = {
            number: token.content
            for number, token in tokenizer.added_tokens_decoder.items()
            if token.special
        }
        self._special = tuple(special.values())
        #: the special tokens that the text does not show
        self._hidden = {
            number for number, content in special.items() if content not in (OPEN, CLOSE)
        }
        self._tags_are_special = len(self._hidden) < len(special)

    def raw(self, ids: Sequence[int]) -> str:
        """The text with special tokens."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=False))

    def text(self, ids: Sequence[int]) -> str:
        """The text without special tokens, thinking tags apart: those say what is judged."""
        if self._tags_are_special:
            return self.raw([number for number in ids if number not in self._hidden])
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def stopped(self, ids: Sequence[int], stops: Sequence[str]) -> bool:
        """Whether a stop string has come: in the text, or one that names a special token.

        "as" is not in `<|assistant|>`, which no text shows.
        """
        text = self.text(ids)
        if any(stop in text for stop in stops):
            return True
        named = [stop for stop in stops if any(token in stop for token in self._special)]
        if not named:
            return False
        raw = self.raw(ids)
        return any(stop in raw for stop in named)

    def shown_alike(self, stop: str) -> bool:
        """Whether a stop string is in a text exactly where it is in one that shows no special
        token at all, as other engines compare it."""
        return not self._tags_are_special and not any(token in stop for token in self._special)

    def answer(self, row: Sequence[int], stops: Sequence[str]) -> Answer:
        """The answer in a row of generated tokens, whatever follows its end (padding)."""
        length = next((i for i, token in enumerate(row) if token in self._ends), len(row))
        ended = length < len(row)

        if stops and self.stopped(row[:length], stops):
            length = bisect_left(
                range(length), True, key=lambda count: self.stopped(row[:count], stops)
            )
            text = self.text(row[:length])
            places = [text.find(stop) for stop in stops if stop in text]
            # One that names a special token is not in the text.
            return Answer(text[: min(places)] if places else text, length, "stop")
        return Answer(self.text(row[:length]), length + ended, "stop" if ended else "length")


class StopStrings:
    """A stopping criterion for `generate`: a row ends with a stop string in what it generated.

    That of transformers looks at the prompt as well: a blank line asked for as the stop would end
    an answer at its first line break where the prompt ends with one.
    """

    def __init__(self, stops: Sequence[str], decoder: Decoder, prompt_length: int) -> None:
        self._stops = stops
        self._decoder = decoder
        self._prompt_length = prompt_length
        self._window = _MARGIN + max(len(stop.encode()) for stop in stops)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """[rows] of bool."""
        import torch

        tails = input_ids[:, self._prompt_length :][:, -self._window :].tolist()
        found = [self._decoder.stopped(ids, self._stops) for ids in tails]
        return torch.tensor(found, device=input_ids.device)
