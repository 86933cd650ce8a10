"""The checkpoint that a training goes on from: what it is, and its model in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.errors import UsageError
from genbench.models import files, find_backend, identify
from genbench.models.interface import LoadOptions

if TYPE_CHECKING:
    from genbench.training.recipe import TuningRecipe


_TEXT = "causal-lm"


@dataclass(frozen=True)
class Parent:
    """A checkpoint in a folder. `record` is its `genbench_training.json`, where that is of these
    very weights; without it nothing is known of what the checkpoint was trained on."""

    name: str
    folder: Path
    weights_fingerprint: str
    record: Mapping[str, Any] | None

    @property
    def flops(self) -> int | None:
        """What it took to make the parent, its own parents included; None where unknown."""
        record = self.record
        if record is None or not isinstance(record.get("flops"), int):
            return None
        if record.get("parent") is None:  # trained from scratch
            return int(record["flops"])
        before = record.get("parent_flops")
        return None if before is None else int(record["flops"]) + int(before)

    def ancestors(self) -> list[dict[str, Any]]:
        """The parent and what came before it: names, fingerprints, training problems."""
        mine = {
            "name": self.name,
            "weights_fingerprint": self.weights_fingerprint,
            "recipe": None if self.record is None else self.record.get("recipe"),
            "step": None if self.record is None else self.record.get("step"),
            "problems": None if self.record is None else self.record.get("problems"),
        }
        before = [] if self.record is None else list(self.record.get("ancestors") or [])
        return [mine, *before]


def find_parent(recipe: TuningRecipe) -> Parent:
    """The recipe's base, before anything is loaded. Raises UsageError or ModelError."""
    name = recipe.model.base
    if not name:
        raise UsageError(f"the recipe {recipe.name} starts from a checkpoint: give it by --model")
    backend = find_backend(name)
    if backend.name != "hf":
        raise UsageError(f"--model {name}: weights can be trained, '{backend.name}' has none")
    arguments = {"trust_remote_code": "true"} if recipe.model.trust_remote_code else {}
    known = identify(name, backend, LoadOptions(arguments=arguments))
    folder, weights = Path(str(known.location)), str(known.weights_fingerprint)
    kind = "image-text" if files.reads_images(files.read_json(folder / "config.json")) else _TEXT
    if kind != recipe.model.kind:
        raise UsageError(f"--model {name} is of the kind {kind}: set model.kind={kind}")
    return Parent(name, folder, weights, bound(known.training, weights))


def bound(record: Mapping[str, Any] | None, weights_fingerprint: str) -> Mapping[str, Any] | None:
    """The training record, unless it is of other weights than lie beside it."""
    if record is None or record.get("weights_fingerprint") != weights_fingerprint:
        return None
    return record


def model_class(recipe: TuningRecipe) -> Any:
    """The class of transformers that loads the recipe's kind of model."""
    import transformers

    if recipe.model.kind == "image-text":
        return transformers.AutoModelForImageTextToText
    return transformers.AutoModelForCausalLM


def load_tokenizer(recipe: TuningRecipe, folder: Path) -> Any:
    """The parent's tokenizer, with a padding token. Raises ModelError."""
    from transformers import AutoTokenizer

    from genbench.errors import ModelError
    from genbench.models.rendering import takes_texts
    from genbench.models.transformer import loading

    with loading(f"the tokenizer of {folder}"):
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=recipe.model.trust_remote_code, padding_side="left"
        )
    if tokenizer.eos_token is None:
        raise ModelError(f"the tokenizer of {folder} has no end token, so no response can end")
    if not tokenizer.chat_template:
        tokenizer.chat_template = _template(recipe, folder, tokenizer)
    elif recipe.model.chat_template:
        raise UsageError(
            f"model.chat_template: the tokenizer of {folder} has a chat template of its own"
        )
    if recipe.model.kind == "image-text" and not takes_texts(tokenizer):
        raise ModelError(
            f"the chat template of {folder} takes messages as lists of parts alone, and training "
            "writes them as texts: give the checkpoint one that takes both"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


# As `models.rendering` writes prompts without a template; a response ends with the end token.
_PLAIN = (
    "{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n\\n' }}{% endfor %}"
)


def _template(recipe: TuningRecipe, folder: Path, tokenizer: Any) -> str:
    """The template that the recipe gives a parent without one. Raises UsageError."""
    name = recipe.model.chat_template
    if name is None:
        raise UsageError(
            f"the tokenizer of {folder} has no chat template, which the prompts are written with; "
            "give it one: --set model.chat_template=plain, or a file with the template"
        )
    if name == "plain":
        # A template's text is read without the special tokens that the tokenizer adds itself.
        first = tokenizer("x")["input_ids"][:1]
        starts = tokenizer.bos_token_id is not None and first == [tokenizer.bos_token_id]
        return ("{{ bos_token }}" if starts else "") + _PLAIN
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"model.chat_template: {name} cannot be read: {error}") from None


def count_parameters(recipe: TuningRecipe, folder: Path) -> int:
    """N: the model's parameters, shared ones once, whatever their storage. Allocates nothing."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=recipe.model.trust_remote_code)
    with torch.device("meta"):
        model = model_class(recipe).from_config(
            config, trust_remote_code=recipe.model.trust_remote_code
        )
        model.tie_weights()
    return sum(parameter.numel() for parameter in model.parameters())


def load_model(recipe: TuningRecipe, folder: Path, device: str) -> Any:
    """The parent's model, ready to be trained. Raises ModelError."""
    import torch

    from genbench.models.transformer import check_complete, loading

    quantisation = None
    dtype = recipe.model.dtype
    if dtype == "auto":
        dtype = "bfloat16" if recipe.lora and device != "cpu" else "float32"
    if recipe.lora and recipe.lora.quantise == "4bit":
        from transformers import BitsAndBytesConfig

        quantisation = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16,
            bnb_4bit_use_double_quant=True,
        )
    with loading(str(folder)):
        model, found = model_class(recipe).from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            trust_remote_code=recipe.model.trust_remote_code,
            use_safetensors=True,
            attn_implementation=recipe.model.attn_implementation,
            quantization_config=quantisation,
            output_loading_info=True,
        )
        check_complete(folder, found)
    return model
