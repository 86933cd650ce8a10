"""Every interval covers what its docstring says, and no test raises more than alpha's alarms.

Without clusters by exact enumeration, with formulas written out apart from the package; with
clusters, and for seeds, slopes and the like, by seeded simulation under a binomial bound.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import binom
from simulations import ALPHA, CASES, MAIN_TASK, cluster_sizes, draw_scores, measure
from truths import (
    bonett_price,
    counts_to_scores,
    fisher_alarms,
    mcnemar_p,
    newcombe,
    pair_cells,
    paired_coverage,
    pairs_to_scores,
    unpaired_coverage,
    wilson,
    wilson_coverage,
)

from genbench.stats import (
    mcnemar_power,
    paired_difference,
    pass_at_k,
    pass_hat_k,
    proportion,
    unpaired_difference,
)

SURE = 1e-3
"""A share this improbable under what is promised is a broken promise."""

RATES = (0.0, 0.01, 0.1, 0.5)


@pytest.mark.parametrize("n", [50, 250, 1000])
def test_the_exact_coverage_of_a_rate_is_wilsons_own(n):
    estimates = [proportion(counts_to_scores(solved, n)) for solved in range(n + 1)]
    low, high = (np.array([getattr(e, side) for e in estimates]) for side in ("low", "high"))
    expected = wilson(np.arange(n + 1), n)
    np.testing.assert_allclose(low, expected[0], atol=1e-12)
    np.testing.assert_allclose(high, expected[1], atol=1e-12)
    for rate in RATES:
        covered = (low <= rate) & (rate <= high)
        found = float(binom.pmf(np.arange(n + 1), n, rate) @ covered)
        assert found == pytest.approx(wilson_coverage(n, rate), abs=1e-9)
        assert found >= 0.91  # Wilson's own: 0.9106 at 50 instances of rate 0.01


@given(some.integers(1, 60), some.integers(0, 60), some.integers(0, 60))
def test_pairs_have_bonett_and_prices_interval_and_mcnemars_p(n, gained, lost):
    gained = min(gained, n)
    lost = min(lost, n - gained)
    result = paired_difference(*pairs_to_scores(gained, lost, n))
    low, high = bonett_price(gained, lost, n)
    value = (gained - lost) / n
    assert (result.low, result.high) == pytest.approx((min(low, value), max(high, value)))
    assert result.p_value == pytest.approx(mcnemar_p(gained, lost))


@given(some.integers(1, 80), some.integers(1, 80), some.data())
def test_separate_sets_have_newcombes_interval(n_a, n_b, data):
    a, b = data.draw(some.integers(0, n_a)), data.draw(some.integers(0, n_b))
    result = unpaired_difference(counts_to_scores(a, n_a), counts_to_scores(b, n_b))
    assert (result.low, result.high) == pytest.approx(newcombe(a, n_a, b, n_b), abs=1e-9)


SHARES = [(0.0, 0.0), (0.005, 0.005), (0.05, 0.05), (0.25, 0.25), (0.1, 0.02), (0.3, 0.05)]
"""(a alone solved, b alone solved)."""


@pytest.mark.parametrize("n", [50, 250, 1000])
@pytest.mark.parametrize("shares", SHARES)
def test_the_exact_coverage_and_level_of_pairs(n, shares):
    coverage, alarms = paired_coverage(n, *shares)
    assert coverage >= 0.93
    if shares[0] == shares[1]:
        assert alarms <= ALPHA
    elif n == 250:
        power = mcnemar_power(n, sum(shares), shares[0] - shares[1])
        assert alarms == pytest.approx(power, abs=1e-9)


def test_the_package_itself_covers_pairs_as_the_formulas_do():
    n, shares = 50, (0.1, 0.02)
    gained, lost, probability = pair_cells(n, *shares)
    covered = alarms = 0.0
    for b, c, chance in zip(gained, lost, probability, strict=True):
        if chance > 1e-9:
            result = paired_difference(*pairs_to_scores(b, c, n))
            covered += chance * (result.low <= 0.08 <= result.high)
            alarms += chance * (result.p_value <= ALPHA)
    assert (covered, alarms) == pytest.approx(paired_coverage(n, *shares), abs=1e-6)


@pytest.mark.parametrize("n", [50, 250, 1000])
@pytest.mark.parametrize(
    "rates", [(0.0, 0.0), (0.01, 0.01), (0.1, 0.1), (0.5, 0.5), (0.1, 0.01), (0.9, 0.5)]
)
def test_the_exact_coverage_of_separate_sets(n, rates):
    assert unpaired_coverage(n, *rates) >= 0.93


@pytest.mark.parametrize("rate", RATES)
def test_fishers_test_keeps_its_level(rate):
    assert fisher_alarms(50, rate) <= ALPHA


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("k", [1, 3, 8])
def test_pass_at_k_and_pass_hat_k_are_unbiased(rate, k):
    n = 8
    chance = binom.pmf(np.arange(n + 1), n, rate)
    assert chance @ pass_at_k(n, np.arange(n + 1), k) == pytest.approx(1 - (1 - rate) ** k)
    assert chance @ pass_hat_k(n, np.arange(n + 1), k) == pytest.approx(rate**k)


def hold(case, draws):
    found = measure(case, draws)
    assert found.draws > 0
    assert binom.cdf(found.covered, found.draws, case.floor) > SURE, (
        f"{case} covers {found.covered} of {found.draws}; {case.floor} is promised"
    )
    if case.truth == 0 and found.alarms is not None:
        assert binom.sf(found.alarms - 1, found.draws, ALPHA) > SURE, (
            f"{case} alarms {found.alarms} times in {found.draws} without a difference"
        )


@pytest.mark.parametrize("case", [case for case in CASES if case.quick], ids=str)
def test_main_settings_hold_their_level(case):
    hold(case, 200)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_settings_hold_their_level(case):
    hold(case, 1500)


@pytest.mark.parametrize("n", [50, 261, 1000])
def test_simulated_clusters_are_like_the_main_tasks(n):
    import genbench

    main = genbench.load_task("gp-ood-rule").splits["id"].instances()
    counts = np.unique([instance.cluster for instance in main], return_counts=True)[1]
    assert sorted(counts) == sorted(MAIN_TASK)
    sizes = cluster_sizes(n)
    assert sizes.sum() == n
    assert sizes.min() >= 1
    assert sizes.max() == pytest.approx(counts.max(), abs=2)


def test_ignoring_strong_clusters_would_fail_these_checks():
    generator = np.random.default_rng(5)
    scores = draw_scores(generator, 300, MAIN_TASK, [0.5], 0.8)[:, 0]
    naive = [proportion(row) for row in scores]
    covered = sum(one.low <= 0.5 <= one.high for one in naive)
    assert binom.cdf(covered, 300, 0.93) < SURE
