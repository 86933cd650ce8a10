"""The verifier proved: every expression of every hand, hostile strings, the finder, metamorphosis.

Nothing of the product judges here. Expressions are built as trees that carry their value and their
text; accepted formulas are read again by Python's own parser. The complete runs are slow:

    pytest -m slow tests/genbench_tasks/general_points/test_soundness.py
"""

import ast
import json
import operator
import random
import re
import time
from fractions import Fraction
from functools import lru_cache
from itertools import combinations_with_replacement, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genbench.task import Instance
from genbench_tasks.answers import Answer, find_answer
from genbench_tasks.general_points.cards import RULES
from genbench_tasks.general_points.environment import GeneralPoints, judge

ENVIRONMENT = GeneralPoints(prompt="paper", feedback="detail", settings={})
TARGET = 24
LARGEST = {"face-10": 10, "face-11-12-13": 13}
SOLVABLE = {"face-10": 566, "face-11-12-13": 1362}  # of 715 and of 1,820 number multisets
DISTINCT_EXPRESSIONS = 7_236_800  # of the 1,362, where equal numbers are not told apart
NOTORIOUS = [(3, 3, 8, 8), (1, 5, 5, 5), (3, 3, 7, 7), (1, 3, 4, 6), (4, 4, 7, 7), (1, 8, 12, 12)]


def instance(*cards, rule="face-10"):
    data = {"cards": list(cards), "rule": rule, "values": dict(RULES[rule]), "target": TARGET}
    return Instance("x", "x", "x", data)


# -- every expression ------------------------------------------------------------------------------

APPLY = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "": 3}


def joined(sign, left, right):
    """Two (value, full text, minimal text, outermost operator) under an operator.

    The value is None where anything was divided by zero. Minimal parentheses: a left operand needs
    them where it binds less, a right one also where it binds equally under - or /.
    """
    a, left_full, left_text, left_sign = left
    b, right_full, right_text, right_sign = right
    undefined = a is None or b is None or (sign == "/" and b == 0)
    if STRENGTH[left_sign] < STRENGTH[sign]:
        left_text = f"({left_text})"
    if STRENGTH[right_sign] < STRENGTH[sign] + (sign in "-/"):
        right_text = f"({right_text})"
    value = None if undefined else APPLY[sign](a, b)
    return value, f"({left_full}{sign}{right_full})", f"{left_text}{sign}{right_text}", sign


@lru_cache(maxsize=5_000)
def in_order(numbers):
    """Every expression whose leaves are the numbers in this order."""
    if len(numbers) == 1:
        return [(Fraction(numbers[0]), str(numbers[0]), str(numbers[0]), "")]
    return [
        joined(sign, left, right)
        for cut in range(1, len(numbers))
        for left in in_order(numbers[:cut])
        for right in in_order(numbers[cut:])
        for sign in APPLY
    ]


def every_expression(numbers):
    """Every labelled expression over the numbers; equal numbers are not told apart."""
    for order in sorted(set(permutations(numbers))):
        yield from in_order(order)


def multisets(rule):
    return combinations_with_replacement(range(1, LARGEST[rule] + 1), 4)


def spaced(text):
    """The same formula with other signs and spaces."""
    for ascii_sign, sign in (("*", "×"), ("/", " ÷ "), ("-", " − "), ("+", "\t+ ")):
        text = text.replace(ascii_sign, sign)
    return f"  {text} = {TARGET}"


def misjudged(numbers, found, *, more=False):
    """The formulas that the verifier does not judge as their trees say."""
    wrong = []
    for value, full, minimal, _ in found:
        truth = "correct" if value == TARGET else "wrong_value"
        texts = [minimal, f"{full}={TARGET}"]
        if more:
            texts += [full, spaced(minimal)]
        wrong += [(text, truth) for text in texts if judge(text, numbers, TARGET)[0] != truth]
    return wrong


def test_there_are_7680_expressions_of_four_numbers_and_their_texts_mean_what_their_trees_mean():
    found = list(every_expression((1, 2, 3, 4)))
    assert len(found) == len({full for _, full, _, _ in found}) == 24 * 5 * 64
    for value, full, minimal, _ in found[::7]:
        assert value == independent_value(full)[0] == independent_value(minimal)[0]


