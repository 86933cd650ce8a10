"""Training, development and test are disjoint by class, and large enough; no hand of a split is
without a solution."""

from fractions import Fraction
from itertools import permutations

import pytest

from genbench import load_task
from genbench.errors import TaskError
from genbench_tasks.general_points.cards import RULES, has_face, multiset, numbers_of
from genbench_tasks.general_points.hands import (
    all_hands,
    class_of,
    face_hands,
    held_out_numbers,
    is_paired,
    makes,
    may_train,
    part_of,
    partition,
)
from genbench_tasks.general_points.mixture import Mixture


def test_there_are_at_least_75_test_classes_with_250_hands():
    hands = [hand for hand in face_hands("test") if is_paired(hand)]
    assert len(hands) >= 250
    assert len({class_of(hand) for hand in hands}) >= 75


def test_enough_face_hands_are_left_for_training():
    rule = RULES["face-10"]
    left = [h for h in all_hands() if has_face(h) and may_train(h, rule) and makes(h, rule, 24)]
    assert len(left) >= 200


def test_no_test_hand_may_be_trained_on_under_any_rule():
    for part in ("test", "dev"):
        for hand in face_hands(part):
            assert not any(may_train(hand, rule) for rule in RULES.values())


def test_no_trainable_hand_reads_as_a_held_out_one():
    held = {
        multiset(numbers_of(hand, RULES[rule]))
        for hand in all_hands()
        if has_face(hand) and part_of(class_of(hand)) != "train"
        for rule in ("face-10", "face-11-12-13")
    }
    assert held == held_out_numbers()
    assert len(partition()) == 220


def test_the_mixture_of_the_base_model_holds_no_held_out_problem():
    mixture = Mixture(seed=3)
    stream = mixture.batches(64)
    for _ in range(12):
        for _, response in next(stream):
            assert '"formula"' in response
    assert len(mixture.used) > 200
    assert not mixture.used & held_out_numbers()


def makes_by_trying(numbers, target):
    """Whether four numbers make the target: any two become one until one is left."""
    if len(numbers) == 1:
        return numbers[0] == target
    return any(
        makes_by_trying([result, *rest], target)
        for a, b, *rest in permutations(numbers)
        for result in (a + b, a - b, a * b, *([a / b] if b else []))
    )


def test_hands_that_cannot_make_another_target_are_refused():
    hands = [hand for hand in face_hands("test") if is_paired(hand)]
    rule = RULES["face-10"]
    numbers = {multiset(numbers_of(hand, rule)) for hand in hands}
    solvable = {one: makes_by_trying([Fraction(n) for n in one], 30) for one in numbers}
    unsolvable = sum(not solvable[multiset(numbers_of(hand, rule))] for hand in hands)
    assert unsolvable
    said = f"split 'id': {unsolvable} of {len(hands)} hands cannot make 30 under face-10"
    with pytest.raises(TaskError, match=said):
        load_task("gp-ood-rule", settings={"target": 30}).check_instances()


def test_another_target_may_be_asked_of_hands_that_make_it():
    require = [["face-10", 30], ["face-11-12-13", 30]]
    task = load_task("gp-ood-rule", settings={"target": 30, "require": require})
    task.check_instances()
    for split in task.splits.values():
        for instance in split.instances():
            response = next(task.environment.solutions(instance))
            assert task.verify(instance, response).correct


@pytest.mark.parametrize("value", [None, "24", 24.5, True])
def test_a_target_is_a_whole_number(value):
    with pytest.raises(TaskError, match="target is a whole number, not"):
        load_task("gp-ood-rule", settings={"target": value}).check_instances()
