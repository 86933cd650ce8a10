"""An exact solver: which numbers make a target, in how many ways, and how.

Values are ints and Fractions; nothing is ever evaluated as code. Two views:
- counting (`count`, `solvable`): over *labelled* expressions, that is every full binary tree with
  the numbers at its leaves in any order and one of + - * / at each inner node: n! * Catalan(n-1)
  * 4^(n-1) of them (7,680 for four numbers). The chance level is count / that total.
- constructing (`solutions`): step by step, two numbers replaced by their result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from math import comb, factorial

Number = int | Fraction
Numbers = tuple[int, ...]


def expressions(n: int) -> int:
    """How many labelled expressions n numbers have."""
    catalan = comb(2 * (n - 1), n - 1) // n
    operators: int = 4 ** (n - 1)
    return factorial(n) * catalan * operators


def divide(a: Number, b: Number) -> Number:
    """Exact a / b, an int where it is one."""
    quotient = Fraction(a) / Fraction(b)
    return quotient.numerator if quotient.denominator == 1 else quotient


@lru_cache(maxsize=200_000)
def _values(numbers: Numbers) -> dict[Number, int]:
    """How many labelled expressions over (sorted) numbers have each value."""
    if len(numbers) == 1:
        return {numbers[0]: 1}
    found: dict[Number, int] = {}

    def add(value: Number, ways: int) -> None:
        found[value] = found.get(value, 0) + ways

    for left, right in _halves(numbers):
        for a, ways_a in _values(left).items():
            for b, ways_b in _values(right).items():
                ways = ways_a * ways_b
                add(a + b, 2 * ways)
                add(a - b, ways)
                add(b - a, ways)
                add(a * b, 2 * ways)
                if b:
                    add(divide(a, b), ways)
                if a:
                    add(divide(b, a), ways)
    return found


@lru_cache(maxsize=200_000)
def _halves(numbers: Numbers) -> tuple[tuple[Numbers, Numbers], ...]:
    """Every unordered split of the (labelled) numbers in two, the smaller part first."""
    n = len(numbers)
    parts = []
    for size in range(1, n // 2 + 1):
        for chosen in combinations(range(n), size):
            if 2 * size == n and 0 not in chosen:
                continue  # its complement was listed
            left = tuple(numbers[i] for i in chosen)
            right = tuple(numbers[i] for i in range(n) if i not in chosen)
            parts.append((left, right))
    return tuple(parts)


def _ways(numbers: Numbers, target: Number) -> Iterator[int]:
    """The counts of expressions with that value, one item a top-level form (zeros included).

    For every value a of the smaller half, the value that the other half must have is solved for,
    so that the larger half is looked up and not enumerated.
    """
    if len(numbers) <= 3:
        yield _values(numbers).get(target, 0)
        return
    for left, right in _halves(numbers):
        for a, ways in _values(left).items():
            yield 2 * ways * count(right, target - a)
            yield ways * count(right, a - target)
            yield ways * count(right, target + a)
            if a:
                yield 2 * ways * count(right, divide(target, a))
                yield ways * count(right, target * a)
                if target:
                    yield ways * count(right, divide(a, target))
            elif not target:  # 0 * b, b * 0 for any b; 0 / b for any b but 0
                every = sum(_values(right).values())
                yield 3 * ways * every - ways * _values(right).get(0, 0)


@lru_cache(maxsize=500_000)
def count(numbers: Numbers, target: Number) -> int:
    """How many labelled expressions over the numbers (sorted) equal the target."""
    return sum(_ways(numbers, target))


@lru_cache(maxsize=200_000)
def solvable(numbers: Numbers, target: int) -> bool:
    """Whether the numbers (sorted) can make the target."""
    return any(_ways(numbers, target))


@dataclass(frozen=True)
class Step:
    """Two numbers replaced by their result; `left` is what remains, the result first."""

    a: Number
    operator: str
    b: Number
    result: Number
    left: tuple[Number, ...]


@dataclass(frozen=True)
class Solution:
    """A way to the target: its steps and the one formula that they add up to."""

    steps: tuple[Step, ...]
    formula: str


@dataclass(frozen=True)
class _Term:
    value: Number
    text: str  # a numeral, or an operation in parentheses


def results(a: Number, b: Number, *, natural: bool) -> Iterator[tuple[Number, str, Number, Number]]:
    """(left, operator, right, result) of each way to combine two numbers.

    Commutative operations come once, the larger number first. `natural` keeps to results that are
    whole and not negative.
    """
    high, low = (a, b) if a >= b else (b, a)
    yield high, "+", low, high + low
    yield high, "-", low, high - low
    yield high, "*", low, high * low
    if not natural and high != low:
        yield low, "-", high, low - high
    for x, y in ((high, low), (low, high)) if high != low else ((high, low),):
        if y and (not natural or (x % y == 0)):
            yield x, "/", y, divide(x, y)


def _search(
    terms: tuple[_Term, ...], steps: tuple[Step, ...], target: int, natural: bool
) -> Iterator[Solution]:
    last = len(terms) == 2
    for i, j in combinations(range(len(terms)), 2):
        first, second = terms[i], terms[j]
        rest = tuple(term for k, term in enumerate(terms) if k not in (i, j))
        for a, operator, b, value in results(first.value, second.value, natural=natural):
            if last and value != target:
                continue
            x, y = (first, second) if a == first.value and b == second.value else (second, first)
            text = f"{x.text}{operator}{y.text}"
            left = () if last else (value, *(term.value for term in rest))
            taken = (*steps, Step(a, operator, b, value, left))
            if last:
                yield Solution(taken, text)
            else:
                yield from _search((_Term(value, f"({text})"), *rest), taken, target, natural)


def solutions(
    numbers: Sequence[int], target: int, *, natural_only: bool = False
) -> Iterator[Solution]:
    """Solutions, those with whole non-negative intermediate results first, then all others.

    Sequences of steps are told apart; two of them may spell the same formula.
    """
    terms = tuple(_Term(number, str(number)) for number in numbers)
    if len(terms) == 1:
        if numbers[0] == target:
            yield Solution((), str(target))
        return
    yield from _search(terms, (), target, True)
    if not natural_only:
        for solution in _search(terms, (), target, False):
            if any(step.result < 0 or step.result != int(step.result) for step in solution.steps):
                yield solution
