"""A small tokenizer for the demo models: it reads the very prompts that every model reads.

Byte-level (so that any text can be encoded), whole numbers up to 200 as one token, and the
constant phrases of the prompts, of the answer format and of the feedback as one token each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from genbench_tasks.general_points.environment import feedback_sentences
from genbench_tasks.general_points.prompts import phrases

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LARGEST_NUMBER = 200
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
END = "<|end|>"
PAD = "<|pad|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
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
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {
        symbol: index for index, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    merges = []
    for number in range(10, LARGEST_NUMBER + 1):
        text = str(number)
        vocabulary[text] = len(vocabulary)
        merges.append((text[:-1], text[-1]))
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[0-9]+"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(text, special=True) for text in (PAD, END, *ROLES)])
    texts = [*_ANSWER_PARTS, *phrases(4), *feedback_sentences(), *more]
    core.add_tokens(
        [AddedToken(text, normalized=False, special=False) for text in dict.fromkeys(texts)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
