"""Responses kept across runs, on request: the same weights, asked the same in the same way, are not
asked again.

One SQLite file, which several processes may use at once. Its key covers all that decides an
answer: weights, prompt, images, sampling, seed, backend, versions, batch plan. A hit takes its
place in the model's plan as a journalled response does, so a run has the same bytes with a cache
and without.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from genbench.errors import UsageError
from genbench.models.interface import Backend, Identity, Model, Request, Response
from genbench.task import Message, Task, fingerprint

FILE = "responses.sqlite3"
FORMAT = 1
_PATIENCE = 30.0  # seconds that a process waits for another one's write
#: the mark on a response that was not generated for its run
HIT = {"cache": "hit"}

_log = logging.getLogger("genbench.cache")


def check_cache(folder: Path, backend: Backend, identity: Identity) -> None:
    """Raise UsageError where a cache would be of no use, could be wrong, or cannot be opened."""
    if not backend.caches:
        raise UsageError(
            f"--cache: the backend {backend.name} does not answer by the prompt alone, so nothing "
            "can be kept of it"
        )
    if identity.weights_fingerprint is None and identity.revision is None:
        raise UsageError(
            f"--cache: the weights behind {identity.name} cannot be seen, and a cache could serve "
            "the answers of others; if you know that they stay the same, name their state with "
            "--model-args revision=<a name of yours>, or leave --cache out"
        )
    ResponseCache(folder).close()


class ResponseCache:
    """Responses by key, on disk.

    A damaged response counts as none. Where the file as a whole fails in the middle of a run, the
    run goes on without it, and says so. Of one thread.
    """

    def __init__(self, folder: Path) -> None:
        """Raises UsageError where the cache cannot be made, or is damaged."""
        self.path = folder / FILE
        self.fault: str | None = None
        self.damaged = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"--cache: {self.path} cannot be opened: {error}") from None
        try:
            self._open()
        except sqlite3.Error as error:
            self._database.close()
            raise UsageError(
                f"--cache: {self.path} is damaged or no response cache ({error}); delete it, or "
                "give another folder"
            ) from None

    def _open(self) -> None:
        database = self._database
        (version,) = database.execute("PRAGMA user_version").fetchone()
        # Readers and a writer at once; where the file system cannot, SQLite keeps to its default.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if version not in (0, FORMAT):
            database.close()
            raise UsageError(
                f"--cache: {self.path} has the format {version}; this genbench reads {FORMAT}: "
                "give another folder"
            )
        database.execute(
            "CREATE TABLE IF NOT EXISTS responses "
            "(key TEXT PRIMARY KEY, content TEXT NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID"
        )
        database.execute(f"PRAGMA user_version = {FORMAT}")
        database.execute("SELECT key, content, sha256 FROM responses LIMIT 1").fetchone()

    def get(self, key: str) -> Response | None:
        """The response of a key, None where there is none that can be trusted."""
        row = self._tried(
            lambda database: database.execute(
                "SELECT content, sha256 FROM responses WHERE key = ?", (key,)
            ).fetchone()
        )
        if row is None:
            return None
        content, digest = row
        try:
            if _digest(key, content) == digest:
                return Response(**json.loads(content))
        except (ValueError, TypeError, AttributeError):
            pass
        if not self.damaged:
            _log.warning(
                "genbench: a response in %s is damaged; it is not used, and asked for again",
                self.path,
            )
        self.damaged += 1
        self._tried(
            lambda database: database.execute("DELETE FROM responses WHERE key = ?", (key,))
        )
        return None

    def put(self, found: Mapping[str, Response]) -> None:
        """Keep responses; of two answers to one key the first stays."""
        rows = []
        for key, response in found.items():
            content = json.dumps(asdict(response), ensure_ascii=True)
            rows.append((key, content, _digest(key, content)))

        def write(database: sqlite3.Connection) -> None:
            database.execute("BEGIN IMMEDIATE")
            try:
                database.executemany("INSERT OR IGNORE INTO responses VALUES (?, ?, ?)", rows)
                database.execute("COMMIT")
            except sqlite3.Error:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

        if rows:
            self._tried(write)

    def _tried(self, action: Callable[[sqlite3.Connection], Any]) -> Any:
        """What the action returns; None where it, or one before it, fails."""
        if self.fault is not None:
            return None
        try:
            return action(self._database)
        except sqlite3.Error as error:
            self.fault = str(error)
            _log.warning(
                "genbench: the response cache %s fails (%s); the run goes on without it",
                self.path,
                error,
            )
            return None

    def close(self) -> None:
        self._database.close()


def _digest(key: str, content: str) -> str:
    return hashlib.sha256(f"{key}\x1f{content}".encode()).hexdigest()


class CachedModel(Model):
    """A model whose responses are looked up first, and kept.

    `context` is what decides an answer beside the request: weights, backend, settings, plan.
    """

    def __init__(self, inner: Model, cache: ResponseCache, context: Mapping[str, Any]) -> None:
        self._inner, self._cache = inner, cache
        self._context = fingerprint({"format": FORMAT, **context})
        self._waiting: dict[tuple[str, int], tuple[Request, str]] = {}
        self._asked = self._hits = 0

    def start(self, task: Task) -> None:
        self._inner.start(task)

    def submit(self, requests: Sequence[Request]) -> None:
        self._inner.submit([self._looked_up(request) for request in requests])

    def _looked_up(self, request: Request) -> Request:
        if request.known is not None:
            self._hits += (request.known.origin or {}).get("cache") == "hit"
            return request
        key = self._key(request)
        found = self._cache.get(key)
        self._asked += found is None
        self._hits += found is not None
        self._waiting[request.episode, request.turn] = request, "" if found else key
        if found is None:
            return request
        return replace(request, known=replace(found, origin={**(found.origin or {}), **HIT}))

    def receive(self) -> Sequence[tuple[Request, Response]]:
        answers, new = [], {}
        for request, response in self._inner.receive():
            # The runner journals what was not known to it.
            given, key = self._waiting.pop((request.episode, request.turn), (request, ""))
            if key and response.finish_reason != "error":
                new[key] = response
            answers.append((given, response))
        self._cache.put(new)
        return answers

    def _key(self, request: Request) -> str:
        sampled = request.temperature > 0
        return fingerprint(
            {
                "context": self._context,
                "prompt": self._inner.prompt_key(request),
                "messages": [_hashed(message) for message in request.messages],
                "max_new_tokens": request.max_new_tokens,
                "stop": list(request.stop),
                "temperature": request.temperature,
                "top_p": request.top_p,
                "seed": request.seed if sampled else None,
            }
        )

    def rendered(self, request: Request) -> Mapping[str, Any] | None:
        return self._inner.rendered(request)

    def execution(self) -> Mapping[str, Any]:
        return self._inner.execution()

    def sampling(self) -> Mapping[str, Any]:
        return self._inner.sampling()

    def events(self) -> Mapping[str, Any]:
        """Those of the model; hits are of all sessions, the rest of the last one."""
        counts = {
            "hits": self._hits,
            "misses": self._asked,
            "damaged": self._cache.damaged,
            "fault": self._cache.fault,
        }
        return {**getattr(self._inner, "events", dict)(), "cache": counts}


def _hashed(message: Message) -> list[Any]:
    """A message as JSON, its images by their SHA-256."""
    return [
        message.role,
        *(
            ["text", part]
            if isinstance(part, str)
            else [part.media_type, hashlib.sha256(part.data).hexdigest()]
            for part in (
                (message.content,) if isinstance(message.content, str) else message.content
            )
        ),
    ]
