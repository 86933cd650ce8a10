"""What can be known of a checkpoint folder without loading it: its parts, fingerprints, faults."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genbench.errors import ModelError

TRAINING_RECORD = "genbench_training.json"
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
# Settings of the image processor: the first file that has them is the one that transformers reads.
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")
#: what a checkpoint that reads images has beside its weights and its tokenizer
PROCESSOR_FILES = (*_PROCESSORS, "video_preprocessor_config.json", "chat_template.json")
# What a config.json has where a model sees, and how the classes of such models end.
_VISION = ("vision_config", "vq_config")
_IMAGE_TEXT = ("ForConditionalGeneration", "ForImageTextToText", "ForVisionText2Text")
_MAX_HEADER = 100_000_000  # the limit of the safetensors format


def brief(error: BaseException) -> str:
    """What a library's exception says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # The text of a KeyError is the key alone.
    return f"KeyError: {lines[0]}" if isinstance(error, KeyError) else lines[0]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a checkpoint. Raises ModelError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no JSON object")
    return found


def weight_files(folder: Path, *, allow_pickle: bool) -> list[Path]:
    """The weight files; safetensors, pickles only on request. Raises ModelError."""
    # A repository may hold the weights a second time, in another layout, beside `model*`.
    safe = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("*.safetensors"))
    if safe:
        return safe
    pickles = sorted({path for pattern in _PICKLES for path in folder.glob(pattern)})
    if pickles and allow_pickle:
        return pickles
    if pickles:
        raise ModelError(
            f"{folder} has its weights as a pickle alone ({pickles[0].name}), which can run any "
            "code; convert it to safetensors, or trust it with --model-args allow_pickle=true"
        )
    raise ModelError(
        f"{folder} has no weight file (*.safetensors); if its repository has pickles, trust them "
        "with --model-args allow_pickle=true"
    )


def check_model(folder: Path, *, trust_remote_code: bool) -> dict[str, Any]:
    """The checkpoint's configuration, after refusing what does not answer a prompt with text.

    What is left is a causal language model, or an image-text-to-text model (`reads_images`).
    """
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise ModelError(
                f"{folder} is an adapter without its base model; merge it into the base first "
                "(peft: merge_and_unload, save_pretrained)"
            )
        raise ModelError(f"{folder} has no config.json: it is not a Hugging Face checkpoint")
    config = read_json(folder / "config.json")
    if "auto_map" in config and not trust_remote_code:
        raise ModelError(
            f"{folder} brings code of its own (auto_map in config.json); to run it, trust it with "
            "--model-args trust_remote_code=true"
        )
    if (folder / "generation_config.json").is_file():
        read_json(folder / "generation_config.json")  # transformers passes over a broken one
    architectures = config.get("architectures") or []
    causal = not architectures or any(
        "CausalLM" in str(name) or "LMHead" in str(name) for name in architectures
    )
    if not causal and not reads_images(config):
        raise ModelError(
            f"{folder} is not a causal language model, nor an image-text-to-text model: its "
            f"config.json names {architectures[0]}"
        )
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise ModelError(
            f"{folder} has no tokenizer (none of {', '.join(_TOKENIZERS)}); save the tokenizer "
            "beside the weights"
        )
    text = config.get("text_config")
    text = text if isinstance(text, dict) else config
    pad, size = text.get("pad_token_id"), text.get("vocab_size")
    if isinstance(pad, int) and isinstance(size, int) and pad >= size:
        raise ModelError(
            f"{folder}/config.json names the padding token {pad}, but the model has a vocabulary "
            f"of {size} tokens: the tokenizer of another model may have come to these weights"
        )
    return config