def test_the_expressions_of_a_sample_of_hands_are_judged_as_their_trees_say():
    stream = random.Random("sample of hands")
    drawn = stream.sample(list(multisets("face-11-12-13")), 24)
    for numbers in NOTORIOUS + drawn:
        found = list(every_expression(numbers))
        assert misjudged(numbers, found, more=True) == []


@pytest.mark.slow
def test_every_expression_of_every_solvable_hand_is_judged_as_its_tree_says():
    judged = 0
    solvable = set()
    for numbers in multisets("face-11-12-13"):  # those of face-10 are among them
        found = list(every_expression(numbers))
        if any(value == TARGET for value, *_ in found):
            solvable.add(numbers)
            judged += len(found)
            assert misjudged(numbers, found) == []
    for rule, count in SOLVABLE.items():
        assert len(solvable & set(multisets(rule))) == count
    assert judged == DISTINCT_EXPRESSIONS


# -- wrong numbers ---------------------------------------------------------------------------------


def with_wrong_numbers(formula, stream):
    """Texts that are a formula with one number replaced, dropped, doubled or joined to another."""
    tokens = re.findall(r"[0-9]+|.", formula)
    places = [place for place, token in enumerate(tokens) if token.isdigit()]
    for place in places:
        number = int(tokens[place])
        before, after = tokens[:place], tokens[place + 1 :]
        other = stream.choice([n for n in range(30) if n != number])
        yield "".join([*before, str(other), *after])
        yield "".join([*before, *after])
        if before and before[-1] in APPLY:
            yield "".join([*before[:-1], *after])
        if after and after[0] in APPLY:
            yield "".join([*before, *after[1:]])
            yield "".join([*before, tokens[place], *after[1:]])  # joined to what comes next
        for extra in (f"+{number}-{number}", f"*{number}/{number}", "+0", "*1", "/1", "-0"):
            yield "".join([*before, f"({number}{extra})", *after])
        for text in (f"{number}{number}", f"{number} {number}", f"({number})({number})"):
            yield "".join([*before, text, *after])


def test_a_right_formula_with_a_wrong_number_is_never_right_for_the_hand():
    stream = random.Random("wrong numbers")
    tried = 0
    for numbers in NOTORIOUS + stream.sample(list(multisets("face-11-12-13")), 150):
        cards = [str(number) for number in numbers]
        right = [found for found in every_expression(numbers) if found[0] == TARGET]
        for _, full, minimal, _ in stream.sample(right, min(4, len(right))):
            for text in with_wrong_numbers(stream.choice((full, minimal)), stream):
                for stated in (text, f"{text}={TARGET}"):
                    assert judge(stated, numbers, TARGET)[0] != "correct", (numbers, stated)
                    tried += 1
            claimed = [int(digits) for digits in re.findall("[0-9]+", text)]
            response = json.dumps({"cards": cards, "number": claimed, "formula": text})
            assert not ENVIRONMENT.verify(instance(*cards), response).correct
    assert tried > 20_000


def test_the_formula_of_one_hand_is_never_right_for_another():
    stream = random.Random("other hands")
    hands = stream.sample(list(multisets("face-11-12-13")), 60)
    for numbers in hands:
        right = [minimal for value, _, minimal, _ in every_expression(numbers) if value == TARGET]
        for other in hands:
            for text in right[:3]:
                assert (judge(text, other, TARGET)[0] == "correct") == (other == numbers)


