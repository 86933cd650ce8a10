"""A training in a process of its own that kills itself; heavy imports are done before the fork."""

import os
import signal
from pathlib import Path

import torch
import transformers.models.llama.modeling_llama  # noqa: F401

import genbench.training.rl
import genbench.training.sft  # noqa: F401
from genbench.training import tracking
from genbench.training.plan import Job
from genbench.training.recipes import load_recipe
from genbench.training.tuning import tune


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def train(name, assignments, base, output, at_step=None, while_saving=None):
    """Train; die with no warning at the end of a step, or between a state and its last file."""
    torch.set_num_threads(1)
    real = tracking.Milestones.on_step_end

    def on_step_end(self, args, state, control, **more):
        if state.global_step == at_step:
            die()
        real(self, args, state, control, **more)

    def write(path, chunks):
        if path.parent.name == f"checkpoint-{while_saving}":
            die()
        return written(path, chunks)

    tracking.Milestones.on_step_end = on_step_end
    written, tracking.write_atomically = tracking.write_atomically, write
    tune(load_recipe(name, assignments, base), Path(output), Job("cpu", 1))
