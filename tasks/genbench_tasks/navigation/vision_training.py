"""Training problems and parts of the demo vision-language model of navigation.

The problems are those of `training_data`, with the picture of a place in the stead of its
observation: ID looks alone, of training cities alone. A share of the batches is of seeing alone:
the same pictures with a short question, whose answer is the observation. Pictures are drawn once
where there is room (`recent_pictures`); a pool of routes has about 16 a route.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genbench.task import Instance, Message, UsageError, seeded
from genbench_tasks.navigation.prompts import observation_text, phrases
from genbench_tasks.navigation.routes import LONGEST, SHORTEST
from genbench_tasks.navigation.seen import pictured, shown
from genbench_tasks.navigation.tokenizer import build_tokenizer
from genbench_tasks.navigation.training_data import Walks
from genbench_tasks.navigation.vision import NavigationVision
from genbench_tasks.small_processor import small_processor

if TYPE_CHECKING:
    from transformers import Idefics3Processor, PreTrainedTokenizerFast

VIEW, PATCH, MERGED = 112, 16, 2
"""Pixels of a view and of a patch; so many patches a side make a token."""
SIDE = 2 * VIEW
QUESTION = "What is beside the walker now?"


def build_vision_tokenizer() -> PreTrainedTokenizerFast:
    """That of the text models, and the constant stretches of the prompts with pictures."""
    return build_tokenizer([*phrases(pictured=True), QUESTION])


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Idefics3Processor:
    """Pictures of `SIDE` pixels."""
    return small_processor(tokenizer, SIDE, (SIDE // PATCH // MERGED) ** 2)


class PicturedWalks(Walks):
    """States of expert walks with their pictures. Settings: those of `Walks`, and

    pixels   a side of each view
    seeing   share of the batches that ask for the observation alone
    """

    environment: NavigationVision

    def __init__(
        self,
        seed: int,
        rule: str = "absolute",
        prompt: str = "paper",
        frames: str = "both",
        families: Sequence[str] = ("grid",),
        intersections: Sequence[int] = (SHORTEST, LONGEST),
        routes: int = 1000,
        revision: float = 0.0,
        pixels: int = VIEW,
        seeing: float = 0.5,
    ) -> None:
        if not 0 <= seeing <= 1:
            raise UsageError(f"data.settings: seeing is a share from 0 to 1, not {seeing}")
        self.pixels, self.seeing = pixels, seeing
        super().__init__(
            seed,
            rule=rule,
            prompt=prompt,
            frames=frames,
            families=families,
            intersections=intersections,
            routes=routes,
            revision=revision,
        )

    def _environment(self, prompt: str, settings: Mapping[str, Any]) -> NavigationVision:
        settings = {**settings, "pixels": self.pixels}
        return NavigationVision(prompt=prompt, feedback="outcome", settings=settings)

    def _route(self, name: str, data: Mapping[str, Any]) -> Instance:
        return pictured(super()._route(name, data), self.pixels, None)

    def batches(self, size: int, start: int = 0) -> Iterator[list[tuple[list[Message], str]]]:
        """As of `Walks`; a batch is of seeing or of walking, since these differ in length."""
        number = start
        for batch in super().batches(size, start):
            stream = seeded("pictured walks", self.seed, number)
            if stream.random() < self.seeing:
                batch = [self.sight(index) for index in range(number * size, (number + 1) * size)]
            yield batch
            number += 1

    def sight(self, index: int) -> tuple[list[Message], str]:
        """The question what an item's picture shows, and the answer."""
        state = self.problem(index)[1].data
        question = shown(self.environment.image(state), QUESTION)
        return [question], observation_text(state["landmarks"], state["intersection"])
