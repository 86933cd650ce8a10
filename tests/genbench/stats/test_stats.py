"""Estimates, tests and power against independent sources: enumeration, simulation, goldens."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from genbench.stats import (
    contrast,
    holm,
    mcnemar_power,
    minimum_detectable_difference,
    paired_difference,
    pass_at_k,
    pass_hat_k,
    proportion,
    unpaired_difference,
)


def wilson(successes, n, z=1.959963984540054):
    """The published formula (Wilson 1927), written out independently."""
    p = successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return middle - half, middle + half


@pytest.mark.parametrize(("successes", "n"), [(0, 50), (3, 18), (14, 18), (27, 234), (250, 250)])
def test_independent_rates_have_the_wilson_interval(successes, n):
    estimate = proportion(np.array([1] * successes + [0] * (n - successes)))
    assert (estimate.low, estimate.high) == pytest.approx(wilson(successes, n))
    assert (estimate.value, estimate.n, estimate.clusters) == (successes / n, n, n)


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("size", [1, 4])
def test_no_interval_has_zero_width_at_the_boundary(value, size):
    scores = np.full(200, value)
    clusters = np.repeat(np.arange(200 // size), size)
    estimate = proportion(scores, clusters)
    assert estimate.high - estimate.low > 0.01
    difference = paired_difference(scores, scores, clusters)
    assert difference.high - difference.low > 0.005
    assert difference.p_value == 1


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_wilson_coverage_is_the_exact_binomial_one(rate):
    n = 250
    covered = 0.0
    for successes in range(n + 1):
        estimate = proportion(np.array([1] * successes + [0] * (n - successes)))
        if estimate.low <= rate <= estimate.high:
            covered += binom.pmf(successes, n, rate)
    assert covered >= 0.93


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_cluster_robust_coverage_is_near_nominal(rate):
    generator = np.random.default_rng(7)
    groups, size, draws = 80, 3, 800
    clusters = np.repeat(np.arange(groups), size)
    covered = naive = 0
    for _ in range(draws):
        level = generator.beta(rate * 2, (1 - rate) * 2, groups)  # strong correlation
        scores = (generator.random((groups, size)) < level[:, None]).astype(float).ravel()
        robust = proportion(scores, clusters)
        covered += robust.low <= rate <= robust.high
        iid = proportion(scores)
        naive += iid.low <= rate <= iid.high
    assert covered / draws >= 0.92
    assert naive < covered


def test_mcnemar_is_the_exact_binomial_test():
    a = np.array([1] * 12 + [0] * 3 + [1] * 85)
    b = np.array([0] * 12 + [1] * 3 + [1] * 85)
    result = paired_difference(a, b)
    assert result.p_value == pytest.approx(2 * binom.cdf(3, 15, 0.5))
    assert result.value == pytest.approx(0.09)
    assert result.low < 0.09 < result.high
    swapped = paired_difference(b, a)
    assert (swapped.low, swapped.high) == pytest.approx((-result.high, -result.low))


def test_the_sign_flip_test_keeps_its_level_on_clustered_pairs():
    generator = np.random.default_rng(11)
    groups, size, draws, alarms = 60, 4, 300, 0
    clusters = np.repeat(np.arange(groups), size)
    for draw in range(draws):
        # In a cluster one side wins or loses together: no difference, but strong dependence.
        better = generator.random(groups) < 0.5
        a = np.repeat(better, size).astype(float)
        b = np.repeat(~better, size).astype(float)
        alarms += paired_difference(a, b, clusters, permutations=999, seed=draw).p_value <= 0.05
    assert binom.sf(alarms - 1, draws, 0.05) > 0.001


def test_the_unpaired_interval_is_newcombes():
    # Newcombe 1998 (II), method 10, 56/70 - 48/80: 0.0524 to 0.3339.
    a = np.array([1] * 56 + [0] * 14)
    b = np.array([1] * 48 + [0] * 32)
    result = unpaired_difference(a, b)
    assert (result.low, result.high) == pytest.approx((0.0524, 0.3339), abs=2e-4)


def test_a_contrast_of_constants_is_found_and_of_noise_is_not():
    generator = np.random.default_rng(3)
    clusters = np.repeat(np.arange(50), 4)
    assert contrast(np.ones(200) * 0.5, clusters).p_value < 1e-4
    assert contrast(generator.choice([-1, 1], 200).astype(float), clusters).p_value > 0.001


@pytest.mark.parametrize(("discordance", "expected"), [(0.1, 0.06), (0.2, 0.082), (0.3, 0.10)])
def test_250_pairs_detect_what_the_design_states(discordance, expected):
    found = minimum_detectable_difference(250, discordance)
    assert found == pytest.approx(expected, abs=0.004)
    assert mcnemar_power(250, discordance, found) >= 0.799


@pytest.mark.parametrize("discordance", [1 / 250, 0.02])
def test_a_difference_larger_than_the_discordance_seen_brings_its_own(discordance):
    """A run in which next to nothing differs would show a small gap, not none."""
    found = minimum_detectable_difference(250, discordance)
    assert discordance < found < 0.06
    assert mcnemar_power(250, found, found) >= 0.8
    assert mcnemar_power(250, found - 1e-4, found - 1e-4) < 0.8
    assert minimum_detectable_difference(3, discordance) is None


def test_a_difference_of_nothing_is_found_at_most_alpha_often():
    assert 0.01 < mcnemar_power(250, 0.2, 0.0) <= 0.05


def test_pass_at_k_is_unbiased_and_undefined_beyond_n():
    assert pass_at_k(10, 3, 1) == pytest.approx(0.3)
    assert pass_at_k(10, 3, 5) == pytest.approx(1 - math.comb(7, 5) / math.comb(10, 5))
    assert pass_hat_k(10, 3, 2) == pytest.approx(math.comb(3, 2) / math.comb(10, 2))
    assert np.isnan(pass_at_k(4, 2, 5))


def test_holm_is_the_step_down_procedure():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_holm_is_statsmodels_holm():
    from statsmodels.stats.multitest import multipletests

    generator = np.random.default_rng(0)
    for size in (1, 2, 7, 30):
        values = generator.random(size) ** 3
        values[0] = values[-1]  # ties
        assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])
    assert holm([]).size == 0


def test_more_samples_an_instance_narrow_the_interval_of_a_difference_of_rare_successes():
    """Bonett and Price's added pairs weigh as pairs of samples do, not as pairs of instances."""
    generator = np.random.default_rng(3)
    once, often = (generator.binomial(k, 0.02, (2, 400)) / k for k in (1, 16))
    one, many = (paired_difference(*sides) for sides in (once, often))
    assert many.high - many.low < 0.4 * (one.high - one.low)
    ideal = 2 * 1.966 * np.std(often[0] - often[1], ddof=1) / 20
    assert ideal < many.high - many.low < 1.25 * ideal
