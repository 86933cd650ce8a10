"""SFT and RL from a checkpoint: what both methods share around TRL's trainers.

Another trainer is named by a recipe as `trainer: module:function`. It is called as
`function(recipe, parent, data, output, job)`, writes complete checkpoints to `step_folder(output,
n)` with `make_record` and `write_record`, and raises GenbenchError.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, ModelError, StoreError, UsageError, closest
from genbench.models.files import TRAINING_RECORD, parameter_count, weight_files
from genbench.models.hf import resolve_device
from genbench.models.transformer import out_of_memory, quieten
from genbench.process import keep_large_blocks
from genbench.store import write_atomically
from genbench.training.counts import TokenCounts
from genbench.training.data import TrainingData, make_data, resolve
from genbench.training.encoding import Encoder
from genbench.training.folders import (
    TRAINER,
    claim,
    make_record,
    publish,
    step_folder,
    write_record,
)
from genbench.training.monitoring import DevelopmentSet, development_set, success
from genbench.training.own_samples import draw_own_samples
from genbench.training.parent import (
    Parent,
    count_parameters,
    find_parent,
    load_model,
    load_tokenizer,
)
from genbench.training.recipe import RLRecipe, SFTRecipe, TuningRecipe
from genbench.training.recipes import recipe_fingerprint
from genbench.training.weights import save_weights

NOTE = "genbench_recipe.json"
LOG = "log.jsonl"  # what the trainer logged, one line a time; `development/success` among it
_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}


@dataclass(frozen=True)
class Job:
    """How a training is run, which changes nothing of what it is."""

    device: str = "auto"
    threads: int | None = None
    say: Callable[[str], None] = lambda text: None


def tune(recipe: SFTRecipe | RLRecipe, output: Path, job: Job) -> Path:
    """Train by the recipe; returns the folder, whose `step-<n>` are checkpoints.

    A killed training goes on from its last state and ends with the weights and records that it
    would have had. Raises UsageError, TaskError and ModelError before anything is loaded.
    """
    parent = find_parent(recipe)
    development = development_set(recipe.monitoring) if recipe.monitoring else None
    identity = {
        "recipe_fingerprint": recipe_fingerprint(recipe),
        "parent": {"name": parent.name, "weights_fingerprint": parent.weights_fingerprint},
    }
    last = step_folder(output, recipe.schedule.steps) / TRAINING_RECORD
    finished, say = _first_process(
        job.device,
        lambda first: (
            claim(output, output / NOTE, last, identity),
            job.say if first else lambda text: None,
        ),
    )
    if finished:
        say(f"{output} holds this recipe's finished checkpoints")
        return output
    job = replace(job, say=say)
    start, data = TokenCounts(), None
    if isinstance(recipe, SFTRecipe) and recipe.own_samples:
        path, start = _first_process(
            job.device, lambda _: draw_own_samples(recipe, parent, output, job.device, job.say)
        )
        data = make_data(
            recipe.data.factory, {**recipe.data.settings, "path": str(path)}, recipe.seed
        )
    data = data or make_data(recipe.data.factory, recipe.data.settings, recipe.seed)
    if recipe.trainer != "trl":
        resolve(recipe.trainer)(recipe, parent, data, output, job)
        return output
    _train(recipe, parent, data, development, output, job, identity, start)
    job.say(f"checkpoints: {output}/step-*")
    return output


def _first_process(device: str, work: Callable[[bool], Any]) -> Any:
    """Work on the folder, the first process before the others where `accelerate launch` made
    several; it is told whether it is the first."""
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu")
    with state.local_main_process_first():
        return work(bool(state.is_main_process))


def _train(
    recipe: SFTRecipe | RLRecipe,
    parent: Parent,
    data: TrainingData,
    development: DevelopmentSet | None,
    output: Path,
    job: Job,
    identity: Mapping[str, Any],
    start: TokenCounts,
) -> None:
    method = _trl(recipe.method)

    import torch
    from accelerate import PartialState
    from transformers import Trainer, set_seed
    from transformers.trainer_callback import PrinterCallback

    from genbench.training.tracking import Milestones, last_state

    quieten()
    device = resolve_device(job.device)
    if ":" in device:
        raise UsageError("--device: choose one of several GPUs by CUDA_VISIBLE_DEVICES")
    if device == "cpu":
        keep_large_blocks()
    if job.threads:
        torch.set_num_threads(job.threads)
    processes = PartialState().num_processes
    settings = trainer_settings(recipe, output, device, processes)
    set_seed(recipe.seed)
    tokenizer = load_tokenizer(recipe, parent.folder)
    if isinstance(recipe, RLRecipe):
        check_context(recipe, data, Encoder(tokenizer), parent.folder)
    parameters = count_parameters(recipe, parent.folder)
    save_dtype: str = recipe.model.save_dtype
    if save_dtype == "parent":
        save_dtype = stored_dtype(parent.folder)
    job.say(_budget(recipe, parent, parameters, save_dtype, device, processes, output))
    trainer = method.make_trainer(
        recipe,
        load_model(recipe, parent.folder, device),
        tokenizer,
        data,
        settings,
        _lora(recipe),
    )
    trainer.remove_callback(PrinterCallback)
    if "tensorboard" in recipe.logging.report_to and trainer.accelerator.is_main_process:
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations import TensorBoardCallback

        # By itself it would write among the states, which are deleted at the end.
        trainer.add_callback(TensorBoardCallback(SummaryWriter(str(output / "runs"))))

    def keep(step: int) -> None:
        counts = trainer.totals()
        staged = output / f".step-{step}.partial"
        if trainer.accelerator.is_main_process:
            shutil.rmtree(staged, ignore_errors=True)
            staged.mkdir(parents=True)
        trainer.accelerator.wait_for_everyone()
        save_weights(trainer, tokenizer, parent.folder, staged, save_dtype, recipe)
        if trainer.accelerator.is_main_process:
            record = make_record(
                recipe,
                identity,
                step=step,
                parameters=parameters,
                counts=counts,
                weights=staged,
                problems=data.record(step * recipe.schedule.batch_size),
                ancestors=parent.ancestors(),
                parent_flops=parent.flops,
            )
            write_record(staged, record)
            publish(staged, step_folder(output, step))
        trainer.accelerator.wait_for_everyone()

    def watch(step: int) -> None:
        from trl.models import unwrap_model_for_generation

        assert development is not None
        with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
            found = success(development, model, tokenizer)
        should = trainer.control.should_log
        Trainer.log(trainer, {"development/success": found})  # TRL's own log ends its averages
        trainer.control.should_log = should  # whatever is logged takes it back

    trainer.add_callback(
        Milestones(
            frozenset(recipe.schedule.kept_steps),
            keep,
            recipe.monitoring.every if recipe.monitoring else 0,
            watch,
        )
    )
    state = last_state(output / TRAINER)
    trainer.take_up(state, start)
    with _failures(output):
        trainer.train(resume_from_checkpoint=str(state) if state else None)
    if trainer.accelerator.is_main_process:
        lines = (json.dumps(line).encode() + b"\n" for line in trainer.state.log_history)
        write_atomically(output / LOG, lines)
        shutil.rmtree(output / TRAINER, ignore_errors=True)


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


def check_context(recipe: RLRecipe, data: TrainingData, encoder: Encoder, folder: Path) -> None:
    """Raise UsageError where an episode does not fit into the model's context."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=recipe.model.trust_remote_code)
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    prompt = len(encoder.encode(data.problem(0)[0], "")[0])
    needed = prompt + recipe.rl.turns * recipe.rl.max_completion_length
    if context is not None and needed > context:
        raise UsageError(
            f"rl: a prompt of {prompt} tokens and {recipe.rl.turns} x "
            f"{recipe.rl.max_completion_length} tokens of answers do not fit into the model's "
            f"context of {context}; lower rl.max_completion_length or rl.turns"
        )


