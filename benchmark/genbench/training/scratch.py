"""The model of a recipe before its first step: its configuration, its tokenizer, fresh weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import UsageError
from genbench.models import find_backend, identify
from genbench.models.interface import LoadOptions
from genbench.training.data import resolve
from genbench.training.parent import Parent, bound
from genbench.training.recipe import BaseRecipe


@dataclass(frozen=True)
class Fresh:
    """`processing` is saved beside the weights: a tokenizer, or a processor that holds one."""

    model: Any
    tokenizer: Any
    processing: Any


def language_parent(recipe: BaseRecipe) -> Parent | None:
    """The checkpoint that the language part starts from. Raises UsageError and ModelError."""
    name = recipe.model.language_model
    if name is None:
        return None
    backend = find_backend(name)
    if backend.name != "hf":
        raise UsageError(f"model.language_model: '{backend.name}' has no weights to start from")
    known = identify(name, backend, LoadOptions())
    weights = str(known.weights_fingerprint)
    return Parent(name, Path(str(known.location)), weights, bound(known.training, weights))


def build(recipe: BaseRecipe, parent: Parent | None) -> Fresh:
    """Draw the weights from torch's generator, which the caller has seeded.

    Raises UsageError where the parent's language model is of another shape.
    """
    import transformers

    tokenizer = resolve(recipe.model.tokenizer)()
    if recipe.model.processor is None:
        config = transformers.AutoConfig.for_model(
            recipe.model.model_type, **recipe.model.config, **_tokens(tokenizer)
        )
        return Fresh(transformers.AutoModelForCausalLM.from_config(config), tokenizer, tokenizer)
    processor = resolve(recipe.model.processor)(tokenizer)
    given = dict(recipe.model.config)
    text = {**given.pop("text_config", {}), **_tokens(tokenizer)}
    config = transformers.AutoConfig.for_model(
        recipe.model.model_type,
        **given,
        text_config=text,
        image_token_id=processor.image_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = transformers.AutoModelForImageTextToText.from_config(config)
    if parent is not None:
        _start_from(parent, model, len(tokenizer))
    return Fresh(model, tokenizer, processor)


def _tokens(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
    }


def _start_from(parent: Parent, model: Any, vocabulary: int) -> None:
    """Copy a causal language model into the decoder; tokens that it lacks keep fresh weights."""
    import torch
    import transformers

    found = transformers.AutoModelForCausalLM.from_pretrained(
        parent.folder, dtype=torch.float32, use_safetensors=True
    )
    mine, theirs = model.get_input_embeddings().weight, found.get_input_embeddings().weight
    known = len(theirs)
    if known > vocabulary or mine.shape[1] != theirs.shape[1]:
        raise UsageError(
            f"model.language_model: {parent.name} has embeddings of {tuple(theirs.shape)}, the "
            f"recipe's model of {tuple(mine.shape)}"
        )
    state = {
        name: value
        for name, value in found.get_decoder().state_dict().items()
        if not torch.equal(value, theirs)  # of another number of rows
    }
    missing, unexpected = model.get_decoder().load_state_dict(state, strict=False)
    odd = [name for name in missing if "embed" not in name] + list(unexpected)
    if odd:
        raise UsageError(
            f"model.language_model: {parent.name} is of another architecture than the recipe's "
            f"text_config ({odd[0]})"
        )
    with torch.no_grad():
        mine[:known] = theirs
        output = model.get_output_embeddings().weight
        if output is not mine:
            output[:known] = found.get_output_embeddings().weight
