"""A trainer's model as a plain Hugging Face checkpoint, whatever holds its weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.models.files import PROCESSOR_FILES, read_json
from genbench.store import json_bytes, write_atomically
from genbench.training.parent import model_class

if TYPE_CHECKING:
    from genbench.training.recipe import TuningRecipe

_ADAPTER = "adapter"


def save_weights(
    trainer: Any, tokenizer: Any, parent: Path, folder: Path, dtype: str, recipe: TuningRecipe
) -> None:
    """Weights in `dtype`, with the parent's configuration, tokenizer and image processor; every
    process calls it.

    Adapters are merged into the parent's own weights (never into quantised ones), and lie beside
    them in `adapter/`.
    """
    accelerator = trainer.accelerator
    state = accelerator.get_state_dict(trainer.model_wrapped)  # gathered under FSDP and ZeRO-3
    if not accelerator.is_main_process:
        return
    model = accelerator.unwrap_model(trainer.model_wrapped)
    if recipe.lora is None:
        model.save_pretrained(folder, state_dict=_cast(state, dtype))
    else:
        model.save_pretrained(folder / _ADAPTER, state_dict=state)
        (folder / _ADAPTER / "README.md").unlink(missing_ok=True)
        merged = _merged(parent, folder / _ADAPTER, recipe)
        merged.save_pretrained(folder, state_dict=_cast(merged.state_dict(), dtype))
    tokenizer.save_pretrained(folder)
    config = read_json(parent / "config.json")
    config.pop("torch_dtype", None)
    write_atomically(folder / "config.json", [json_bytes({**config, "dtype": dtype})])
    (folder / "generation_config.json").unlink(missing_ok=True)
    for name in ("generation_config.json", *PROCESSOR_FILES):
        if (parent / name).is_file():
            shutil.copyfile(parent / name, folder / name)


def _cast(state: dict[str, Any], dtype: str) -> dict[str, Any]:
    """The tensors in another type; those that share their memory go on sharing it."""
    import torch

    kind = getattr(torch, dtype)
    done: dict[tuple[int, Any], Any] = {}
    found = {}
    for name, tensor in state.items():
        key = (tensor.data_ptr(), tuple(tensor.shape))
        if key not in done:
            done[key] = tensor.detach().to("cpu", kind) if tensor.is_floating_point() else tensor
        found[name] = done[key]
    return found


def _merged(parent: Path, adapter: Path, recipe: TuningRecipe) -> Any:
    import torch
    from peft import PeftModel

    whole = model_class(recipe).from_pretrained(
        parent, dtype=torch.float32, trust_remote_code=recipe.model.trust_remote_code
    )
    return PeftModel.from_pretrained(whole, adapter).merge_and_unload()