def _trl(method: str) -> Any:
    """The glue of a method; without telemetry, which TRL's trainers send when they are made."""
    try:
        import huggingface_hub.constants

        huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
        return importlib.import_module(f"genbench.training.{method}")
    except ImportError as error:
        raise UsageError(
            f"genbench train {method} needs TRL, which is not whole here ({error}); "
            "pip install 'genbench[train]'"
        ) from None


def trainer_settings(
    recipe: SFTRecipe | RLRecipe, output: Path, device: str, processes: int
) -> Any:
    """TRL's configuration for the recipe. Raises UsageError where TRL has no such field."""
    method = _trl(recipe.method)
    config = method.CONFIGS[recipe.rl.algorithm] if isinstance(recipe, RLRecipe) else method.CONFIG
    schedule = recipe.schedule
    rows = schedule.batch_size * (recipe.rl.num_generations if isinstance(recipe, RLRecipe) else 1)
    micro = schedule.micro_batch or rows // processes
    if not micro or rows % (micro * processes):
        raise UsageError(
            f"schedule: {rows} sequences a step cannot be shared by {processes} processes in "
            f"batches of {micro}; set schedule.batch_size or schedule.micro_batch"
        )
    known = {field.name for field in fields(config)}
    for key in recipe.arguments:
        if key not in known:
            raise UsageError(f"arguments: {config.__name__} has no '{key}'; {closest(key, known)}")
    found: dict[str, Any] = {
        "output_dir": str(output / TRAINER),
        "max_steps": schedule.steps,
        "learning_rate": schedule.learning_rate,
        "lr_scheduler_type": schedule.scheduler
        if schedule.scheduler != "constant"
        else "constant_with_warmup",
        "warmup_steps": schedule.warmup_steps,
        "weight_decay": schedule.weight_decay,
        "max_grad_norm": schedule.max_grad_norm,
        "adam_beta2": schedule.adam_beta2,
        "logging_steps": recipe.logging.every,
        "report_to": [name for name in recipe.logging.report_to if name != "tensorboard"] or "none",
        "run_name": recipe.name,
        "save_strategy": "steps",
        "save_steps": schedule.resume_every,
        "save_total_limit": None,  # ours deletes the older states
        "seed": recipe.seed,
        "remove_unused_columns": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": device != "cpu",
        "ddp_find_unused_parameters": False,
        "use_cpu": device == "cpu",
        "bf16": device == "cuda",
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "disable_tqdm": not sys.stderr.isatty(),
        **method.arguments(recipe, processes),
        **recipe.arguments,
    }
    try:
        return config(**found)
    except (TypeError, ValueError) as error:
        raise UsageError(f"TRL refuses the recipe: {error}") from None


