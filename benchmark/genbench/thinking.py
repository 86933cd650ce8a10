"""What of a response is judged: `<think>` blocks stripped or kept."""

from __future__ import annotations

from typing import Literal

OPEN, CLOSE = "<think>", "</think>"


def visible_text(text: str, thinking: Literal["keep", "strip"]) -> str:
    """The response without its thinking blocks, or as it is.

    Chat templates may open the block themselves, so text before a first `</think>` is thinking
    too; a block that never closes hides all that follows. Linear in the text's length.
    """
    if thinking == "keep" or (OPEN not in text and CLOSE not in text):
        return text
    first_open, first_close = text.find(OPEN), text.find(CLOSE)
    if first_close >= 0 and (first_open < 0 or first_close < first_open):
        text = text[first_close + len(CLOSE) :]
    kept = []
    while True:
        before, opened, rest = text.partition(OPEN)
        kept.append(before)
        if not opened:
            break
        _, closed, text = rest.partition(CLOSE)
        if not closed:
            break
    return "".join(kept).strip("\n")
