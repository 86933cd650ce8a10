"""Finding the answer object in a model's response: tolerant, linear, never evaluating anything.

Accepted are JSON, JSON with trailing commas, single quotes, Python literals (True, None, tuples
are not), Markdown fences and any text around it. The last well-formed object that holds the key
asked for wins. Work is bounded by a budget of tokens, so a hostile megabyte costs milliseconds.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

MAX_RESPONSE_CHARS = 400_000
MAX_TOKENS = 20_000
MAX_DEPTH = 6
MAX_STRING = 4_000

# The start of an object: a brace and then a quote. Braces of other texts (LaTeX) cost nothing.
_OPENING = re.compile(r"""\{\s{0,40}["']""")
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.){0,4000}"|'(?:[^'\\]|\\.){0,4000}')
    | (?P<number>-?[0-9]{1,18}(?:\.[0-9]{1,18})?)
    | (?P<word>true|false|null|True|False|None)
    | (?P<mark>[{}\[\]:,])
    )""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class _MalformedError(Exception):
    pass


class _BudgetError(Exception):
    pass


@dataclass(frozen=True)
class Answer:
    """An answer object and how it was found.

    `extraction` is `json` (the response is exactly that, one fence allowed), `json-in-text`, or
    `lenient` (not valid JSON); `strict` is true for the first two. `exhausted` says that the
    budget ended before the response did.
    """

    fields: dict[str, Any] | None
    extraction: str
    exhausted: bool = False

    @property
    def strict(self) -> bool:
        return self.extraction in ("json", "json-in-text")


def _unescape(body: str) -> str:
    def one(match: re.Match[str]) -> str:
        escape = match.group(1)
        if escape.startswith("u") and len(escape) == 5:
            return chr(int(escape[1:], 16))
        return _ESCAPES.get(escape, escape)

    return _ESCAPE.sub(one, body) if "\\" in body else body


class _Reader:
    """A recursive-descent reader over a response, with one budget for all its attempts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.budget = MAX_TOKENS
        self.position = 0

    def _next(self) -> tuple[str, str]:
        self.budget -= 1
        if self.budget < 0:
            raise _BudgetError
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            self.budget -= MAX_STRING // 64  # it may have looked for the end of a string
            raise _MalformedError
        self.position = match.end()
        kind = match.lastgroup or ""
        text = match.group(kind)
        self.budget -= len(text) // 64  # a long string costs what it takes to read
        return kind, text

    def object_at(self, position: int) -> dict[str, Any] | None:
        """The object that begins there, None where it is malformed."""
        self.position = position
        try:
            self._next()
            return self._object(1)
        except _MalformedError:
            return None

    def _value(self, kind: str, text: str, depth: int) -> Any:
        if kind == "string":
            return _unescape(text[1:-1])
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "word":
            return _WORDS[text]
        if depth >= MAX_DEPTH:
            raise _MalformedError
        if text == "{":
            return self._object(depth + 1)
        if text == "[":
            return self._array(depth + 1)
        raise _MalformedError

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while True:
            kind, text = self._next()
            if text == "}" and kind == "mark":
                return found
            if kind != "string":
                raise _MalformedError
            key = _unescape(text[1:-1])
            if self._next() != ("mark", ":"):
                raise _MalformedError
            found[key] = self._value(*self._next(), depth)
            kind, text = self._next()
            if text == "}" and kind == "mark":
                return found
            if (kind, text) != ("mark", ","):
                raise _MalformedError

    def _array(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while True:
            kind, text = self._next()
            if text == "]" and kind == "mark":
                return found
            found.append(self._value(kind, text, depth))
            kind, text = self._next()
            if text == "]" and kind == "mark":
                return found
            if (kind, text) != ("mark", ","):
                raise _MalformedError


def _holding(found: dict[str, Any], key: str) -> dict[str, Any] | None:
    """The object itself or the last object in it that holds the key."""
    if key in found:
        return found
    for value in reversed(found.values()):
        if isinstance(value, dict):
            inner = _holding(value, key)
            if inner is not None:
                return inner
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def find_answer(response: str, key: str) -> Answer:
    """The last well-formed object with `key`; Answer.fields is None where there is none."""
    reader = _Reader(response)
    last: tuple[int, int, dict[str, Any]] | None = None
    position = 0
    exhausted = False
    try:
        while match := _OPENING.search(response, position):
            found = reader.object_at(match.start())
            if found is None:
                position = match.start() + 1
                continue
            position = reader.position
            answer = _holding(found, key)
            if answer is not None:
                last = (match.start(), reader.position, answer)
    except _BudgetError:
        exhausted = True
    if last is None:
        return Answer(None, "none", exhausted)
    start, end, fields = last
    if not _is_json(response[start:end]):
        return Answer(fields, "lenient", exhausted)
    around = (response[:start] + response[end:]).strip()
    if not around or re.fullmatch(r"```(?:json)?\s*```", around[:40]):
        return Answer(fields, "json", exhausted)
    return Answer(fields, "json-in-text", exhausted)


def last_line_like(response: str, pattern: re.Pattern[str], lines: int = 200) -> str | None:
    """The last line (of at most `lines` from the end) that the pattern matches as a whole."""
    end = len(response)
    for _ in range(lines):
        start = response.rfind("\n", 0, end) + 1
        line = response[start:end]
        if len(line) <= MAX_STRING and (match := pattern.fullmatch(line.strip())):
            return match.group(match.lastindex or 0)
        if start == 0:
            return None
        end = start - 1
    return None
