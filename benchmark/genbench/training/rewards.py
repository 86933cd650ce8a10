"""Rewards for reinforcement: an environment's own verifier as a reward function of TRL.

Public API. The reward is the verdict that evaluation gives: there is no second implementation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

from genbench.task import Environment, Instance, canonical_json

RewardFunction = Callable[..., list[float]]


def instance_column(instance: Instance) -> str:
    """An instance as the text that a dataset's column `instance` holds."""
    return canonical_json(
        {
            "id": instance.id,
            "pair_id": instance.pair_id,
            "cluster": instance.cluster,
            "data": dict(instance.data),
        }
    )


def instance_from(column: str) -> Instance:
    """The instance that `instance_column` wrote."""
    return Instance(**json.loads(column))


def response_text(completion: Any) -> str:
    """The text of a completion: a string, or chat messages, whose last one speaks. Total."""
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Sequence) and completion:
        content = completion[-1].get("content") if isinstance(completion[-1], dict) else None
        if isinstance(content, str):
            return content
        if isinstance(content, Sequence):
            return "".join(
                str(part.get("text") or "") for part in content if isinstance(part, dict)
            )
    return ""


def verifier_reward(
    environment: Environment, table: Literal["outcome", "paper"] = "outcome"
) -> RewardFunction:
    """A function for TRL's `reward_funcs`: the verifier's judgement of each completion.

    `outcome`: 1 where the response is correct, else 0. `paper`: the environment's reward table of
    that name (GeneralPoints: 5, -1, -2 or -3; Chu et al. 2025, appendix A.3). The dataset has a
    column `instance` (`instance_column`). Where the rollout has a column `attempts` (the texts of
    an episode's turns), the last attempt is judged. Pure and total, since the verifier is.
    Raises TaskError where the environment has no such table.
    """
    if table == "paper":
        environment = type(environment)(
            prompt=environment.prompt,
            feedback=environment.feedback,
            settings={**environment.settings, "reward": "paper"},
        )

    def reward(
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        instance: Sequence[str],
        attempts: Sequence[Sequence[str]] | None = None,
        **columns: Any,
    ) -> list[float]:
        texts = (
            [response_text(completion) for completion in completions]
            if attempts is None
            else [turns[-1] if turns else "" for turns in attempts]
        )
        verdicts = [
            environment.verify(instance_from(column), text)
            for column, text in zip(instance, texts, strict=True)
        ]
        if table == "paper":
            return [float(verdict.reward) for verdict in verdicts]
        return [float(verdict.correct) for verdict in verdicts]

    reward.__name__ = f"verifier_{table}"
    return reward


__all__ = [
    "RewardFunction", "instance_column", "instance_from", "response_text", "verifier_reward",
]  # fmt: skip