@pytest.mark.parametrize(
    "text",
    [
        *("8./(3-8/3)", "8.0/(3-8/3)", "8/(3-8/3).", "8/(3-8/3),", "8,/(3-8/3)", "8_/(3-8/3)"),
        *("+8/(3-8/3)", "-8/(8/3-3)", "--8/(3-8/3)", "(8)/(3-8/3)(1)", "8/((3-8/3)", "()8/(3-8/3)"),
        *("$8/(3-8/3)$", "{8/(3-8/3)}", "[8/(3-8/3)]", "8/[3-8/3]", "`8/(3-8/3)`", "'8/(3-8/3)'"),
        *(
            "８/(3-8/3)",
            "٨/(3-8/3)",
            "8/(3-8/３)",
            "8∕(3-8/3)",
            "8⁄(3-8/3)",
            "8/(3–8/3)",
            "8/(3—8/3)",
        ),
        *("8\xa0/(3-8/3)", "8\x0b/(3-8/3)", "8\u2028/(3-8/3)", "8\x00/(3-8/3)", "8//(3-8/3)"),
        *("8/(3-8/3)=24.0", "8/(3-8/3)=25", "8/(3-8/3)=-24", "8/(3-8/3)=+24", "8/(3-8/3)=２４"),
        *(
            "8/(3-8/3)=",
            "=24",
            "8/(3-8/3)==24",
            "8/(3-8/3)=24=24",
            "8/(3-8/3)=(24)",
            "8/(3-8/3)=2 4",
        ),
        *("8/(3-8/3)=48/2", "24=8/(3-8/3)", "8/(3-8/3)≈24", "(8/(3-8/3)=24)", "x=8/(3-8/3)"),
        *("8/(3-8/3)**1", "8/(3-8/3)^1", "8/(3-8/3)!", "8X(3-8/3)", "8/(3-8/3)e0", "8/(3-8/3)#"),
    ],
)
def test_what_is_nearly_a_right_formula_is_not(text):
    assert judge(text, (3, 3, 8, 8), TARGET)[0] in ("illegal_formula", "wrong_value")
    assert not ENVIRONMENT.verify(instance("3", "3", "8", "8"), f'{{"formula": "{text}"}}').correct


# -- hostile strings -------------------------------------------------------------------------------

NODES = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def independent_value(text):
    """A formula's exact value (None: divides by zero) and numbers, by Python's parser.

    Raises ValueError, SyntaxError for what is no formula.
    """
    for sign, ascii_sign in {"×": "*", "x": "*", "÷": "/", "−": "-"}.items():
        text = text.replace(sign, ascii_sign)
    if not re.fullmatch(r"[0-9+\-*/() \t\r\n]+", text):
        raise ValueError(text)
    text = re.sub(r"(?<![0-9])0+(?=[0-9])", "", re.sub(r"\s", " ", text)).strip()
    numbers = []

    def value(node):
        if isinstance(node, ast.Constant) and type(node.value) is int:
            numbers.append(node.value)
            return Fraction(node.value)
        if not isinstance(node, ast.BinOp):
            raise ValueError(text)
        a, b = value(node.left), value(node.right)
        sign = NODES[type(node.op)]
        return None if a is None or b is None or (sign == "/" and not b) else APPLY[sign](a, b)

    return value(ast.parse(text, mode="eval").body), sorted(numbers)


def is_right(text, numbers):
    """Whether the text is a right answer, by the independent reading."""
    formula, *stated = text.split("=")
    if len(stated) > 1 or (stated and not re.fullmatch(rf"\s*0*{TARGET}\s*", stated[0])):
        return False
    return independent_value(formula) == (TARGET, sorted(numbers))


GRAMMAR = "0123456789+-*/×÷−x()= \t"
JSON_MARKS = "{}[]()\"':,\\ \n"
OTHER_DIGITS = "٣٨०३३८３８³⁸⑧Ⅷ𝟑𝟖"
ODD = (
    ".,;$^%_#!&|~<>[]{}eXKjn\xa0\x0b–\x1b\x85\u200b\u2028\u202e\ufeff\ufffd＋－×÷−∗∕⁄·“”‘’«»"
    + OTHER_DIGITS
)
SURROGATES = "\ud800\udbff\udc00\udfff"
VALUES = [
    *("null", "None", "true", "True", "NaN", "Infinity", "-Infinity", "1e999", "-1e-999", "1E3"),
    *("-0", "0.0", ".5", "1.", "+1", "[]", "{}", "()", "(1,)", "(,)", "[,]", "[[[[", "{1: 2}"),
    *("9" * 18, "9" * 19, "9" * 400, "9" * 5_000, "0x18", "1_0", "24", "24.0", "''", '""', "f''"),
    *('"\\ud83d"', '"\\u0038"', "'\\x38'", '"\\uZZZZ"', '"\\"', "b'8'", "u'8'", "{'8'}", "..."),
    '["8/(3-8/3)"]',
    '{"formula": "8/(3-8/3)"}',
    "(lambda: 24)()",
    "__import__('os').system('false')",
    "8/(3-8/3)",
]
TEXTS = [
    *(r"$\frac{8}{3-\frac{8}{3}}$", r"\boxed{8/(3-8/3)}", r"\{8\div3\}", r"8 \times 3", "8×3"),
    *("{8/(3-8/3)}", "f'{8/(3-8/3)}'", "{{'formula'}}", '{"formula"}', "{'formula': }", "{'"),
    *(
        "```json",
        "```",
        "```python\n",
        "<answer>",
        "</think>",
        "**8/(3-8/3)**",
        "# 24",
        "| a | b |",
    ),
    *("__import__('os').system('false')", "eval('24')", 'exec("x=24")', "lambda: 24", "24", "%s%n"),
    *("Let me think. 8*3=24, and so", "it's", 'he said "8"', "answer:", "Final answer = ", "\r\n"),
]


