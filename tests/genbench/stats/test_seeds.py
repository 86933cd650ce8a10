"""Intervals over training seeds, and how many seeds a target needs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats as scipy_stats

from genbench.stats import required_seeds, seed_change, seed_difference, seed_interval

rates = some.lists(some.floats(0, 1), min_size=2, max_size=8)


def test_the_interval_is_scipys_t_interval():
    values = [0.41, 0.47, 0.44]
    found = seed_interval(values)
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.n, found.method) == (3, "t over 3 seeds")


def test_the_difference_is_scipys_welch_test():
    a, b = [0.41, 0.47, 0.44], [0.30, 0.38, 0.29, 0.35]
    found = seed_difference(a, b, 0.9)
    expected = scipy_stats.ttest_ind(a, b, equal_var=False)
    limits = expected.confidence_interval(0.9)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high))


def test_the_change_has_scipys_t_test_and_the_interval_of_its_mean():
    values = [-0.11, -0.04, -0.07, 0.02]
    found = seed_change(values)
    expected = scipy_stats.ttest_1samp(values, 0)
    limits = expected.confidence_interval()
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high))
    assert (found.n, found.method) == (4, "t over 4 seeds")


@given(some.lists(some.floats(-1, 1), min_size=2, max_size=8))
def test_a_change_is_significant_where_its_interval_leaves_zero_out(values):
    found = seed_change(values)
    outside = not found.low <= 0 <= found.high
    assert 0 <= found.p_value <= 1
    if abs(found.p_value - 0.05) > 1e-6:
        assert outside == (found.p_value < 0.05)
    doubled = seed_change([2 * value for value in values], low=-2, high=2)
    assert doubled.p_value == pytest.approx(found.p_value, abs=1e-9)
    assert doubled.value == pytest.approx(2 * found.value)


def test_equal_changes_of_a_few_seeds_are_no_proof():
    assert seed_change([0.0, 0.0, 0.0]).p_value == 1
    assert seed_change([-1.0] * 3).p_value > 0.05
    assert seed_change([-1.0] * 12).p_value < 0.01


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_skewed_seeds_raise_the_alarms_that_the_docstring_admits(seeds):
    generator = np.random.default_rng(seeds)
    total = 0.02 * 0.98 / 0.03**2 - 1
    rates = generator.beta(0.02 * total, 0.98 * total, (1500, seeds))
    found = np.mean([seed_change(row - 0.02).p_value <= 0.05 for row in rates])
    assert 0.13 < found < 0.24


@given(rates)
def test_limits_hold_the_mean_have_a_width_and_stay_possible(values):
    found = seed_interval(values)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
    assert found.low < found.high


@given(rates, rates)
def test_swapping_the_methods_turns_the_sign(a, b):
    one, other = seed_difference(a, b), seed_difference(b, a)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert -1 <= one.low < one.high <= 1
    assert 0 <= one.p_value <= 1


def test_gaps_may_be_negative():
    found = seed_interval([-0.9, -0.5, -0.7], low=-1)
    assert found.value == pytest.approx(-0.7)
    assert -1 <= found.low < -0.7 < found.high < 0
    scaled = seed_interval([0.05, 0.25, 0.15])
    assert (found.low + 1) / 2 == pytest.approx(scaled.low)


def test_equal_seeds_are_no_proof():
    found = seed_interval([0.0, 0.0, 0.0])
    assert found.low == 0
    assert found.high > 0.5
    assert seed_difference([0.0, 0.0], [1.0, 1.0]).p_value > 0.05
    assert seed_difference([0.0] * 8, [1.0] * 8).p_value < 0.001


@pytest.mark.parametrize("values", [[], [0.5], [0.5, 1.2], [0.5, np.nan]])
def test_one_seed_and_impossible_rates_are_refused(values):
    with pytest.raises(ValueError):
        seed_interval(values)
    with pytest.raises(ValueError):
        seed_change(values)
    with pytest.raises(ValueError):
        seed_difference([0.1, 0.2], values)


def test_a_change_needs_a_range_around_zero():
    with pytest.raises(ValueError, match="No change must lie within"):
        seed_change([0.1, 0.2], low=0)


def test_an_sd_of_3_points_needs_10_seeds_for_4_points_and_8_only_one_sided():
    assert required_seeds(0.03, 0.04) == 10
    # Power of a two-sided and of a one-sided test with 8 seeds a side, by the noncentral t.
    freedom, shift = 14, 0.04 / 0.03 * np.sqrt(8 / 2)
    two, one = scipy_stats.t.isf([0.025, 0.05], freedom)
    assert scipy_stats.nct.sf(two, freedom, shift) == pytest.approx(0.699, abs=1e-3)
    assert scipy_stats.nct.sf(one, freedom, shift) == pytest.approx(0.813, abs=1e-3)
    assert required_seeds(0.03, 0.04, alpha=0.1) == 8  # the upper tail at 0.1 is one-sided 0.05


@given(some.floats(0.005, 0.2), some.floats(0.02, 0.5), some.sampled_from([0.5, 0.8, 0.95]))
def test_the_number_is_the_first_with_the_power(sd, difference, power):
    seeds = required_seeds(sd, difference, power=power)

    # Given the pooled SD, whose square is a chi2 over its freedom, the test is a normal one.
    shares = (np.arange(4000) + 0.5) / 4000

    def reached(n):
        freedom = 2 * n - 2
        critical = scipy_stats.t.isf(0.025, freedom)
        pooled = np.sqrt(scipy_stats.chi2.ppf(shares, freedom) / freedom) * critical
        shift = difference / sd * np.sqrt(n / 2)
        tails = scipy_stats.norm.sf(pooled - shift) + scipy_stats.norm.cdf(-pooled - shift)
        return tails.mean()

    assert reached(seeds) > power - 1e-4
    assert seeds == 2 or reached(seeds - 1) < power + 1e-4


def test_a_difference_of_many_sds_needs_two_seeds():
    assert required_seeds(0.046875, 0.5, power=0.5) == 2
    assert required_seeds(1e-4, 0.9) == 2


def test_simulated_seeds_reach_the_power():
    seeds = required_seeds(0.03, 0.04)
    generator = np.random.default_rng(1)
    found = [
        seed_difference(generator.normal(0.4, 0.03, seeds), generator.normal(0.36, 0.03, seeds))
        for _ in range(1000)
    ]
    assert np.mean([one.p_value <= 0.05 for one in found]) == pytest.approx(0.8, abs=0.045)


@pytest.mark.parametrize(
    ("sd", "difference", "options"),
    [
        (0, 0.1, {}),
        (0.1, 0, {}),
        (np.nan, 0.1, {}),
        (0.1, 0.1, {"alpha": 0}),
        (0.1, 0.1, {"power": 1}),
        (1.0, 1e-6, {}),
    ],
)
def test_numbers_that_answer_nothing_are_refused(sd, difference, options):
    with pytest.raises(ValueError):
        required_seeds(sd, difference, **options)
