"""The independent reference: models through lm-eval's registry (`lm-eval:hf`, ...)."""

from __future__ import annotations

from pathlib import Path

from genbench.errors import ModelError, UsageError, closest
from genbench.models import files
from genbench.models.hub import local_folder
from genbench.models.interface import Backend, Identity, LoadOptions, Model
from genbench.models.options import flag, resolve_device, resolve_dtype
from genbench.task import fingerprint

_OWN = ("device", "batch_size", "max_batch_size")
# The names of lm-eval's own transformers model, of text and of images.
TRANSFORMERS = ("hf", "hf-auto", "huggingface")
OF_IMAGES = ("hf-multimodal",)
OF_VLLM = ("vllm", "vllm-vlm")
# The models of lm-eval that take a `dtype`.
WITH_DTYPE = (
    *(*TRANSFORMERS, *OF_IMAGES, "steered"),
    *(*OF_VLLM, "sglang", "mamba_ssm"),
)
# Model arguments that name more files which decide an answer.
_MORE_FILES = ("tokenizer", "peft", "delta")
_TEXT_ALONE = "this backend sends text alone; use lm-eval:hf-multimodal, or --backend hf"


class LMEvalBackend(Backend):
    """A model class of lm-eval's registry: `--backend lm-eval:hf`, or `--model lm-eval:hf` with
    `--model-args pretrained=...`; model arguments go to lm-eval as they are."""

    arguments = None
    seeds_requests = False

    def __init__(self, kind: str) -> None:
        self.name = f"lm-eval:{kind}"
        self._kind = kind

    def identify(self, name: str, options: LoadOptions) -> Identity:
        self._check(options)
        pretrained = options.arguments.get("pretrained", "")
        if name == self.name and not pretrained:
            pretrained = options.arguments.get("model", "")
            if not pretrained:
                raise UsageError(
                    f"--model {self.name} needs --model-args pretrained=<directory or hub id>"
                )
        target = pretrained or name
        shown = target if name == self.name else name
        if "base_url" in options.arguments:  # a server's weights cannot be seen
            of_server = fingerprint(dict(options.arguments))
            return Identity(shown, self.name, None, of_server, cannot_see=_TEXT_ALONE)
        folder, commit = local_folder(target, options.arguments.get("revision"))
        cannot_see = self._cannot_see(folder, options)
        weights = files.weight_files(folder, allow_pickle=flag(options.arguments, "allow_pickle"))
        of_weights, of_files = files.fingerprints(folder, weights)
        more = {
            key: files.fingerprints(Path(path), sorted(Path(path).glob("*.safetensors")))
            for key in _MORE_FILES
            if Path(path := options.arguments.get(key, "")).is_dir() and path
        }
        if more:
            of_files = fingerprint([of_files, more])
        return Identity(
            name=shown,
            backend=self.name,
            weights_fingerprint=of_weights,
            files_fingerprint=of_files,
            revision=commit,
            parameters=files.parameter_count(weights),
            training=files.training_record(folder),
            location=str(folder),
            cannot_see=cannot_see,
        )

    def _cannot_see(self, folder: Path, options: LoadOptions) -> str | None:
        """`Identity.cannot_see`. Raises ModelError for a checkpoint of another kind."""
        config = files.check_model(
            folder, trust_remote_code=flag(options.arguments, "trust_remote_code")
        )
        reads_images = files.reads_images(config)
        found = files.cannot_see(folder, config, template_needed=options.chat_template != "off")
        if self._kind in OF_IMAGES:
            if not reads_images or files.image_processor(folder) is None:
                raise ModelError(f"{self.name} cannot load this checkpoint: {found}")
            return found
        if reads_images and self._kind in TRANSFORMERS:
            raise ModelError(
                f"{folder} is an image-text-to-text model, which {self.name} cannot load; use "
                "lm-eval:hf-multimodal, or --backend hf"
            )
        return (None if reads_images else found) or _TEXT_ALONE

    def _check(self, options: LoadOptions) -> None:
        if options.thinking_budget is not None:
            raise UsageError(f"--thinking-budget is not available with the backend {self.name}")
        for key in _OWN:
            if key in options.arguments:
                option = "--batch-size" if "batch" in key else "--device"
                raise UsageError(f"--model-args {key}: use {option}")
        if "dtype" in options.arguments:
            raise UsageError("--model-args dtype: use --dtype")
        # lm-eval fills its registry only while it is empty: its own models come first.
        import lm_eval.models  # noqa: F401
        from lm_eval.api.registry import model_registry

        known = list(model_registry.keys())
        if self._kind not in known:
            raise UsageError(f"lm-eval has no model '{self._kind}'; {closest(self._kind, known)}")
        if options.dtype != "auto" and self._kind not in WITH_DTYPE:
            raise UsageError(f"--dtype is not available with the backend {self.name}")

    def precision(self, options: LoadOptions) -> str | None:
        if self._kind not in WITH_DTYPE:
            return None
        return resolve_dtype(options.dtype, resolve_device(options.device))

    def check_workers(self, options: LoadOptions) -> None:
        if self._kind not in (*TRANSFORMERS, *OF_IMAGES):
            raise UsageError(
                f"--workers is for lm-eval's transformers models, not for {self.name}, which has "
                "means of its own to answer several things at once"
            )
        super().check_workers(options)

    def load(self, identity: Identity, options: LoadOptions) -> Model:
        if self._kind in OF_IMAGES:
            from genbench.models.lmeval_images import LMEvalImageModel

            return LMEvalImageModel(self._kind, identity, options)
        from genbench.models.lmeval_model import LMEvalModel

        return LMEvalModel(self._kind, identity, options)
