"""The tokenizer of the small navigation models: instructions, observations and actions in few
tokens, each name of a landmark in two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from genbench_tasks.navigation.headings import COMPASS, RELATIVE, SECTORS
from genbench_tasks.navigation.names import LANDMARK_KINDS, LANDMARK_NAMES
from genbench_tasks.navigation.prompts import phrases
from genbench_tasks.navigation.verifier import revision_sentences
from genbench_tasks.small_tokenizer import small_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_LARGEST_NUMBER = 99
_LONGEST = 1024


def build_tokenizer(more: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """The tokenizer; words of both rules are in it alike, whatever a model is trained on. `more`
    texts are one token each, after all others."""
    words = [*COMPASS, *RELATIVE, *SECTORS]
    kinds = [f" {kind}" for kind in LANDMARK_KINDS]
    texts = [*phrases(), *revision_sentences(), *words, *LANDMARK_NAMES, *kinds, *more]
    return small_tokenizer(texts, _LARGEST_NUMBER, _LONGEST)
