"""Requests to a server that may be slow, busy or broken: tried again, within bounds.

Waits grow exponentially, with a random part that no result depends on; a server that says when to
come back is taken at its word. Where it is overloaded, fewer requests are in flight.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from genbench.errors import GenbenchError, ModelError, UsageError
from genbench.models.api_options import ApiOptions

if TYPE_CHECKING:
    import httpx2

Read = TypeVar("Read")

_LONGEST_WAIT = 60.0
_LONGEST_ASKED_WAIT = 600.0  # a server that wants more is not waited for
_CONNECT = 10.0
_MOST_BYTES = 64 * 2**20
_SHOWN = 300
_LOOKED_AT = 100_000  # more than is shown: a key that is cut in two could not be found
# A shorter key may well be a word of an answer, and guards nothing.
_SHORTEST_SECRET = 12
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OVERLOADED = (429, 503, 529)
_NOT_NOW = (408, 409, 425, 429)
_FOR_GOOD = (501, 505)
# Codes of 429 that no waiting helps.
_SPENT = ("insufficient_quota", "billing_hard_limit_reached")


class MalformedError(Exception):
    """An answer that is none: worth another try."""


class UnansweredError(GenbenchError):
    """Every try of a request failed in a way that another one might not."""

    exit_code = 3


class RefusedError(ModelError):
    """The server understood and refused; `status` is its code, `detail` what it says."""

    def __init__(self, message: str, status: int, detail: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.detail, self.code = status, detail, code

    @property
    def of_all(self) -> bool:
        """Whether every other request would be refused, too."""
        return self.status in (401, 402, 403, 404, 405, 429) or 300 <= self.status < 400


class StoppedError(Exception):
    """The client was closed while a request waited."""


class _AgainError(Exception):
    """One try failed; `wait` is what the server asked for (seconds)."""

    def __init__(self, kind: str, reason: str, wait: float | None = None, busy: bool = False):
        super().__init__(reason)
        self.kind, self.wait, self.busy = kind, wait, busy


class Gate:
    """How many requests may be in flight: one until the first answer, then up to `most`.

    Halved where the server is overloaded, and raised by one for each round of answers. Shared by
    threads.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = 1.0
        self._lowest = float(most)
        self._active = 0
        self._opened = False
        self._not_before = 0.0
        self._closed = False
        self._change = threading.Condition()

    def enter(self) -> None:
        """Wait for a place. Raises StoppedError."""
        with self._change:
            while True:
                if self._closed:
                    raise StoppedError
                pause = self._not_before - time.monotonic()
                if pause <= 0 and self._active < int(self._limit):
                    self._active += 1
                    return
                self._change.wait(pause if pause > 0 else None)

    def leave(self) -> None:
        with self._change:
            self._active -= 1
            self._change.notify_all()

    def answered(self) -> None:
        """Make room after an answer."""
        with self._change:
            room = self._limit + 1 / self._limit if self._opened else float(self._most)
            self._limit = min(float(self._most), room)
            self._opened = True
            self._change.notify_all()

    def overloaded(self, wait: float) -> None:
        """Send nothing for `wait` seconds, and then less at once."""
        with self._change:
            now = time.monotonic()
            if now >= self._not_before and self._opened:  # once for all that were refused together
                self._limit = max(1.0, self._limit / 2)
                self._lowest = min(self._lowest, self._limit)
            self._not_before = max(self._not_before, now + wait)
            self._change.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait outside. Raises StoppedError."""
        end = time.monotonic() + seconds
        with self._change:
            while (left := end - time.monotonic()) > 0:
                if self._closed:
                    raise StoppedError
                self._change.wait(left)

    def close(self) -> None:
        with self._change:
            self._closed = True
            self._change.notify_all()

    @property
    def lowest(self) -> int:
        """The fewest that were let in at once because the server was overloaded."""
        return int(self._lowest)


class ApiClient:
    """Asks one server; shared by threads."""

    def __init__(self, options: ApiOptions) -> None:
        httpx = _httpx()
        self._options = options
        self._random = Random()
        self._gate = Gate(options.concurrency)
        self._lock = threading.Lock()
        self._retries: Counter[str] = Counter()
        headers = {"Accept": "application/json", "User-Agent": "genbench"}
        if options.key is not None:
            headers["Authorization"] = f"Bearer {options.key.value}"
        try:
            httpx.URL(options.base_url)
        except httpx.InvalidURL as error:
            raise UsageError(f"--model-args base_url '{options.base_url}': {error}") from None
        self._http: httpx2.Client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(
                options.timeout, connect=min(_CONNECT, options.timeout), pool=None
            ),
            limits=httpx.Limits(max_connections=options.concurrency),
            # A proxy of the environment leads nowhere from this machine to itself.
            trust_env=urlsplit(options.base_url).hostname not in _LOOPBACK,
        )

    # -- asking ---------------------------------------------------------------------------------

    def get(self, path: str, read: Callable[[Any], Read]) -> Read:
        """As `post`, for the first contact: a server that is not there is not waited for."""
        return self._tried("GET", path, None, read, first_contact=True)

    def post(self, path: str, body: Mapping[str, Any], read: Callable[[Any], Read]) -> Read:
        """What `read` makes of the JSON value that answers; where it raises MalformedError, the
        request is tried again.

        Raises RefusedError, UnansweredError where no try was answered, StoppedError after `close`.
        """
        content = json.dumps(body, ensure_ascii=True, allow_nan=False).encode()
        return self._tried("POST", path, content, read)

    def _tried(
        self,
        method: str,
        path: str,
        content: bytes | None,
        read: Callable[[Any], Read],
        *,
        first_contact: bool = False,
    ) -> Read:
        for number in range(self._options.retries + 1):
            self._gate.enter()
            try:
                found = self._once(method, path, content, read)
            except _AgainError as fault:
                again = fault
            else:
                if not first_contact:
                    self._gate.answered()
                return found
            finally:
                self._gate.leave()
            if first_contact and again.kind == "no connection":
                break
            if number == self._options.retries or (again.wait or 0) > _LONGEST_ASKED_WAIT:
                break
            with self._lock:
                self._retries[again.kind] += 1
            longest = min(_LONGEST_WAIT, self._options.backoff * 2**number)
            wait = longest * self._random.uniform(0.5, 1.0)
            if again.wait is not None:
                wait = again.wait + longest * self._random.uniform(0.0, 0.25)
            if again.busy:
                self._gate.overloaded(wait)
            self._gate.pause(wait)
        if again.kind == "no connection":
            raise UnansweredError(f"no server answers at {self._options.base_url} ({again})")
        tries = f"{number + 1} tries" if number else "1 try"
        raise UnansweredError(
            f"{self._options.base_url}{path} gave no answer in {tries}; the last: {again}"
        )

    def _once(
        self, method: str, path: str, content: bytes | None, read: Callable[[Any], Read]
    ) -> Read:
        """One try. Raises _AgainError, RefusedError."""
        httpx = _httpx()
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            with self._http.stream(
                method, self._options.base_url + path, content=content, headers=headers
            ) as answer:
                raw = self._body(answer)
        except httpx.ConnectError as error:
            raise _AgainError("no connection", self.shown(error)) from None
        except httpx.TimeoutException:
            raise _AgainError("timeout", f"no answer in {self._options.timeout:g} s") from None
        except httpx.HTTPError as error:
            raise _AgainError("connection", f"the connection broke: {self.shown(error)}") from None
        except RuntimeError:
            # What httpx raises where `close` came between.
            if self._http.is_closed:
                raise StoppedError from None
            raise
        status = answer.status_code
        if status != 200:
            self._refuse(status, raw, answer.headers, path)
        try:
            return read(self._parsed(raw))
        except MalformedError as error:
            kind = answer.headers.get("content-type", "no content type")
            raise _AgainError(
                "malformed",
                f"{self.shown(error)} ({self.shown(kind)}): {self.shown(raw[:_LOOKED_AT])}",
            ) from None

    def _body(self, answer: httpx2.Response) -> bytes:
        """The whole body, in bounded time and memory."""
        # Not the read timeout's business: that begins anew with each byte.
        end = time.monotonic() + self._options.timeout
        pieces, size = [], 0
        for piece in answer.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if time.monotonic() > end:
                raise _AgainError("timeout", f"no whole answer in {self._options.timeout:g} s")
            if size > _MOST_BYTES:
                raise _AgainError("malformed", f"more than {_MOST_BYTES} bytes came")
        return b"".join(pieces)

    def _parsed(self, raw: bytes) -> Any:
        key = self._options.key
        if key is not None and len(key.value) >= _SHORTEST_SECRET:
            raw = raw.replace(key.value.encode(), b"[key]")
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise MalformedError("the answer is no JSON") from None

    def _refuse(self, status: int, raw: bytes, headers: Mapping[str, str], path: str) -> None:
        """Raise what a status other than 200 means."""
        detail, code = self._complaint(raw)
        told = f"{status}{f': {detail}' if detail else ''}"
        for_good = status in _FOR_GOOD or (status == 429 and code in _SPENT)
        if not for_good and (status in _NOT_NOW or status >= 500):
            wait = _asked_wait(headers.get("retry-after"))
            raise _AgainError(str(status), f"the server says {told}", wait, status in _OVERLOADED)
        message = f"{self._options.base_url}{path} refuses the request ({told})"
        if status in (401, 403):
            message = (
                f"{self._options.base_url} refuses access ({told}); {self._options.key_advice}"
            )
        elif 300 <= status < 400:
            message += f"; it points to {self.shown(headers.get('location', ''))}: give that as "
            message += "base_url if you trust it"
        elif status in (404, 405) and not urlsplit(self._options.base_url).path:
            message += "; base_url mostly ends with /v1"
        raise RefusedError(message, status, detail, code)

    def _complaint(self, raw: bytes) -> tuple[str, str]:
        """What the body of a refusal says: text and code."""
        with suppress(ValueError, RecursionError):
            found = json.loads(raw)
            if isinstance(found, dict):
                inner = found.get("error", found)
                inner = inner if isinstance(inner, dict) else {"message": inner}
                text = inner.get("message") or found.get("detail") or found.get("message") or ""
                code = inner.get("code") if isinstance(inner.get("code"), str) else None
                return self.shown(text), str(code or inner.get("type") or "")[:100]
        return self.shown(raw[:_LOOKED_AT]), ""

    def shown(self, what: Any) -> str:
        """A text for a message, in one line, without the key."""
        text = what.decode("utf-8", "replace") if isinstance(what, bytes) else str(what)
        if self._options.key is not None:
            text = text.replace(self._options.key.value, "[key]")
        text = "".join(sign if sign.isprintable() else " " for sign in " ".join(text.split()))
        return text[:_SHOWN]

    # -- what happened --------------------------------------------------------------------------

    def retries(self) -> dict[str, int]:
        """How often a request was tried again, by what was wrong."""
        with self._lock:
            return dict(sorted(self._retries.items()))

    def forget(self) -> None:
        """Count retries from here on."""
        with self._lock:
            self._retries.clear()

    @property
    def lowest_concurrency(self) -> int:
        return self._gate.lowest

    def stop(self) -> None:
        """Let no more requests begin; those that wait end with StoppedError."""
        self._gate.close()

    def close(self) -> None:
        self.stop()
        self._http.close()


def _asked_wait(text: str | None) -> float | None:
    """Retry-After in seconds: a number, or a date (RFC 9110, section 10.2.3)."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if seconds < float("inf") else None  # NaN is no wait


def _httpx() -> Any:
    try:
        import httpx2
    except ImportError:
        raise UsageError(
            "the backend 'api' needs the extra 'api': pip install -e '.[api]' in genbench's clone"
        ) from None
    return httpx2