class Hostile:
    """A seeded stream of (instance, response): mutated right answers, noise, nests, giants."""

    def __init__(self, seed):
        self.stream = random.Random(f"hostile {seed}")
        self.hands = []
        for cards, rule in (
            ("3 3 8 8", "face-10"),
            ("A 5 5 5", "face-10"),
            ("K 2 4 8", "face-11-12-13"),
            ("Q 2 3 4", "face-10"),
            ("J Q K A", "face-11-12-13"),
        ):
            hand = instance(*cards.split(), rule=rule)
            values = hand.data["values"] | {"A": 1}
            numbers = [values[card] if card in values else int(card) for card in cards.split()]
            right = [e for e in every_expression(tuple(sorted(numbers))) if e[0] == TARGET]
            self.hands.append((hand, numbers, right))
        self.kinds = (
            [self.answer] * 6
            + [self.mutated] * 5
            + [self.noise, self.grammar_noise, self.json_noise, self.odd_fields] * 2
            + [self.several, self.wrapped, self.nested, self.bare]
        )

    def __next__(self):
        hand, self.numbers, self.right = self.stream.choice(self.hands)
        text = self.giant() if self.stream.random() < 1 / 2_000 else self.small()
        return hand, self.numbers, text

    def small(self):
        return self.stream.choice(self.kinds)()

    def formula(self):
        """A right formula, or one that is nearly so."""
        _, full, minimal, _ = self.stream.choice(self.right)
        text = self.stream.choice((full, minimal))
        if self.stream.random() < 0.3:
            text = self.stream.choice(
                (spaced(text), f"{text}={TARGET}", f"{text} = 25", f"-{text}")
            )
        if self.stream.random() < 0.3:
            text = self.changed(text, GRAMMAR + ODD, 2)
        return text

    def changed(self, text, alphabet, most):
        """The text with a few characters replaced, inserted, removed or moved."""
        for _ in range(self.stream.randint(1, most)):
            cut = self.stream.randint(0, len(text))
            new = self.stream.choice(
                ("", self.stream.choice(alphabet), self.stream.choice(alphabet))
            )
            text = text[:cut] + new + text[cut + self.stream.randint(0, 1) :]
        return text

    def answer(self):
        """An answer object, in one of the accepted spellings."""
        fields = {
            "cards": self.stream.choice((["3", "3", "8", "8"], "K, 2", [10, None], None, {})),
            "number": self.stream.choice((self.numbers, [1], "3, 3", [10**30, -1.5], None, [[]])),
            "steps": self.stream.choice((["8/3=8/3"], "it's", "{", '{"formula": "1"}', 0)),
        }
        for name in self.stream.sample(list(fields), self.stream.randint(0, 3)):
            del fields[name]
        fields["formula"] = self.formula()
        if self.stream.random() < 0.2:
            fields = dict(reversed(fields.items()))
        text = json.dumps(fields, ensure_ascii=self.stream.random() < 0.5)
        if self.stream.random() < 0.4:
            text = repr(fields)
        if self.stream.random() < 0.2:
            text = text.replace("]", ",]").replace("}", ",}")
        if self.stream.random() < 0.2:
            text = text.replace("[", "(").replace("]", ")")
        return text

    def mutated(self):
        return self.changed(self.answer(), GRAMMAR + JSON_MARKS + ODD + SURROGATES + "ufTN", 4)

    def noise(self):
        length = self.stream.randint(0, 60)
        return "".join(chr(self.stream.randrange(0x110000)) for _ in range(length))

    def grammar_noise(self):
        text = "".join(self.stream.choices(GRAMMAR + "38", k=self.stream.randint(0, 24)))
        return self.stream.choice((text, f'{{"formula": "{text}"}}', f"{{'formula': '{text}',}}"))

    def json_noise(self):
        alphabet = [*JSON_MARKS, "formula", '"formula":', "{'formula':", *VALUES, *ODD, *SURROGATES]
        return "".join(self.stream.choices(alphabet, k=self.stream.randint(0, 30)))

    def odd_fields(self):
        fields = ["cards", "number", "formula", "steps"]
        parts = [f'"{name}": {self.stream.choice(VALUES)}' for name in fields]
        place = self.stream.randrange(4)
        if self.stream.random() < 0.7:
            parts[2] = f'"formula": {json.dumps(self.formula())}'
        if self.stream.random() < 0.3:
            parts[place] += f' "{self.formula()}"'
        return "{" + ", ".join(parts) + self.stream.choice(("}", ",}", "", "]", "} }"))

    def several(self):
        count = self.stream.randint(2, 6)
        return self.stream.choice(("\n", "", " or ", ",")).join(self.small() for _ in range(count))

    def wrapped(self):
        before, after = self.stream.choice(TEXTS), self.stream.choice(TEXTS)
        return before + self.small() + after

    def nested(self):
        depth = self.stream.randint(1, 40)
        opening, closing = self.stream.choice(
            (('{"a":', "}"), ("[", "]"), ("(", ")"), ("{'a':(", ")}"))
        )
        inner = self.stream.choice((self.answer(), json.dumps(self.answer()), '"8'))
        text = opening * depth + inner + closing * self.stream.choice((depth, depth - 1, 0))
        return f"{{'formula': '{text}'}}" if self.stream.random() < 0.3 else text

    def bare(self):
        formula = self.stream.choice((self.formula(), "(" * 40 + "1" + ")" * 40, "3" * 30))
        return f"{self.stream.choice(TEXTS)}{self.stream.choice(TEXTS)}\n{formula}"

    def giant(self):
        unit = (
            self.stream.choice((self.small(), *TEXTS, *VALUES, *JSON_MARKS, '{"a":', "{'a':("))
            or "{"
        )
        size = self.stream.choice((3_000, 30_000, 399_000, 1_000_000))
        start, end = self.stream.choice(("", '{"formula": "', '{"a":[', "{'", "(")), self.small()
        return start + (unit * (size // len(unit)))[:size] + self.stream.choice(("", end))


def fuzzed(count, seed):
    """Judge hostile strings: how many were accepted, the outcomes, the slowest and its time."""
    hostile = Hostile(seed)
    accepted, outcomes = 0, set()
    slowest = (0.0, None, "")
    for position in range(count):
        hand, numbers, text = next(hostile)
        start = time.thread_time()
        try:
            verdict = ENVIRONMENT.verify(hand, text, truncated=position % 50 == 0)
        except BaseException as error:
            raise AssertionError(f"{type(error).__name__} on {text[:500]!r}") from error
        slowest = max(slowest, (time.thread_time() - start, hand, text), key=lambda item: item[0])
        outcomes.add(verdict.outcome)
        assert verdict.outcome in ENVIRONMENT.outcomes
        if verdict.correct:
            accepted += 1
            formula = verdict.fields["formula"]
            assert is_right(formula, numbers), (numbers, text[:500])
            assert formula in text or "\\" in text, text[:500]
    return accepted, outcomes, slowest


def test_the_independent_reading_tells_right_from_wrong():
    assert is_right("8/(3-8/3)", [3, 3, 8, 8])
    assert is_right(" 8÷(03 − 8/3) = 24", [3, 3, 8, 8])
    assert not is_right("8/(3-8/3)=25", [3, 3, 8, 8])
    assert not is_right("8*(3-8/3)", [3, 3, 8, 8])
    assert not is_right("8*3", [3, 3, 8, 8])
    for text in ("8(3)", "-8*-3", "8**3", "8//3", "3 8", "8.0*3", "٣*8", "8*(3", "True*3"):
        with pytest.raises((ValueError, SyntaxError, KeyError)):
            is_right(text, [3, 8])


def test_hostile_strings_are_judged_without_a_false_accept():
    accepted, outcomes, _ = fuzzed(20_000, 1)
    assert accepted > 2_000
    assert outcomes == set(ENVIRONMENT.outcomes)


@pytest.mark.slow
def test_a_million_hostile_strings_are_judged_without_a_false_accept():
    accepted, outcomes, (seconds, hand, text) = fuzzed(1_000_000, 2)
    assert accepted > 100_000
    assert outcomes == set(ENVIRONMENT.outcomes)
    for _ in range(3):  # what was slow once may have been interrupted
        start = time.thread_time()
        ENVIRONMENT.verify(hand, text)
        seconds = min(seconds, time.thread_time() - start)
    assert seconds < 0.25, (seconds, text[:200])


# -- the answer finder -----------------------------------------------------------------------------


def json_values(text):
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**17), 10**17)
        | st.floats(allow_nan=False, allow_infinity=False)
        | text,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
        max_leaves=12,
    )


