"""Ranks are backed by tests: what is told apart, what ties, and how often equals are told apart."""

import numpy as np
import pytest
from scipy.stats import binomtest
from small_board import LIMIT, TASK, imported

import genbench
from genbench.evaluation import read_results
from genbench.leaderboard.ranking import Scores, difference, rank, rank_metric, scores_of
from genbench.leaderboard.values import value_at
from genbench.store import RunFolder


def scores(values, clusters=None, prefix="i"):
    names = tuple(f"{prefix}{number:04}" for number in range(len(values)))
    return Scores(names, tuple(map(float, values)), tuple(clusters or names))


def compare(a, b, draws):
    return difference(a, b, is_gap=False, draws=draws)


def ranked(rows, direction="higher"):
    return rank(rows, direction, compare)


METRICS = [
    "splits.ood.success_rate",
    "splits.id.success_at.3",
    "splits.ood.strict_success_rate",
    "generalization.ood.gap",
    "generalization.ood.gap_at_viter",
]


@pytest.mark.parametrize("metric", METRICS)
def test_the_scores_that_are_tested_have_the_mean_that_is_shown(tmp_path, metric):
    genbench.run("agent:random", TASK, output=tmp_path)
    (folder,) = tmp_path.glob("*/*/*")
    found = scores_of(RunFolder(folder).episodes(), rank_metric(metric))
    shown = value_at(read_results(folder), metric)
    assert np.mean(found.values) == pytest.approx(shown.value, abs=1e-9)
    assert len(found.names) == shown.n
    assert len(set(found.clusters)) == shown.clusters


def test_samples_of_an_instance_are_one_score(tmp_path):
    folder = imported(tmp_path, "m", (0.5, 0.5), samples=3)
    found = scores_of(RunFolder(folder).episodes(), rank_metric("splits.ood.success_rate"))
    assert len(found.names) == LIMIT
    assert set(found.values) - {0.0, 1.0}


def test_equal_rows_tie_and_worse_ones_do_not():
    right = [1] * 90 + [0] * 10
    nearly = [1] * 88 + [0] * 12
    half = [1, 0] * 50
    found = ranked([scores(right), scores(nearly), scores(half)])
    assert found.ranks == (1, 1, 3)
    assert found.not_separated(0) == [1]
    assert found.not_separated(2) == []


def test_where_lower_is_better_the_order_turns():
    found = ranked([scores([1] * 90 + [0] * 10), scores([1, 0] * 50)], "lower")
    assert found.ranks == (2, 1)


def test_the_same_instances_are_paired_and_others_are_not():
    a, b = [1] * 60 + [0] * 40, [1] * 50 + [0] * 50
    paired = difference(scores(a), scores(b), is_gap=False)
    apart = difference(scores(a), scores(b, prefix="j"), is_gap=False)
    assert "mcnemar" in paired.method
    assert "fisher" in apart.method
    assert paired.p_value < 0.01 < apart.p_value


def test_a_difference_within_few_clusters_is_no_difference():
    """The same 60 to 0, from 60 hands or from 3."""
    a, b = [1] * 60, [0] * 60
    assert ranked([scores(a), scores(b)]).ranks == (1, 2)
    few = [str(number % 3) for number in range(60)]
    assert ranked([scores(a, few), scores(b, few)]).ranks == (1, 1)


def test_gaps_are_compared_pair_by_pair_and_only_so():
    a, b = scores([1] * 40 + [0] * 60), scores([0] * 100)
    assert difference(a, b, is_gap=True).value == pytest.approx(0.4)
    with pytest.raises(ValueError, match="different pairs"):
        difference(a, scores([0] * 100, prefix="j"), is_gap=True)


def test_a_crowded_board_can_still_tell_rows_apart():
    """With 30 rows a p-value of 20,000 draws is multiplied by 435: the draws must suffice."""
    clusters = [str(number // 2) for number in range(60)]
    rows = [scores([1] * 60, clusters)] + [scores([0] * 60, clusters)] * 29
    assert ranked(rows).ranks == (1,) + (2,) * 29


@pytest.mark.parametrize("boards", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_equal_models_are_told_apart_no_more_often_than_alpha(boards):
    """Six equal models; any separation is a false alarm. The leader is picked by the data."""
    draw = np.random.default_rng(0)
    alarms = 0
    for _ in range(boards):
        difficulty = draw.beta(0.5, 0.5, 60)
        rows = [scores((draw.random(60) < difficulty).astype(int)) for _ in range(6)]
        alarms += ranked(rows).ranks != (1,) * 6
    assert binomtest(alarms, boards, 0.05, alternative="greater").pvalue > 0.01, alarms
