"""One checkpoint in memory, for as many tasks as are played with it."""

from __future__ import annotations

from genbench.models.interface import Backend, Identity, LoadOptions, Model


class Loader:
    """Loads the model once, when the first unfinished run needs it; the process is ours alone."""

    def __init__(self, backend: Backend, identity: Identity) -> None:
        self._backend, self._identity = backend, identity
        self._loaded: dict[int | None, Model] = {}

    def load(self, options: LoadOptions) -> Model:
        """The model in memory; another batch size (of a resumed run) loads it anew."""
        if options.batch_size not in self._loaded:
            from genbench.process import keep_large_blocks

            keep_large_blocks()
            self.close()
            self._loaded[options.batch_size] = self._backend.load(self._identity, options)
        return self._loaded[options.batch_size]

    def close(self) -> None:
        """Give the memory back."""
        for model in self._loaded.values():
            model.close()
        self._loaded.clear()
