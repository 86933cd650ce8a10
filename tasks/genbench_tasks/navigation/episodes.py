"""Episodes of many steps: on the rail of the expert's route, or walking freely.

- `rail`: every place of the route is asked at, with the expert's history before it; up to VIter
  attempts each. A place that is not solved does not end the episode: the walker is led on, so
  that every state is judged under its own first attempt (teacher forcing).
- `rail-stop`: as in the paper, the episode ends where the attempts at a place are used up.
- `free`: the walker's own action moves it, one attempt a step; success is to end within `radius`
  metres of the goal, as in V-IRL.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from genbench.task import Episode, Instance, Message, Verdict
from genbench_tasks.navigation.actions import read_action
from genbench_tasks.navigation.prompts import observation_text
from genbench_tasks.navigation.verifier import expert_of

if TYPE_CHECKING:
    from genbench_tasks.navigation.environment import Navigation
    from genbench_tasks.navigation.routes import Route

EPISODES = ("rail", "rail-stop", "free")
_NO_MOVE = ("unparsable", "empty", "too_long", "truncated", "illegal_action")


class RailEpisode(Episode):
    """See the module: `rail` and `rail-stop`."""

    def __init__(
        self, environment: Navigation, instance: Instance, verify_iters: int, *, stops: bool
    ) -> None:
        self.environment: Navigation = environment
        self.instance = instance
        self.verify_iters = verify_iters
        self.verdicts: list[Verdict] = []
        self._stops = stops
        self._states = environment.states(instance)
        self._at, self._attempt, self._failed = 0, 1, False
        self._messages = list(environment.messages(self._states[0]))

    @property
    def state(self) -> Instance:
        return self._states[min(self._at, len(self._states) - 1)]

    @property
    def place(self) -> tuple[int, int]:
        return self._at, self._attempt

    def messages(self) -> Sequence[Message]:
        return tuple(self._messages)

    def step(self, response: str, *, truncated: bool = False) -> Verdict:
        verdict = self.environment.verify(self.state, response, truncated=truncated)
        self.verdicts.append(verdict)
        if not verdict.correct and self._attempt < self.verify_iters:
            self._attempt += 1
            self._messages.append(Message("assistant", response))
            self._messages.append(Message("user", self.environment.revision(verdict)))
            return verdict
        self._failed |= not verdict.correct
        self._at, self._attempt = self._at + 1, 1
        if not self.done:
            self._messages = list(self.environment.messages(self.state))
        return verdict

    @property
    def done(self) -> bool:
        return self._at >= len(self._states) or (self._failed and self._stops)

    @property
    def solved(self) -> bool:
        return self._at >= len(self._states) and not self._failed


class FreeEpisode(Episode):
    """See the module: `free`. The walk ends with `stop()`, or after twice the expert's steps."""

    def __init__(self, environment: Navigation, instance: Instance, route: Route) -> None:
        self.environment: Navigation = environment
        self.instance = instance
        self.verify_iters = 1
        self.verdicts: list[Verdict] = []
        self._route = route
        self._most = 2 * len(route.steps) + 4
        self._place, self._heading = route.start, route.heading
        self._steps = {
            (place, step.heading): step
            for place, step in zip(route.places, route.steps, strict=True)
        }
        self._history: list[list[str]] = []
        self._ended = False
        self._state = self._here()

    @property
    def state(self) -> Instance:
        return self._state

    @property
    def place(self) -> tuple[int, int]:
        return len(self.verdicts), 1

    def messages(self) -> Sequence[Message]:
        return self.environment.messages(self._state)

    def step(self, response: str, *, truncated: bool = False) -> Verdict:
        verdict = self.environment.verify(self._state, response, truncated=truncated)
        self.verdicts.append(verdict)
        self._act(verdict)
        if not self.done:
            self._state = self._here()
        return verdict

    @property
    def done(self) -> bool:
        return self._ended or len(self.verdicts) >= self._most

    @property
    def solved(self) -> bool:
        return self.done and self.distance <= self.instance.data["radius"]

    @property
    def distance(self) -> float:
        """From where the walker stands to the goal, in metres, as the crow flies."""
        streets = self._route.streets
        return math.dist(streets.point(self._place), streets.point(self._route.goal))

    def _act(self, verdict: Verdict) -> None:
        """Do what the response says, if it is an action of this action space."""
        said = verdict.fields.get("action")
        action = None
        if verdict.outcome not in _NO_MOVE and isinstance(said, str):
            action = read_action(said)
        legal = action is not None and action.rule in (None, self.instance.data["rule"])
        data = self._state.data
        latest = observation_text(data["landmarks"], data["intersection"])
        self._history.append([latest, str(action) if legal else "(none)"])
        if action is None or not legal:
            return
        if action.kind == "stop":
            self._ended = True
            return
        way = self._route.streets.after(self._place, self._heading, action)
        if way is None:
            return  # there is no such way
        self._heading, self._place = way

    def _here(self) -> Instance:
        """The state where the walker is now."""
        observation = self._route.streets.observe(self._place, self._heading)
        step = self._steps.get((self._place, self._heading))
        return self.environment.state_of(
            self.instance,
            len(self.verdicts),
            self._history,
            observation.json(),
            None if step is None else expert_of(step.json()),
        )
