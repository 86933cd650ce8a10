"""An agent that looks: it reads the cards whose pixels it knows from training, and no others.

It decodes the picture in the message and compares each card, where training would have put it,
with every card of training. A card is known where at most one pixel in a hundred differs by more
than a quarter of the range; for any other it guesses a rank. What it reads it uses perfectly, under
the rule that is stated. So it calibrates a visual shift as the memoriser calibrates a rule's:
perception and success are 100% on ID and near chance under a shift of the look, and success given
perception is 100%, whatever the rule.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from genbench.task import Agent, Instance, Message, seeded
from genbench_tasks.general_points.cards import RANKS, numbers_of
from genbench_tasks.general_points.pictures.look import SUIT_COLOURS
from genbench_tasks.general_points.prompts import answer_text
from genbench_tasks.general_points.solver import Solution, solutions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from genbench_tasks.general_points.pictures.table import Place

_FAR = 64  # of 255, in any channel
_UNKNOWN = 100  # one unknown pixel in so many is too much
_SAMPLE = 48  # pixels across a card that are looked at


class VisualReader:
    """Reads the cards of pictures that look as in training: `pixels` a side, and that look."""

    def __init__(self, pixels: int, look: Mapping[str, Any]) -> None:
        self._pixels, self._look = pixels, look
        self._memories: dict[tuple[int, int], _Memory] = {}

    def read(self, messages: Sequence[Message], instance: Instance, random: Random) -> list[str]:
        """The ranks of the instance's cards, as many as it has; guesses where it knows none."""
        import numpy as np
        from PIL import Image

        from genbench_tasks.general_points.pictures import placed_cards

        count = len(instance.data["cards"])
        image = next(image for message in messages for image in message.images)
        canvas = np.asarray(Image.open(io.BytesIO(image.data)).convert("RGB"))
        if canvas.shape != (self._pixels, self._pixels, 3):
            return [random.choice(RANKS) for _ in range(count)]
        places = placed_cards(
            count, {**instance.data["picture"], "pixels": self._pixels, "look": self._look}
        )
        return [self._known(canvas, place) or random.choice(RANKS) for place in places]

    def _known(self, canvas: NDArray[np.uint8], place: Place) -> str | None:
        """The rank of the nearest card of training, None where none is near."""
        size = place.width, place.degrees
        if size not in self._memories:
            self._memories[size] = _Memory(self._look, place)
        return self._memories[size].nearest(canvas, place)


class _Memory:
    """The cards of training as they look at one size and turn, a sample of their pixels."""

    def __init__(self, look: Mapping[str, Any], place: Place) -> None:
        import numpy as np

        from genbench_tasks.general_points.pictures import sprite_of

        self._cards = [
            (card, suit) for suit in SUIT_COLOURS[look["suit-colour"]][0] for card in RANKS
        ]
        sprites = [sprite_of(card, suit, look, place) for card, suit in self._cards]
        self._height, self._width = sprites[0].opacity.shape
        self._step = max(1, self._width // _SAMPLE)
        grid = slice(None, None, self._step), slice(None, None, self._step)
        self._inside = sprites[0].opacity[grid] == 255
        self._colours = np.stack([sprite.colours[grid][self._inside] for sprite in sprites])

    def nearest(self, canvas: NDArray[np.uint8], place: Place) -> str | None:
        import numpy as np

        left, top = place.x - self._width // 2, place.y - self._height // 2
        right, bottom = left + self._width, top + self._height
        if left < 0 or top < 0 or bottom > len(canvas) or right > len(canvas):
            return None
        seen = canvas[top : bottom : self._step, left : right : self._step][self._inside]
        far = np.abs(self._colours.astype(np.int16) - seen).max(axis=2) > _FAR
        shares = far.mean(axis=1)
        best = int(shares.argmin())
        return self._cards[best][0] if shares[best] * _UNKNOWN <= 1 else None


class VisualMemoriser(Agent):
    """Solves what it reads by the stated rule; where that has no solution it adds up."""

    def __init__(self, training: tuple[int, Mapping[str, Any]]) -> None:
        self._reader = VisualReader(*training)

    def respond(self, instance: Instance, messages: Sequence[Message], seed: int) -> str:
        random = seeded("visual-memoriser", seed)
        cards = self._reader.read(messages, instance, random)
        numbers = numbers_of(cards, instance.data["values"])
        target = instance.data["target"]
        solution = next(solutions(numbers, target), None)
        if solution is None:
            solution = Solution((), "+".join(str(number) for number in numbers))
        return answer_text(cards, numbers, solution, target)
