"""The processor of small Idefics3 models: one picture, whole, and a chat that may show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import Idefics3Processor, PreTrainedTokenizerFast

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def small_processor(
    tokenizer: PreTrainedTokenizerFast, side: int, tokens: int
) -> Idefics3Processor:
    """Pictures of `side` pixels, never cut into tiles, `tokens` tokens each."""
    from transformers import Idefics3ImageProcessorPil, Idefics3Processor

    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<fake_token_around_image>", "<image>", "<global-img>"]}
    )
    size = {"longest_edge": side}
    return Idefics3Processor(
        image_processor=Idefics3ImageProcessorPil(
            do_image_splitting=False, size=size, max_image_size=size
        ),
        tokenizer=tokenizer,
        image_seq_len=tokens,
        chat_template=CHAT_TEMPLATE,
    )
