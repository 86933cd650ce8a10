"""Sequential revision while sampling: attempts with the verifier's feedback between them.

A rollout function for TRL's GRPOTrainer. One training sequence is a whole episode; the tokens of
the feedback are masked out of the loss (`env_mask`). Source of the protocol: Chu et al. 2025,
section 3 and figure 2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from genbench.task import Environment, Episode
from genbench.training.rewards import instance_from


class SequentialRevision:
    """Called by TRL with the prompts of a batch (each as often as it is sampled)."""

    def __init__(
        self, environment: Environment, turns: int, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        self.environment = environment
        self.turns = turns
        # TRL hands over the prompts alone; equal prompts ask the same problem.
        self._instances = {_key(row["prompt"]): row["instance"] for row in rows}

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        tokenizer = trainer.processing_class
        episodes = [
            Episode(self.environment, instance_from(self._instances[_key(prompt)]), self.turns)
            for prompt in prompts
        ]
        asked = [
            list(ids)
            for ids in tokenizer.apply_chat_template(
                list(prompts), add_generation_prompt=True, tokenize=True, return_dict=True
            )["input_ids"]
        ]
        written: list[list[int]] = [[] for _ in prompts]
        own: list[list[int]] = [[] for _ in prompts]
        attempts: list[list[str]] = [[] for _ in prompts]
        sampled: list[list[float]] = [[] for _ in prompts]  # log-probabilities, from vLLM alone
        alive = list(range(len(prompts)))
        while alive:
            conversations = [asked[i] + written[i] for i in alive]
            # One sample each: after the first turn no two conversations need be equal.
            answers, logprobs = trainer._generate_single_turn(conversations, None, {}, 1)
            for place, (i, answer) in enumerate(zip(alive, answers, strict=True)):
                sampled[i] += logprobs[place] if logprobs else []
                written[i] += answer
                own[i] += [1] * len(answer)
                text = tokenizer.decode(answer, skip_special_tokens=True)
                attempts[i].append(text)
                episodes[i].step(text)
            alive = [i for i in alive if not episodes[i].done]
            for i in alive:
                feedback = episodes[i].messages()[-1].text
                ended = written[i][-1] in trainer.eos_token_ids
                between = after_response(tokenizer, feedback, ended=ended)
                written[i] += between
                own[i] += [0] * len(between)
                sampled[i] += [0.0] * len(between)
        return {
            "prompt_ids": asked,
            "completion_ids": written,
            "logprobs": sampled if trainer.use_vllm else None,
            "env_mask": own,
            "attempts": attempts,
        }


def _key(prompt: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps([[message["role"], message["content"]] for message in prompt])


def after_response(tokenizer: Any, feedback: str, *, ended: bool) -> list[int]:
    """The tokens from a response's end to the next response's start, by the chat template.

    `ended`: the response wrote its end token itself.
    """
    chat = [{"role": "user", "content": "."}, {"role": "assistant", "content": "."}]
    before = list(tokenizer.apply_chat_template(chat, tokenize=True, return_dict=True)["input_ids"])
    whole = list(
        tokenizer.apply_chat_template(
            [*chat, {"role": "user", "content": feedback}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
        )["input_ids"]
    )
    end = len(before) - 1 - before[::-1].index(tokenizer.eos_token_id)
    return whole[end + 1 if ended else end :]
