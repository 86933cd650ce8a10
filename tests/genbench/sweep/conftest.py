"""A base and two training runs, whose checkpoints are it with a little noise, and real records."""

import json
import shutil

import pytest


@pytest.fixture(scope="session")
def series(tiny_llama, tmp_path_factory):
    """`base`, `trainings/sft/step-{2,10}`, `trainings/rl/step-3`; their folder is given."""
    import torch
    from safetensors.torch import load_file, save_file

    from genbench.models.files import fingerprints, weight_files

    folder = tmp_path_factory.mktemp("series")

    def put(place, method, step, flops, parent):
        shutil.copytree(tiny_llama, place)
        file = place / "model.safetensors"
        torch.manual_seed(step)
        weights = load_file(file)
        noisy = {
            name: (tensor + 0.02 * torch.randn_like(tensor)).contiguous()
            for name, tensor in weights.items()
        }
        save_file(noisy, file, metadata={"format": "pt"})
        fingerprint = fingerprints(place, weight_files(place, allow_pickle=False))[0]
        record = {
            "schema_version": 1, "recipe": method, "method": method, "step": step, "seed": 0,
            "parent": parent, "flops": flops, "weights_fingerprint": fingerprint,
        }  # fmt: skip
        (place / "genbench_training.json").write_text(json.dumps(record))
        return {"name": str(place), "weights_fingerprint": fingerprint}

    base = put(folder / "base", "base", 1, 10**12, None)
    trainings = folder / "trainings"
    put(trainings / "sft" / "step-10", "sft", 10, 10**10, base)
    put(trainings / "sft" / "step-2", "sft", 2, 2 * 10**9, base)
    put(trainings / "rl" / "step-3", "rl", 3, 3 * 10**9, base)
    return folder
