"""SFT and RL from a checkpoint: what is refused, claimed and prepared before a trainer starts.

Another trainer than TRL's is named by a recipe as `trainer: module:function`. It is called as
`function(plan, job)`, writes each checkpoint's weights, configuration and tokenizer to
`plan.staging(step)` and completes it by `plan.keep`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from genbench.models.files import TRAINING_RECORD
from genbench.training.counts import TokenCounts
from genbench.training.data import make_data, resolve
from genbench.training.folders import TRAINER, claim, step_folder
from genbench.training.monitoring import development_set
from genbench.training.own_samples import draw_own_samples
from genbench.training.parent import find_parent
from genbench.training.plan import Job, Plan
from genbench.training.recipe import RLRecipe, SFTRecipe
from genbench.training.recipes import recipe_fingerprint

NOTE = "genbench_recipe.json"
_TRL = "genbench.training.trl_training:train"


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
        shutil.rmtree(output / TRAINER, ignore_errors=True)  # of a kill after the last checkpoint
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
    trainer = resolve(_TRL if recipe.trainer == "trl" else recipe.trainer)
    trainer(Plan(recipe, parent, data, development, output, identity, start), job)
    job.say(f"checkpoints: {output}/step-*")
    return output


def _first_process(device: str, work: Callable[[bool], Any]) -> Any:
    """Work on the folder, the first process before the others where `accelerate launch` made
    several; it is told whether it is the first."""
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu")
    with state.local_main_process_first():
        return work(bool(state.is_main_process))
