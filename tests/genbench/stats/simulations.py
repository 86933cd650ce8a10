"""Simulated settings with a known truth, for every estimate and test of `genbench.stats`.

`CASES` is what the tests hold to its level and what benchmarks/coverage.py tabulates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from genbench import stats

ALPHA = 0.05
PERMUTATIONS = 499

MAIN_TASK = np.repeat([9, 8, 7, 6, 5, 3, 2, 1], [2, 2, 5, 3, 1, 41, 20, 6])
"""Cluster sizes of gp-ood-rule: 261 hands in 80 classes."""

CORRELATIONS = {"weak": 0.1, "strong": 0.8}
"""Within a cluster, on the latent scale; at a rate of 0.5 an intra-cluster correlation of the
scores of 0.06 and 0.59."""

SIZES = (50, 261, 1000)


@dataclass(frozen=True)
class Case:
    """`draw(generator, draws)` yields one result a draw, with limits for `truth`."""

    method: str
    setting: str
    truth: float
    draw: Callable[[np.random.Generator, int], Iterator[Any]]
    floor: float = 0.93
    """The coverage that is promised here, at a confidence of 95%."""
    quick: bool = False
    """Among the cases that every test run plays."""
    alarms_only: bool = False
    """The method is a test without an interval."""

    def __str__(self) -> str:
        return f"{self.method}: {self.setting}"


@dataclass(frozen=True)
class Measured:
    draws: int
    """Those with an interval."""
    covered: int
    alarms: int | None
    """p <= 0.05; None where the method has no test."""


def measure(case: Case, draws: int, seed: int = 0) -> Measured:
    generator = np.random.default_rng([seed, *case.setting.encode(), *case.method.encode()])
    results = [result for result in case.draw(generator, draws) if result is not None]
    covered = sum(result.low <= case.truth + 1e-12 <= result.high + 2e-12 for result in results)
    tests = [result.p_value for result in results if hasattr(result, "p_value")]
    alarms = sum(p <= ALPHA for p in tests) if tests else None
    return Measured(len(results), covered, alarms)


def cluster_sizes(n: int) -> np.ndarray:
    """Sizes that sum to `n`, in the proportions of the main task; the same for each n."""
    if n == MAIN_TASK.sum():
        return MAIN_TASK
    drawn = np.random.default_rng(n).permutation(np.resize(MAIN_TASK, n))
    drawn = drawn[: np.searchsorted(np.cumsum(drawn), n) + 1].copy()
    drawn[-1] -= drawn.sum() - n
    return drawn


def labels(sizes):
    return np.repeat(np.arange(len(sizes)), sizes)


def draw_scores(generator, draws, sizes, rates, within, between=0.5):
    """0/1 scores of shape (draws, len(rates), instances); column j has the true rate rates[j].

    A Gaussian copula: an instance is solved where its latent normal lies below the rate's
    quantile. Latents of a cluster correlate by `within`, those of one instance in two columns by
    `between`. Columns of equal rates are exchangeable.
    """
    codes = labels(sizes)

    def latent(width):
        common = generator.standard_normal((draws, 1, width))
        own = generator.standard_normal((draws, len(rates), width))
        return np.sqrt(between) * common + np.sqrt(1 - between) * own

    cluster = latent(len(sizes))[:, :, codes]
    value = np.sqrt(within) * cluster + np.sqrt(1 - within) * latent(len(codes))
    return (value < norm.ppf(rates)[None, :, None]).astype(float)


def _setting(n, correlation):
    sizes = cluster_sizes(n)
    return sizes, labels(sizes), f"n {n}, {len(sizes)} clusters, {correlation}"


def _each_setting(sizes=SIZES):
    for n in sizes:
        for correlation in CORRELATIONS:
            yield n, correlation, *_setting(n, correlation)


def _columns(sizes, rates, correlation, estimate, between=0.5):
    """A draw function: `estimate(columns, index)` of each simulated table."""

    def draw(generator, draws):
        for start in range(0, draws, 100):
            several = min(100, draws - start)
            tables = draw_scores(
                generator, several, sizes, rates, CORRELATIONS[correlation], between
            )
            for index, table in enumerate(tables):
                yield estimate(table, start + index)

    return draw


def _proportions():
    for n, correlation, sizes, codes, setting in _each_setting():
        for rate in (0, 0.01, 0.1, 0.5):
            yield Case(
                "success rate, cluster-robust wilson",
                f"{setting}, rate {rate}",
                rate,
                _columns(
                    sizes, [rate], correlation, lambda t, _, c=codes: stats.proportion(t[0], c)
                ),
                floor=0.92 if correlation == "strong" and rate <= 0.1 else 0.93,
                quick=n == 261,
            )


def _samples():
    """The mean of 4 samples an instance, whose own rates scatter; clusters or none."""
    for n, correlation, sizes, codes, setting in _each_setting((50, 261)):

        def draw(generator, draws, sizes=sizes, codes=codes, within=CORRELATIONS[correlation]):
            for _ in range(draws):
                cluster = generator.standard_normal(len(sizes))[codes]
                own = generator.standard_normal(len(codes))
                latent = np.sqrt(within) * cluster + np.sqrt(1 - within) * own
                # P(solved | latent) = Phi(quantile * sqrt(2) + latent): the mean rate is 0.3.
                solved = generator.binomial(4, norm.cdf(norm.ppf(0.3) * np.sqrt(2) + latent))
                yield stats.proportion(solved / 4, codes)

        yield Case(
            "success rate, 4 samples an instance",
            f"{setting}, rate 0.3",
            0.3,
            draw,
            quick=n == 261,
        )


def _sampled_pairs():
    """Means of 4 or 16 samples an instance, whose own rates scatter, differently on both sides."""
    for n, correlation, sizes, codes, setting in _each_setting((50, 261)):
        for samples in (4, 16):
            for rates in ((0.01, 0.01), (0.3, 0.3), (0.1, 0.02)):

                def draw(
                    generator,
                    draws,
                    sizes=sizes,
                    codes=codes,
                    samples=samples,
                    rates=rates,
                    within=CORRELATIONS[correlation],
                    spread=2.0 if correlation == "strong" else 0.5,
                ):
                    # P(solved | latent) = Phi(quantile * sqrt(1 + s^2) + s * latent): rates hold.

                    def latent():
                        cluster = generator.standard_normal(len(sizes))[codes]
                        own = generator.standard_normal(len(codes))
                        return np.sqrt(within) * cluster + np.sqrt(1 - within) * own

                    for index in range(draws):
                        common, sides = latent(), []
                        for rate in rates:
                            mixed = spread * (common + latent()) / np.sqrt(2)
                            threshold = norm.ppf(rate) * np.sqrt(1 + spread**2)
                            solved = generator.binomial(samples, norm.cdf(threshold + mixed))
                            sides.append(solved / samples)
                        yield stats.paired_difference(
                            *sides, codes, permutations=PERMUTATIONS, seed=index
                        )

                yield Case(
                    f"paired difference, {samples} samples an instance",
                    f"{setting}, rates {rates[0]} and {rates[1]}",
                    rates[0] - rates[1],
                    draw,
                    floor=0.905 if rates == (0.1, 0.02) and correlation == "strong" else 0.93,
                    quick=n == 261 and samples == 16,
                )


PAIRS = [(0.01, 0.01), (0.1, 0.1), (0.5, 0.5), (0.5, 0.4), (0.1, 0.02), (0.9, 0.5)]


def _pairs():
    for n, correlation, sizes, codes, setting in _each_setting():
        for rates in PAIRS:

            def paired(table, index, codes=codes):
                return stats.paired_difference(
                    table[0], table[1], codes, permutations=PERMUTATIONS, seed=index
                )

            def unpaired(table, _, codes=codes):
                return stats.unpaired_difference(table[0], table[1], codes, codes)

            truth = rates[0] - rates[1]
            for method, estimate, between, floor in (
                ("paired difference, sign flip", paired, 0.5, 0.93),
                ("unpaired difference, welch and mover", unpaired, 0.0, 0.91),
            ):
                yield Case(
                    method,
                    f"{setting}, rates {rates[0]} and {rates[1]}",
                    truth,
                    _columns(sizes, rates, correlation, estimate, between),
                    floor=floor,
                    quick=n == 261 and rates in PAIRS[1:4],
                )


def _lopsided_pairs():
    """Equal rates, but only one side hangs together in clusters: no sign symmetry."""
    for n in (50, 261):
        sizes, codes, _ = _setting(n, "strong")

        def draw(generator, draws, sizes=sizes, codes=codes):
            for index in range(draws):
                a = draw_scores(generator, 1, sizes, [0.1], 0.0)[0, 0]
                b = draw_scores(generator, 1, sizes, [0.1], 0.8)[0, 0]
                yield stats.paired_difference(a, b, codes, permutations=PERMUTATIONS, seed=index)

        yield Case(
            "paired difference, sign flip",
            f"n {n}, {len(sizes)} clusters, one side independent, one strong, rates 0.1 and 0.1",
            0.0,
            draw,
            floor=0.92,
            quick=n == 261,
        )


def _contrasts():
    for n, correlation, sizes, codes, setting in _each_setting():
        for rates in ((0.9, 0.8, 0.5, 0.4), (0.9, 0.9, 0.5, 0.3)):

            def estimate(table, index, codes=codes):
                change = (table[1] - table[0]) - (table[3] - table[2])
                return stats.contrast(change, codes, permutations=PERMUTATIONS, seed=index)

            yield Case(
                "difference in differences, sign flip",
                f"{setting}, ID {rates[0]} to {rates[1]}, OOD {rates[2]} to {rates[3]}",
                (rates[1] - rates[0]) - (rates[3] - rates[2]),
                _columns(sizes, rates, correlation, estimate),
                quick=n == 261,
            )


@dataclass(frozen=True)
class _Family:
    """The least p-value of a family; no interval, so it covers."""

    p_value: float
    low: float = -1.0
    high: float = 1.0


def _families():
    """No change from baseline to candidate, three tests with Holm."""
    for n, correlation, sizes, codes, setting in _each_setting():

        def estimate(table, index, codes=codes):
            options = {"clusters": codes, "permutations": PERMUTATIONS}
            in_distribution, out = table[1] - table[0], table[3] - table[2]
            p_values = [
                stats.paired_difference(table[1], table[0], seed=3 * index, **options).p_value,
                stats.paired_difference(table[3], table[2], seed=3 * index + 1, **options).p_value,
                stats.contrast(in_distribution - out, seed=3 * index + 2, **options).p_value,
            ]
            return _Family(float(stats.holm(p_values).min()))

        yield Case(
            "any of ID, OOD and gap after holm",
            f"{setting}, ID 0.9 and OOD 0.4 before and after",
            0.0,
            _columns(sizes, (0.9, 0.9, 0.4, 0.4), correlation, estimate),
            quick=n == 261,
            alarms_only=True,
        )


RETAINED = [  # rate ID, rate OOD, chance of both
    (0.9, 0.5, 0.0),
    (0.9, 0.9, 0.0),
    (0.5, 0.1, 0.02),
    (0.5, 0.02, 0.02),
    (0.5, 0.01, 0.0),
    (0.1, 0.05, 0.01),
]


def _retentions():
    for n, correlation, sizes, codes, setting in _each_setting():
        for in_distribution, out, chance in RETAINED:

            def estimate(table, _, codes=codes, chance=chance):
                return stats.retention(table[0], table[1], chance, chance, codes)[0]

            yield Case(
                "retention, mover-r",
                f"{setting}, ID {in_distribution}, OOD {out}, chance {chance}",
                (out - chance) / (in_distribution - chance),
                _columns(sizes, (in_distribution, out), correlation, estimate),
                floor=0.90,
                quick=n == 261 and out != 0.9,
            )


def _seed_cases():
    """Rates of seeds from a beta distribution: near normal, and badly skewed at the end."""
    for seeds in (2, 3, 5, 8):
        for mean, sd in ((0.5, 0.03), (0.1, 0.05), (0.02, 0.03)):
            total = mean * (1 - mean) / sd**2 - 1
            shape = (mean * total, (1 - mean) * total)
            skewed = sd > mean
            setting = f"{seeds} seeds, mean {mean}, SD {sd}"

            def one(generator, draws, shape=shape, seeds=seeds):
                for _ in range(draws):
                    yield stats.seed_interval(generator.beta(*shape, seeds))

            def two(generator, draws, shape=shape, seeds=seeds):
                for _ in range(draws):
                    sides = generator.beta(*shape, (2, seeds))
                    yield stats.seed_difference(*sides)

            yield Case(
                "mean over seeds, t",
                setting,
                mean,
                one,
                floor=0.78 if skewed else 0.92,
                quick=True,
            )
            yield Case("difference over seeds, welch t", setting, 0.0, two, quick=True)

            # Against a base that the mean equals; skewed seeds hold no level, so there it falls.
            change = -0.1 if skewed else 0.0

            def against(generator, draws, shape=shape, seeds=seeds, base=mean - change):
                for _ in range(draws):
                    yield stats.seed_change(generator.beta(*shape, seeds) - base)

            yield Case(
                "mean change over seeds, t",
                setting if not change else f"{setting}, change {change}",
                change,
                against,
                floor=0.78 if skewed else 0.92,
                quick=True,
            )


def _slope_cases():
    """A line in log10 FLOPs; its checkpoints scatter on their own, lastingly, or by run."""
    n, rise = 250, 0.05

    def curve(generator, logs, lasting, per_run):
        steps = generator.standard_normal(logs.size)
        for index in range(1, logs.size):
            steps[index] = lasting * steps[index - 1] + np.sqrt(1 - lasting**2) * steps[index]
        tilt = per_run * generator.standard_normal() * (logs - logs.mean())
        rates = 0.3 + 0.04 * steps + tilt
        return rates

    for points in (3, 5, 10):
        flops = np.logspace(12, 14, points)
        logs = np.log10(flops)

        def measured(
            generator, true_rise, lasting=0.0, per_run=0.0, scatter=1.0, flops=flops, logs=logs
        ):
            level = 0.3 + scatter * (curve(generator, logs, lasting, per_run) - 0.3)
            rates = np.clip(level + true_rise * (logs - logs.mean()), 0, 1)
            return flops, generator.binomial(n, rates) / n

        for true_rise in (0.0, rise):

            def ols(generator, draws, measured=measured, true_rise=true_rise):
                for _ in range(draws):
                    yield stats.slope_per_decade(*measured(generator, true_rise))

            def weighted(generator, draws, measured=measured, true_rise=true_rise, scatter=1.0):
                for _ in range(draws):
                    x, rates = measured(generator, true_rise, scatter=scatter)
                    solved = [np.arange(n) < round(rate * n) for rate in rates]
                    known = [stats.proportion(column.astype(float)) for column in solved]
                    errors = stats.standard_errors(
                        rates, [one.low for one in known], [one.high for one in known]
                    )
                    yield stats.slope_per_decade(x, rates, errors)

            def only_sampling(generator, draws, weighted=weighted):
                return weighted(generator, draws, scatter=0.0)

            def over_runs(generator, draws, measured=measured, true_rise=true_rise, points=points):
                for _ in range(draws):
                    runs = [
                        measured(generator, true_rise, lasting=0.7, per_run=0.03) for _ in range(3)
                    ]
                    yield stats.slope_per_decade(
                        np.concatenate([run[0] for run in runs]),
                        np.concatenate([run[1] for run in runs]),
                        runs=np.repeat(np.arange(3), points),
                    )

            name = f"{points} checkpoints, {true_rise} a decade"
            for method, draw in (
                ("slope, ols", ols),
                ("slope, weighted", weighted),
                ("slope, weighted, no scatter but sampling", only_sampling),
                ("slope, t over 3 runs with lasting scatter", over_runs),
            ):
                yield Case(method, name, true_rise, draw, quick=points == 5)


def _slopes_of_scores():
    flops = np.logspace(12, 14, 4)
    for n, correlation, sizes, codes, setting in _each_setting((50, 261)):
        for rates in ((0.3, 0.3, 0.3, 0.3), (0.2, 0.3, 0.4, 0.5)):

            def estimate(table, index, codes=codes):
                return stats.slope_of_scores(
                    flops, table, codes, permutations=PERMUTATIONS, seed=index
                )

            yield Case(
                "slope of scores",
                f"{setting}, {rates[0]} to {rates[-1]}",
                (rates[-1] - rates[0]) / 2,  # both courses are straight, over two decades
                _columns(sizes, rates, correlation, estimate),
                quick=n == 261 and correlation == "strong",
            )


def _matched_cases():
    """Method a over 10^12 to 10^14 FLOPs, b over 10^13 to 10^15; both linear in between."""
    flops_a, flops_b = np.logspace(12, 14, 3), np.logspace(12.5, 14.5, 3)
    for n, correlation, sizes, codes, setting in _each_setting((50, 261)):
        for ahead in (0.0, 0.1):
            rates = (0.3 + ahead, 0.4 + ahead, 0.5 + ahead, 0.35, 0.45, 0.55)

            def from_errors(table, _, codes=codes):
                known = [stats.proportion(column, codes) for column in table]
                errors = stats.standard_errors(
                    [one.value for one in known],
                    [one.low for one in known],
                    [one.high for one in known],
                )
                means = table.mean(axis=1)
                return stats.matched_compute(
                    flops_a, means[:3], flops_b, means[3:], errors[:3], errors[3:]
                ).average

            def from_scores(table, index, codes=codes):
                return stats.matched_compute_scores(
                    flops_a,
                    table[:3],
                    flops_b,
                    table[3:],
                    codes,
                    at=[10**13.5],
                    permutations=PERMUTATIONS,
                    seed=index,
                ).average

            for method, estimate in (
                ("matched compute, standard errors", from_errors),
                ("matched compute, scores", from_scores),
            ):
                yield Case(
                    method,
                    f"{setting}, a ahead by {ahead}",
                    ahead,
                    _columns(sizes, rates, correlation, estimate),
                    quick=n == 261 and correlation == "strong",
                )


COURSES = [
    (0.3, 0.3),
    (0.3,) * 5,
    (0.3,) * 15,
    (0.9,) * 10,
    (0.01,) * 10,
    (0.1, 0.2, 0.3, 0.25, 0.2),
    (0.2, 0.2, 0.4, 0.1),
    (0.9, 0.9, 0.01),
]


def _forgotten():
    for n, correlation, sizes, codes, setting in _each_setting((50, 261)):
        for rates in COURSES:

            def estimate(table, index, codes=codes):
                # Only the last checkpoint is judged here.
                return stats.forgetting(table, codes, draws=499, seed=index)[-1]

            listed = ", ".join(map(str, rates))
            yield Case(
                "forgetting, max-t",
                f"{setting}, " + (listed if len(set(rates)) > 1 else f"{len(rates)} at {rates[0]}"),
                max(rates[:-1]) - rates[-1],
                _columns(sizes, rates, correlation, estimate),
                quick=n == 261 and len(rates) in (4, 5),
            )


CASES: list[Case] = [
    *_proportions(),
    *_samples(),
    *_sampled_pairs(),
    *_pairs(),
    *_lopsided_pairs(),
    *_contrasts(),
    *_families(),
    *_retentions(),
    *_seed_cases(),
    *_slope_cases(),
    *_slopes_of_scores(),
    *_matched_cases(),
    *_forgotten(),
]
