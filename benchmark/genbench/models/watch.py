"""The generated tokens of a transformers model that another library runs and gives as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from genbench.models.decoding import Answer, Decoder
from genbench.models.sampling import refuse_nan
from genbench.models.transformer import KeptTokens, keep_end_tokens


class Watch:
    """Stands before `generate` of a transformers model that lm-eval runs, and changes no token:
    sees what each prompt's row became, and refuses NaN scores."""

    def __init__(self, model: Any, kept: KeptTokens, decoder: Decoder) -> None:
        self.model = model
        self.kept = kept
        self._decoder = decoder
        self._generate = model.generate
        self._rows: dict[tuple[int, ...], list[list[int]]] = {}
        model.generate = self._watched

    @classmethod
    def of(cls, lm: Any) -> Watch | None:
        """None where lm-eval runs something else. The checkpoint's own generation settings
        (sampling, a repetition penalty) are set aside: greedy means greedy."""
        from transformers import PreTrainedModel

        model, tokenizer = getattr(lm, "model", None), getattr(lm, "tokenizer", None)
        if not isinstance(model, PreTrainedModel) or tokenizer is None:
            return None
        kept = keep_end_tokens(model, tokenizer)
        return cls(model, kept, Decoder(tokenizer, kept.ends))

    def _watched(self, *, input_ids: Any, attention_mask: Any, **settings: Any) -> Any:
        from transformers import LogitsProcessorList

        def look(_: Any, scores: Any) -> Any:
            refuse_nan(scores)
            return scores

        output = self._generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            logits_processor=LogitsProcessorList([look]),
            **settings,
        )
        rows = output[:, input_ids.shape[1] :].tolist()
        self._rows = {}
        for prompt, mask, row in zip(input_ids, attention_mask, rows, strict=True):
            # Two prompts with different images may have the same tokens.
            self._rows.setdefault(tuple(prompt[mask.bool()].tolist()), []).append(row)
        return output

    def answer(self, prompt: Sequence[int], text: str, stops: Sequence[str]) -> Answer | None:
        """What the last batch made of a prompt, where it is said to be `text`."""
        answers = [self._decoder.answer(row, stops) for row in self._rows.get(tuple(prompt), ())]
        if not answers:
            return None
        return next((one for one in answers if one.text == text), answers[0])
