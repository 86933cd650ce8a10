"""Slopes per decade, matched compute, forgetting: against other implementations and by property."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats as scipy_stats
from simulations import MAIN_TASK, draw_scores, labels

from genbench.stats import (
    contrast,
    forgetting,
    matched_compute,
    matched_compute_scores,
    mean_over_compute,
    paired_difference,
    proportion,
    slope_of_scores,
    slope_per_decade,
    standard_errors,
)

FLOPS = np.logspace(12, 14, 5)
RATES = np.array([0.20, 0.26, 0.25, 0.36, 0.38])
ERRORS = np.array([0.03, 0.02, 0.03, 0.05, 0.02])
CODES = labels(MAIN_TASK)


def table(rates, seed=0, within=0.8):
    generator = np.random.default_rng(seed)
    return draw_scores(generator, 1, MAIN_TASK, rates, within)[0]


def test_an_unweighted_slope_is_scipys_regression():
    found = slope_per_decade(FLOPS, RATES)
    expected = scipy_stats.linregress(np.log10(FLOPS), RATES)
    half_width = scipy_stats.t.isf(0.025, 3) * expected.stderr
    assert (found.value, found.p_value) == pytest.approx((expected.slope, expected.pvalue))
    assert (found.low, found.high) == pytest.approx(
        (expected.slope - half_width, expected.slope + half_width)
    )
    assert found.n == 5


@pytest.mark.parametrize("factor", [0.1, 10])
def test_a_weighted_slope_is_statsmodels_wls_but_never_surer_than_the_errors(factor):
    from statsmodels.regression.linear_model import WLS

    errors = factor * ERRORS
    design = np.column_stack([np.ones(5), np.log10(FLOPS)])
    expected = WLS(RATES, design, weights=errors**-2).fit()
    assert (expected.scale > 1) == (factor < 1)
    error = expected.bse[1] / np.sqrt(min(1, expected.scale))
    found = slope_per_decade(FLOPS, RATES, errors)
    assert found.value == pytest.approx(expected.params[1])
    assert found.high - found.value == pytest.approx(scipy_stats.t.isf(0.025, 3) * error)


def test_checkpoints_of_several_runs_are_one_slope_a_run():
    runs = np.array([[0.2, 0.25, 0.30], [0.2, 0.22, 0.24], [0.3, 0.33, 0.42]])
    x = np.tile([1e12, 1e13, 1e14], 3)
    found = slope_per_decade(x, runs.ravel(), runs=np.repeat(["a", "b", "c"], 3))
    slopes = [np.polyfit([12, 13, 14], run, 1)[0] for run in runs]
    expected = scipy_stats.ttest_1samp(slopes, 0)
    limits = expected.confidence_interval()
    assert (found.value, found.p_value) == pytest.approx((np.mean(slopes), expected.pvalue))
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high))
    assert "3 runs" in found.method
    assert slope_per_decade(x[:3], runs[0], runs=["a"] * 3) == slope_per_decade(x[:3], runs[0])


def test_lasting_scatter_of_one_run_is_underrated_without_runs():
    generator = np.random.default_rng(2)
    x = np.logspace(12, 14, 8)
    missed = np.zeros(2)
    for _ in range(200):
        runs = [
            np.clip(
                0.5
                + 0.05 * generator.normal() * (np.log10(x) - 13)
                + 0.005 * generator.normal(size=8),
                0,
                1,
            )
            for _ in range(3)
        ]
        pooled = slope_per_decade(np.tile(x, 3), np.concatenate(runs))
        each = slope_per_decade(np.tile(x, 3), np.concatenate(runs), runs=np.repeat([0, 1, 2], 8))
        missed += [pooled.p_value <= 0.05, each.p_value <= 0.05]
    assert missed[0] > 50
    assert missed[1] <= 20


def test_a_perfect_line_is_no_proof_without_errors():
    flat = slope_per_decade(FLOPS, np.zeros(5))
    assert (flat.value, flat.p_value) == (0, 1)
    assert flat.high > 0.5
    assert slope_per_decade(FLOPS, np.zeros(5), ERRORS).high < 0.2


def test_the_slope_of_scores_is_the_slope_of_their_rates():
    scores = table([0.2, 0.3, 0.35, 0.4, 0.5])
    found = slope_of_scores(FLOPS, scores, CODES, permutations=999)
    assert found.value == pytest.approx(slope_per_decade(FLOPS, scores.mean(axis=1)).value)
    assert found.low < found.value < found.high
    assert found.p_value < 0.01
    assert (found.n, found.clusters) == (261, 80)


@pytest.mark.parametrize(
    ("flops", "rates", "options", "said"),
    [
        ([1e12, 1e13], [0.1, 0.2], {}, "three|3 distinct"),
        ([1e12, 1e12, 1e13, 1e13], [0.1, 0.1, 0.2, 0.2], {}, "3 distinct"),
        ([0, 1e12, 1e13], [0.1, 0.1, 0.2], {}, "above 0"),
        ([1e12, np.nan, 1e13], [0.1, 0.1, 0.2], {}, "above 0"),
        (FLOPS, RATES[:4], {}, "one rate a checkpoint"),
        (FLOPS, RATES * 100, {}, r"\[0, 1\]"),
        (FLOPS, RATES, {"standard_errors": ERRORS * 0}, "above 0"),
        (FLOPS, RATES, {"runs": ["a"]}, "one a point"),
        (FLOPS, RATES, {"runs": ["a", "a", "a", "a", "b"]}, "two or more amounts"),
    ],
)
def test_slopes_that_mean_nothing_are_refused(flops, rates, options, said):
    with pytest.raises(ValueError, match=said):
        slope_per_decade(flops, rates, **options)


def test_matched_compute_interpolates_in_log_flops_over_the_overlap_only():
    found = matched_compute(
        [1e12, 1e14], [0.2, 0.6], [1e13, 1e15], [0.3, 0.5], [0.02, 0.02], [0.03, 0.03]
    )
    assert found.overlap == pytest.approx((1e13, 1e14))
    assert [point.flops for point in found.points] == pytest.approx([1e13, 1e14])
    # At 1e13 a is half way, 0.4 against 0.3; at 1e14 b is half way, 0.6 against 0.4.
    assert [point.difference.value for point in found.points] == pytest.approx([0.1, 0.2])
    assert found.average.value == pytest.approx(0.15)
    half_width = 1.959964 * np.hypot(0.02, 0.03)
    assert found.points[0].difference.high == pytest.approx(0.1 + half_width)
    assert found.points[0].p_value_holm >= found.points[0].difference.p_value


@given(some.lists(some.floats(0, 1), min_size=4, max_size=4), some.data())
def test_the_average_is_the_area_between_the_curves(rates, data):
    starts = data.draw(some.floats(12.05, 13.9))
    log_a, log_b = np.array([12, 13, 14, 15.0]), np.array([starts, 14.5, 16])
    other = np.array([0.2, 0.7, 0.1])
    found = matched_compute(10**log_a, rates, 10**log_b, other, [0.1] * 4, [0.1] * 3)
    grid = np.linspace(starts, 15, 20_001)
    gap = np.interp(grid, log_a, rates) - np.interp(grid, log_b, other)
    assert found.average.value == pytest.approx(gap.mean(), abs=1e-3)


@given(some.floats(12, 16), some.floats(12, 16))
def test_a_mean_over_compute_is_the_area_under_the_curve(one, other):
    low, high = sorted((one, other))
    x, rates = np.array([12, 13, 14.5, 16]), np.array([[0.2, 1], [0.6, 1], [0.1, 1], [0.3, 1]])
    found = mean_over_compute(10**x, rates, 10**low, 10**high)
    grid = np.linspace(low, high, 20_001)
    assert found == pytest.approx([np.interp(grid, x, rates[:, 0]).mean(), 1], abs=1e-3)
    assert found[1] == 1  # rounding must not make a score that no score can be


def test_a_difference_of_means_over_compute_is_the_matched_average():
    scores = table([0.2, 0.3, 0.5, 0.4])
    sides = [([1e12, 1e14], scores[:2]), ([3e12, 1e15], scores[2:])]
    found = matched_compute_scores(*sides[0], *sides[1], CODES, permutations=99)
    a, b = (mean_over_compute(*side, *found.overlap).mean() for side in sides)
    assert a - b == pytest.approx(found.average.value)


@pytest.mark.parametrize(
    ("flops", "between", "said"),
    [
        ([1e12, 1e13], (1e12, 2e13), "beyond"),
        ([1e12, 1e13], (5e12, 2e12), "in this order"),
        ([1e12, 1e12], (1e12, 1e12), "same training compute"),
        ([1e12], (1e12, 1e12), "one row a checkpoint"),
    ],
)
def test_means_over_compute_that_mean_nothing_are_refused(flops, between, said):
    with pytest.raises(ValueError, match=said):
        mean_over_compute(flops, [0.1, 0.2], *between)


def test_checkpoints_of_equal_compute_are_compared_as_pairs():
    scores = table([0.5, 0.6, 0.4, 0.45])
    found = matched_compute_scores(
        [1e12, 1e13], scores[:2], [1e12, 1e13], scores[2:], CODES, permutations=999
    )
    expected = paired_difference(scores[1], scores[3], CODES, permutations=999)
    assert found.points[1].difference.value == pytest.approx(expected.value)
    assert found.points[1].difference.low == pytest.approx(expected.low)
    half = contrast(
        (scores[0] + scores[1] - scores[2] - scores[3]) / 2, CODES, permutations=999, bound=1
    )
    assert found.average.value == pytest.approx(half.value)
    assert found.average.p_value == pytest.approx(half.p_value, abs=1e-9)


def test_paired_scores_say_more_than_their_errors():
    scores = table([0.5, 0.6, 0.4, 0.45])
    known = [proportion(row, CODES) for row in scores]
    errors = standard_errors(*zip(*[(k.value, k.low, k.high) for k in known], strict=True))
    x, means = [1e12, 1e13], scores.mean(axis=1)
    wide = matched_compute(x, means[:2], x, means[2:], errors[:2], errors[2:]).average
    narrow = matched_compute_scores(x, scores[:2], x, scores[2:], CODES, permutations=999).average
    assert wide.value == pytest.approx(narrow.value)
    assert wide.high - wide.low > narrow.high - narrow.low


def test_nothing_is_extrapolated():
    errors = [0.02, 0.02]
    with pytest.raises(ValueError, match="does not overlap"):
        matched_compute([1e12, 1e13], [0.1, 0.2], [1e14, 1e15], [0.1, 0.2], errors, errors)
    both = [1e12, 1e14], [0.1, 0.2], [1e13, 1e15], [0.1, 0.2], errors, errors
    with pytest.raises(ValueError, match="outside the overlap"):
        matched_compute(*both, at=[1e13, 2e14])
    assert len(matched_compute(*both, at=[1e13, 1e14, 5e13]).points) == 3
    with pytest.raises(ValueError, match="same training compute"):
        matched_compute([1e12, 1e12, 1e14], [0.1] * 3, [1e12, 1e15], [0.1] * 2, [0.1] * 3, errors)


def test_methods_that_meet_in_one_point_are_compared_there():
    found = matched_compute(
        [1e12, 1e13], [0.1, 0.5], [1e13, 1e14], [0.3, 0.4], [0.02, 0.02], [0.02, 0.02]
    )
    assert found.average.value == pytest.approx(0.2)
    assert len(found.points) == 1


def test_the_first_checkpoint_has_forgotten_nothing_to_speak_of():
    scores = table([0.2, 0.6, 0.4, 0.7])
    found = forgetting(scores, CODES)
    means = scores.mean(axis=1)
    assert found[0] is None
    assert [one.best for one in found[1:]] == [0, 1, 1]
    assert [one.value for one in found[1:]] == pytest.approx(
        [means[0] - means[1], means[1] - means[2], means[1] - means[3]]
    )
    assert found[2].p_value < 0.01
    assert found[3].p_value > 0.5
    assert forgetting([], CODES) == ()


def test_the_best_of_many_equals_is_not_called_forgetting_but_the_naive_test_would():
    generator = np.random.default_rng(3)
    naive = honest = 0
    for scores in draw_scores(generator, 150, MAIN_TASK, [0.3] * 12, 0.8):
        best = scores[int(np.argmax(scores[:-1].mean(axis=1)))]
        naive += paired_difference(best, scores[-1], CODES, permutations=199).p_value <= 0.05
        honest += forgetting(scores, CODES, draws=199)[-1].p_value <= 0.05
    assert naive >= 14  # 9%
    assert honest <= 10


def test_forgetting_in_full_has_a_width_and_is_found():
    scores = np.vstack([np.ones(261), np.zeros(261)])
    fell = forgetting(scores, CODES)[1]
    assert fell.value == 1
    assert 0.9 < fell.low < fell.high == 1
    assert fell.p_value < 0.01
    same = forgetting(np.ones((3, 261)), CODES)[2]
    assert (same.value, same.p_value) == (0, 1)
    assert same.low < 0 < same.high


@given(some.integers(0, 10_000), some.integers(2, 6), some.sampled_from([0.1, 0.8]))
def test_the_test_and_the_interval_of_forgetting_agree(seed, checkpoints, within):
    rates = np.random.default_rng(seed).uniform(0.2, 0.5, checkpoints)
    found = forgetting(table(rates, seed, within), CODES, draws=399)[-1]
    assert (found.p_value <= 0.05) == (found.low > 0)
    assert found.low <= found.value <= found.high


def test_forgetting_does_not_depend_on_how_many_signs_are_held_at_a_time(monkeypatch):
    scores = table([0.4, 0.5, 0.3])
    at_once = forgetting(scores, CODES)
    monkeypatch.setitem(forgetting.__globals__, "_CHUNK_CELLS", 80 * 7)
    assert forgetting(scores, CODES) == at_once


def test_one_cluster_says_nothing_of_forgetting():
    found = forgetting([[1, 1, 1], [0, 0, 0]], ["a"] * 3)[1]
    assert (found.low, found.high, found.p_value) == (-1, 1, 1)


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="same instances"):
        forgetting([[1, 0, 1], [1, 0]])
    with pytest.raises(ValueError, match="checkpoint 1"):
        forgetting([[1, 0, 1], [1, 0, 2]])
    with pytest.raises(ValueError, match="one row a checkpoint"):
        slope_of_scores(FLOPS, np.zeros((4, 10)))
