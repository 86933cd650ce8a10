"""A recipe as TRL's trainers take it, and what is refused and stated before one starts."""

from __future__ import annotations

import importlib
import shutil
import sys
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genbench.errors import StoreError, UsageError, closest
from genbench.models.files import parameter_count, weight_files
from genbench.training.data import TrainingData
from genbench.training.encoding import Encoder
from genbench.training.folders import TRAINER
from genbench.training.parent import Parent
from genbench.training.recipe import RLRecipe, SFTRecipe, TuningRecipe

_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}


def glue(method: str) -> Any:
    """The glue of a method; without telemetry, which TRL's trainers send when they are made."""
    try:
        import huggingface_hub.constants

        huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
        return importlib.import_module(f"genbench.training.{method}")
    except ImportError as error:
        raise UsageError(
            f"genbench train {method} needs TRL, which is not whole here ({error}); "
            "install genbench with its extra `train`: pip install -e '.[train]' in the clone"
        ) from None


def require_extras(recipe: TuningRecipe) -> None:
    """Raise UsageError where a part of the recipe needs a package that is not there."""
    needed: dict[str, str] = {
        name: f"logging.report_to={name}" for name in recipe.logging.report_to
    }
    if recipe.lora:
        needed["peft"] = "lora"
        if recipe.lora.quantise == "4bit":
            needed["bitsandbytes"] = "lora.quantise=4bit"
    for name, setting in needed.items():
        if find_spec(name) is None:
            raise UsageError(f"{setting} needs {name}, which is not installed: pip install {name}")


def trainer_settings(
    recipe: SFTRecipe | RLRecipe, output: Path, device: str, processes: int
) -> Any:
    """TRL's configuration for the recipe. Raises UsageError where TRL has no such field."""
    method = glue(recipe.method)
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


def lora_settings(recipe: TuningRecipe) -> Any:
    """The adapter's configuration, None without one."""
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


def saved_dtype(recipe: TuningRecipe, folder: Path) -> str:
    """The floating-point type that checkpoints are saved in: the parent's, unless asked."""
    if recipe.model.save_dtype != "parent":
        return recipe.model.save_dtype
    from safetensors import safe_open

    with safe_open(weight_files(folder, allow_pickle=False)[0], "pt") as file:
        stored = {"F16": "float16", "BF16": "bfloat16"}
        return stored.get(file.get_slice(next(iter(file.keys()))).get_dtype(), "float32")


def budget(
    recipe: SFTRecipe | RLRecipe,
    parent: Parent,
    parameters: int,
    device: str,
    processes: int,
    output: Path,
) -> str:
    """Steps and disk, in words. Raises StoreError where the disk has too little room."""
    save_dtype = saved_dtype(recipe, parent.folder)
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
        raise StoreError(
            f"{text}; the disk has {free // 2**20} MB left: keep fewer checkpoints "
            "(--set schedule.checkpoints=[...])"
        )
    return text
