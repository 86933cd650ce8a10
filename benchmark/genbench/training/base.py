"""Training a small model from scratch on a stream of problems (transformers' Trainer).

The loss is on the response alone. What was trained on, and how many tokens and FLOPs it took, is
written to `genbench_training.json` beside the weights.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from genbench.errors import UsageError
from genbench.models.files import TRAINING_RECORD
from genbench.models.options import resolve_device
from genbench.process import keep_large_blocks
from genbench.training.counts import TokenCounts, count_batch
from genbench.training.data import make_data
from genbench.training.encoding import Encoder
from genbench.training.folders import TRAINER, claim, make_record, write_record
from genbench.training.image_encoding import ImageEncoder
from genbench.training.recipe import BaseRecipe, Recipe
from genbench.training.recipes import recipe_fingerprint
from genbench.training.scratch import build, language_parent


def train_base(
    recipe: Recipe,
    output: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Train the recipe's model from scratch; returns the checkpoint's folder.

    A killed training goes on from its last saved step, with the batches it would have had. `say`
    is told the budget before the start. Raises UsageError for a recipe of another method or a
    folder of another training, StoreError where output cannot be written.
    """
    if not isinstance(recipe, BaseRecipe):
        raise UsageError(f"recipe '{recipe.name}' is for `genbench train {recipe.method}`")
    parent = language_parent(recipe)
    identity = {
        "recipe_fingerprint": recipe_fingerprint(recipe),
        "parent": parent
        and {"name": parent.name, "weights_fingerprint": parent.weights_fingerprint},
    }
    note = output / TRAINER / "genbench_recipe.json"
    if claim(output, note, output / TRAINING_RECORD, identity):
        say(f"{output} holds this recipe's finished checkpoint")
        shutil.rmtree(output / TRAINER, ignore_errors=True)  # of a kill after the record
        return output

    import torch
    from transformers import (
        PrinterCallback,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    from genbench.models.transformer import quieten
    from genbench.training.tracking import WholeStates, last_state

    quieten()
    device = resolve_device(device)
    if device == "cpu":
        keep_large_blocks()
    if threads:
        torch.set_num_threads(threads)
    set_seed(recipe.seed)
    fresh = build(recipe, parent)
    model = fresh.model
    data = make_data(recipe.data.factory, recipe.data.settings, recipe.seed)
    encoder = (
        Encoder(fresh.tokenizer)
        if fresh.processing is fresh.tokenizer
        else ImageEncoder(fresh.processing)
    )
    counts = TokenCounts()
    schedule = recipe.schedule
    parameters = sum(parameter.numel() for parameter in model.parameters())
    say(
        f"{recipe.name}: {parameters:,} parameters, {schedule.steps} steps of "
        f"{schedule.batch_size} examples on {device}; about {parameters * 14 // 2**20 + 1} MB in "
        f"{output} while it goes on"
    )

    class Stream(torch.utils.data.IterableDataset[dict[str, Any]]):  # type: ignore[misc]
        def __iter__(self) -> Iterator[dict[str, Any]]:
            # Exactly as many batches as steps: loaders read ahead, and the counts are exact. A
            # resumed training reads the batches that it skips, so its record is whole too.
            for examples in islice(data.batches(schedule.batch_size), schedule.steps):
                batch = encoder.batch(examples)
                count_batch(counts, batch.pop("attention_mask"), batch.pop("prompt_tokens"))
                # No mask: a causal model's real tokens never see the padding after them.
                yield batch

    arguments = TrainingArguments(
        output_dir=str(output / TRAINER),
        max_steps=schedule.steps,
        per_device_train_batch_size=1,  # the stream yields whole batches
        learning_rate=schedule.learning_rate,
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs={"num_decay_steps": schedule.decay_steps},
        warmup_steps=schedule.warmup_steps,
        weight_decay=schedule.weight_decay,
        max_grad_norm=schedule.max_grad_norm,
        adam_beta2=schedule.adam_beta2,
        logging_steps=20,
        save_strategy="steps" if schedule.save_every else "no",
        save_steps=schedule.save_every or 500,
        report_to=[],
        seed=recipe.seed,
        dataloader_num_workers=0,
        remove_unused_columns=False,
        use_cpu=device == "cpu",
        disable_tqdm=not sys.stderr.isatty(),
        dataloader_pin_memory=device != "cpu",
    )

    class BaseTrainer(WholeStates, Trainer):  # type: ignore[misc]
        pass

    trainer = BaseTrainer(
        model=model, args=arguments, train_dataset=Stream(), data_collator=lambda items: items[0]
    )
    trainer.remove_callback(PrinterCallback)  # no dictionaries on the terminal
    trainer_folder = output / TRAINER
    state = last_state(trainer_folder)
    trainer.train(resume_from_checkpoint=str(state) if state else None)
    _save(recipe, model, fresh.processing, output)
    record = make_record(
        recipe,
        identity,
        step=schedule.steps,
        parameters=parameters,
        counts=counts,
        weights=output,
        problems=data.record(),
        ancestors=[] if parent is None else parent.ancestors(),
        parent_flops=None if parent is None else parent.flops,
    )
    write_record(output, record)
    shutil.rmtree(trainer_folder, ignore_errors=True)
    return output


def _save(recipe: BaseRecipe, model: Any, processing: Any, output: Path) -> None:
    import torch

    model.config.use_cache = True  # off while training; who generates from the checkpoint wants it
    model.to(getattr(torch, recipe.model.save_dtype)).save_pretrained(output)
    processing.save_pretrained(output)
