r"""Formulas: a grammar, its parser and exact evaluation.

    formula    := expression [ "=" integer ]        (what stands right of = must be true)
    expression := term (("+" | "-") term)*
    term       := factor (("*" | "/") factor)*      (also x × ÷ and the minus sign −)
    factor     := integer | "(" expression ")"

No unary minus, decimals, powers, face letters or juxtaposition. Nothing is evaluated as code;
length, depth and the size of integers are bounded, so every input ends in bounded time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

MAX_LENGTH = 500
MAX_DEPTH = 32
MAX_DIGITS = 6

_SYMBOLS = {symbol: symbol for symbol in "+-*/()="} | {"−": "-", "×": "*", "x": "*", "÷": "/"}
_TOKEN = re.compile(r"[0-9]+|[^0-9 \t\r\n]")
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}


class FormulaError(ValueError):
    """The text is not a formula; the message says why."""


class TooLongError(FormulaError):
    """The text is beyond the limits of length, depth or digits."""


@dataclass(frozen=True)
class Formula:
    """A parsed formula: its postfix program, the numbers it uses, and its stated value if any."""

    postfix: tuple[int | str, ...]
    numbers: tuple[int, ...]
    stated: int | None

    def value(self) -> int | Fraction | None:
        """The exact value, None where something is divided by zero."""
        stack: list[int | Fraction] = []
        for item in self.postfix:
            if isinstance(item, int):
                stack.append(item)
                continue
            b, a = stack.pop(), stack.pop()
            if item == "+":
                stack.append(a + b)
            elif item == "-":
                stack.append(a - b)
            elif item == "*":
                stack.append(a * b)
            elif b == 0:
                return None
            elif a % b == 0:
                stack.append(int(a // b))  # ints, while they are exact, for speed
            else:
                stack.append(Fraction(a) / b)
        return stack[0]


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise TooLongError(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


def _tokens(text: str) -> list[int | str]:
    tokens: list[int | str] = []
    for token in _TOKEN.findall(text):
        if token in _SYMBOLS:
            tokens.append(_SYMBOLS[token])
        elif "0" <= token[0] <= "9":
            tokens.append(_integer(token))
        else:
            raise FormulaError("it holds a character that is not allowed")
    return tokens


def parse(text: str) -> Formula:
    """Parse a formula. Raises FormulaError, TooLongError where a limit is passed."""
    if len(text) > MAX_LENGTH:
        raise TooLongError(f"the formula has more than {MAX_LENGTH} characters")
    tokens = _tokens(text)
    stated = None
    if "=" in tokens:
        cut = tokens.index("=")
        tokens, right = tokens[:cut], tokens[cut + 1 :]
        if len(right) != 1 or not isinstance(right[0], int):
            raise FormulaError("what stands right of '=' is not one whole number")
        stated = right[0]
    if not tokens:
        raise FormulaError("there is no formula")
    return Formula(
        _postfix(tokens), tuple(token for token in tokens if isinstance(token, int)), stated
    )


def _postfix(tokens: Sequence[int | str]) -> tuple[int | str, ...]:
    """Shunting-yard, with the two states (operand or operator due) that the grammar has."""
    output: list[int | str] = []
    pending: list[str] = []
    depth = 0
    operand_due = True
    for token in tokens:
        if isinstance(token, int):
            if not operand_due:
                raise FormulaError("a number follows a number or a parenthesis")
            output.append(token)
            operand_due = False
        elif token == "(":
            if not operand_due:
                raise FormulaError("an opening parenthesis follows a number or a parenthesis")
            depth += 1
            if depth > MAX_DEPTH:
                raise TooLongError(f"parentheses are more than {MAX_DEPTH} deep")
            pending.append(token)
        elif operand_due:
            raise FormulaError("an operator or a closing parenthesis stands where a number is due")
        elif token == ")":
            if not depth:
                raise FormulaError("a closing parenthesis has no opening one")
            depth -= 1
            while pending[-1] != "(":
                output.append(pending.pop())
            pending.pop()
        else:
            while pending and pending[-1] != "(" and _PRECEDENCE[pending[-1]] >= _PRECEDENCE[token]:
                output.append(pending.pop())
            pending.append(token)
            operand_due = True
    if operand_due:
        raise FormulaError("it ends where a number is due")
    if depth:
        raise FormulaError("a parenthesis is not closed")
    return (*output, *reversed(pending))
