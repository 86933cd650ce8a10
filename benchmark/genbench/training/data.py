"""Training problems as SFT and RL read them, and what a factory of a task pack offers."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from genbench.errors import UsageError, closest
from genbench.task import Environment, Instance, Message


class TrainingData(Protocol):
    """An endless list of training problems: item `index` depends on the seed and the index alone.

    So a training that resumes reads no item twice, devices can share the list, and what was
    trained on by step n is known exactly. A factory never yields a test or development problem,
    and raises TaskError where its settings ask for one.
    """

    environment: Environment

    def example(self, index: int) -> tuple[Sequence[Message], str]:
        """A conversation, and the right response to it."""
        ...

    def problem(self, index: int) -> tuple[Sequence[Message], Instance]:
        """The conversation that asks for a first attempt, and the instance it is about."""
        ...

    def record(self, count: int) -> dict[str, Any]:
        """The problems of the first `count` items, as `Environment.training_overlap` reads them."""
        ...


def resolve(reference: str) -> Any:
    """The object that `module:attribute` names. Raises UsageError."""
    module, _, attribute = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"the recipe names {reference}, which cannot be found: {error}") from None


def make_data(factory: str, settings: Mapping[str, Any], seed: int) -> Any:
    """The factory's data. Raises UsageError for a setting that it does not take."""
    found = resolve(factory)
    known = [name for name in inspect.signature(found).parameters if name != "seed"]
    for key in settings:
        if key not in known:
            raise UsageError(f"data.settings: {factory} takes no '{key}'; {closest(key, known)}")
    try:
        return found(seed=seed, **settings)
    except TypeError as error:
        raise UsageError(f"data.settings of {factory}: {error}") from None
