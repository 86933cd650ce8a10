"""genbench: did post-training teach the rule, or did it memorise the training distribution?

What this module offers is the public API; everything is imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from genbench.api import StoredRun, load_run, run
    from genbench.registry import load_task
    from genbench.task import Instance, Task, Verdict

_PUBLIC = {
    "StoredRun": "genbench.api",
    "load_run": "genbench.api",
    "run": "genbench.api",
    "load_task": "genbench.registry",
    "Instance": "genbench.task",
    "Task": "genbench.task",
    "Verdict": "genbench.task",
}

__all__ = [
    "Instance",
    "StoredRun",
    "Task",
    "Verdict",
    "__version__",
    "load_run",
    "load_task",
    "run",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'genbench' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
