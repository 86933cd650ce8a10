"""A run in a process of its own, to be killed; heavy imports are done before the fork."""

import torch
import transformers.generation.utils
import transformers.models.llama.modeling_llama  # noqa: F401

import genbench
import genbench.analysis
import genbench.models.hf


def play(arguments):
    torch.set_num_threads(1)
    genbench.run(**arguments)
