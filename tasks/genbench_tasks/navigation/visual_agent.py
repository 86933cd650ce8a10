"""An agent that looks: it knows its way in pictures that look as in training, and in no others.

It decodes the picture that it is shown and compares it with the one that training would have shown
at this place: in the city's own looks where cities of its family were trained on, else in the looks
of a city that was. Where at most one pixel in a hundred differs by more than a quarter of the
range, it knows the place and acts right, by the rule that is stated. Elsewhere it sees an empty
street and guesses. So it calibrates a visual shift as the memoriser calibrates a rule's.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genbench.task import Agent, Image, Instance, Message, SplitSpec, seeded
from genbench_tasks.navigation.actions import Action, action_space
from genbench_tasks.navigation.cities import city_names, family_of
from genbench_tasks.navigation.prompts import answer_text, instruction_texts, observation_text
from genbench_tasks.navigation.seen import ANY_SKIN, checked_picture
from genbench_tasks.navigation.splits import DEFAULTS
from genbench_tasks.navigation.verifier import expert_action

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from genbench_tasks.navigation.vision import NavigationVision

_FAR = 64  # of 255, in any channel
_UNKNOWN = 100  # one unknown pixel in so many is too much


class VisualMemoriser(Agent):
    """See the module."""

    def __init__(self, environment: NavigationVision, training: SplitSpec) -> None:
        self._environment = environment
        self._pixels, self._skin = checked_picture(environment.settings, training)
        merged = {**DEFAULTS, **environment.settings, **training.settings}
        self._families = tuple(merged["families"])

    def respond(self, instance: Instance, messages: Sequence[Message], seed: int) -> str:
        state = self._environment.states(instance)[0].data
        shown = next(image for message in messages for image in message.images)
        if _alike(shown, self._environment.image(self._as_trained(state))):
            expert = state["expert"]
            return answer_text(
                observation_text(state["landmarks"], state["intersection"]),
                "" if expert is None else self._environment.due(state),
                str(expert_action(state) or Action("stop")),
            )
        stream = seeded("visual-memoriser", seed)
        instructions = instruction_texts(state["legs"], state["rule"], state["frames"])
        return answer_text(
            observation_text((), False),
            stream.choice(instructions),
            str(stream.choice(action_space(state["rule"]))),
        )

    def _as_trained(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The state as training would have shown it."""
        picture = {**state["picture"], "pixels": self._pixels}
        if "panorama" not in picture and self._skin != ANY_SKIN:
            known = self._skin is not None or family_of(state["city"]) in self._families
            picture["skin"] = self._skin if known else self._some_city()
        return {**state, "picture": picture}

    def _some_city(self) -> str:
        """A city of the training cities' looks."""
        return next(city_names(self._families[0], "train"))


def _alike(one: Image, other: Image) -> bool:
    import numpy as np

    seen, known = _pixels(one), _pixels(other)
    if seen.shape != known.shape:
        return False
    far = np.abs(seen.astype(np.int16) - known).max(axis=2) > _FAR
    return float(far.mean()) * _UNKNOWN <= 1


def _pixels(image: Image) -> NDArray[np.uint8]:
    import numpy as np
    import PIL.Image

    return np.asarray(PIL.Image.open(io.BytesIO(image.data)).convert("RGB"))
