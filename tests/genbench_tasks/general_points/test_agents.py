"""The reference agents calibrate the instrument: by construction we know what they score."""

import pytest
from scipy.stats import binomtest

import genbench
from genbench.errors import UsageError
from genbench.task import derive_seed


def score(task, split, kind, verdict_of=None, repeats=1):
    """(successes, attempts) of an agent on a split, through the text interface."""
    agent = task.environment.agent(kind, task.training_split)
    right = total = 0
    for instance in task.splits[split].instances():
        for repeat in range(repeats):
            messages = task.messages(instance)
            text = agent.respond(instance, messages, derive_seed(kind, instance.id, repeat))
            judged = instance if verdict_of is None else verdict_of(instance)
            right += task.verify(judged, text).correct
            total += 1
    return right, total


@pytest.fixture(scope="module")
def rule_task():
    return genbench.load_task("gp-ood-rule")


@pytest.mark.parametrize("name", ["gp-ood-rule", "gp-ood-cards", "gp-ood-target", "gp-ood-range"])
def test_the_oracle_is_right_everywhere(name):
    task = genbench.load_task(name, limit=60)
    for split in task.splits:
        assert score(task, split, "oracle") == (60, 60)


def test_the_memoriser_knows_the_id_rule_and_nothing_else(rule_task):
    n = len(rule_task.splits["id"].instances())
    assert score(rule_task, "id", "memoriser") == (n, n)
    assert score(rule_task, "ood", "memoriser") == (0, n)
    assert score(rule_task, "control-id", "memoriser") == (n, n)
    assert score(rule_task, "control-ood", "memoriser") == (n, n)


@pytest.mark.parametrize(("kind", "expected"), [("memoriser", 1.0), ("oracle", 0.0)])
def test_a_memoriser_has_stickiness_one_and_an_oracle_zero(rule_task, kind, expected):
    def under_training_rule(instance):
        return rule_task.environment.under_rule(instance, rule_task.training_split)

    right, total = score(rule_task, "ood", kind, under_training_rule)
    assert total == 261
    assert right / total == expected


@pytest.mark.parametrize("split", ["id", "ood"])
def test_the_random_agent_scores_the_stated_chance(rule_task, split):
    instances = rule_task.splits[split].instances()
    chance = sum(rule_task.environment.chance(item) for item in instances) / len(instances)
    right, total = score(rule_task, split, "random", repeats=20)
    # Binomial is conservative here: instances differ in difficulty.
    assert binomtest(right, total, chance).pvalue > 0.001
    assert 0 < chance < 0.05


def test_the_broken_agent_never_crashes_the_verifier_and_never_scores(rule_task):
    right, total = score(rule_task, "ood", "broken", repeats=5)
    assert (right, total) == (0, 261 * 5)


def test_an_unknown_agent_is_refused_with_the_closest_name(rule_task):
    with pytest.raises(UsageError, match="did you mean 'oracle'"):
        rule_task.environment.agent("oracel", rule_task.training_split)


def test_revision_keeps_the_whole_conversation(rule_task):
    instance = rule_task.splits["id"].instances()[0]
    episode = rule_task.environment.episode(instance, 3)
    episode.step("no idea")
    assert [message.role for message in episode.messages()] == ["user", "assistant", "user"]
    assert episode.messages()[-1].text.startswith("You failed this trial because ")
    assert not episode.done
    episode.step(next(rule_task.environment.solutions(instance)))
    assert episode.solved
    assert episode.done
