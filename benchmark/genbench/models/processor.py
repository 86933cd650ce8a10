"""The processor of an image-text-to-text checkpoint: loaded, its resolution set, its settings.

Images are processed by Pillow wherever transformers has such an image processor, so that the
pixels do not depend on whether torchvision is installed. Videos are never shown: a stand-in takes
the place of the video processor, which cannot be had without torchvision.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genbench.errors import ModelError, UsageError
from genbench.models import files
from genbench.models.options import flag
from genbench.models.transformer import loading

#: the model arguments that decide what becomes of an image
ARGUMENTS = ("min_pixels", "max_pixels", "image_size", "image_backend")
_BACKENDS = ("pil", "torchvision")
# The parts of a processor that are put together here; one with others (sound) is left whole.
_PARTS = {"tokenizer", "image_processor", "video_processor"}
_OPTIONAL = ("torchvision", "num2words")  # packages that some processors need
_LARGEST = 2**26


def check_arguments(arguments: Mapping[str, str], cannot_see: str | None) -> None:
    """Refuse values that no processor takes, and any for a checkpoint that reads text alone.

    Raises UsageError; imports nothing.
    """
    for name in ARGUMENTS:
        if name not in arguments:
            continue
        value = arguments[name]
        if cannot_see is not None:
            raise UsageError(f"--model-args {name}: no image can be shown: {cannot_see}")
        if name == "image_backend":
            if value not in _BACKENDS:
                raise UsageError(f"--model-args {name}: {' or '.join(_BACKENDS)}, not '{value}'")
            if value == "torchvision" and find_spec("torchvision") is None:
                raise UsageError(f"--model-args {name}={value}: pip install torchvision first")
        elif not (value.isascii() and value.isdigit() and 0 < int(value) <= _LARGEST):
            raise UsageError(
                f"--model-args {name}: a whole number of pixels from 1 to {_LARGEST}, not '{value}'"
            )


def load_processor(folder: Path, config: Any, arguments: Mapping[str, str]) -> Any:
    """A processor whose tokenizer pads on the left. `config` is that of transformers.

    Raises ModelError, and UsageError for a resolution that its image processor cannot have.
    """
    trust = flag(arguments, "trust_remote_code")
    with missing_packages(str(folder)), loading(f"the processor of {folder}"):
        images = _image_processor(folder, trust, arguments)
        kind = None if trust and _own_code(folder) else _class(folder, config)
        if kind is None or set(kind.get_attributes()) - _PARTS:
            from transformers import AutoProcessor

            processor = AutoProcessor.from_pretrained(folder, trust_remote_code=trust)
            processor.image_processor = images
        else:
            processor = _assembled(kind, folder, images, trust)
    if getattr(processor, "image_token", None) is None:
        raise ModelError(
            f"{folder}: its {type(processor).__name__} does not say which token stands for an "
            "image (image_token), so a prompt with images cannot be checked"
        )
    processor.tokenizer.padding_side = "left"
    if processor.tokenizer.pad_token is None:  # padding is masked: any token serves
        processor.tokenizer.pad_token = processor.tokenizer.convert_ids_to_tokens(0)
    return processor


@contextmanager
def missing_packages(checkpoint: str) -> Iterator[None]:
    """A package that is missing is named, with what installs it. Raises ModelError."""
    try:
        yield
    except ModelError as error:
        if not isinstance(error.__cause__, ImportError):
            raise
        named = [name for name in _OPTIONAL if name in str(error.__cause__).lower()]
        install = f"pip install {named[0]}" if named else files.brief(error.__cause__)
        raise ModelError(
            f"the processor of {checkpoint} needs a package that is not installed: {install}"
        ) from error


def _own_code(folder: Path) -> bool:
    """Whether a processor class comes with the checkpoint."""
    return any(
        "AutoProcessor" in (files.read_json(folder / name).get("auto_map") or {})
        for name in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
        if (folder / name).is_file()
    )


def _class(folder: Path, config: Any) -> Any:
    """The class of transformers that the checkpoint names, else that of its architecture."""
    from transformers.models.auto.processing_auto import (
        PROCESSOR_MAPPING,
        processor_class_from_name,
    )

    for name in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            named = files.read_json(folder / name).get("processor_class")
            if named:
                found = processor_class_from_name(named)
                if found is None:
                    raise ModelError(
                        f"{folder / name} names the processor class {named}, which this "
                        "transformers does not have"
                    )
                return found
    if type(config) not in PROCESSOR_MAPPING:
        raise ModelError(f"{folder} names no processor class (processor_class)")
    return PROCESSOR_MAPPING[type(config)]


class _NoVideos(dict[str, Any]):
    """Stands where a processor wants a video processor; whatever it is asked for is None. A
    mapping, since a processor shows its parts as JSON."""

    model_input_names = ()

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


def _assembled(kind: Any, folder: Path, images: Any, trust: bool) -> Any:
    """A processor of one of transformers' classes, from its parts."""
    from transformers import AutoTokenizer

    class ImagesAlone(kind):  # type: ignore[misc]
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument_name == "video_processor":
                return type(argument)
            return super().check_argument_for_proper_class(argument_name, argument)

    ImagesAlone.__name__ = kind.__name__
    parts: dict[str, Any] = {
        "tokenizer": lambda: AutoTokenizer.from_pretrained(folder, trust_remote_code=trust),
        "image_processor": lambda: images,
        "video_processor": _NoVideos,
    }
    stored, unused = ImagesAlone.get_processor_dict(folder)
    return ImagesAlone.from_args_and_dict(
        [parts[name]() for name in ImagesAlone.get_attributes()], stored, **unused
    )