def with_formula(others, formula):
    return others | {"formula": formula}


def answers_of(text):
    values = json_values(text)
    return st.builds(with_formula, st.dictionaries(text, values, max_size=4), values)


answers = answers_of(st.text(max_size=12))
broken_text = st.text(st.characters() | st.sampled_from(list(SURROGATES)), max_size=12)
prose = st.text(st.characters(exclude_characters="{"), max_size=200)
indents = st.sampled_from([None, 0, 2, 50])
many = settings(max_examples=300, deadline=None)


@many
@given(answers, st.booleans(), indents)
def test_an_answer_dumped_as_json_is_found_and_equal(fields, ascii_only, indent):
    text = json.dumps(fields, ensure_ascii=ascii_only, indent=indent)
    assert find_answer(text, "formula") == Answer(fields, "json")
    assert find_answer(f"```json\n{text}\n```", "formula") == Answer(fields, "json")


@many
@given(answers_of(broken_text), st.booleans())
def test_halves_of_characters_are_read_as_json_reads_them(fields, ascii_only):
    text = json.dumps(fields, ensure_ascii=ascii_only)
    assert find_answer(text, "formula") == Answer(json.loads(text), "json")


@many
@given(answers, indents, prose, prose)
def test_an_answer_is_found_within_any_text(fields, indent, before, after):
    found = find_answer(before + json.dumps(fields, indent=indent) + after, "formula")
    assert found.fields == fields
    assert found.strict


