"""The next batch's inputs, made while the last one is generated."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """One thing at a time that is made in a thread of its own, and asked for by its key."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._begun: tuple[Hashable, Future[Made]] | None = None

    def begin(self, key: Hashable, make: Callable[[], Made]) -> None:
        """Start on what will be asked for by `key`; what was begun before is forgotten."""
        self.settle()
        self._thread = self._thread or ThreadPoolExecutor(1, "genbench-ahead")
        self._begun = key, self._thread.submit(make)

    def take(self, key: Hashable) -> Made | None:
        """What was begun for that key; None where it was not, or failed: the caller makes it, and
        meets the fault itself."""
        begun, self._begun = self._begun, None
        if begun is None or begun[0] != key or begun[1].exception() is not None:
            return None
        return begun[1].result()

    def settle(self) -> None:
        """Wait until the thread rests: nobody else may touch meanwhile what `make` uses."""
        if self._begun is not None:
            wait([self._begun[1]])
