"""The reward is the environment's verdict, for any text that a model can produce."""

import pytest

from genbench.errors import TaskError
from genbench.task import Instance
from genbench.training.rewards import instance_column, instance_from, verifier_reward
from genbench_tasks.general_points.environment import REWARDS, GeneralPoints
from genbench_tasks.general_points.training_data import RuleProblems

ENVIRONMENT = GeneralPoints(prompt="paper", feedback="outcome", settings={})
DATA = RuleProblems(seed=0)
HOSTILE = [
    "", "\x00", "{" * 5000, '{"formula": null}', "9" * 100_000, "\ud800", '{"formula": "2**2"}',
    '{"formula": "__import__(\'os\')"}', "NaN", '{"formula": ' + "[" * 3000,
]  # fmt: skip


def ask(reward, completions, instance, **more):
    count = len(completions)
    return reward([""] * count, completions, instance=[instance_column(instance)] * count, **more)


def test_an_instance_survives_its_column():
    _, instance = DATA.problem(0)
    assert instance_from(instance_column(instance)) == instance


@pytest.mark.parametrize("table", ["outcome", "paper"])
def test_the_reward_is_the_verdict_on_text_and_on_messages(table):
    reward = verifier_reward(ENVIRONMENT, table)
    _, instance = DATA.problem(0)
    _, right = DATA.example(0)
    texts = [right, '{"formula": "1+1"}', "no idea", *HOSTILE]
    expected = [
        REWARDS[table].get(ENVIRONMENT.verify(instance, text).outcome, REWARDS[table]["other"])
        for text in texts
    ]
    assert expected[0] == max(REWARDS[table].values())
    assert ask(reward, texts, instance) == expected
    chats = [[{"role": "assistant", "content": text}] for text in texts]
    assert ask(reward, chats, instance, trainer_state=None, completion_ids=[]) == expected


def test_what_is_no_text_is_no_solution():
    _, instance = DATA.problem(0)
    strange = [None, [], [None], [{}], [{"content": None}], [{"content": [{"type": "image"}]}], 7]
    assert ask(verifier_reward(ENVIRONMENT), strange, instance) == [0.0] * len(strange)


def test_an_episode_of_many_attempts_is_judged_by_its_last():
    _, instance = DATA.problem(0)
    _, right = DATA.example(0)
    attempts = [["no", right], [right, "no"], []]
    assert ask(verifier_reward(ENVIRONMENT), [right] * 3, instance, attempts=attempts) == [1, 0, 0]


def test_a_wrong_rule_earns_nothing():
    reward = verifier_reward(ENVIRONMENT)
    cards = ["K", "2", "A", "A"]
    response = '{"formula": "(10+2)*(1+1)=24"}'
    for values, expected in (
        ({"J": 10, "Q": 10, "K": 10}, 1.0),
        ({"J": 11, "Q": 12, "K": 13}, 0.0),
    ):
        data = {"cards": cards, "rule": "x", "values": values, "target": 24}
        assert ask(reward, [response], Instance("i", "i", "i", data)) == [expected]


def test_an_environment_without_the_table_says_so():
    class Bare(GeneralPoints):
        def __init__(self, **arguments):
            if "reward" in arguments["settings"]:
                raise TaskError("no reward table here")
            super().__init__(**arguments)

    with pytest.raises(TaskError, match="no reward table"):
        verifier_reward(Bare(prompt="paper", feedback="outcome", settings={}), "paper")
