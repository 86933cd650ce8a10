"""The tokenizer of the demo models: whole numbers up to 200, and the constant phrases of the
prompts, of the answer format and of the feedback, are one token each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from genbench_tasks.general_points.environment import feedback_sentences
from genbench_tasks.general_points.prompts import phrases
from genbench_tasks.small_tokenizer import small_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LARGEST_NUMBER = 200
_ANSWER_PARTS = (
    '{"cards": ["',
    '", "',
    '"], "number": [',
    '], "steps": ["',
    '], "formula": "',
    '"], "formula": "',
    "; left ",
    "', '",
    '"}',
    ", ",
)


def build_tokenizer(more: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """The tokenizer; the same input gives the same vocabulary, token by token.

    `more` are further stretches of text that are one token each; they stand last.
    """
    texts = [*_ANSWER_PARTS, *phrases(4), *feedback_sentences(), *more]
    return small_tokenizer(texts, LARGEST_NUMBER)