def reads_images(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is that of an image-text-to-text model."""
    if "AutoModelForImageTextToText" in (config.get("auto_map") or {}):
        return True
    names = [str(name) for name in config.get("architectures") or []]
    return any(key in config for key in _VISION) and any(
        name.endswith(_IMAGE_TEXT) for name in names
    )


def image_processor(folder: Path) -> dict[str, Any] | None:
    """The stored settings of the image processor, None where there are none.

    Raises ModelError where they cannot be read, or do not name their class: transformers would
    take the usual one of the architecture, whose pictures may be others.
    """
    found: Any = None
    for name in _PROCESSORS:
        if (folder / name).is_file():
            content = read_json(folder / name)
            found = content.get("image_processor") if name == "processor_config.json" else content
            if found is not None:
                break
    if found is None:
        return None
    where = f"{folder / name}"
    if not isinstance(found, dict):
        raise ModelError(f"{where}: its image_processor is no JSON object")
    named = any(found.get(key) for key in ("image_processor_type", "feature_extractor_type"))
    if not named and "AutoImageProcessor" not in (found.get("auto_map") or {}):
        raise ModelError(
            f"{where} does not say which image processor it is of (image_processor_type); save the "
            "processor anew beside the weights, or copy its files again"
        )
    return found


def has_chat_template(folder: Path) -> bool:
    """Whether the tokenizer or the processor comes with a chat template. Raises ModelError."""
    if (folder / "chat_template.jinja").is_file():
        return True
    return any(
        (folder / name).is_file() and bool(read_json(folder / name).get("chat_template"))
        for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json")
    )


def cannot_see(folder: Path, config: Mapping[str, Any], *, template_needed: bool) -> str | None:
    """Why images cannot be shown to a checkpoint, None where they can. Raises ModelError."""
    if not reads_images(config):
        kind = next(iter(config.get("architectures") or []), "a language model")
        return f"it is {kind}, a model of text; an image-text-to-text checkpoint is needed"
    if image_processor(folder) is None:
        return (
            f"{folder} has no image processor (preprocessor_config.json or processor_config.json); "
            "save the processor beside the weights"
        )
    if template_needed and not has_chat_template(folder):
        return (
            f"{folder} has no chat template, which says where images stand in a prompt; save one "
            "beside the weights (chat_template.jinja), or write its image token into plain text "
            "with --chat-template off"
        )
    return None


def processor_files(folder: Path) -> dict[str, str]:
    """File -> SHA-256, of those that decide what becomes of an image."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in _PROCESSORS
        if (folder / name).is_file()
    }


def _digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files, in the order of their names."""
    whole = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}") from None
        whole.update(f"{path.name}\x1f{content}\x1e".encode())
    return whole.hexdigest()


def fingerprints(folder: Path, weights: list[Path]) -> tuple[str, str]:
    """(of the weight files, of the other files that decide an answer)."""
    others = [
        path
        for pattern in ("*.json", "*.jinja", "*.model", "*.txt", "*.py")
        for path in folder.glob(pattern)
        if path.name != TRAINING_RECORD and not path.name.endswith(".index.json")
    ]
    return _digest(weights), _digest(others)


def parameter_count(weights: list[Path]) -> int | None:
    """The number of stored parameters, from the safetensors headers; None for other files.

    Raises ModelError where a file is damaged or cut short, or where nothing is stored.
    """
    total = 0
    for path in weights:
        if path.suffix != ".safetensors":
            return None
        try:
            with path.open("rb") as file:
                start = file.read(8)
                if len(start) < 8:
                    raise ValueError("it is too short")
                (length,) = struct.unpack("<Q", start)
                if length > _MAX_HEADER:
                    raise ValueError("its header is too long")
                header = json.loads(file.read(length))
            end = 8 + length
            for name, tensor in header.items():
                if name != "__metadata__":
                    total += math.prod(int(dimension) for dimension in tensor["shape"])
                    end = max(end, 8 + length + int(tensor["data_offsets"][1]))
            if end != path.stat().st_size:
                raise ValueError(f"it has {path.stat().st_size} bytes where its header says {end}")
        except (
            OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError,
        ) as error:  # fmt: skip
            raise ModelError(
                f"{path} is not a readable safetensors file ({brief(error)}); copy or download it "
                "again"
            ) from None
    if not total:
        raise ModelError(f"{weights[0].parent} has weight files without any weights")
    return total


def training_record(folder: Path) -> dict[str, Any] | None:
    """The content of `genbench_training.json`, None where there is none."""
    path = folder / TRAINING_RECORD
    return read_json(path) if path.is_file() else None
