"""The reference agents of navigation: they calibrate the instrument.

- `oracle`: the expert's action, everywhere.
- `memoriser`: the expert's action in the words of the ID split's rule, whatever it is told.
- `random`: an action drawn evenly from the action space, all else right: the chance level.
- `broken`: hostile and malformed output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genbench.task import (
    Agent,
    Instance,
    Message,
    SplitSpec,
    UsageError,
    closest,
    seeded,
)
from genbench_tasks.navigation.actions import Action, action_space, named_rule
from genbench_tasks.navigation.prompts import answer_text, observation_text
from genbench_tasks.navigation.verifier import expert_action

if TYPE_CHECKING:
    from genbench_tasks.navigation.environment import Navigation


class _Walker(Agent):
    """An agent that reads everything right; `_action` is what it then does."""

    def __init__(self, environment: Navigation) -> None:
        self._environment = environment

    def respond(self, instance: Instance, messages: Sequence[Message], seed: int) -> str:
        state = self._environment.states(instance)[0].data
        expert = state["expert"]
        return answer_text(
            observation_text(state["landmarks"], state["intersection"]),
            "" if expert is None else self._environment.due(state),
            str(self._action(state, seed)),
        )

    def _action(self, state: Mapping[str, Any], seed: int) -> Action:
        raise NotImplementedError


class Oracle(_Walker):
    """Where a free walk has left the route, it stops."""

    def _action(self, state: Mapping[str, Any], seed: int) -> Action:
        return expert_action(state) or Action("stop")


class Memoriser(_Walker):
    """Has learned the words of one rule."""

    def __init__(self, environment: Navigation, rule: str) -> None:
        super().__init__(environment)
        self._rule = rule

    def _action(self, state: Mapping[str, Any], seed: int) -> Action:
        return expert_action({**state, "rule": self._rule}) or Action("stop")


class RandomAgent(_Walker):
    """A well-formed guess."""

    def _action(self, state: Mapping[str, Any], seed: int) -> Action:
        return seeded("navigation agent", seed).choice(action_space(str(state["rule"])))


HOSTILE = (
    "",
    " \n\t ",
    '{"action": null}',
    '{"action": ["forward()"], "current observation": 7, "current instruction": {}}',
    "{\"action\": \"__import__('os').system('true')\"}",
    '{"action": "turn_direction(' + "n" * 5000 + ')"}',
    '{"action": "turn_direction(around)", "current observation": null}',
    '{"action": "forward(); stop()"}',
    '{"action": ' * 3000,
    '{"' * 5000,
    "{" * 5000 + "}" * 5000,
    "<script>alert(1)</script>",
    "\x00\x1b[31m\ud7ff￿ ｆｏｒｗａｒｄ（）",
    "forward stop turn left north",
    '{"action": NaN, "current observation": -1e999, "current instruction": true}',
    "turn_direction" + "(" * 3000,
)


class Broken(Agent):
    """Hostile and malformed output, a different kind by seed."""

    def respond(self, instance: Instance, messages: Sequence[Message], seed: int) -> str:
        return HOSTILE[seed % len(HOSTILE)]


def make_agent(kind: str, environment: Navigation, training: SplitSpec) -> Agent:
    """The agent of that kind. Raises UsageError for an unknown kind."""
    if kind == "oracle":
        return Oracle(environment)
    if kind == "memoriser":
        return Memoriser(environment, named_rule(training.rule, "the ID split"))
    if kind == "random":
        return RandomAgent(environment)
    if kind == "broken":
        return Broken()
    raise UsageError(f"no agent '{kind}'; {closest(kind, environment.agents)}")
