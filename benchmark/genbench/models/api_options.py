"""How a server is reached and asked: the model arguments of the `api` backend, read and checked."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from genbench.errors import UsageError, closest

#: arguments that say how a server is asked; they cannot change an answer
OPERATIONAL = (
    "key_env", "concurrency", "timeout", "retries", "backoff", "prompt_price", "generated_price",
    "listed",
)  # fmt: skip
#: arguments that are settings of the run
DECIDING = ("base_url", "server", "revision", "token_limit")
BODY = "body."
_TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")
# What the settings of the run decide, or what would change how an answer is read.
_NOT_IN_BODY = {
    "model": "--model",
    "messages": None,
    "prompt": None,
    "temperature": "--temperature",
    "top_p": "--top-p",
    "stop": "--stop",
    "max_tokens": "--max-new-tokens",
    "max_completion_tokens": "--max-new-tokens",
    "n": "--samples",
    "stream": None,
    "seed": "--seed",
}
_OWN_KEY = "GENBENCH_API_KEY"
_SECRET = ("key", "secret", "password", "authorization")
# A vendor's key goes to the vendor's own host alone.
_KEYS_OF_HOSTS = {"api.openai.com": "OPENAI_API_KEY"}


class Key:
    """A secret; only `value` shows it."""

    def __init__(self, value: str, source: str) -> None:
        self.value, self.source = value, source

    def __repr__(self) -> str:
        return f"Key(from {self.source})"


@dataclass(frozen=True)
class Prices:
    """For a million tokens, in whatever currency."""

    prompt: float
    generated: float

    def cost(self, prompt_tokens: int, generated_tokens: int) -> float:
        return (prompt_tokens * self.prompt + generated_tokens * self.generated) / 1e6


@dataclass(frozen=True)
class ApiOptions:
    """What the model arguments say.

    `server` is what a run calls the server: its address, or a name that stays where the address
    changes. `timeout` (seconds) is for one try of a request as a whole. `backoff` is the first
    wait between tries (seconds), doubled from try to try. `body` goes into every request as it is.
    """

    base_url: str
    server: str
    key: Key | None
    key_advice: str
    revision: str | None = None
    concurrency: int = 16
    timeout: float = 600.0
    retries: int = 8
    backoff: float = 0.5
    prices: Prices | None = None
    listed: bool = True
    token_limit: str = "max_tokens"
    body: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> ApiOptions:
        """Raises UsageError."""
        _check_names(arguments)
        base_url = _base_url(arguments)
        key, advice = _key(arguments, base_url)
        listed = str(arguments.get("listed", "true")).lower()
        if listed not in ("true", "false"):
            raise UsageError(f"--model-args listed: true or false, not '{listed}'")
        limit = arguments.get("token_limit", _TOKEN_LIMITS[0])
        if limit not in _TOKEN_LIMITS:
            raise UsageError(f"--model-args token_limit '{limit}': {closest(limit, _TOKEN_LIMITS)}")
        return cls(
            base_url=base_url,
            server=arguments.get("server") or base_url,
            key=key,
            key_advice=advice,
            revision=arguments.get("revision"),
            concurrency=int(_number(arguments, "concurrency", cls.concurrency, 1, 1024)),
            timeout=_number(arguments, "timeout", cls.timeout, 0.01, 86_400),
            retries=int(_number(arguments, "retries", cls.retries, 0, 100)),
            backoff=_number(arguments, "backoff", cls.backoff, 0, 60),
            prices=_prices(arguments),
            listed=listed == "true",
            token_limit=limit,
            body=_body(arguments),
        )


def deciding(arguments: Mapping[str, str]) -> dict[str, str]:
    """The arguments that can change an answer. A server that has a name is known by it, so that
    its address may change from one job to the next."""
    found = {key: value for key, value in arguments.items() if key not in OPERATIONAL}
    if found.get("server"):
        found.pop("base_url", None)
    elif "base_url" in found:
        found["base_url"] = _base_url(arguments)
    return found


def _check_names(arguments: Mapping[str, str]) -> None:
    known = (*DECIDING, *OPERATIONAL)
    for name, value in arguments.items():
        if name != "key_env" and any(word in name.lower() for word in _SECRET):
            raise UsageError(
                f"--model-args {name}: a key on the command line is seen by others; put it in the "
                f"environment variable {_OWN_KEY}, or name another one with key_env"
            )
        if name not in known and not name.startswith(BODY):
            raise UsageError(
                f"--model-args: the backend 'api' has no argument '{name}'; "
                f"{closest(name, [*known, BODY + '<field>'])}"
            )
        if not str(value).strip():
            raise UsageError(f"--model-args {name}: its value is empty")


def _base_url(arguments: Mapping[str, str]) -> str:
    given = arguments.get("base_url", "").strip()
    if not given:
        raise UsageError(
            "the backend 'api' needs the address of a server: --model-args "
            "base_url=http://127.0.0.1:8000/v1 (https://api.openai.com/v1, ...)"
        )
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        raise UsageError("--model-args base_url: it is no address, or its port is none") from None
    if "@" in given:
        raise UsageError(
            "--model-args base_url: it holds a user name or password, which would stand in run "
            f"files; a key goes into the environment variable {_OWN_KEY}"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"--model-args base_url '{given}': an address such as http://127.0.0.1:8000/v1 is "
            "meant, with http:// or https://"
        )
    if parts.query or parts.fragment:
        raise UsageError(
            "--model-args base_url: an address without '?' and '#' is meant; a key in it would "
            "stand in run files"
        )
    path = parts.path.rstrip("/")
    for endpoint in ("/chat/completions", "/completions", "/models"):
        path = path.removesuffix(endpoint)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"


def _key(arguments: Mapping[str, str], base_url: str) -> tuple[Key | None, str]:
    """The key, if there is one, and what to do where the server refuses it."""
    host = str(urlsplit(base_url).hostname)
    named = arguments.get("key_env")
    sources = [named] if named else [_OWN_KEY, *filter(None, [_KEYS_OF_HOSTS.get(host)])]
    for source in sources:
        value = os.environ.get(str(source), "").strip()
        if not value:
            continue
        if not value.isascii() or not value.isprintable() or " " in value:
            raise UsageError(f"the environment variable {source} holds no key: it has other signs")
        return Key(value, str(source)), f"the key comes from the environment variable {source}"
    if named:
        raise UsageError(f"--model-args key_env: the environment variable {named} is not set")
    names = " or ".join(map(str, sources))
    return None, f"no key was sent: put it in the environment variable {names}"


def _number(
    arguments: Mapping[str, str], name: str, default: float, low: float, high: float
) -> float:
    text = str(arguments.get(name, default)).strip()
    whole = isinstance(default, int)
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise UsageError(f"--model-args {name}: {kind} from {low:g} to {high:g}, not '{text}'")
    return value


def _prices(arguments: Mapping[str, str]) -> Prices | None:
    names = ("prompt_price", "generated_price")
    if not any(name in arguments for name in names):
        return None
    for name in names:
        if name not in arguments:
            raise UsageError(f"--model-args: {' and '.join(names)} go together; {name} is missing")
    prompt, generated = (_number(arguments, name, 0.0, 0, 1e9) for name in names)
    return Prices(prompt, generated)


def _body(arguments: Mapping[str, str]) -> dict[str, Any]:
    """`body.a.b=value` as `{"a": {"b": value}}`; a value is JSON, or else a text."""
    found: dict[str, Any] = {}
    for name, text in arguments.items():
        if not name.startswith(BODY):
            continue
        *path, last = name.removeprefix(BODY).split(".")
        first = (*path, last)[0]
        if first in _NOT_IN_BODY:
            option = _NOT_IN_BODY[first]
            raise UsageError(
                f"--model-args {name}: "
                + (f"use {option}" if option else f"genbench itself writes the field '{first}'")
            )
        inner = found
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise UsageError(f"--model-args {name}: '{part}' has a value already")
        if not last or not all(path) or last in inner:
            raise UsageError(f"--model-args {name}: body.<field>=<value> is meant, each field once")
        inner[last] = _value(text)
    return found


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    # NaN and infinity are no JSON, though Python reads them.
    return text if isinstance(value, float) and not math.isfinite(value) else value
