"""Exact coverage by enumeration, from formulas written out apart from the package's."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom, hypergeom

Z = 1.959963984540054


def wilson(successes, n):
    """Wilson (1927): the limits of successes / n."""
    rate = successes / n
    middle = (rate + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * np.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n))
    return np.minimum(middle - half, rate), np.maximum(middle + half, rate)


def bonett_price(gained, lost, n):
    """Bonett & Price (2012): the limits of (gained - lost) / n."""
    p12, p21 = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = Z * np.sqrt((p12 + p21 - (p12 - p21) ** 2) / (n + 2))
    return np.maximum(p12 - p21 - half, -1), np.minimum(p12 - p21 + half, 1)


def mcnemar_p(gained, lost):
    """The two-sided exact binomial p-value of the discordant pairs."""
    return np.minimum(1, 2 * binom.cdf(np.minimum(gained, lost), gained + lost, 0.5))


def newcombe(solved_a, n_a, solved_b, n_b):
    """Newcombe (1998), method 10: the limits of solved_a / n_a - solved_b / n_b."""
    (low_a, high_a), (low_b, high_b) = wilson(solved_a, n_a), wilson(solved_b, n_b)
    a, b = solved_a / n_a, solved_b / n_b
    return a - b - np.hypot(a - low_a, high_b - b), a - b + np.hypot(high_a - a, b - low_b)


def wilson_coverage(n, rate):
    successes = np.arange(n + 1)
    low, high = wilson(successes, n)
    return float(binom.pmf(successes, n, rate) @ ((low <= rate) & (rate <= high)))


def pair_cells(n, gained_share, lost_share):
    """Arrays (gained, lost, probability) over all outcomes of n pairs but 1e-12 of them."""
    discordance = gained_share + lost_share
    if discordance == 0:
        return np.zeros(1, int), np.zeros(1, int), np.ones(1)
    number = binom(n, discordance)
    gained, lost, probability = [], [], []
    for m in range(int(number.ppf(1e-13)), int(number.isf(1e-13)) + 1):
        ways = np.arange(m + 1)
        gained.append(ways)
        lost.append(m - ways)
        probability.append(number.pmf(m) * binom.pmf(ways, m, gained_share / discordance))
    return tuple(np.concatenate(side) for side in (gained, lost, probability))


def paired_coverage(n, gained_share, lost_share):
    """(coverage of Bonett & Price, share of p <= 0.05 of McNemar)."""
    gained, lost, probability = pair_cells(n, gained_share, lost_share)
    low, high = bonett_price(gained, lost, n)
    truth = gained_share - lost_share
    covered = (low <= truth) & (truth <= high)
    return float(probability @ covered), float(probability @ (mcnemar_p(gained, lost) <= 0.05))


def unpaired_coverage(n, rate_a, rate_b):
    """Coverage of Newcombe's interval for n instances a side."""
    a, b = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    probability = binom.pmf(a, n, rate_a) * binom.pmf(b, n, rate_b)
    low, high = newcombe(a, n, b, n)
    truth = rate_a - rate_b
    return float(np.sum(probability[(low <= truth + 1e-12) & (truth - 1e-12 <= high)]))


def fisher_alarms(n, rate):
    """Share of p <= 0.05 of Fisher's exact test, n instances a side at the same rate."""
    alarms = 0.0
    for total in range(2 * n + 1):
        chance = binom.pmf(total, 2 * n, rate)
        if chance < 1e-12:
            continue
        ways = np.arange(max(0, total - n), min(n, total) + 1)
        masses = hypergeom.pmf(ways, 2 * n, n, total)
        p_values = np.array([masses[masses <= mass * (1 + 1e-7)].sum() for mass in masses])
        alarms += chance * masses[p_values <= 0.05].sum()
    return float(alarms)


def counts_to_scores(successes, n):
    scores = np.zeros(n)
    scores[:successes] = 1
    return scores


def pairs_to_scores(gained, lost, n):
    """Two columns of 0/1 scores with so many discordant pairs of either kind."""
    a, b = np.zeros(n), np.zeros(n)
    a[:gained] = 1
    b[gained : gained + lost] = 1
    return a, b
