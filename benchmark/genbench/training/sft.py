"""Supervised fine-tuning: TRL's SFTTrainer over the training problems and their solutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from genbench.training.counts import count_batch
from genbench.training.data import TrainingData
from genbench.training.encoding import Encoder
from genbench.training.recipe import SFTRecipe
from genbench.training.tracking import Tracked

CONFIG = SFTConfig


class TrackedSFT(Tracked, SFTTrainer):  # type: ignore[misc]
    """SFTTrainer that counts the tokens of the batches that it trains on."""

    def compute_loss(self, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        prompt = inputs.pop("prompt_tokens")
        if model.training:
            count_batch(self.counts, inputs["attention_mask"], prompt)
        return super().compute_loss(model, inputs, *rest, **named)


def arguments(recipe: SFTRecipe, devices: int) -> dict[str, Any]:
    """The fields of SFTConfig that are SFT's own."""
    rows = recipe.schedule.batch_size // devices
    micro = recipe.schedule.micro_batch or rows
    return {
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": rows // micro,
        "loss_type": recipe.sft.loss,
        "completion_only_loss": recipe.sft.completion_only,
        "dataset_kwargs": {"skip_prepare_dataset": True},  # the collator writes the examples
        "max_length": None,
        "train_sampling_strategy": "sequential",  # item i of the data is the i-th trained on
    }


def make_trainer(
    recipe: SFTRecipe, model: Any, tokenizer: Any, data: TrainingData, settings: Any, peft: Any
) -> TrackedSFT:
    """The trainer, not yet started."""
    encoder = Encoder(tokenizer, loss_on_prompt=not recipe.sft.completion_only)

    def collate(items: Sequence[dict[str, int]]) -> dict[str, Any]:
        return encoder.batch([data.example(item["index"]) for item in items])

    count = recipe.schedule.steps * recipe.schedule.batch_size
    return TrackedSFT(
        model=model,
        args=settings,
        train_dataset=Dataset.from_dict({"index": list(range(count))}),
        data_collator=collate,
        processing_class=tokenizer,
        peft_config=peft,
    )
