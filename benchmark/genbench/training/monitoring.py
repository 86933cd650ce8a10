"""Success on development problems while training: what rates and steps may be chosen by.

Never on test or OOD problems: they are refused before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genbench.errors import UsageError
from genbench.models.rendering import Renderer
from genbench.registry import load_task
from genbench.task import Instance, Task, derive_seed
from genbench.training.recipe import Monitoring


@dataclass(frozen=True)
class DevelopmentSet:
    """Development instances of a task's ID split."""

    task: Task
    instances: tuple[Instance, ...]
    max_new_tokens: int


def development_set(monitoring: Monitoring) -> DevelopmentSet:
    """Raises UsageError where a problem is a test problem by its cluster, or none is left."""
    task = load_task(monitoring.task, settings=monitoring.settings)
    test = load_task(monitoring.task)
    tested = {instance.cluster for split in test.splits.values() for instance in split.instances()}
    every = task.splits["id"].instances()
    leaked = sorted({instance.cluster for instance in every} & tested)
    if leaked:
        raise UsageError(
            f"monitoring: with these settings the ID split of {monitoring.task} holds "
            f"{len(leaked)} clusters of its test, such as {leaked[0]}: a training is never "
            "watched on test problems; ask for development problems (settings: {part: dev})"
        )
    return DevelopmentSet(
        task,
        tuple(_one_state(task, instance) for instance in every[: monitoring.instances]),
        monitoring.max_new_tokens or task.spec.max_new_tokens,
    )


def _one_state(task: Task, instance: Instance) -> Instance:
    """Of an instance of many steps, any one: a hash decides which."""
    states = task.environment.states(instance)
    return states[derive_seed("monitoring", instance.id) % len(states)]


def success(development: DevelopmentSet, model: Any, tokenizer: Any, batch: int = 64) -> float:
    """The share of instances solved greedily at the first attempt."""
    import torch

    task, renderer = development.task, Renderer(tokenizer, "auto")
    training, cache = model.training, model.config.use_cache
    model.eval()
    model.config.use_cache = True
    solved = 0
    try:
        for chunk in _chunks(development.instances, batch):
            prompts = [renderer.ids(renderer.text(task.messages(instance))) for instance in chunk]
            inputs = tokenizer.pad(
                {"input_ids": prompts}, padding_side="left", return_tensors="pt"
            ).to(model.device)
            with torch.no_grad():
                written = model.generate(
                    **inputs,
                    do_sample=False,
                    max_new_tokens=development.max_new_tokens,
                    pad_token_id=tokenizer.pad_token_id,
                )[:, inputs["input_ids"].shape[1] :]
            texts = tokenizer.batch_decode(written, skip_special_tokens=True)
            solved += sum(
                task.verify(instance, text).correct
                for instance, text in zip(chunk, texts, strict=True)
            )
    finally:
        model.config.use_cache = cache
        model.train(training)
    return solved / len(development.instances)


def _chunks(items: Sequence[Instance], size: int) -> list[Sequence[Instance]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