def as_lists(value):
    """The value with tuples as lists, and keys as text."""
    if isinstance(value, dict):
        return {str(key): as_lists(item) for key, item in value.items()}
    return [as_lists(item) for item in value] if isinstance(value, list | tuple) else value


text_for_repr = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
python_values = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.floats(-1e9, 1e9) | text_for_repr,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(text_for_repr | st.integers(0, 9), inner, max_size=4)
    ),
    max_leaves=12,
)


@many
@given(st.dictionaries(text_for_repr, python_values, max_size=4), python_values, prose)
def test_an_answer_written_as_a_python_literal_is_found(others, formula, before):
    fields = others | {"formula": formula}
    assert find_answer(before + repr(fields), "formula").fields == as_lists(fields)


def with_trailing_commas(value):
    if isinstance(value, dict) and value:
        items = (f"{json.dumps(key)}: {with_trailing_commas(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + ",\n}"
    if isinstance(value, list) and value:
        return "[" + ", ".join(map(with_trailing_commas, value)) + " , ]"
    return json.dumps(value)


@many
@given(answers)
def test_an_answer_with_trailing_commas_is_found_and_called_lenient(fields):
    assert find_answer(with_trailing_commas(fields), "formula") == Answer(fields, "lenient")


@many
@given(
    st.lists(
        st.tuples(answers, st.sampled_from([json.dumps, with_trailing_commas]), prose),
        min_size=2,
        max_size=4,
    )
)
def test_the_last_object_wins(written):
    text = "".join(write(fields) + after for fields, write, after in written)
    assert find_answer(text, "formula").fields == written[-1][0]