def _lora(recipe: TuningRecipe) -> Any:
    if recipe.lora is None:
        return None
    from peft import LoraConfig

    modules = recipe.lora.target_modules
    return LoraConfig(
        r=recipe.lora.r,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=modules if isinstance(modules, str) else list(modules),
        task_type="CAUSAL_LM",
    )


def stored_dtype(folder: Path) -> str:
    """The floating-point type of a checkpoint's weights."""
    from safetensors import safe_open

    with safe_open(weight_files(folder, allow_pickle=False)[0], "pt") as file:
        stored = {"F16": "float16", "BF16": "bfloat16"}
        return stored.get(file.get_slice(next(iter(file.keys()))).get_dtype(), "float32")


def _budget(
    recipe: SFTRecipe | RLRecipe,
    parent: Parent,
    parameters: int,
    save_dtype: str,
    device: str,
    processes: int,
    output: Path,
) -> str:
    """Steps and disk, before the start."""
    schedule = recipe.schedule
    what = f"{schedule.batch_size} examples"
    if isinstance(recipe, RLRecipe):
        what = f"{schedule.batch_size} prompts x {recipe.rl.num_generations} samples"
    kept = schedule.kept_steps
    stored = parameter_count(weight_files(parent.folder, allow_pickle=False)) or parameters
    checkpoints = len(kept) * stored * _BYTES[save_dtype]
    states = 2 * parameters * (4 if recipe.lora else 12)
    free = shutil.disk_usage(output).free
    text = (
        f"{recipe.name}: {parent.name}, {parameters:,} parameters, {schedule.steps} steps of "
        f"{what} on {processes} x {device}; {len(kept)} checkpoints of "
        f"{max(1, stored * _BYTES[save_dtype] // 2**20)} MB, and up to "
        f"{max(1, states // 2**20)} MB for resuming while it goes on, in {output}"
    )
    if checkpoints + states > free:
        raise GenbenchError(
            f"{text}; the disk has {free // 2**20} MB left: keep fewer checkpoints "
            "(--set schedule.checkpoints=[...])"
        )
    return text
