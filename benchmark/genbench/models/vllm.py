"""The `vllm` backend: checkpoints through vLLM's own engine, in this process.

Prompts, end tokens and what an answer is are those of `hf`, so the two give the same answers where
the floats allow: greedily in float32.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from genbench.errors import ModelError, UsageError
from genbench.models.folder import FolderBackend
from genbench.models.interface import Identity, LoadOptions, Model
from genbench.models.options import flag, resolve_device

INSTALL = (
    "pip install -e '.[vllm]' in genbench's clone on a machine with a GPU; without one, "
    "tools/vllm-cpu-env.sh prepares an environment (docs/backends.md)"
)
#: vLLM's bounds of a temperature; it raises a lower one than the first silently
_TEMPERATURES = (0.01, 2.0)
_NUMBERS = (
    *("tensor_parallel_size", "data_parallel_size", "pipeline_parallel_size"),
    *("max_model_len", "max_num_batched_tokens", "kv_cache_memory_bytes"),
    "block_size",
)
_SHARES = ("gpu_memory_utilization",)
_FLAGS = ("enforce_eager", "enable_prefix_caching")
_TEXTS = ("quantization",)
#: what says how fast it answers, and in how much memory
_OF_SPEED = frozenset({*_NUMBERS, *_SHARES, *_FLAGS} - {"max_model_len"})


class VLLMBackend(FolderBackend):
    """As `hf`, by vLLM. Model arguments have the names of vLLM's own engine arguments."""

    name = "vllm"
    # vLLM chooses the library that images are processed by itself.
    arguments = (
        *(name for name in FolderBackend.arguments if name != "image_backend"),
        *(*_NUMBERS, *_SHARES, *_FLAGS, *_TEXTS),
    )

    def identify(self, name: str, options: LoadOptions) -> Identity:
        _check_installed()
        if options.device != "auto" and options.device != (found := resolve_device("auto")):
            raise UsageError(
                f"--device {options.device}: vLLM takes the device that it was built for, which "
                f"is '{found}' here; CUDA_VISIBLE_DEVICES says which ones it sees"
            )
        engine_arguments(options)
        return super().identify(name, options)

    def check_sampling(self, temperature: float) -> None:
        low, high = _TEMPERATURES
        if temperature and not low <= temperature <= high:
            raise UsageError(
                f"--temperature {temperature:g}: vLLM samples at {low:g} to {high:g}; use "
                "--backend hf"
            )

    def check_workers(self, options: LoadOptions) -> None:
        raise UsageError(
            "--workers: vLLM uses the whole machine by itself; --model-args data_parallel_size=N "
            "makes several copies of the model"
        )

    def deciding(self, options: LoadOptions) -> dict[str, str]:
        return {name: value for name, value in options.arguments.items() if name not in _OF_SPEED}

    def load(self, identity: Identity, options: LoadOptions) -> Model:
        from genbench.models.vllm_model import VLLMModel

        return VLLMModel(identity, options)


def engine_arguments(options: LoadOptions) -> dict[str, object]:
    """vLLM's engine arguments among the model arguments, as values. Raises UsageError."""
    found: dict[str, object] = {}
    for name, value in options.arguments.items():
        if name in _NUMBERS:
            if not (value.isascii() and value.isdigit() and int(value) > 0):
                raise UsageError(f"--model-args {name}: a whole number from 1, not '{value}'")
            found[name] = int(value)
        elif name in _SHARES:
            try:
                share = float(value)
            except ValueError:
                share = 0.0
            if not 0 < share <= 1:
                raise UsageError(f"--model-args {name}: a share above 0, at most 1, not '{value}'")
            found[name] = share
        elif name in _FLAGS:
            found[name] = flag(options.arguments, name)
        elif name in _TEXTS:
            found[name] = value
    return found


def _check_installed() -> None:
    """Raise ModelError where vLLM is missing, or only its name is there."""
    if find_spec("vllm") is None:
        raise ModelError(f"the backend vllm needs vLLM, which is not installed: {INSTALL}")
    try:
        version("vllm")
    except PackageNotFoundError:
        raise ModelError(
            "vLLM is installed under another name than 'vllm', which transformers looks for: "
            f"{INSTALL}"
        ) from None
