"""Thinking blocks: what of a response is judged, and whether a block is still open."""

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
    begin = 0
    if first_close >= 0 and (first_open < 0 or first_close < first_open):
        begin = first_close + len(CLOSE)
    kept = []
    while True:
        # Places and not pieces: cutting the rest off at every block would be quadratic.
        opened = text.find(OPEN, begin)
        if opened < 0:
            kept.append(text[begin:])
            break
        kept.append(text[begin:opened])
        closed = text.find(CLOSE, opened + len(OPEN))
        if closed < 0:
            break
        begin = closed + len(CLOSE)
    return "".join(kept).strip("\n")


def is_thinking(text: str, opened: bool) -> bool:
    """Whether a response that goes on from `text` is inside a block.

    `opened` says that the prompt ended with `<think>`, as some chat templates have it.
    """
    last_open, last_close = text.rfind(OPEN), text.rfind(CLOSE)
    return last_open > last_close or (opened and last_close < 0)