@many
@given(answers)
def test_an_object_without_the_key_or_cut_off_does_not_hide_the_answer(fields):
    text = json.dumps(fields)
    assert find_answer(text + '{"cards": []} {"formula": "1', "formula").fields == fields
    assert find_answer(f'{{"a": oops, "b": {text}', "formula").fields == fields
    assert find_answer(f'{{"a": {text}, "b": oops', "formula").fields == fields
    assert find_answer(f'{{"a": [1, {text}], "b": [{{"c": 1}}]}}', "formula").fields == fields


@many
@given(st.text(max_size=300) | st.text("{}[]()\"':,\\ \n01eE.+-formulaux", max_size=300))
def test_the_finder_is_total(text):
    for response in (text, '{"formula": ' + text, "{'formula': '" + text):
        assert isinstance(find_answer(response, "formula"), Answer)


FORMULA = '"formula": "8/(3-8/3)"'


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1e3, "b": 2.5E-1, "c": -0, "d": 1e999, ' + FORMULA + "}",
        '{"a": ' + "9" * 19 + ", " + FORMULA + "}",
        '{"a": -' + "9" * 5_000 + ", " + FORMULA + "}",
        '{"a": 0.' + "3" * 5_000 + "e-7, " + FORMULA + "}",
        '{"a": "' + "long " * 10_000 + '", ' + FORMULA + "}",
        '{"a": "' + "\\n" * 5_000 + '", ' + FORMULA + "}",
        '{"a": ' + "[" * 14 + "]" * 14 + ", " + FORMULA + "}",
        "{" + " \n" * 500 + FORMULA + "}",
        '{"' + "key" * 5_000 + '": 1, ' + FORMULA + "}",
        '{"\\ud83d\\ude00 \\u00e9 \\/": "\\ud83d", ' + FORMULA + "}",
        '{"attempts": [{"n": 1}, {' + FORMULA + '}, {"n": 3}]}',
        '{"formula": "8\\/(3-8\\/3)"}',
    ],
)
def test_valid_json_that_holds_a_right_formula_is_right(text):
    verdict = ENVIRONMENT.verify(instance("3", "3", "8", "8"), text)
    assert verdict.correct
    assert verdict.extraction == "json"
    json.dumps(dict(verdict.fields), allow_nan=False)


@pytest.mark.parametrize(
    "text",
    [
        "{'cards': ('3', '3', '8', '8'), 'number': (3, 3, 8, 8,), 'formula': '8/(3-8/3)'}",
        "{'cards': ('3', '3', '8', '8',), 'number': [3, 3, 8, 8], 'formula': ('8/(3-8/3)')}",
        "{'steps': (('8/3',), ()), 'values': {3: 3, 8: 8}, 'formula': '8/(3-8/3)'}",
        "{'steps': '\\x38\\U00000038\\'', 'a': [1., .5, +1], 'formula': '\\x38/(3-8/3)'}",
        '{"a": NaN, "b": -Infinity, "formula": "8/(3-8/3)"}',
        '{"a": "two\nlines", "formula": "8/(3-8/3)"}',
    ],
)
def test_what_is_not_json_but_plainly_meant_is_right_and_lenient(text):
    verdict = ENVIRONMENT.verify(instance("3", "3", "8", "8"), text)
    assert verdict.correct
    assert verdict.extraction == "lenient"
    assert dict(verdict.checks).items() >= {"reasoning": "number" in text or None}.items()


@pytest.mark.parametrize(
    "text",
    [
        "{'formula': (,)}",
        "{'formula': ('8/(3-8/3)'}",
        "{'formula': ('8/(3-8/3)']}",
        "{'formula': ('8/(3-8/3)',)}",
        "{'formula': '8/(3-8/3)' '+0'}",
        '{"formula": "8/(3-8/3)",,}',
        '{"formula" "8/(3-8/3)"}',
        '{"formula": ["8/(3-8/3)"]}',
        '{"formula": f"8/(3-8/3)"}',
        '{"text": "{\\"formula\\": \\"8/(3-8/3)\\"}"}',
    ],
)
def test_what_is_malformed_or_no_text_is_not_right(text):
    assert not ENVIRONMENT.verify(instance("3", "3", "8", "8"), text).correct


