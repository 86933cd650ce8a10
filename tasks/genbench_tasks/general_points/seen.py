"""Instances whose cards are shown as a picture: what of it stands in their data, and in answers.

An instance's data stay JSON. Beside its cards they hold their `suits` and the `picture`: the
renderer's version, the side in pixels, a seed and the whole look. The picture is drawn from these
alone, so a change of the drawing, which changes the renderer's version, changes the fingerprint of
every split.

In what a response says, suits count for nothing: `K`, `KS`, `K♠` and `king of spades` are kings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from genbench.task import Image, Instance, Message, SplitSpec, canonical_json, derive_seed
from genbench_tasks.general_points.pictures.look import (
    DEFAULT_PIXELS,
    RENDERER,
    checked_look,
    checked_pixels,
    dealt_suits,
)
from genbench_tasks.recent_pictures import RecentPictures

#: the settings of a picture, of a task or of a split: `pixels`, the side of the square (1200 as in
#: the paper), and `look`, the changes of `pictures.look`; a split's are laid over the task's
PICTURE_SETTINGS = ("pixels", "look")
_JSON_INTEGER = 1 << 53  # what every reader of JSON takes for a whole number

_MAX_NAME = 40
_WORDS = {
    "ACE": "A", "TWO": "2", "THREE": "3", "FOUR": "4", "FIVE": "5", "SIX": "6", "SEVEN": "7",
    "EIGHT": "8", "NINE": "9", "TEN": "10", "JACK": "J", "QUEEN": "Q", "KING": "K",
}  # fmt: skip
_SUIT_WORDS = {
    **{f"{word}S": f"{word}S".lower() for word in ("SPADE", "CLUB", "HEART", "DIAMOND")},
    **{word: f"{word}s".lower() for word in ("SPADE", "CLUB", "HEART", "DIAMOND")},
    **dict(zip("SCHD♠♣♥♦♤♧♡♢", 3 * ["spades", "clubs", "hearts", "diamonds"], strict=True)),
}
_NAME = re.compile(
    r"(?P<before>[♠♣♥♦♤♧♡♢])? ?(?P<rank>10|[2-9AJQK]|1[1-9]|[2-9][0-9]|"
    + "|".join(_WORDS)
    + r")(?: ?(?:OF )?(?P<after>"
    + "|".join(sorted(_SUIT_WORDS, key=len, reverse=True))
    + r"))?"
)


def without_picture(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are not of pictures."""
    return {key: value for key, value in settings.items() if key not in PICTURE_SETTINGS}


def checked_picture(
    settings: Mapping[str, Any], split: SplitSpec | None
) -> tuple[int, dict[str, Any]]:
    """(pixels, look) of a split of a task with these settings; without a split, of the task.

    Raises TaskError.
    """
    where = "settings" if split is None else f"split '{split.name}'"
    own: Mapping[str, Any] = {} if split is None else split.settings
    pixels = own.get("pixels", settings.get("pixels", DEFAULT_PIXELS))
    looks = [one["look"] for one in (settings, own) if "look" in one]
    return checked_pixels(pixels, where), checked_look(*looks, where=where)


def plain_split(split: SplitSpec) -> SplitSpec:
    """The split without the settings of its pictures."""
    return replace(split, settings=without_picture(split.settings))


def pictured(instance: Instance, pixels: int, look: Mapping[str, Any], seed: Any) -> Instance:
    """The instance with suits and a picture.

    All draws are by its pair, so that twins show the same deal and what a look draws at a level, it
    draws at every level: splits differ in their shift alone.
    """
    drawn = derive_seed("picture", instance.pair_id, seed) % _JSON_INTEGER
    cards = instance.data["cards"]
    return replace(
        instance,
        data={
            **instance.data,
            "suits": dealt_suits(cards, look["suit-colour"], drawn),
            "picture": {
                "renderer": RENDERER,
                "pixels": pixels,
                "seed": drawn,
                "look": dict(look),
            },
        },
    )


def _png(drawn: str) -> bytes:
    from genbench_tasks.general_points.pictures import png

    return png(*json.loads(drawn))


_RECENT = RecentPictures(64 * 2**20, _png)


def _file(drawn: str) -> bytes:
    return _RECENT.file(drawn)


def shown(instance: Instance, text: str) -> Message:
    """The user message of an instance's picture, drawn when it is read, and a text."""
    data = instance.data
    drawn = canonical_json([data["cards"], data["suits"], data["picture"]])
    image = Image(partial(_file, drawn))
    return Message("user", (image, text))


def named_card(text: str) -> tuple[str, str | None]:
    """(rank, suit) of a card's name, the suit None where it has none.

    What is no card's name stays as it is, in capitals, and is the rank of none.
    """
    cleaned = " ".join(text.upper().replace("\ufe0f", "").split())[:_MAX_NAME]
    match = _NAME.fullmatch(cleaned)
    if match is None:
        return cleaned, None
    suit = match["before"] or match["after"]
    return _WORDS.get(match["rank"], match["rank"]), None if suit is None else _SUIT_WORDS[suit]
