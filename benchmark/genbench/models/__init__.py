"""Finding the backend of a model name; nothing heavy is imported before one is loaded."""

from __future__ import annotations

import importlib
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

from genbench.errors import ModelError, UsageError, closest
from genbench.models.interface import Backend, Identity, LoadOptions
from genbench.registry import packs

GROUP = "genbench.backends"
_BUILT_IN = {
    "hf": "genbench.models.hf:HFBackend",
    "agent": "genbench.models.scripted:AgentBackend",
    "api": "genbench.models.api:ApiBackend",
    "vllm": "genbench.models.vllm:VLLMBackend",
}
_LM_EVAL = "lm-eval:"
_DEMO = "demo/"
_API = "api:"
_VLLM = "vllm:"


def find_backend(model: str, backend: str | None = None) -> Backend:
    """The backend that answers for a model: by `--backend`, else by the name's prefix.

    A third-party backend is an entry point of the group `genbench.backends` that names a
    `Backend` class. Raises UsageError with the closest name.
    """
    if backend is None:
        if model.startswith("agent:"):
            backend = "agent"
        elif model.startswith(_API):
            backend = "api"
        elif model.startswith(_VLLM):
            backend = "vllm"
        elif model.startswith(_LM_EVAL):
            backend = model
        else:
            backend = "hf"
    if backend.startswith(_LM_EVAL):
        from genbench.models.lmeval import LMEvalBackend

        return LMEvalBackend(backend.removeprefix(_LM_EVAL))
    targets = {entry.name: entry.value for entry in entry_points(group=GROUP)} | _BUILT_IN
    if backend not in targets:
        raise UsageError(
            f"there is no backend '{backend}'; {closest(backend, [*targets, 'lm-eval:hf'])}"
        )
    module, _, attribute = targets[backend].partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)()
    except Exception as error:  # a stranger's module may raise anything
        raise UsageError(
            f"the backend '{backend}' ({targets[backend]}) cannot be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, Backend):
        raise UsageError(f"the backend '{backend}' ({targets[backend]}) is no Backend")
    if getattr(found, "name", None) != backend:  # a run records the name and is verified by it
        raise UsageError(
            f"the backend '{backend}' ({targets[backend]}) calls itself "
            f"'{getattr(found, 'name', None)}'; its name must be that of its entry point"
        )
    return found


def demo_checkpoints() -> dict[str, Path]:
    """`demo/<name>` -> folder, of the installed packs."""
    return {
        _DEMO + path.parent.name: path.parent
        for pack in packs()
        if pack.checkpoints is not None
        for path in sorted(pack.checkpoints.glob("*/config.json"))
    }


def identify(model: str, backend: Backend, options: LoadOptions) -> Identity:
    """What the checkpoint is. Raises ModelError or UsageError before anything is loaded."""
    if not backend.reads_folders:
        return backend.identify(model, options)
    model = model.removeprefix(f"{backend.name}:")
    if f"{_DEMO}{model}" in demo_checkpoints() and not Path(model).is_dir():
        raise ModelError(f"there is no directory {model}; did you mean '{_DEMO}{model}'?")
    if not model.startswith(_DEMO) or Path(model).is_dir():
        return backend.identify(model, options)
    demos = demo_checkpoints()
    if model not in demos:
        raise ModelError(f"there is no demo checkpoint '{model}'; {closest(model, demos)}")
    found = backend.identify(str(demos[model]), options)
    return replace(found, name=model)


__all__ = ["demo_checkpoints", "find_backend", "identify"]
