"""Navigation with vision: what is observed now is a picture (V-IRL-VL of Chu et al. 2025).

Routes, episodes, the rule, the verifier, solutions and chance are those of Navigation; only the
prompt differs. As in the paper, earlier observations stand in the text, as the walker was told
them, and the latest one is shown: 2 x 2 views, front and right above behind and left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genbench.task import Agent, Image, Instance, Message, SplitSpec
from genbench_tasks.navigation.environment import Navigation
from genbench_tasks.navigation.prompts import prompt_text
from genbench_tasks.navigation.seen import (
    PICTURE_SETTINGS,
    checked_picture,
    picture_at,
    pictured,
    shown,
    street_image,
    with_picture,
)


class NavigationVision(Navigation):
    """Navigation whose latest observation is shown. Settings: those of Navigation, and those of
    `seen`, of the task or of a split.

    `perception` asks whether the answer's observation has the landmarks of the picture where they
    are, and says of the intersection what is true.
    """

    more_settings = PICTURE_SETTINGS
    agents = (*Navigation.agents, "visual-memoriser")

    def __init__(self, *, prompt: str, feedback: str, settings: Mapping[str, Any]) -> None:
        super().__init__(prompt=prompt, feedback=feedback, settings=settings)
        checked_picture(settings, None)

    def instances(self, split: SplitSpec) -> Sequence[Instance]:
        pixels, skin = checked_picture(self.settings, split)
        found = super().instances(split)
        if {**self.settings, **split.settings}.get("source") == "virl":
            from genbench_tasks.navigation.real_views import with_panoramas

            return with_panoramas(found, pixels, self.settings)
        return [pictured(route, pixels, skin) for route in found]

    def state_of(
        self,
        route: Instance,
        number: int,
        history: Sequence[Sequence[str]],
        observation: Mapping[str, Any],
        expert: Mapping[str, Any] | None,
    ) -> Instance:
        state = super().state_of(route, number, history, observation, expert)
        return with_picture(state, picture_at(route, number))

    def messages(self, instance: Instance) -> Sequence[Message]:
        state = self._state(instance).data
        return (shown(self.image(state), prompt_text(state, self.prompt, pictured=True)),)

    def image(self, state: Mapping[str, Any]) -> Image:
        """The picture of a state's data, drawn when it is read."""
        if "panorama" in state["picture"]:
            from genbench_tasks.navigation.real_views import real_image

            return real_image(state, self.settings)
        return street_image(state)

    def agent(self, kind: str, training: SplitSpec) -> Agent:
        if kind == "visual-memoriser":
            from genbench_tasks.navigation.visual_agent import VisualMemoriser

            return VisualMemoriser(self, training)
        return super().agent(kind, training)


__all__ = ["NavigationVision"]
