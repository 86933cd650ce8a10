"""Reading what a training left."""

import json

import torch
from safetensors.torch import load_file


def record(folder):
    return json.loads((folder / "genbench_training.json").read_text())


def weights(folder):
    return load_file(folder / "model.safetensors")


def same_weights(first, second):
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
