"""The reference agents calibrate navigation: by construction we know what they score."""

import json
from pathlib import Path

import pytest
from scipy.stats import binomtest

import genbench
from genbench.errors import UsageError
from genbench.verification import verify_run

KINDS = ("turn", "forward", "stop")


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """The results and folders of every agent on the rule task, 30 routes a split."""
    output = tmp_path_factory.mktemp("navigation")
    found = {}
    for kind in ("oracle", "memoriser", "random", "broken"):
        results = genbench.run(f"agent:{kind}", "virl-ood-rule", output=output, limit=30)
        folder = next((output / f"agent__{kind}").glob("*/*"))
        found[kind] = results, folder
    return found


def test_the_oracle_solves_every_route(runs):
    results, _ = runs["oracle"]
    for split in results.splits.values():
        assert split.success_rate.value == 1
        assert split.steps.accuracy.value == 1
        assert {check.value for check in split.checks.values()} == {1}
    assert results.generalization["ood"].stickiness.value == 0
    assert results.generalization["ood"].steps.gap.value == 0


def test_the_memoriser_knows_id_turns_and_no_others(runs):
    results, _ = runs["memoriser"]
    assert results.splits["id"].success_rate.value == 1
    ood = results.splits["ood"]
    assert ood.success_rate.value == 0
    kinds = ood.steps.kinds
    assert [kinds[kind].accuracy.value for kind in KINDS] == [0, 1, 1]
    found = results.generalization["ood"]
    assert found.stickiness.value == 1
    assert found.stickiness.n == kinds["turn"].accuracy.n
    assert found.steps.kinds["turn"].value == 1
    assert found.steps.kinds["forward"].value == 0
    assert found.rule_readings == {
        "as_stated": 0,
        "as_in_training": kinds["turn"].accuracy.n,
        "other": 0,
    }


@pytest.mark.parametrize(("split", "chance"), [("id", 1 / 10), ("ood", 1 / 6)])
def test_the_random_agent_is_right_by_chance(runs, split, chance):
    results, _ = runs["random"]
    steps = results.splits[split].steps
    for found in (steps, *steps.kinds.values()):
        assert found.chance == pytest.approx(chance)
        n = found.accuracy.n
        assert binomtest(round(found.accuracy.value * n), n, chance).pvalue > 1e-3
    assert results.splits[split].chance < 1e-3


def test_the_chance_of_a_route_is_that_of_its_states_all_right(rule_task):
    environment = rule_task.environment
    for split, uniform in (("id", 1 / 10), ("ood", 1 / 6)):
        route = rule_task.splits[split].instances()[0]
        states = environment.states(route)
        assert {environment.chance(state) for state in states} == {uniform}
        assert environment.chance(route) == pytest.approx(uniform ** len(states))


def test_the_broken_agent_is_never_right(runs):
    results, _ = runs["broken"]
    for split in results.splits.values():
        assert split.steps.accuracy.value == 0
        assert split.outcomes["unparsable"] > 0
        assert split.outcomes["empty"] > 0
        assert split.outcomes["illegal_action"] > 0


@pytest.mark.parametrize("kind", ["oracle", "memoriser", "random", "broken"])
def test_a_stored_run_is_judged_the_same_again(runs, kind):
    _, folder = runs[kind]
    assert verify_run(folder).differences == ()
    regenerated = verify_run(folder, regenerate=2)
    assert (regenerated.tier, regenerated.differences) == ("regenerated", ())


def test_numbers_by_kind_are_those_of_the_stored_turns(runs, rule_task):
    """Counted anew, from the lines of the file and the states of the routes."""
    results, folder = runs["random"]
    environment = rule_task.environment
    instances = {
        route.id: route for split in rule_task.splits.values() for route in split.instances()
    }
    counts = {}
    attempts = {}
    for line in (folder / "episodes.jsonl").read_text().splitlines():
        episode = json.loads(line)
        states = environment.states(instances[episode["instance_id"]])
        for turn in episode["turns"]:
            right = turn["verdict"]["correct"]
            attempts.setdefault(episode["split"], []).append(right)
            if turn["attempt"] == 1:
                kind = states[turn["step"]].data["expert"]["action"]
                counts.setdefault((episode["split"], kind), []).append(right)
                counts.setdefault((episode["split"], None), []).append(right)
    for split, found in results.splits.items():
        for kind in (None, *KINDS):
            rate = (found.steps if kind is None else found.steps.kinds[kind]).accuracy
            said = counts[split, kind]
            assert rate.n == len(said)
            assert rate.value == pytest.approx(sum(said) / len(said))
            assert rate.clusters == 30
        every = found.steps.every_attempt
        assert every.n == len(attempts[split])
        assert every.value == pytest.approx(sum(attempts[split]) / len(attempts[split]))
        assert found.outcomes["correct"] == sum(counts[split, None])
    gap = results.generalization["ood"].steps.gap
    means = [sum(counts[split, None]) / len(counts[split, None]) for split in ("id", "ood")]
    assert gap.value == pytest.approx(means[0] - means[1])
    assert gap.n == len(counts["id", None]) == len(counts["ood", None])


