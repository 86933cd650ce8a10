"""Training problems of one rule: states on routes of training cities, for every kind of trainer.

The same factory serves training from scratch (`batches`), SFT (`example`) and reinforcement
(`problem`). The routes are a pool of fixed size, as the paper trains on 1,000; only cities of the
part `train` are in it, and what is not is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from genbench.task import Instance, Message, TaskError, UsageError, seeded
from genbench_tasks.navigation.actions import action_space, named_rule
from genbench_tasks.navigation.cities import city_names, partition_fingerprint
from genbench_tasks.navigation.environment import Navigation
from genbench_tasks.navigation.prompts import answer_text, observation_text
from genbench_tasks.navigation.routes import LONGEST, SHORTEST, route
from genbench_tasks.navigation.splits import check_settings, refuse_held_out
from genbench_tasks.navigation.verifier import expert_action


class Walks:
    """States of expert walks. Settings:

    rule           absolute or relative
    other_rule     share of the routes that are under the other rule: no longer ID data alone
    prompt, frames as in the task files
    families       city families, in turn
    intersections  [least, most] junctions on a route
    routes         the size of the pool; one route a city
    revision       share of conversations with a failed attempt before the right one
    """

    def __init__(
        self,
        seed: int,
        rule: str = "absolute",
        other_rule: float = 0.0,
        prompt: str = "paper",
        frames: str = "both",
        families: Sequence[str] = ("grid",),
        intersections: Sequence[int] = (SHORTEST, LONGEST),
        routes: int = 1000,
        revision: float = 0.0,
    ) -> None:
        settings = {
            "frames": frames,
            "families": list(families),
            "intersections": list(intersections),
            "n": routes,
        }
        try:
            check_settings(settings, "data.settings")
            named_rule(rule, "data.settings: rule")
        except TaskError as error:
            raise UsageError(str(error)) from None
        for name, share in (("revision", revision), ("other_rule", other_rule)):
            if not 0 <= share <= 1:
                raise UsageError(f"data.settings: {name} is a share from 0 to 1, not {share}")
        self.seed = seed
        self.rule = rule
        self.other_rule = other_rule
        self.revision = revision
        self.frames = frames
        try:
            self.environment = self._environment(prompt, settings)
        except TaskError as error:
            raise UsageError(f"data.{error}") from None
        self._limits = (intersections[0], intersections[1])
        self._cities = _pool(tuple(families), routes, seed)
        self._routes: dict[int, Mapping[str, Any]] = {}
        self._drawn = 0

    # -- items ----------------------------------------------------------------------------------

    def example(self, index: int) -> tuple[list[Message], str]:
        """A conversation and its right response, by the verifier's word."""
        state, stream = self._item(index)
        response = next(self.environment.solutions(state))
        verdict = self.environment.verify(state, response)
        if not verdict.correct:
            raise TaskError(f"training item {index}: its response is {verdict.outcome}: {response}")
        episode = self.environment.episode(state, 2)
        if stream.random() < self.revision:
            episode.step(self._failed(state, stream))
        return list(episode.messages()), response

    def problem(self, index: int) -> tuple[list[Message], Instance]:
        """The prompt of a first attempt, and the state that it asks about."""
        state, _ = self._item(index)
        return list(self.environment.messages(state)), state

    def batches(self, size: int, start: int = 0) -> Iterator[list[tuple[list[Message], str]]]:
        """Endless batches; batch i depends on the seed and i alone, so training can resume."""
        number = start
        while True:
            self._drawn = max(self._drawn, (number + 1) * size)
            yield [self.example(index) for index in range(number * size, (number + 1) * size)]
            number += 1

    def record(self, count: int | None = None) -> dict[str, Any]:
        """The problems of the first `count` items (of all batches so far, by default), for
        `genbench_training.json`."""
        items = self._drawn if count is None else count
        drawn = [self._draw(index)[0] for index in range(items)]
        cities = sorted({self._cities[number] for number in drawn})
        for name in cities:
            refuse_held_out(name, "the training data")
        return {
            "environment": "navigation",
            "partition_fingerprint": partition_fingerprint(),
            "items": items,
            "rules": sorted({self._rule(number) for number in set(drawn)}),
            "frames": self.frames,
            "cities": cities,
        }

    # -- how they are drawn ---------------------------------------------------------------------

    def _environment(self, prompt: str, settings: Mapping[str, Any]) -> Navigation:
        """What asks and judges. Raises TaskError."""
        return Navigation(prompt=prompt, feedback="outcome", settings=settings)

    def _route(self, name: str, data: Mapping[str, Any]) -> Instance:
        """A training route as an instance."""
        return Instance(f"train/{name}", name, name, data)

    def _draw(self, index: int) -> tuple[int, Random]:
        """The number of an item's route, and the stream of what else is drawn."""
        stream = seeded("walks", self.rule, self.seed, index)
        return stream.randrange(len(self._cities)), stream

    def _rule(self, number: int) -> str:
        """The rule of a route: mostly the one that is trained."""
        other = "relative" if self.rule == "absolute" else "absolute"
        drawn = seeded("walks rule", self.seed, number).random()
        return other if drawn < self.other_rule else self.rule

    def _item(self, index: int) -> tuple[Instance, Random]:
        number, stream = self._draw(index)
        name = self._cities[number]
        if number not in self._routes:
            refuse_held_out(name, "the training data")
            self._routes[number] = route(name, 0, *self._limits).json()
        data = {
            "rule": self._rule(number),
            "frames": self.frames,
            "episodes": "rail",
            "radius": 25,
            "route": self._routes[number],
        }
        states = self.environment.states(self._route(name, data))
        return stream.choice(states), stream

    def _failed(self, state: Instance, stream: Random) -> str:
        """A plausible wrong attempt: another action of the action space."""
        data = state.data
        right = expert_action(data)
        wrong = [action for action in action_space(data["rule"]) if action != right]
        observed = observation_text(data["landmarks"], data["intersection"])
        return answer_text(observed, self.environment.due(data), str(stream.choice(wrong)))


def _pool(families: Sequence[str], routes: int, seed: int) -> list[str]:
    """The training cities, one a route, the families in turn."""
    streams = [city_names(family, "train", seed) for family in families]
    return [next(streams[number % len(streams)]) for number in range(routes)]
