"""The power of Fisher's test, against scipy's own test on every table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from genbench.stats import fisher_power, minimum_detectable_fall
from genbench.stats.unpaired_power import _rejected


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 14), st.integers(1, 14), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_region_is_that_of_scipys_test(n_a, n_b, alpha):
    for a in range(n_a + 1):
        for b in range(n_b + 1):
            p_value = scipy_stats.fisher_exact([[a, n_a - a], [b, n_b - b]])[1]
            if abs(p_value - alpha) > 1e-9:
                assert _rejected(n_a, n_b, alpha)[a, b] == (p_value < alpha), (a, b, p_value)


@pytest.mark.parametrize(
    ("n_a", "n_b", "rate_a", "rate_b"), [(300, 300, 0.5, 0.38), (48, 18, 0.7, 0.2)]
)
def test_the_power_is_that_of_simulated_runs(n_a, n_b, rate_a, rate_b):
    random = np.random.default_rng(0)
    solved = random.binomial(n_a, rate_a, 3000), random.binomial(n_b, rate_b, 3000)
    rejected = np.mean(
        [
            scipy_stats.fisher_exact([[a, n_a - a], [b, n_b - b]])[1] <= 0.05
            for a, b in zip(*solved, strict=True)
        ]
    )
    assert abs(fisher_power(n_a, n_b, rate_a, rate_b) - rejected) < 0.03


def test_the_smallest_fall_is_where_the_power_is_reached():
    fall = minimum_detectable_fall(300, 300, 0.5)
    assert fall == pytest.approx(0.116, abs=0.003)
    assert fisher_power(300, 300, 0.5, 0.5 - fall) == pytest.approx(0.8, abs=0.01)
    assert minimum_detectable_fall(300, 300, 0.9) < fall < minimum_detectable_fall(48, 18, 0.5)
    assert minimum_detectable_fall(3, 3, 0.5) is None


def test_wrong_numbers_are_refused():
    for wrong in ((0, 5, 0.5, 0.5), (5, 5, 1.5, 0.5), (5, 5, 0.5, -0.1)):
        with pytest.raises(ValueError, match=r"rate|instance"):
            fisher_power(*wrong)
    with pytest.raises(ValueError, match="alpha"):
        fisher_power(5, 5, 0.5, 0.5, alpha=0)
    with pytest.raises(ValueError, match="power"):
        minimum_detectable_fall(5, 5, 0.5, power=1)
