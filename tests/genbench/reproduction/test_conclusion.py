"""What is concluded follows from tests: planted truths are named, and nothing else is."""

import re

import pytest

from genbench import stats
from genbench.reproduction import pages
from genbench.reproduction.conclusion import conclude_group, detectable_difference
from genbench.reproduction.results import Conclusion

STEP = 1 / 24  # one of the instances
DOWN = [(0.9, 0.1), (0.9 + STEP, 0.1 - STEP), (0.9, 0.1)]
UP = [(0.7, 0.9), (0.7 + STEP, 0.9 + STEP), (0.7, 0.9)]


def words(group):
    return {one.training: [each.word for each in one.readings] for one in group.trainings}


def quantity_of(group, training, kind="split", measure="success", split="ood"):
    (found,) = (one for one in group.trainings if one.training == training)
    return next(
        one
        for one in found.quantities
        if (one.kind, one.measure, one.split) == (kind, measure, split)
    )


@pytest.fixture(scope="module")
def three_seeds(plant):
    base, ended = plant({"gp-sft": ("sft", DOWN, True), "gp-rl": ("rl", UP, False)})
    return conclude_group(base, ended, [("gp-rl", "gp-sft")])


def test_a_memoriser_and_a_generaliser_over_three_seeds_are_called_so(three_seeds):
    assert words(three_seeds) == {"gp-sft": ["memorises"], "gp-rl": ["generalises"]}
    assert {one.unit for one in three_seeds.trainings} == {"training seeds"}


def test_changes_over_seeds_are_those_of_student(three_seeds):
    found = quantity_of(three_seeds, "gp-sft", split="id")
    rates = [round(24 * one[0]) / 24 for one in DOWN]
    direct = stats.seed_change([rate - 0.5 for rate in rates], low=-1, high=1)
    assert found.change.value == pytest.approx(direct.value)
    assert found.change.ci95 == pytest.approx((direct.low, direct.high))
    assert found.change.p_value == pytest.approx(direct.p_value)
    assert found.change.n == 3


def test_a_memoriser_sticks_to_its_rule(three_seeds):
    found = quantity_of(three_seeds, "gp-sft", measure="stickiness")
    assert found.base < 0.1
    assert found.value > 0.7
    assert found.change.p_value_holm < 0.05


def test_p_values_are_corrected_within_their_family(three_seeds):
    every = [one for of in three_seeds.trainings for one in of.quantities]
    every += [one for of in three_seeds.contrasts for one in of.quantities]
    parts = [part for of in three_seeds.trainings for part in of.parts]
    every += [one for part in parts for one in (part.number, part.rule)]
    for family, count in (("readings", 6), ("further", None)):
        tests = [one for one in every if one.family == family]
        assert {one.tests for one in tests} == {len(tests)}
        assert count in (None, len(tests))
        direct = stats.holm([one.change.p_value for one in tests])
        assert [one.change.p_value_holm for one in tests] == pytest.approx(list(direct))
    assert not [one for one in every if one.family == "controls"]


def test_at_matched_compute_the_generaliser_is_higher(three_seeds):
    contrast = three_seeds.contrasts[0]
    assert (contrast.kind, contrast.unit) == ("matched compute", "training seeds")
    assert contrast.sentence == "gp-rl is higher on OOD"
    ood = next(one for one in contrast.quantities if one.kind == "split" and one.split == "ood")
    assert ood.change.value > 0.4


def test_unmatched_id_success_is_said_and_nothing_is_read_from_it(three_seeds):
    contrast = three_seeds.contrasts[1]
    assert contrast.kind == "matched ID success"
    assert not contrast.matched  # RL ends at 70%, SFT at 90%
    assert "nothing is read from it" in contrast.sentence


def test_at_matched_id_success_the_nearest_checkpoint_is_taken(plant):
    base, ended = plant(
        {
            "gp-sft": ("sft", [(0.7, 0.2)] * 2 + [(0.7, 0.2 + STEP)], False),
            "gp-rl": ("rl", [(0.9, 0.9)] * 2 + [(0.9, 0.9 - 2 * STEP)], False),
        }
    )
    contrast = conclude_group(base, ended, [("gp-rl", "gp-sft")]).contrasts[1]
    assert contrast.matched
    assert "gp-rl at step 1, ID 70.8%; gp-sft at step 2" in contrast.detail
    assert contrast.sentence == "gp-rl is higher on OOD"


def test_without_a_change_nothing_is_shown(plant):
    base, ended = plant({"gp-sft": ("sft", [(0.5, 0.6), (0.5 + STEP, 0.6 - STEP)], False)})
    group = conclude_group(base, ended, [])
    assert words(group) == {"gp-sft": ["no change shown"]}
    assert pages.words_of(group.trainings[0]) == "undecided (no change shown)"


