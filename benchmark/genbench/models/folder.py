"""What backends have in common that load a checkpoint's folder: finding and checking it, and making
its prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genbench.errors import ModelError
from genbench.models import files
from genbench.models import processor as processors
from genbench.models.hub import local_folder
from genbench.models.images import Images
from genbench.models.interface import Backend, Identity, LoadOptions
from genbench.models.options import flag, resolve_device, resolve_dtype
from genbench.models.prompts import ImagePrompts, TextPrompts
from genbench.models.rendering import ImageRenderer, Renderer
from genbench.models.transformer import loading


class FolderBackend(Backend):
    """Checkpoints in the Hugging Face format: a directory or a hub id."""

    arguments: tuple[str, ...] = (
        *("revision", "trust_remote_code", "allow_pickle"),
        *processors.ARGUMENTS,
    )

    def identify(self, name: str, options: LoadOptions) -> Identity:
        self.check_arguments(options)
        trust = flag(options.arguments, "trust_remote_code")
        allow_pickle = flag(options.arguments, "allow_pickle")
        folder, commit = local_folder(
            name, options.arguments.get("revision"), allow_pickle=allow_pickle
        )
        config = files.check_model(folder, trust_remote_code=trust)
        cannot_see = files.cannot_see(
            folder, config, template_needed=options.chat_template != "off"
        )
        processors.check_arguments(options.arguments, cannot_see)
        weights = files.weight_files(folder, allow_pickle=allow_pickle)
        parameters = files.parameter_count(weights)
        of_weights, of_files = files.fingerprints(folder, weights)
        return Identity(
            name=name,
            backend=self.name,
            weights_fingerprint=of_weights,
            files_fingerprint=of_files,
            revision=commit,
            parameters=parameters,
            training=files.training_record(folder),
            location=str(folder),
            cannot_see=cannot_see,
        )

    def precision(self, options: LoadOptions) -> str:
        return resolve_dtype(options.dtype, resolve_device(options.device))


def load_prompts(folder: Path, options: LoadOptions) -> tuple[Any, TextPrompts]:
    """The tokenizer of a checkpoint, and what makes its prompts: by its processor, where it reads
    images and has one. Raises ModelError."""
    if not files.reads_images(files.read_json(folder / "config.json")):
        tokenizer = _tokenizer(folder, options)
        return tokenizer, TextPrompts(Renderer(tokenizer, options.chat_template))
    if files.image_processor(folder) is None:
        tokenizer = _tokenizer(folder, options)
        return tokenizer, TextPrompts(ImageRenderer(tokenizer, options.chat_template))
    config = load_config(folder, options)
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{folder} is an encoder-decoder model, which answers no chat")
    processor = processors.load_processor(folder, config, options.arguments)
    renderer = ImageRenderer(processor, options.chat_template)
    return processor.tokenizer, ImagePrompts(processor, renderer, folder, Images())


def load_config(folder: Path, options: LoadOptions) -> Any:
    """The configuration as transformers has it. Raises ModelError."""
    from transformers import AutoConfig

    with loading(f"the configuration of {folder}"):
        return AutoConfig.from_pretrained(
            folder, trust_remote_code=flag(options.arguments, "trust_remote_code")
        )


def _tokenizer(folder: Path, options: LoadOptions) -> Any:
    from transformers import AutoTokenizer

    with loading(f"the tokenizer of {folder}"):
        return AutoTokenizer.from_pretrained(
            folder,
            trust_remote_code=flag(options.arguments, "trust_remote_code"),
            padding_side="left",
        )