@pytest.mark.parametrize(
    "text",
    [
        '{"first": {"formula": "3*8"}, "last": {"formula": "8/(3-8/3)"}, "n": 2}',
        '{"all": [{"formula": "3*8"}, [{"formula": "8/(3-8/3)"}, {"n": 2}]]}',
        '{"formula": "8/(3-8/3)", "other": {"formula": "3*8"}}',
    ],
)
def test_of_objects_in_one_another_the_outer_one_wins_and_then_the_last(text):
    assert ENVIRONMENT.verify(instance("3", "3", "8", "8"), text).correct


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 16 + "'" + "x" * 390_000,
        '{"a":' * 16 + '"' + "x" * 390_000 + '" oops',
        '{"a":' * 16 + " " * 390_000 + "oops",
        '{"a": "' + "\\n" * 190_000 + '", "formula": "8/(3-8/3)"}',
        '{"formula": "", "a": [' + "1," * 30_000 + "]}",
    ],
)
def test_what_is_long_or_read_again_and_again_uses_the_budget_up(text):
    assert ENVIRONMENT.verify(instance("3", "3", "8", "8"), text).outcome == "too_long"


def test_where_the_budget_ends_no_earlier_answer_is_taken_for_the_last():
    right, wrong = "{" + FORMULA + "}", '{"formula": "3*8"}'
    verdict = ENVIRONMENT.verify(instance("3", "3", "8", "8"), right + '{"a":' * 50_000 + wrong)
    assert verdict.outcome == "too_long"
    bare = right + '{"a":' * 50_000 + "\n8/(3-8/3)"
    assert ENVIRONMENT.verify(instance("3", "3", "8", "8"), bare).outcome == "too_long"


# -- what must not change a verdict ----------------------------------------------------------------

GLYPHS = {"*": "*×x", "/": "/÷", "-": "-−"}
SPACE = st.text(" \t\r\n", max_size=3)


@st.composite
def token_lists(draw):
    """The tokens of right and wrong formulas of a notorious hand, some of them damaged."""
    numbers = draw(st.sampled_from(NOTORIOUS))
    order = tuple(draw(st.permutations(numbers)))
    _, full, minimal, _ = draw(st.sampled_from(in_order(order)))
    text = draw(st.sampled_from([full, minimal, f"{minimal}=24", f"{full}=23"]))
    tokens = re.findall(r"[0-9]+|.", text)
    for place in draw(st.lists(st.integers(0, len(tokens) - 1), max_size=1)):
        tokens[place] = draw(st.sampled_from(["+", "*", "/", "-", "(", ")", "3", "8", "=", "K"]))
    return numbers, tokens


def as_text(tokens, draw_space, draw_sign):
    """The tokens as text; two numbers side by side stay two."""
    text = ""
    for token in tokens:
        gap = draw_space()
        if text[-1:].isdigit() and token.isdigit():
            gap += " "
        text += gap + draw_sign(GLYPHS.get(token, [token]))
    return text + draw_space()


@settings(max_examples=600, deadline=None)
@given(token_lists(), st.data())
def test_spaces_and_other_signs_do_not_change_the_verdict(drawn, data):
    numbers, tokens = drawn
    plain = as_text(tokens, lambda: "", lambda signs: signs[0])
    varied = as_text(
        tokens, lambda: data.draw(SPACE), lambda signs: data.draw(st.sampled_from(list(signs)))
    )
    assert judge(varied, numbers, TARGET) == judge(plain, numbers, TARGET)
    hand = instance(*map(str, numbers))
    one, two = (
        ENVIRONMENT.verify(
            hand, json.dumps({"formula": text}, ensure_ascii=data.draw(st.booleans()))
        )
        for text in (plain, varied)
    )
    assert (one.outcome, one.feedback, one.strict) == (two.outcome, two.feedback, two.strict)