def test_one_seed_is_tested_by_instance_and_speaks_of_itself(plant):
    base, ended = plant({"gp-sft": ("sft", DOWN[:1], False), "gp-rl": ("rl", UP[:1], False)})
    group = conclude_group(base, ended, [("gp-rl", "gp-sft")])
    assert {one.unit for one in group.trainings} == {"instances"}
    assert words(group)["gp-sft"] == ["memorises"]
    found = quantity_of(group, "gp-sft")
    assert found.change.n == 24
    assert found.seeds_needed is None
    assert "speak of this training run alone" in pages.unit_sentence(group.trainings[0])
    assert pages.seeds_sentence(group.trainings[0]) is None
    assert {one.unit for one in group.contrasts} == {"instances"}


def test_controls_are_a_family_of_their_own_and_stand_last(plant):
    base, ended = plant(
        {"gp-sft-low": ("sft", DOWN, False), "gp-rl": ("rl", UP, False)},
        roles={"gp-sft-low": "control"},
    )
    group = conclude_group(base, ended, [])
    assert [one.training for one in group.trainings] == ["gp-rl", "gp-sft-low"]
    assert {one.family for one in group.trainings[1].quantities} == {"controls"}
    assert words(group)["gp-sft-low"] == ["memorises"]


def test_a_correction_over_more_tests_can_take_a_word_back(plant):
    """Seeds that scatter widely: what one test alone would show, six together do not."""
    wide = [(0.6, 0.45), (0.8, 0.3), (0.95, 0.15)]
    base, ended = plant({"gp-sft": ("sft", wide, False), "gp-rl": ("rl", UP, False)})
    group = conclude_group(base, ended, [])
    found = quantity_of(group, "gp-sft", kind="difference in differences")
    assert found.change.p_value < found.change.p_value_holm
    assert words(group)["gp-sft"] == ["no change shown"]


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_the_detectable_difference_is_what_required_seeds_inverts(seeds):
    found = detectable_difference(0.03, seeds)
    assert stats.required_seeds(0.03, found) <= seeds
    assert stats.required_seeds(0.03, 0.99 * found) > seeds
    assert detectable_difference(0.0, seeds) is None


def test_the_words_are_the_same_everywhere(three_seeds):
    found = Conclusion(
        genbench_version="0", preset="planted", summary="Planted.", seeds=3, alpha=0.05,
        correction="Holm", groups=[three_seeds], notes=["a note"],
    )  # fmt: skip
    text = pages.conclusion_markdown(found)
    assert "gp-sft (sft, step 2, rate 0.0003, 3 seeds): memorises" in text
    assert "gp-rl (rl, step 2, rate 0.0003, 3 seeds): generalises" in text
    assert "gp-rl minus gp-sft at matched compute: gp-rl is higher on OOD" in text
    ood = quantity_of(three_seeds, "gp-sft")
    assert re.search(rf"\| OOD \| .*{100 * ood.change.value:+.1f}".replace("+", r"\+"), text)
    assert "4 pp need" in text
    assert Conclusion.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_change_is_that_of_its_numbers_and_that_of_reading_the_rule(plant, seeds):
    """OOD rises by 30 points, its numbers as numerals by 50: reading the rule fell by 20."""
    rates = [(0.5, 0.9, 0.5), (0.5, 0.9 + STEP, 0.5 - STEP), (0.5, 0.9, 0.5)][:seeds]
    base, ended = plant({"gp-rl": ("rl", rates, False)})
    group = conclude_group(base, ended, [])
    (trained,) = group.trainings
    inside, out = trained.parts
    assert (inside.split, inside.control) == ("id", "control-id")
    assert (out.split, out.control) == ("ood", "control-ood")
    for part in trained.parts:
        whole = quantity_of(group, "gp-rl", split=part.split).change.value
        assert part.number.change.value + part.rule.change.value == pytest.approx(whole)
        assert part.number.change.p_value_holm >= part.number.change.p_value
    solved = [round(24 * one[2]) / 24 for one in rates]
    assert out.number.change.value == pytest.approx(sum(solved) / seeds)
    assert out.rule.base == pytest.approx(round(24 * 0.6) / 24)
    assert out.rule.change.value < -0.1
    assert out.rule.change.n == (seeds if seeds > 1 else 24)
    assert (inside.number.change.value, inside.number.change.p_value) == (0.0, 1.0)
    rows = dict(pages.tests_of(trained))
    assert rows["OOD, of it reading the rule"] is out.rule
    assert rows["ID, of it its numbers as numerals"] is inside.number
