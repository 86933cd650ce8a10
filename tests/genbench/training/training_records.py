"""Reading what a training left; a trainer that is none of ours."""

import json
import shutil

import torch
from safetensors.torch import load_file

from genbench.training.counts import TokenCounts


def record(folder):
    return json.loads((folder / "genbench_training.json").read_text())


def weights(folder):
    return load_file(folder / "model.safetensors")


def same_weights(first, second):
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def copying_trainer(plan, job):
    """Another trainer, as a recipe may name one: it learns nothing."""
    step = plan.recipe.schedule.steps
    shutil.copytree(plan.parent.folder, plan.staging(step))
    job.say(f"kept {plan.keep(step, 10, TokenCounts(trained=7, generated=5))}")
