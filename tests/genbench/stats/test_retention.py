"""The share of skill beyond chance that survives a shift, and where it is not defined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from simulations import MAIN_TASK, draw_scores, labels
from truths import counts_to_scores

from genbench.stats import proportion, retention, standard_errors

CODES = labels(MAIN_TASK)


def pair(rates, seed=0, within=0.1):
    return draw_scores(np.random.default_rng(seed), 1, MAIN_TASK, rates, within)[0]


def test_retention_is_the_ratio_beyond_chance():
    in_distribution, out = pair([0.9, 0.5])
    found, reason = retention(in_distribution, out, 0.1, 0.05, CODES)
    assert reason is None
    assert found.value == pytest.approx((out.mean() - 0.05) / (in_distribution.mean() - 0.1))
    assert found.low < found.value < found.high
    assert (found.n, found.clusters) == (261, 80)


def test_without_sampling_error_in_the_id_rate_it_is_a_scaled_wilson_interval():
    n = 4000
    out = counts_to_scores(1200, n)[np.random.default_rng(0).permutation(n)]
    found, _ = retention(np.ones(n), out, 0.0, 0.0)
    known = proportion(out)
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=1e-3)


def test_the_limits_are_fiellers_in_large_samples():
    generator = np.random.default_rng(4)
    n = 20_000
    a, b = (generator.random((2, n)) < [[0.8], [0.4]]).astype(float)
    found, _ = retention(a, b, 0.0, 0.0)
    # Fieller, by its definition: the ratios at which the mean of b - R a is within z errors of 0.
    ratios = np.linspace(0.4, 0.6, 4001)
    means = b.mean() - ratios * a.mean()
    covariance = np.cov(b, a) / n
    variances = covariance[0, 0] - 2 * ratios * covariance[0, 1] + ratios**2 * covariance[1, 1]
    inside = ratios[means**2 <= 1.959964**2 * variances]
    assert (found.low, found.high) == pytest.approx((inside.min(), inside.max()), abs=3e-4)


def test_it_is_undefined_unless_the_id_rate_is_above_chance():
    in_distribution = counts_to_scores(6, 100)
    found, reason = retention(in_distribution, in_distribution, 0.05, 0.05)
    assert found is None
    assert "not above chance (5.0%)" in reason
    assert "n = 100" in reason
    assert retention(in_distribution, in_distribution, 0.0, 0.0)[0] is not None
    assert retention(np.ones(9), np.ones(9), 0.0, 0.0, ["one"] * 9)[0] is None


@pytest.mark.parametrize(("id_rate", "ood_rate"), [(1, 0), (1, 1), (0.5, 0), (0.5, 1)])
def test_extremes_have_a_width(id_rate, ood_rate):
    scores = [counts_to_scores(round(261 * rate), 261) for rate in (id_rate, ood_rate)]
    for codes in (None, CODES):
        found, _ = retention(*scores, 0.0, 0.0, codes)
        assert found.low <= found.value <= found.high
        assert found.high - found.low > 0.01


def test_the_same_column_twice_keeps_all_but_is_not_certain():
    column = pair([0.5])[0]
    found, _ = retention(column, column, 0.0, 0.0, CODES)
    assert found.value == 1
    assert found.high - found.low > 0.01


def test_below_chance_is_negative():
    found, _ = retention(counts_to_scores(200, 261), np.zeros(261), 0.0, 0.2)
    assert found.value < 0
    assert found.high < 0


@given(
    some.integers(1, 60),
    some.integers(0, 60),
    some.floats(0, 0.3),
    some.floats(0, 0.3),
    some.integers(0, 100),
)
def test_wherever_it_is_defined_the_limits_are_finite_and_hold_the_ratio(a, b, c, d, seed):
    shuffled = np.random.default_rng(seed).permutation(60)
    found, reason = retention(counts_to_scores(a, 60), counts_to_scores(b, 60)[shuffled], c, d)
    assert (found is None) != (reason is None)
    if found is not None:
        assert np.isfinite([found.low, found.high]).all()
        assert found.low <= found.value <= found.high
        assert found.low < found.high


def test_unlike_columns_and_impossible_chances_are_refused():
    with pytest.raises(ValueError, match="same pairs"):
        retention(np.ones(3), np.ones(4), 0, 0)
    with pytest.raises(ValueError, match="chance_ood"):
        retention(np.ones(3), np.ones(3), 0, 1.0)


def test_standard_errors_are_what_their_intervals_say():
    middle = proportion(counts_to_scores(500, 1000))
    error = standard_errors(middle.value, middle.low, middle.high)
    assert error == pytest.approx(np.sqrt(0.25 / 1000), rel=0.01)
    edge = proportion(np.zeros(100))
    assert standard_errors(edge.value, edge.low, edge.high) > 0.01
    assert standard_errors([0.1, 0.2], [0.0, 0.1], [0.3, 0.25]).shape == (2,)
    with pytest.raises(ValueError):
        standard_errors(0.5, 0.6, 0.7)
