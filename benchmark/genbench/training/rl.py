"""Reinforcement: TRL's GRPOTrainer or RLOOTrainer with the environment's verifier as the reward."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from genbench.errors import UsageError
from genbench.training.data import TrainingData
from genbench.training.recipe import RLRecipe
from genbench.training.rewards import instance_column, verifier_reward
from genbench.training.rollout import SequentialRevision
from genbench.training.tracking import Tracked

CONFIGS = {"grpo": GRPOConfig, "rloo": RLOOConfig}


class TrackedRL(Tracked):
    """A mixin that counts what a trainer of TRL samples, scores and trains on."""

    model: Any
    beta: float

    def _generate_single_turn(self, prompt_ids: Any, *rest: Any, **named: Any) -> Any:
        found = super()._generate_single_turn(prompt_ids, *rest, **named)  # type: ignore[misc]
        if self.model.training:
            self.counts.rollout_prompt += sum(len(ids) for ids in prompt_ids)
            # GRPO: the completions and their log-probabilities; RLOO: the completions alone.
            completions = found[0] if isinstance(found, tuple) else found
            self.counts.generated += sum(len(ids) for ids in completions)
        return found

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        found = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        if self.model.training:
            tokens = int(found["prompt_mask"].sum()) + int(found["completion_mask"].sum())
            self.counts.reference += tokens * (self.beta != 0)
            self.counts.rescored += tokens * bool({"old_per_token_logps", "old_logps"} & set(found))
        return found

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        if self.model.training:
            prompt, response = (
                int(inputs["prompt_mask"].sum()),
                int(inputs["completion_mask"].sum()),
            )
            self.counts.trained += prompt + response
            self.counts.prompt += prompt
            self.counts.response += response
        return super()._compute_loss(model, inputs)  # type: ignore[misc]


class TrackedGRPO(TrackedRL, GRPOTrainer):  # type: ignore[misc]
    """GRPOTrainer with counts."""


class TrackedRLOO(TrackedRL, RLOOTrainer):  # type: ignore[misc]
    """RLOOTrainer with counts."""


TRAINERS = {"grpo": TrackedGRPO, "rloo": TrackedRLOO}


def _use_vllm(recipe: RLRecipe) -> bool:
    import torch

    there = find_spec("vllm") is not None and torch.cuda.is_available()
    if recipe.rl.vllm == "on" and not there:
        raise UsageError("rl.vllm=on: vllm is not installed, or torch sees no CUDA device")
    return there and recipe.rl.vllm != "off"


def arguments(recipe: RLRecipe, devices: int) -> dict[str, Any]:
    """The fields of GRPOConfig and RLOOConfig that are RL's own. Raises UsageError."""
    rows = recipe.schedule.batch_size * recipe.rl.num_generations // devices
    micro = recipe.schedule.micro_batch or rows
    vllm = _use_vllm(recipe)
    found: dict[str, Any] = {
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": rows // micro,
        "steps_per_generation": rows // micro,  # one update a batch of samples: on policy
        "num_iterations": 1,
        "num_generations": recipe.rl.num_generations,
        "max_completion_length": recipe.rl.max_completion_length,
        "temperature": recipe.rl.temperature,
        "top_p": recipe.rl.top_p,
        "top_k": 0,
        "beta": recipe.rl.beta,
        "shuffle_dataset": False,  # item i of the data is the i-th trained on
        "use_vllm": vllm,
    }
    if vllm:
        found["vllm_mode"] = "colocate"
    return found


def make_trainer(
    recipe: RLRecipe, model: Any, tokenizer: Any, data: TrainingData, settings: Any, peft: Any
) -> Any:
    """The trainer, not yet started."""
    rows = []
    for index in range(recipe.schedule.steps * recipe.schedule.batch_size):
        messages, instance = data.problem(index)
        rows.append(
            {
                "prompt": [{"role": item.role, "content": item.text} for item in messages],
                "instance": instance_column(instance),
            }
        )
    further: dict[str, Any] = {}
    if recipe.rl.turns > 1:
        os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # it warns of its rollout hook
        further["rollout_func"] = SequentialRevision(data.environment, recipe.rl.turns, rows)
    return TRAINERS[recipe.rl.algorithm](
        model=model,
        args=settings,
        reward_funcs=verifier_reward(data.environment, recipe.rl.reward),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=peft,
        **further,
    )