def contents(folder):
    return [(folder / name).read_bytes() for name in ("episodes.jsonl", "results.json")]


@pytest.mark.parametrize("protocol", ["paired", "free"])
def test_results_are_the_same_bytes_whatever_the_batch_size(tmp_path, protocol):
    seen = set()
    for size in (1, 7, 512):
        output = tmp_path / str(size)
        genbench.run(
            "agent:random", "virl-ood-rule", output=output, limit=6, batch_size=size,
            protocol=protocol,
        )  # fmt: skip
        seen.add(tuple(contents(next(Path(output).glob("*/*/*")))))
    assert len(seen) == 1


@pytest.mark.parametrize("kind", ["oracle", "memoriser", "random"])
def test_walking_freely_the_agents_end_where_they_should(tmp_path, kind):
    results = genbench.run(
        f"agent:{kind}", "virl-ood-rule", output=tmp_path, limit=20, protocol="free"
    )
    success = {name: split.success_rate.value for name, split in results.splits.items()}
    expected = {"oracle": (1, 1), "memoriser": (1, 0), "random": (0, 0)}[kind]
    assert (success["id"], success["ood"]) == pytest.approx(expected, abs=0.2 * (kind == "random"))
    found = results.generalization["ood"]
    if kind == "oracle":
        assert found.steps.gap.value == 0
    else:
        assert found.steps.gap is None
        assert found.steps.reason == "the two splits were not asked the same steps"
    if kind == "memoriser":
        assert found.stickiness.value == 1
    assert verify_run(next(tmp_path.glob("*/*/*"))).differences == ()


def test_the_papers_rail_weighs_early_steps(tmp_path):
    """It ends at the first turn that fails, which is the very first step: forward steps, all of
    them right, are never asked."""
    results = genbench.run(
        "agent:memoriser", "virl-ood-rule", output=tmp_path, limit=10, protocol="paper"
    )
    ood = results.splits["ood"]
    assert ood.steps.every_attempt.value == 0
    assert set(ood.steps.kinds) == {"turn"}
    assert ood.all_turns["turns"] == 20
    assert results.generalization["ood"].steps.reason == "the splits are not paired"


def test_several_samples_are_counted_one_by_one(tmp_path):
    results = genbench.run(
        "agent:random", "virl-ood-rule", output=tmp_path, limit=4, samples=3, temperature=1.0
    )
    found = results.splits["id"]
    assert found.samples == 3
    assert found.steps.accuracy.n == sum(found.outcomes.values())
    assert found.steps.accuracy.n % 3 == 0
    assert results.generalization["ood"].steps.gap.n * 3 == found.steps.accuracy.n
    stored = genbench.load_run(next(tmp_path.glob("*/*/*")))
    assert stored.results == results


def test_an_unknown_agent_is_named(rule_task):
    with pytest.raises(UsageError, match="did you mean 'oracle'"):
        rule_task.environment.agent("oracel", rule_task.training_split)


def test_no_test_route_lies_in_a_city_that_training_may_see(rule_task):
    splits = {name: split.instances() for name, split in rule_task.splits.items()}
    certificate = rule_task.environment.certificate(splits)
    assert {part["problem_may_be_trained"] for part in certificate["splits"].values()} == {0}
    clusters = [route.cluster for route in splits["id"]]
    assert len(set(clusters)) == len({route.data["route"]["city"] for route in splits["id"]}) == 30
    train = genbench.load_task("virl-ood-rule", limit=5, settings={"part": "train"})
    found = train.environment.certificate({"id": train.splits["id"].instances()})
    assert found["splits"]["id"]["problem_may_be_trained"] == 5


@pytest.mark.parametrize("name", ["virl-ood-rule", "virl-ood-rule-matching"])
def test_every_protocol_draws_what_it_says(name):
    for protocol, n in (("paired", 250), ("free", 250), ("paper", 48)):
        task = genbench.load_task(name, protocol=protocol)
        task.check_instances()
        assert {len(split.instances()) for split in task.splits.values()} == {n}
