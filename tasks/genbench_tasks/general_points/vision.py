"""GeneralPoints with vision: the cards come as one picture (GP-VL of Chu et al. 2025).

Instances, the rule, the verifier, solutions and chance are those of GeneralPoints; only the prompt
differs, and what can be told from an answer: whether the cards were seen apart from how they were
read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from genbench.task import Agent, Instance, Message, SplitSpec
from genbench_tasks.general_points.cards import RANKS, multiset, numbers_of
from genbench_tasks.general_points.environment import GeneralPoints, listed_cards
from genbench_tasks.general_points.prompts import prompt_text
from genbench_tasks.general_points.seen import (
    PICTURE_SETTINGS,
    checked_picture,
    named_card,
    pictured,
    plain_split,
    shown,
    without_picture,
)
from genbench_tasks.general_points.splits import draw

_NUMERAL = re.compile(r"[0-9]{1,3}")


class GeneralPointsVision(GeneralPoints):
    """GeneralPoints whose cards are shown. Settings: those of GeneralPoints, and `pixels` and
    `look` (`seen.PICTURE_SETTINGS`), of the task or of a split.

    `perception` asks whether `cards` are the hand's ranks, in any order and whatever the suits;
    `rule`, whether `number` is what those `cards` count as: a king that was taken for a queen and
    counted as a queen is a fault of perception alone. `reasoning` is as without pictures.
    """

    more_settings = PICTURE_SETTINGS
    agents = (*GeneralPoints.agents, "visual-memoriser")
    merged_settings = ("look",)

    def __init__(self, *, prompt: str, feedback: str, settings: Mapping[str, Any]) -> None:
        super().__init__(prompt=prompt, feedback=feedback, settings=settings)
        checked_picture(settings, None)

    def instances(self, split: SplitSpec) -> Sequence[Instance]:
        pixels, look = checked_picture(self.settings, split)
        seed = split.settings.get("seed", self.settings.get("seed", 0))
        found = draw(without_picture(self.settings), plain_split(split))
        return [pictured(instance, pixels, look, seed) for instance in found]

    def messages(self, instance: Instance) -> Sequence[Message]:
        data = instance.data
        text = prompt_text(
            data["cards"], data["values"], data["target"], self.prompt, pictured=True
        )
        return (shown(instance, text),)

    def cards_read(self, fields: Mapping[str, Any] | None) -> list[str] | None:
        cards = listed_cards(fields)
        return None if cards is None else [named_card(card)[0] for card in cards]

    def rule_read(
        self, cards: Sequence[str] | None, numbers: Sequence[int], instance: Instance
    ) -> bool:
        if cards and all(card in RANKS or _NUMERAL.fullmatch(card) for card in cards):
            return multiset(numbers) == multiset(numbers_of(cards, instance.data["values"]))
        return super().rule_read(cards, numbers, instance)

    def agent(self, kind: str, training: SplitSpec) -> Agent:
        from genbench_tasks.general_points.agents import make_agent
        from genbench_tasks.general_points.visual_agent import VisualMemoriser

        if kind == "visual-memoriser":
            return VisualMemoriser(checked_picture(self.settings, training))
        return make_agent(kind, self, training)
