"""The solver against published counts and against an independent exhaustive enumeration."""

from fractions import Fraction
from itertools import combinations_with_replacement, permutations

import pytest

from genbench_tasks.general_points.cards import RULES, has_face
from genbench_tasks.general_points.hands import all_hands, class_of, is_paired, makes
from genbench_tasks.general_points.solver import count, expressions, solutions, solvable

ID_RULE, OOD_RULE = RULES["face-10"], RULES["face-11-12-13"]


def values_of_every_expression(numbers):
    """Every labelled expression's value (None: division by zero), by brute force over trees."""

    def build(leaves):
        if len(leaves) == 1:
            yield Fraction(leaves[0])
            return
        for cut in range(1, len(leaves)):
            for left in build(leaves[:cut]):
                for right in build(leaves[cut:]):
                    if left is None or right is None:
                        yield from (None,) * 4
                        continue
                    yield left + right
                    yield left - right
                    yield left * right
                    yield left / right if right else None

    for order in permutations(numbers):
        yield from build(order)


def test_the_number_of_solvable_hands_is_the_published_one():
    hands = all_hands()
    assert len(hands) == 1820
    under_id = {hand for hand in hands if makes(hand, ID_RULE, 24)}
    under_ood = {hand for hand in hands if makes(hand, OOD_RULE, 24)}
    assert len(under_ood) == 1362
    assert len(under_id) == 1236
    assert len(under_id & under_ood) == 1095
    paired = [hand for hand in hands if is_paired(hand)]
    assert len(paired) == sum(has_face(hand) for hand in under_id & under_ood) == 529
    assert len({class_of(hand) for hand in paired}) == 158


def test_566_of_the_715_multisets_of_1_to_10_make_24():
    multisets = list(combinations_with_replacement(range(1, 11), 4))
    assert len(multisets) == 715
    assert sum(solvable(numbers, 24) for numbers in multisets) == 566


@pytest.mark.parametrize(
    ("numbers", "target"),
    [
        ((3, 3, 8, 8), 24),
        ((1, 2, 3, 4), 24),
        ((5, 5, 5, 5), 0),
        ((2, 2, 7, 13), 10),
        ((4, 4, 4), 1),
    ],
)
def test_counts_equal_a_brute_force_enumeration(numbers, target):
    values = list(values_of_every_expression(numbers))
    assert len(values) == expressions(len(numbers))
    assert count(numbers, target) == sum(value == target for value in values if value is not None)


@pytest.mark.parametrize("numbers", [(3, 3, 8, 8), (1, 5, 5, 5), (10, 10, 4, 4), (13, 12, 2, 1)])
def test_solutions_are_found_exactly_where_the_count_says_so(numbers):
    found = list(solutions(numbers, 24))
    assert bool(found) == solvable(tuple(sorted(numbers)), 24)
    for solution in found:
        assert solution.steps[-1].result == 24


def test_the_hand_that_needs_a_fraction_is_solved():
    assert next(solutions((3, 3, 8, 8), 24)).formula == "8/(3-(8/3))"