def _image_processor(folder: Path, trust: bool, arguments: Mapping[str, str]) -> Any:
    from transformers import AutoImageProcessor

    def load(**settings: Any) -> Any:
        return AutoImageProcessor.from_pretrained(
            folder,
            trust_remote_code=trust,
            backend=arguments.get("image_backend", _BACKENDS[0]),
            **settings,
        )

    found = load()
    changed = resolution(found, arguments)
    return load(**changed) if changed else found


def resolution(found: Any, arguments: Mapping[str, str]) -> dict[str, Any]:
    """The settings of an image processor that the model arguments ask for. Raises UsageError."""
    asked = {name: int(arguments[name]) for name in ARGUMENTS[:3] if name in arguments}
    if not asked:
        return {}
    size = {key: value for key, value in dict(found.size or {}).items() if value is not None}
    known = getattr(getattr(found, "valid_kwargs", None), "__annotations__", {})
    areas = {name for name in ("min_pixels", "max_pixels") if name in known or name in size}
    one_length = set(size) in ({"height", "width"}, {"shortest_edge"}, {"longest_edge"})
    has = sorted(areas) + ["image_size"] * (one_length and not areas)
    for name in asked:
        if name not in has:
            raise UsageError(
                f"--model-args {name}: {type(found).__name__}, the image processor of this "
                f"checkpoint, has no such setting (its size: {json.dumps(size)}); "
                + (f"it has {' and '.join(has)}" if has else "its resolution cannot be set")
            )
    if areas:
        lowest, highest = (asked.get(name, size.get(name)) for name in ("min_pixels", "max_pixels"))
        lowest = lowest or size.get("shortest_edge")
        highest = highest or size.get("longest_edge")
        if lowest and highest and lowest > highest:
            raise UsageError(
                f"--model-args: min_pixels ({lowest}) is more than max_pixels ({highest})"
            )
        if areas <= set(size):
            return {"size": {**size, **asked}}
        return dict(asked)
    side = asked["image_size"]
    changed: dict[str, Any] = {"size": dict.fromkeys(size, side)}
    if getattr(found, "crop_size", None) and getattr(found, "do_center_crop", False):
        changed["crop_size"] = {"height": side, "width": side}
    return changed


def settings(processor: Any) -> dict[str, Any]:
    """What decides the pixels and the image tokens of a prompt, as JSON values."""
    stored = processor.to_dict()
    for name in ("chat_template", "tokenizer", "video_processor"):
        stored.pop(name, None)
    backend = getattr(processor.image_processor, "backend", None)
    plain: dict[str, Any] = json.loads(json.dumps({**stored, "backend": backend}, default=str))
    return plain
