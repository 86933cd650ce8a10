"""Steps of many-step episodes through the harness: export, import, comparison, older results."""

import json

import pytest

import genbench
from genbench.api import load_run
from genbench.cli.tables import plain_console, print_results
from genbench.errors import StoreError, UsageError
from genbench.evaluation import read_results
from genbench.export import rows
from genbench.importing import import_responses
from genbench.recount import Recount
from genbench.results import Results
from genbench.results_versions import as_of
from genbench.scores import scored
from genbench.task import AGENT_KINDS, derive_seed
from genbench.training.monitoring import development_set
from genbench.training.recipe import Monitoring
from genbench.verification import verify_run


@pytest.fixture(scope="module")
def task():
    return genbench.load_task("virl-ood-rule", limit=6)


@pytest.fixture(scope="module")
def memoriser(task, tmp_path_factory):
    output = tmp_path_factory.mktemp("memoriser")
    genbench.run("agent:memoriser", task, output=output)
    return load_run(next(output.glob("*/*/*")))


def exported(task):
    return [row for split in task.splits.values() for row in rows(task, split)]


def test_an_export_has_a_row_a_state_and_its_answers_import_as_solved(task, tmp_path):
    found = exported(task)
    states = sum(
        len(task.environment.states(route))
        for split in task.splits.values()
        for route in split.instances()
    )
    assert len(found) == len({row["instance_id"] for row in found}) == states
    path = tmp_path / "answers.jsonl"
    lines = [
        json.dumps({"instance_id": row["instance_id"], "response": row["solution"]})
        for row in found
    ]
    path.write_text("\n".join(lines))
    evaluation, results, unused = import_responses(path, task, tmp_path / "runs")
    assert unused == 0
    assert {split.success_rate.value for split in results.splits.values()} == {1}
    assert verify_run(evaluation.folder.path).differences == ()
    path.write_text("\n".join(lines[:3] + lines[4:]))
    with pytest.raises(UsageError, match=rf"the first: {found[3]['instance_id']}#0, attempt 1"):
        import_responses(path, task, tmp_path / "runs")


def test_an_imported_run_is_the_run_that_was_exported(task, memoriser, tmp_path):
    """Every attempt of a run, brought in as responses made elsewhere: the same numbers."""
    path = tmp_path / "answers.jsonl"
    lines = [
        json.dumps(
            {
                "instance_id": f"{episode.instance_id}/{turn.step}",
                "attempt": turn.attempt,
                "response": turn.response.text,
            }
        )
        for episode in memoriser.episodes
        for turn in episode.turns
    ]
    path.write_text("\n".join(lines))
    _, results, unused = import_responses(path, task, tmp_path / "runs")
    assert unused == 0
    assert results.splits["ood"].steps == memoriser.results.splits["ood"].steps
    assert results.generalization == memoriser.results.generalization


def test_scores_of_a_comparison_are_means_over_the_steps_of_a_route(task, memoriser):
    found = scored(memoriser, task)
    ood = found.splits["ood"]
    assert ood.first.tolist() == [0] * 6
    assert ood.sticks.tolist() == [1] * 6
    assert ood.rule_read.tolist() == [0] * 6
    assert found.splits["id"].rule_read.tolist() == [1] * 6


def test_results_that_do_not_fit_the_steps_are_refused(memoriser):
    recount = Recount()
    for episode in memoriser.episodes:
        recount.add(episode)
    recount.check(memoriser.results, memoriser.folder)
    for split, field in (("ood", "accuracy"), ("id", "accuracy")):
        changed = memoriser.results.model_copy(deep=True)
        rate = getattr(changed.splits[split].steps, field)
        rate.value = rate.value / 2
        with pytest.raises(StoreError, match=rf"splits\.{split}\.steps\.{field}"):
            recount.check(changed, memoriser.folder)
    changed = memoriser.results.model_copy(deep=True)
    changed.splits["ood"].outcomes["right_in_other_words"] -= 1
    with pytest.raises(StoreError, match="right_in_other_words"):
        recount.check(changed, memoriser.folder)


def test_results_of_walkers_that_leave_their_routes_fit_their_episodes(tmp_path):
    free = genbench.load_task("virl-ood-rule", protocol="free", limit=5)
    genbench.run("agent:random", free, output=tmp_path)
    run = load_run(next(tmp_path.glob("*/*/*")))
    assert any(
        turn.verdict.outcome == "off_route" for episode in run.episodes for turn in episode.turns
    )
    recount = Recount()
    for episode in run.episodes:
        recount.add(episode)
    recount.check(run.results, run.folder)
    changed = run.results.model_copy(deep=True)
    changed.splits["id"].steps.accuracy.n = 10_000
    with pytest.raises(StoreError, match=r"splits\.id\.steps\.accuracy\.n"):
        recount.check(changed, run.folder)


def test_results_without_steps_are_those_of_schema_version_2(memoriser, tmp_path):
    raw = memoriser.results.model_dump(mode="json")
    for part in ("splits", "generalization"):
        for found in raw[part].values():
            del found["steps"]
    raw["schema_version"] = 2
    (tmp_path / "results.json").write_text(json.dumps(raw))
    read = read_results(tmp_path)
    assert read.splits["ood"].steps is None
    assert read.generalization["ood"].steps is None
    assert read.splits["ood"].success_rate == memoriser.results.splits["ood"].success_rate
    now = memoriser.results.model_dump(mode="json")
    assert Results.model_validate(as_of(now, 2)) == read.model_copy(
        update={"genbench_version": now["genbench_version"]}
    )


def test_the_table_of_a_run_shows_the_steps(memoriser, capsys):
    print_results(memoriser.results, console=plain_console())
    shown = capsys.readouterr().out
    for text in ("ood, turn", "ood, forward", "ood, stop", "gap by step", "every attempt"):
        assert text in shown
    line = next(line for line in shown.splitlines() if line.startswith("ood, turn"))
    assert "0.0%" in line
    assert "16.7%" in line


def test_monitoring_asks_one_state_of_every_development_route():
    settings = {"part": "dev", "n": 12}
    found = development_set(Monitoring(task="virl-ood-rule", settings=settings, instances=10))
    assert len(found.instances) == 10
    kinds = {found.task.environment.step_kind(state) for state in found.instances}
    assert {"turn", "forward"} <= kinds
    assert {len(found.task.environment.states(state)) for state in found.instances} == {1}


def test_agents_answer_what_they_are_asked_at_any_state(task):
    """Not the route's first state, which all other environments have alone."""
    route = task.splits["ood"].instances()[0]
    for kind in ("oracle", "memoriser", "random", "broken"):
        assert kind in AGENT_KINDS
        agent = task.environment.agent(kind, task.training_split)
        for state in task.environment.states(route):
            text = agent.respond(state, task.messages(state), derive_seed(state.id))
            if kind == "oracle":
                assert task.verify(state, text).correct
