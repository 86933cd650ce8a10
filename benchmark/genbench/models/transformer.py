"""What holds for a transformers model, whichever backend runs it: loaded whole, its vocabulary that
of its tokenizer, its own generation settings set aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, ModelError
from genbench.models import files

_KEPT = {
    "eos_token_id",
    "pad_token_id",
    "bos_token_id",
    "transformers_version",
    "_from_model_config",
    # These change no token.
    "use_cache",
    "output_attentions",
    "output_hidden_states",
}


@contextmanager
def loading(what: str) -> Iterator[None]:
    """A library's failure to load becomes a ModelError."""
    try:
        yield
    except GenbenchError:
        raise
    # The libraries raise what they like: tokenizers a bare Exception, safetensors one of its own.
    except Exception as error:
        raise ModelError(f"{what} cannot be loaded: {files.brief(error)}") from error


def quieten() -> None:
    """transformers' reports and progress bars off: what matters in them is an error here."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def check_complete(folder: Path, found: Mapping[str, Any]) -> None:
    """Raise ModelError where weights are missing: transformers would draw them at random.

    `found` is what `from_pretrained` reports with `output_loading_info`.
    """
    missing = sorted(found["missing_keys"])
    if missing:
        raise ModelError(
            f"{folder} lacks weights that its config.json asks for ({len(missing)}, the first: "
            f"{missing[0]}): the file is not whole, or of another architecture"
        )
    mismatched = sorted(found["mismatched_keys"])
    if mismatched:
        name, stored, asked = mismatched[0]
        raise ModelError(
            f"the weights of {folder} do not fit its config.json: {name} is stored as "
            f"{list(stored)} and asked for as {list(asked)}"
        )


def model_class(reads_images: bool) -> Any:
    """The class of transformers that loads a checkpoint."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    return AutoModelForImageTextToText if reads_images else AutoModelForCausalLM


def check_weights(folder: Path, *, trust_remote_code: bool) -> None:
    """Raise ModelError where weights are missing, for a library that would not say so; no weight
    is read for it. What is quantized has other weights, and is left to that library."""
    config = files.read_json(folder / "config.json")
    if config.get("quantization_config"):
        return
    quieten()
    _, found = model_class(files.reads_images(config)).from_pretrained(
        folder,
        device_map="meta",
        trust_remote_code=trust_remote_code,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    check_complete(folder, found)


@dataclass(frozen=True)
class KeptTokens:
    """What of a checkpoint's generation settings is used, and what they asked for beside it."""

    ends: tuple[int, ...]
    pad: int
    ignored: Mapping[str, Any]


def kept_tokens(given: Any, tokenizer: Any, size: int) -> KeptTokens:
    """What is used of a checkpoint's generation settings `given`; it has embeddings for `size`
    tokens."""
    named = given.eos_token_id
    ends = list(named) if isinstance(named, list) else [] if named is None else [named]
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ends:
        ends.append(tokenizer.eos_token_id)
    pad = tokenizer.pad_token_id
    if pad is None or pad >= size:  # padding is masked: any token serves
        pad = ends[0] if ends else 0
    asked = given.to_diff_dict()
    return KeptTokens(
        tuple(int(token) for token in ends),
        int(pad),
        {key: asked[key] for key in asked if key not in _KEPT},
    )


def keep_end_tokens(model: Any, tokenizer: Any) -> KeptTokens:
    """Leave a transformers model its end and padding tokens alone; the rest is returned."""
    from transformers import GenerationConfig

    kept = kept_tokens(model.generation_config, tokenizer, vocabulary(model))
    model.generation_config = GenerationConfig(
        eos_token_id=list(kept.ends) or None, pad_token_id=kept.pad
    )
    return kept


def vocabulary(model: Any) -> int:
    """How many tokens a transformers model has embeddings for."""
    return int(model.get_input_embeddings().weight.shape[0])


def check_vocabulary(ids: Sequence[int], size: int) -> None:
    """Raise ModelError where a prompt has a token that the model, with embeddings for `size`
    tokens, has none for."""
    largest = max(ids, default=0)
    if largest >= size:
        raise ModelError(
            f"the tokenizer gives the token id {largest}, but the model has embeddings for {size} "
            "tokens: the tokenizer of another model lies beside these weights"
        )


def out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the machine, had no memory left."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        "can't allocate memory" in str(error)
    )
