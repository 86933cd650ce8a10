"""A training through TRL's trainers: states to resume from, checkpoints, development success."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import Trainer, set_seed
from transformers.trainer_callback import PrinterCallback

from genbench.errors import ModelError, StoreError, UsageError
from genbench.models.options import resolve_device
from genbench.models.transformer import out_of_memory, quieten
from genbench.process import keep_large_blocks
from genbench.store import write_atomically
from genbench.training.encoding import Encoder
from genbench.training.folders import TRAINER
from genbench.training.monitoring import success
from genbench.training.parent import count_parameters, load_model, load_tokenizer
from genbench.training.plan import Job, Plan
from genbench.training.recipe import RLRecipe
from genbench.training.tracking import Milestones, last_state
from genbench.training.trl_settings import (
    budget,
    check_context,
    glue,
    lora_settings,
    require_extras,
    saved_dtype,
    trainer_settings,
)
from genbench.training.weights import save_weights

LOG = "log.jsonl"  # what the trainer logged, one line a time; `development/success` among it


def train(plan: Plan, job: Job) -> None:
    """Train to the last step, from the last state where there is one.

    Raises UsageError and ModelError before the model is loaded, StoreError and ModelError where
    a disk or a device is full.
    """
    recipe, parent, output = plan.recipe, plan.parent, plan.output
    quieten()
    device = resolve_device(job.device)
    if ":" in device:
        raise UsageError("--device: choose one of several GPUs by CUDA_VISIBLE_DEVICES")
    if device == "cpu":
        keep_large_blocks()
    if job.threads:
        torch.set_num_threads(job.threads)
    require_extras(recipe)
    processes = PartialState().num_processes
    settings = trainer_settings(recipe, output, device, processes)
    set_seed(recipe.seed)
    tokenizer = load_tokenizer(recipe, parent.folder)
    if isinstance(recipe, RLRecipe):
        check_context(recipe, plan.data, Encoder(tokenizer), parent.folder)
    parameters = count_parameters(recipe, parent.folder)
    job.say(budget(recipe, parent, parameters, device, processes, output))
    trainer = glue(recipe.method).make_trainer(
        recipe,
        load_model(recipe, parent.folder, device),
        tokenizer,
        plan.data,
        settings,
        lora_settings(recipe),
    )
    _report(trainer, plan)
    keeper = _Keeper(plan, trainer, tokenizer, parameters)
    trainer.add_callback(
        Milestones(
            frozenset(recipe.schedule.kept_steps),
            keeper.publish,
            recipe.monitoring.every if recipe.monitoring else 0,
            keeper.monitor,
        )
    )
    state = last_state(output / TRAINER)
    trainer.take_up(state, plan.start)
    with _failures(output):
        trainer.train(resume_from_checkpoint=str(state) if state else None)
    if trainer.accelerator.is_main_process:
        lines = (json.dumps(line).encode() + b"\n" for line in trainer.state.log_history)
        write_atomically(output / LOG, lines)
        shutil.rmtree(output / TRAINER, ignore_errors=True)


def _report(trainer: Any, plan: Plan) -> None:
    """What the trainer says, and where: no dictionaries on the terminal, TensorBoard's files."""
    trainer.remove_callback(PrinterCallback)
    wanted = "tensorboard" in plan.recipe.logging.report_to
    if wanted and trainer.accelerator.is_main_process:
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations import TensorBoardCallback

        # By itself it would write among the states, which are deleted at the end.
        trainer.add_callback(TensorBoardCallback(SummaryWriter(str(plan.output / "runs"))))


@dataclass(frozen=True)
class _Keeper:
    """What is done at milestones; every process calls it."""

    plan: Plan
    trainer: Any
    tokenizer: Any
    parameters: int

    def publish(self, step: int) -> None:
        """The step's checkpoint, whole."""
        plan, accelerator = self.plan, self.trainer.accelerator
        counts = self.trainer.totals()
        staged = plan.staging(step)
        if accelerator.is_main_process:
            shutil.rmtree(staged, ignore_errors=True)
            staged.mkdir(parents=True)
        accelerator.wait_for_everyone()
        save_weights(
            self.trainer,
            self.tokenizer,
            plan.parent.folder,
            staged,
            saved_dtype(plan.recipe, plan.parent.folder),
            plan.recipe,
        )
        if accelerator.is_main_process:
            plan.keep(step, self.parameters, counts)
        accelerator.wait_for_everyone()

    def monitor(self, step: int) -> None:
        """Greedy success on the development problems, logged."""
        from trl.models import unwrap_model_for_generation

        trainer, development = self.trainer, self.plan.development
        assert development is not None
        with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
            found = success(development, model, self.tokenizer)
        should = trainer.control.should_log
        Trainer.log(trainer, {"development/success": found})  # TRL's own log ends its averages
        trainer.control.should_log = should  # whatever is logged takes it back


@contextmanager
def _failures(output: Path) -> Iterator[None]:
    """A full disk or device becomes a sentence that says how to go on."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{output} cannot be written: {error.strerror or error}; what was saved is whole, and "
            "the same command goes on from it"
        ) from error
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise ModelError(
            "the device has no memory left for a step of this recipe; set a smaller "
            "schedule.micro_batch, gradient_checkpointing=true or lora, and another --output"
        ) from error
