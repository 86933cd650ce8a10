"""Small tokenizers for demo models: they read the very prompts that every model reads.

Byte-level, so that any text can be encoded; whole numbers, and stretches of text that a task says
again and again, are one token each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
END = "<|end|>"
PAD = "<|pad|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def small_tokenizer(
    texts: Sequence[str], largest_number: int, longest: int = 1024
) -> PreTrainedTokenizerFast:
    """The tokenizer; the same input gives the same vocabulary, token by token.

    `texts` are one token each, whole numbers from 10 to `largest_number` too; `longest` is the
    number of tokens that a model with it may read.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {
        symbol: index for index, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    merges = []
    for number in range(10, largest_number + 1):
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
        model_max_length=longest,
    )
