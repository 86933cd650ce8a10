"""Training a small model from scratch on a stream of problems (transformers' Trainer).

The loss is on the response alone. What was trained on, and how many tokens and FLOPs it took, is
written to `genbench_training.json` beside the weights.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.errors import StoreError, UsageError
from genbench.models.files import TRAINING_RECORD, fingerprints, read_json, weight_files
from genbench.models.hf import resolve_device
from genbench.process import keep_large_blocks
from genbench.store import json_bytes, write_atomically
from genbench.task import Message, fingerprint

if TYPE_CHECKING:
    from genbench.training.recipe import Recipe

_TRAINER = "trainer"  # the subfolder of an unfinished training
IGNORED = -100  # the label that transformers' losses leave out


@dataclass
class TokenCounts:
    """Exact counts, padding excluded. `trained`: tokens that went forward and backward."""

    trained: int = 0
    prompt: int = 0
    response: int = 0
    generated: int = 0


def flops(parameters: int, counts: TokenCounts) -> int:
    """6 N per trained token, 2 N per generated one (Kaplan et al. 2020; Chu et al. 2025, C.3)."""
    return 6 * parameters * counts.trained + 2 * parameters * counts.generated


def _resolve(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the recipe names {reference}, which cannot be found: {error}") from None


class Encoder:
    """Conversations and responses to token ids and labels, by the model's own chat template."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.counts = TokenCounts()

    def encode(self, messages: list[Message], response: str) -> tuple[list[int], list[int]]:
        """(input ids, labels): labels are ignored outside the response and its end token."""
        tokenizer = self.tokenizer
        prompt = tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.text} for message in messages],
            add_generation_prompt=True,
            tokenize=False,
        )
        asked = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        answered = tokenizer(response + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
        self.counts.trained += len(asked) + len(answered)
        self.counts.prompt += len(asked)
        self.counts.response += len(answered)
        return [*asked, *answered], [IGNORED] * len(asked) + answered

    def batch(self, examples: list[tuple[list[Message], str]]) -> dict[str, Any]:
        """Tensors of shape [examples, longest], padded on the right.

        Without an attention mask: a causal model's real tokens never see the padding after them.
        """
        import torch

        encoded = [self.encode(messages, response) for messages, response in examples]
        longest = max(len(ids) for ids, _ in encoded)
        pad = self.tokenizer.pad_token_id
        rows = [
            (ids + [pad] * (longest - len(ids)), labels + [IGNORED] * (longest - len(ids)))
            for ids, labels in encoded
        ]
        return {
            "input_ids": torch.tensor([ids for ids, _ in rows]),
            "labels": torch.tensor([labels for _, labels in rows]),
        }


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
    if recipe.method != "base":
        raise UsageError(f"recipe '{recipe.name}' is for `genbench train {recipe.method}`")
    if _prepare_folder(recipe, output):
        say(f"{output} holds this recipe's finished checkpoint")
        return output

    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments, set_seed
    from transformers.trainer_utils import get_last_checkpoint

    device = resolve_device(device)
    if device == "cpu":
        keep_large_blocks()
    if threads:
        torch.set_num_threads(threads)
    set_seed(recipe.seed)
    tokenizer = _resolve(recipe.model.tokenizer)()
    config = AutoConfig.for_model(
        recipe.model.model_type,
        **recipe.model.config,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    model = AutoModelForCausalLM.from_config(config)
    data = _resolve(recipe.data.factory)(seed=recipe.seed, **recipe.data.settings)
    encoder = Encoder(tokenizer)
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
                yield encoder.batch(examples)

    arguments = TrainingArguments(
        output_dir=str(output / _TRAINER),
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
        save_total_limit=1,
        report_to=[],
        seed=recipe.seed,
        dataloader_num_workers=0,
        remove_unused_columns=False,
        use_cpu=device == "cpu",
        disable_tqdm=not sys.stderr.isatty(),
        dataloader_pin_memory=device != "cpu",
    )
    trainer = Trainer(
        model=model, args=arguments, train_dataset=Stream(), data_collator=lambda items: items[0]
    )
    trainer_folder = output / _TRAINER
    last = get_last_checkpoint(str(trainer_folder)) if trainer_folder.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    _save(recipe, model, tokenizer, encoder, data, output, schedule.steps)
    shutil.rmtree(trainer_folder, ignore_errors=True)
    return output


def _prepare_folder(recipe: Recipe, output: Path) -> bool:
    """Make the folder and note whose it is; true where this recipe's training is finished."""
    mine = fingerprint(recipe.model_dump(mode="json"))
    if (output / TRAINING_RECORD).is_file():
        theirs = read_json(output / TRAINING_RECORD).get("recipe_fingerprint")
        if theirs == mine:
            return True
        raise UsageError(f"{output} holds a checkpoint of another recipe; choose another --output")
    note = output / _TRAINER / "genbench_recipe.json"
    if note.is_file() and read_json(note).get("recipe_fingerprint") != mine:
        raise UsageError(
            f"{output} holds an unfinished training of another recipe, or with other settings; "
            "choose another --output"
        )
    if output.is_dir() and not note.is_file() and any(output.iterdir()):
        raise UsageError(f"{output} is not empty; choose another --output")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"recipe": recipe.name, "recipe_fingerprint": mine}) + "\n")
    except OSError as error:
        raise StoreError(f"{output} cannot be written: {error.strerror}") from None
    return False


def _save(
    recipe: Recipe,
    model: Any,
    tokenizer: Any,
    encoder: Encoder,
    data: Any,
    output: Path,
    step: int,
) -> None:
    """The checkpoint; the training record last, since it says that the folder is complete."""
    import torch

    parameters = sum(parameter.numel() for parameter in model.parameters())
    model.config.use_cache = True  # off while training; who generates from the checkpoint wants it
    model.to(getattr(torch, recipe.model.save_dtype)).save_pretrained(output)
    tokenizer.save_pretrained(output)
    record = {
        "schema_version": 1,
        "recipe": recipe.name,
        "recipe_fingerprint": fingerprint(recipe.model_dump(mode="json")),
        "method": recipe.method,
        "step": step,
        "parent": None,
        "seed": recipe.seed,
        "parameters": parameters,
        "tokens": asdict(encoder.counts),
        "flops": flops(parameters, encoder.counts),
        "weights_fingerprint": fingerprints(output, weight_files(output, allow_pickle=False))[0],
        "problems": data.record(),
    }
    write_atomically(output / TRAINING_RECORD, [json_bytes(record)])
