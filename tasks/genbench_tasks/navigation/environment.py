"""The navigation environment: routes, prompts, verdicts, episodes of many steps, agents.

Source of the protocol: Chu et al. 2025 (arXiv 2501.17161), section 4.2 and appendix B; of the task:
V-IRL (Yang et al. 2024, arXiv 2402.03310).

An instance is a *route* (`data`: rule, frames, episodes, radius, route). What is asked and judged
is a *state*, an instance too (`states`): the instructions, what was observed and done before, what
is observed now, and the expert's action. Where a route is given for a state, its first state is
meant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from genbench.task import (
    Agent,
    Environment,
    Episode,
    Instance,
    Message,
    SplitSpec,
    Verdict,
)
from genbench_tasks.navigation.actions import KINDS, action_space, named_rule
from genbench_tasks.navigation.episodes import FreeEpisode, RailEpisode
from genbench_tasks.navigation.prompts import (
    PROMPTS,
    answer_text,
    instruction_text,
    observation_text,
    prompt_text,
)
from genbench_tasks.navigation.splits import certificate, check_settings, draw, seen_in_training
from genbench_tasks.navigation.verifier import (
    OUTCOMES,
    REVISION,
    REWARDS,
    expert_action,
    expert_of,
    judge,
)
from genbench_tasks.rewards import chosen_rewards


class Navigation(Environment):
    """See the module. Settings: `genbench_tasks.navigation.splits`; `reward`: a table's name."""

    outcomes = OUTCOMES
    prompts = tuple(PROMPTS)
    step_kinds = KINDS
    #: settings beyond those of `splits`
    more_settings: tuple[str, ...] = ()

    def __init__(self, *, prompt: str, feedback: str, settings: Mapping[str, Any]) -> None:
        super().__init__(prompt=prompt, feedback=feedback, settings=settings)
        check_settings(settings, "settings", self.more_settings)
        self._rewards = chosen_rewards(settings, REWARDS)

    # -- routes and states ----------------------------------------------------------------------

    def instances(self, split: SplitSpec) -> Sequence[Instance]:
        return draw(self.settings, split, self.more_settings)

    def states(self, instance: Instance) -> Sequence[Instance]:
        """The states of a route, each with the expert's history; a state is its own."""
        if "step" in instance.data:
            return (instance,)
        found: list[Instance] = []
        history: list[list[str]] = []
        for number, step in enumerate(instance.data["route"]["steps"]):
            state = self.state_of(instance, number, history, step, expert_of(step))
            found.append(state)
            observation = observation_text(step["landmarks"], step["intersection"])
            history.append([observation, str(expert_action(state.data))])
        return found

    def state_of(
        self,
        route: Instance,
        number: int,
        history: Sequence[Sequence[str]],
        observation: Mapping[str, Any],
        expert: Mapping[str, Any] | None,
    ) -> Instance:
        """A state of a walk: an instance of its own. `observation` is as in a stored step; its `at`
        and `heading`, where the walker is, are for renderers: no text says them."""
        data = route.data
        return Instance(
            f"{route.id}/{number}",
            f"{route.pair_id}/{number}",
            route.cluster,
            {
                "rule": data["rule"],
                "frames": data["frames"],
                "city": data["route"]["city"],
                "step": number,
                "legs": data["route"]["legs"],
                "history": [list(pair) for pair in history],
                "landmarks": observation["landmarks"],
                "intersection": observation["intersection"],
                "at": observation["at"],
                "heading": observation["heading"],
                "expert": None if expert is None else dict(expert),
            },
        )

    def _state(self, instance: Instance) -> Instance:
        return self.states(instance)[0]

    def step_kind(self, instance: Instance) -> str | None:
        expert = self._state(instance).data["expert"]
        return None if expert is None else str(expert["action"])

    def messages(self, instance: Instance) -> Sequence[Message]:
        return (Message("user", prompt_text(self._state(instance).data, self.prompt)),)

    def episode(self, instance: Instance, verify_iters: int) -> Episode:
        kind = instance.data.get("episodes")
        if kind is None:  # a state is asked once, with its attempts
            return Episode(self, instance, verify_iters)
        if kind == "free":
            from genbench_tasks.navigation.splits import stored_route

            return FreeEpisode(self, instance, stored_route(instance.data["route"]))
        return RailEpisode(self, instance, verify_iters, stops=kind == "rail-stop")

    # -- the verifier ---------------------------------------------------------------------------

    def verify(self, instance: Instance, response: str, *, truncated: bool = False) -> Verdict:
        """Judge a response at a state: `action` alone decides. Pure and total."""
        return judge(
            self._state(instance).data,
            response,
            truncated=truncated,
            feedback=self.feedback,
            rewards=self._rewards,
        )

    def revision(self, verdict: Verdict) -> str:
        return REVISION + verdict.feedback

    # -- solutions and agents -------------------------------------------------------------------

    def solutions(self, instance: Instance, *, seed: int = 0) -> Iterator[str]:
        """The one right response at a state; none off the route."""
        data = self._state(instance).data
        action = expert_action(data)
        if action is not None:
            yield answer_text(
                observation_text(data["landmarks"], data["intersection"]),
                self.due(data),
                str(action),
            )

    def due(self, data: Mapping[str, Any]) -> str:
        """The instruction to be carried out at a state on the route."""
        number: int = data["expert"]["instruction"]
        return instruction_text(data["legs"], number, data["rule"], data["frames"])

    def agent(self, kind: str, training: SplitSpec) -> Agent:
        from genbench_tasks.navigation.agents import make_agent

        return make_agent(kind, self, training)

    # -- measuring memorisation -----------------------------------------------------------------

    def under_rule(self, instance: Instance, training: SplitSpec) -> Instance | None:
        """The state in the words of the training rule; None where the action is the same in both
        (all but turns). Of a route, every turn differs."""
        if training.rule is None or training.rule == instance.data["rule"]:
            return None
        if "step" in instance.data and self.step_kind(instance) != "turn":
            return None
        return Instance(
            instance.id,
            instance.pair_id,
            instance.cluster,
            {**instance.data, "rule": training.rule},
        )

    def stickiness_reason(self, split: SplitSpec, training: SplitSpec) -> str | None:
        if split.rule != training.rule:
            return None
        return f"a {split.shift} shift keeps the rule: there is no training rule to return to"

    def expected_readings(self, instance: Instance) -> Mapping[str, str]:
        """Turns are taken from the vocabulary of the rule."""
        return {"turn": str(instance.data["rule"])}

    def chance(self, instance: Instance) -> float | None:
        """Of a state 1 / actions; of a route on the rail the product; unknown of a free walk."""
        uniform = 1 / len(action_space(named_rule(instance.data["rule"], instance.id)))
        if "step" in instance.data:
            return uniform
        if instance.data["episodes"] == "free":
            return None
        return math.pow(uniform, len(instance.data["route"]["steps"]))

    # -- contamination --------------------------------------------------------------------------

    def certificate(self, splits: Mapping[str, Sequence[Instance]]) -> Mapping[str, Any]:
        """Per split: routes in cities that our recipes may train on."""
        return certificate(splits)

    def training_overlap(
        self, splits: Mapping[str, Sequence[Instance]], training: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """How many routes of each split lie in cities that the checkpoint, or one that it came
        from, was trained on; None where that is not known of one of them."""
        return seen_in_training(splits, training)


__all__ = ["Navigation"]
