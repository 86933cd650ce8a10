"""Finding the answer object in a model's response: tolerant, linear, never evaluating anything.

Accepted are JSON, JSON with trailing commas or single quotes, Python literals (True, None, tuples,
the escapes that repr writes), Markdown fences and any text around it. An escape that neither JSON
nor Python has stands for the character after the backslash. The last well-formed object that holds
the key asked for wins. Work is bounded by a budget, so a hostile megabyte costs milliseconds.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

MAX_RESPONSE_CHARS = 400_000
MAX_DEPTH = 16
MAX_LINE = 4_000
#: The unit is the reading of one token; longer ones cost more (below).
MAX_WORK = 20_000
_CHARS_PER_UNIT = 64
_ESCAPES_PER_UNIT = 4
_MAX_INT_DIGITS = 18
_MAX_FLOAT_CHARS = 400

# The start of an object: a brace and then a quote. Braces of other texts (LaTeX) cost nothing.
_OPENING = re.compile(r"""\{\s*+["']""")
# A token, "" where there is none. Possessive repeats: nothing is ever read twice.
_TOKEN = re.compile(
    r"""\s*+(
      "[^"\\]*+(?:\\.[^"\\]*+)*+" | '[^'\\]*+(?:\\.[^'\\]*+)*+'
    | [{}\[\]():,]
    | [-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?
    | true|false|null|True|False|None|NaN|-?Infinity
    |)""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
}
_CLOSING = {"[": "]", "(": ")"}
# Two \\u escapes may be one character, in halves; \\x and \\U are Python's.
_ESCAPE = re.compile(
    r"""\\(?:
      u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})
    | ( u[0-9a-fA-F]{4} | x[0-9a-fA-F]{2} | U000[0-9a-fA-F]{5} | U0010[0-9a-fA-F]{4} | . )
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    "a": "\a",
    "v": "\v",
    "\n": "",  # a line that goes on
}
_FENCES = {("", ""), ("```", "```"), ("```json", "```")}


class _MalformedError(Exception):
    pass


class _BudgetError(Exception):
    pass


@dataclass(frozen=True)
class Answer:
    """An answer object and how it was found.

    `extraction` is `json` (the response is exactly that, one fence allowed), `json-in-text`, or
    `lenient` (not valid JSON); `strict` is true for the first two. `exhausted` says that the
    budget ended before the response did (there are no fields then).
    """

    fields: dict[str, Any] | None
    extraction: str
    exhausted: bool = False

    @property
    def strict(self) -> bool:
        return self.extraction in ("json", "json-in-text")


def _unescape(body: str) -> str:
    def one(match: re.Match[str]) -> str:
        high, low, escape = match.groups()
        if high:
            return chr(0x10000 + (int(high, 16) - 0xD800) * 0x400 + int(low, 16) - 0xDC00)
        if len(escape) == 1:
            return _ESCAPES.get(escape, escape)
        return chr(int(escape[1:], 16))

    return _ESCAPE.sub(one, body)


def _number(token: str) -> int | float:
    """An int of at most 18 digits, else a float: a number beyond that is no card's."""
    if len(token) <= _MAX_INT_DIGITS and token.lstrip("+-").isdigit():
        return int(token)
    return float(token) if len(token) <= _MAX_FLOAT_CHARS else float("inf")


class _Reader:
    """A recursive-descent reader over a response, with one budget for all its attempts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.budget = MAX_WORK
        self.position = 0

    def _next(self) -> str:
        """The next token. Raises _MalformedError where there is none, _BudgetError."""
        match = _TOKEN.match(self.text, self.position)
        assert match is not None
        end = match.end()
        self.budget -= 1 + (end - self.position) // _CHARS_PER_UNIT
        self.position = end
        token: str = match[1]
        if not token and self.text[end : end + 1] in ('"', "'"):  # searched in vain for its end
            self.budget -= (len(self.text) - end) // _CHARS_PER_UNIT
        if self.budget < 0:
            raise _BudgetError
        if not token:
            raise _MalformedError
        return token

    def object_at(self, position: int) -> dict[str, Any] | None:
        """The object that begins there, None where it is malformed."""
        self.position = position + 1
        try:
            return self._object(1)
        except _MalformedError:
            return None

    def _value(self, token: str, depth: int) -> Any:
        first = token[0]
        if first in "{[(":
            if depth >= MAX_DEPTH:
                raise _MalformedError
            return self._object(depth + 1) if first == "{" else self._items(first, depth + 1)
        return self._scalar(token)

    def _scalar(self, token: str) -> Any:
        if token[0] in "\"'":
            if "\\" not in token:
                return token[1:-1]
            self.budget -= token.count("\\") // _ESCAPES_PER_UNIT
            if self.budget < 0:
                raise _BudgetError
            return _unescape(token[1:-1])
        if token in _WORDS:
            return _WORDS[token]
        if token in "{}[]():,":
            raise _MalformedError
        return _number(token)

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (token := self._next()) != "}":
            key = self._scalar(token)
            if self._next() != ":":
                raise _MalformedError
            found[key if isinstance(key, str) else str(key)] = self._value(self._next(), depth)
            token = self._next()
            if token == "}":
                break
            if token != ",":
                raise _MalformedError
        return found

    def _items(self, opening: str, depth: int) -> Any:
        """A list or tuple; as in Python, one item in parentheses without a comma is that item."""
        found: list[Any] = []
        closing = _CLOSING[opening]
        while (token := self._next()) != closing:
            found.append(self._value(token, depth))
            token = self._next()
            if token == closing:
                return found[0] if opening == "(" and len(found) == 1 else found
            if token != ",":
                raise _MalformedError
        return found


def _holding(value: Any, key: str) -> dict[str, Any] | None:
    """The object itself or the last object in it that holds the key."""
    if isinstance(value, dict):
        if key in value:
            return value
        value = list(value.values())
    if isinstance(value, list):
        for item in reversed(value):
            inner = _holding(item, key)
            if inner is not None:
                return inner
    return None


def _reject(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# int(), by default, refuses thousands of digits.
_JSON = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_reject)


def _is_json(text: str) -> bool:
    try:
        _JSON.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def find_answer(response: str, key: str) -> Answer:
    """The last well-formed object with `key`; Answer.fields is None where there is none.

    It is None, too, where the budget ended before the response did: an object that is not known to
    be the last is no answer.
    """
    reader = _Reader(response)
    last: tuple[int, int, dict[str, Any]] | None = None
    position = 0
    try:
        while match := _OPENING.search(response, position):
            start = match.start()
            found = reader.object_at(start)
            position = start + 1 if found is None else reader.position
            answer = _holding(found, key)
            if answer is not None:
                last = (start, position, answer)
    except _BudgetError:
        return Answer(None, "none", exhausted=True)
    if last is None:
        return Answer(None, "none")
    start, end, fields = last
    if not _is_json(response[start:end]):
        return Answer(fields, "lenient")
    if (response[:start].strip(), response[end:].strip()) in _FENCES:
        return Answer(fields, "json")
    return Answer(fields, "json-in-text")


def last_line_like(response: str, pattern: re.Pattern[str], lines: int = 200) -> str | None:
    """The last line (of at most `lines` from the end) that the pattern matches as a whole."""
    end = len(response)
    for _ in range(lines):
        start = response.rfind("\n", 0, end) + 1
        line = response[start:end]
        if len(line) <= MAX_LINE and (match := pattern.fullmatch(line.strip())):
            return match.group(match.lastindex or 0)
        if start == 0:
            return None
        end = start - 1
    return None
