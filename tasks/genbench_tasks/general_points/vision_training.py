"""Training problems and parts of the demo vision-language model: cards of black suits, many rules.

The problems are those of `mixture`, asked with a picture in the place of the card names, and a
share of recognition: the same pictures, only to be named. Every picture has the default look; none
shows a red suit. A hand that may not be trained on is not shown for naming either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from genbench.task import Instance, Message, seeded
from genbench_tasks.general_points.cards import multiset, numbers_of
from genbench_tasks.general_points.hands import refuse_held_out
from genbench_tasks.general_points.mixture import (
    MixtureSettings,
    after_failures,
    answer_of,
    draw_problem,
    record_of,
    turns_and_count,
)
from genbench_tasks.general_points.pictures.look import DEFAULT_LOOK
from genbench_tasks.general_points.prompts import phrases
from genbench_tasks.general_points.recognition import CardRecognition, names_text
from genbench_tasks.general_points.seen import pictured
from genbench_tasks.general_points.tokenizer import build_tokenizer
from genbench_tasks.general_points.vision import GeneralPointsVision
from genbench_tasks.small_processor import small_processor

if TYPE_CHECKING:
    from transformers import Idefics3Processor, PreTrainedTokenizerFast

SIDE, PATCH = 128, 16
"""The model's pictures and their patches, in pixels: a token a patch."""


def build_vision_tokenizer() -> PreTrainedTokenizerFast:
    """That of the text models, and the constant stretches of the prompts with pictures."""
    return build_tokenizer([*phrases(4, pictured=True), *_recognition_phrases()])


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Idefics3Processor:
    """Pictures of `SIDE` pixels, whole and never cut into tiles."""
    return small_processor(tokenizer, SIDE, (SIDE // PATCH) ** 2)


@dataclass(frozen=True)
class VisionSettings:
    """Shares of the mixture, and the pictures' side in pixels before the model's own resizing."""

    recognition: float = 0.4
    pixels: int = 256
    problems: MixtureSettings = field(default_factory=MixtureSettings)


class VisionMixture:
    """Batches of (conversation, response) pairs; what was used is recorded for the certificate."""

    def __init__(self, seed: int, recognition: float = 0.4, pixels: int = 256) -> None:
        self.seed = seed
        self.settings = VisionSettings(recognition, pixels)
        self.used: set[tuple[int, ...]] = set()
        self._naming = CardRecognition(prompt="ranks", feedback="outcome", settings={})
        self._solving = GeneralPointsVision(prompt="paper", feedback="outcome", settings={})

    def batches(self, size: int) -> Iterator[list[tuple[list[Message], str]]]:
        """Endless batches; batch i depends on the seed and i alone, so training can resume."""
        number = 0
        while True:
            stream = seeded("vision mixture", self.seed, number)
            turns, count = turns_and_count(stream, self.settings.problems, size)
            yield [self.example(stream, turns) for _ in range(count)]
            number += 1

    def example(self, stream: Random, turns: int = 1) -> tuple[list[Message], str]:
        """A conversation about a picture, of turns - 1 failed attempts, and the right answer."""
        instance, solution = draw_problem(stream, self.settings.problems)
        cards, values = instance.data["cards"], instance.data["values"]
        refuse_held_out(cards, values, "the vision mixture")
        self.used.add(multiset(numbers_of(cards, values)))
        shown = pictured(instance, self.settings.pixels, DEFAULT_LOOK, stream.getrandbits(48))
        if turns == 1 and stream.random() < self.settings.recognition:
            return list(self._naming.messages(shown)), names_text(cards)
        return after_failures(self._solving, shown, turns - 1, stream), answer_of(shown, solution)

    def record(self) -> dict[str, Any]:
        """The problems used so far, for `genbench_training.json`."""
        return record_of(self.used)


def _recognition_phrases() -> list[str]:
    """What the prompts for naming say, each whole."""
    environment = CardRecognition(prompt="ranks", feedback="outcome", settings={})
    data = {"cards": ["A", "2", "3", "4"]}
    instance = pictured(Instance("x", "x", "x", data), SIDE, DEFAULT_LOOK, 0)
    return [environment.messages(instance)[0].text]
