"""A run from end to end on the reference agents: numbers, bytes, schema, order of arrival."""

import json
import shutil
from random import Random

import jsonschema
import pytest

import genbench
from genbench.errors import UsageError
from genbench.evaluation import execute, prepare
from genbench.folders import read_run
from genbench.models.interface import LoadOptions, Model
from genbench.results import Results
from genbench.store import RunFolder
from genbench.task import REFERENCE_AGENTS
from genbench.verification import verify_run

FILES = ("episodes.jsonl", "results.json")


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


def only_run(output):
    (found,) = output.glob("*/*/*/results.json")
    return found.parent


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of each agent on the whole main task."""
    output = tmp_path_factory.mktemp("agents")
    return {
        kind: genbench.run(f"agent:{kind}", "gp-ood-rule", output=output)
        for kind in REFERENCE_AGENTS
    }


def rates(found):
    return {name: split.success_rate.value for name, split in found.splits.items()}


def test_the_oracle_is_right_everywhere_and_has_no_gap(results):
    assert set(rates(results["oracle"]).values()) == {1.0}
    found = results["oracle"].generalization["ood"]
    assert found.gap.value == 0
    assert found.gap.p_value == 1
    assert found.gap.ci95[0] < 0 < found.gap.ci95[1]
    assert found.stickiness.value == 0


def test_the_memoriser_knows_the_training_rule_alone_and_the_gap_is_all_rule(results):
    assert rates(results["memoriser"]) == {
        "id": 1.0, "ood": 0.0, "control-id": 1.0, "control-ood": 1.0,
    }  # fmt: skip
    found = results["memoriser"].generalization["ood"]
    assert found.gap.value == 1
    assert found.gap.p_value < 1e-4
    assert found.decomposition.number.value == 0
    assert found.decomposition.rule.value == 1
    assert found.stickiness.value == 1
    assert found.rule_readings == {"as_stated": 0, "as_in_training": 325, "other": 0}


def test_a_rate_of_a_hundred_percent_has_an_interval(results):
    low, high = results["oracle"].splits["id"].success_rate.ci95
    assert 0.9 < low < 0.99
    assert high == 1


def test_every_outcome_has_its_share_with_an_interval(results):
    for found in results.values():
        for split in found.splits.values():
            total = sum(split.outcomes.values())
            assert set(split.outcome_rates) == set(split.outcomes)
            for outcome, share in split.outcome_rates.items():
                assert share.value == pytest.approx(split.outcomes[outcome] / total)
                low, high = share.ci95
                assert 0 <= low <= share.value <= high <= 1
                assert low < high
    right = results["random"].splits["ood"]
    assert right.outcome_rates["correct"] == right.success_rate


def test_retention_is_the_share_of_the_skill_beyond_chance_that_is_left(results):
    kept = {kind: found.generalization["ood"].retention for kind, found in results.items()}
    assert kept["oracle"].value == pytest.approx(1, abs=0.01)
    found = results["memoriser"]
    chance = [found.splits[name].chance for name in ("id", "ood")]
    assert kept["memoriser"].value == pytest.approx((0 - chance[1]) / (1 - chance[0]))
    low, high = kept["memoriser"].ci95
    assert low <= 0 <= high
    for kind in ("random", "broken"):
        assert kept[kind] is None
        assert "not above chance" in results[kind].generalization["ood"].retention_reason


def test_the_random_agent_scores_the_printed_chance(results):
    for split in results["random"].splits.values():
        assert split.success_rate.ci95[0] <= split.chance <= split.success_rate.ci95[1]


def test_the_broken_agent_scores_nothing_and_every_outcome_is_named(results):
    assert set(rates(results["broken"]).values()) == {0.0}
    outcomes = results["broken"].splits["ood"].outcomes
    assert sum(outcomes.values()) == 261
    assert outcomes["illegal_formula"] > 0
    assert outcomes["unparsable"] > 0
    assert outcomes["empty"] > 0


def test_the_parts_of_the_gap_add_up(results):
    for kind in REFERENCE_AGENTS:
        found = results[kind].generalization["ood"]
        parts = found.decomposition.number.value + found.decomposition.rule.value
        assert parts == pytest.approx(found.gap.value)


def test_success_within_k_attempts_never_falls_with_k(results):
    for split in results["random"].splits.values():
        values = [rate.value for rate in split.success_at.values()]
        assert values == sorted(values)
        assert values[0] == split.success_rate.value


def test_results_fit_the_published_schema_and_the_schema_is_the_models(results):
    from importlib.resources import files

    schema = json.loads(files("genbench").joinpath("results.schema.json").read_text())
    assert schema == Results.model_json_schema()
    for found in results.values():
        jsonschema.validate(found.model_dump(mode="json"), schema)


@pytest.mark.parametrize("kind", ["random", "broken"])
def test_results_are_the_same_bytes_whatever_the_batch_size(tmp_path, kind):
    seen = []
    for size in (1, 32, 512):
        output = tmp_path / str(size)
        genbench.run(f"agent:{kind}", "gp-ood-rule", output=output, limit=40, batch_size=size)
        seen.append(contents(only_run(output)))
    assert seen[0] == seen[1] == seen[2]


class OneByOne(Model):
    """An agent that answers one request at a time, in an order of its own."""

    def __init__(self, inner, seed):
        self.inner, self.random, self.waiting = inner, Random(seed), []

    def start(self, task):
        self.inner.start(task)

    def submit(self, requests):
        self.waiting.extend(requests)

    def receive(self):
        request = self.waiting.pop(self.random.randrange(len(self.waiting)))
        return [(request, self.inner.generate([request])[0])]


def test_responses_may_arrive_in_any_order(tmp_path):
    seen = []
    for seed in range(3):
        task = genbench.load_task("gp-ood-rule", limit=20)
        evaluation, backend = prepare("agent:random", task, output=tmp_path / str(seed))

        def load(options, backend=backend, identity=evaluation.identity, seed=seed):
            inner = backend.load(identity, options)
            return inner if seed == 0 else OneByOne(inner, seed)

        execute(evaluation, load, LoadOptions())
        seen.append(contents(evaluation.folder.path))
    assert seen[0] == seen[1] == seen[2]


def test_samples_at_a_temperature_give_pass_at_k(tmp_path):
    found = genbench.run(
        "agent:random", "gp-ood-rule", output=tmp_path, limit=60, samples=8, temperature=1.0
    )
    split = found.splits["ood"]
    assert split.n == 60
    assert sum(split.outcomes.values()) == 480
    assert split.pass_at_k["1"].value == pytest.approx(split.success_rate.value)
    values = [split.pass_at_k[k].value for k in ("1", "4", "8")]
    assert values == sorted(values)
    assert split.pass_hat_k["8"].value <= split.pass_hat_k["1"].value
    low, high = split.pass_at_k["8"].ci95
    assert low < split.pass_at_k["8"].value < high
    mde = found.generalization["ood"].mde
    table = genbench.load_run(only_run(tmp_path)).episodes.to_pandas()
    table = table[table["attempt"] == 1].astype({"correct": float})
    means = table.pivot_table(index="pair_id", columns="split", values="correct")
    spread = (means["id"] - means["ood"]).std() / 60**0.5
    assert mde.value == pytest.approx((1.959964 + 0.841621) * spread * mde.design_effect**0.5)


def test_a_family_of_ood_rules_is_corrected_for_multiplicity(tmp_path):
    found = genbench.run("agent:memoriser", "gp-ood-rule-family", output=tmp_path, limit=60)
    assert len(found.generalization) == 4
    for result in found.generalization.values():
        assert result.gap.p_value_holm >= result.gap.p_value
        assert result.stickiness.value == 1


def test_a_shift_without_a_training_rule_has_no_stickiness_and_says_why(tmp_path):
    found = genbench.run("agent:oracle", "gp-ood-target", output=tmp_path, limit=20)
    for result in found.generalization.values():
        assert result.stickiness is None
        assert "no training rule" in result.stickiness_reason


def test_the_paper_protocol_is_unpaired_and_says_what_may_have_been_trained(tmp_path):
    task = genbench.load_task("gp-ood-rule", protocol="paper")
    found = genbench.run("agent:memoriser", task, output=tmp_path)
    assert found.splits["id"].n == found.splits["ood"].n == 234
    assert found.settings["verify_iters"] == 5
    result = found.generalization["ood"]
    assert not result.paired
    assert result.gap.p_value < 1e-6
    assert found.contamination.certificate["splits"]["id"]["problem_may_be_trained"] > 0


def test_a_run_from_python_asks_what_was_asked_for(tmp_path):
    found = genbench.run(
        "agent:oracle", "gp-ood-rule", output=tmp_path, protocol="paper", prompt="reasoned", limit=8
    )
    assert (found.settings["protocol"], found.settings["prompt"]) == ("paper", "reasoned")
    assert not found.generalization["ood"].paired
    task = genbench.load_task("gp-ood-rule", limit=8)
    with pytest.raises(UsageError, match="was loaded with protocol 'paired'"):
        genbench.run("agent:oracle", task, output=tmp_path, protocol="paper")


def test_a_stored_run_is_read_lazily_and_as_a_table(tmp_path):
    genbench.run("agent:random", "gp-ood-rule", output=tmp_path, limit=10)
    stored = genbench.load_run(only_run(tmp_path))
    table = stored.episodes.to_pandas()
    assert set(table["split"]) == {"id", "ood", "control-id", "control-ood"}
    first = table[(table["attempt"] == 1) & (table["split"] == "ood")]
    assert first["correct"].mean() == stored.results.splits["ood"].success_rate.value
    assert next(iter(stored.episodes)).instance_id == table["instance_id"][0]
    assert stored.header["settings"]["limit"] == 10


def test_a_finished_run_is_not_played_again(tmp_path):
    first = genbench.run("agent:random", "gp-ood-rule", output=tmp_path, limit=5)
    folder = only_run(tmp_path)
    before = (folder / "results.json").stat().st_mtime_ns
    assert genbench.run("agent:random", "gp-ood-rule", output=tmp_path, limit=5) == first
    assert (folder / "results.json").stat().st_mtime_ns == before
    genbench.run("agent:random", "gp-ood-rule", output=tmp_path, limit=5, resume=False)
    assert (folder / "results.json").stat().st_mtime_ns > before
    assert not RunFolder(folder).path.joinpath("journal.jsonl").exists()


@pytest.fixture
def checkpoint(tmp_path):
    """A copy of the demo checkpoint, whose record is bound to its weights."""
    from genbench.models import demo_checkpoints

    return shutil.copytree(demo_checkpoints()["demo/gp-base"], tmp_path / "checkpoint")


def recorded(folder, **changed):
    """The training record beside the weights, as changed."""
    path = folder / "genbench_training.json"
    record = json.loads(path.read_text()) | changed
    path.write_text(json.dumps(record))


SHORT = {"limit": 2, "verify_iters": 1, "max_new_tokens": 8}


def test_a_training_record_of_other_weights_says_nothing_of_the_checkpoint(checkpoint, tmp_path):
    recorded(checkpoint, weights_fingerprint="0" * 64)
    found = genbench.run(str(checkpoint), "gp-ood-rule", output=tmp_path / "other", **SHORT)
    assert found.contamination.status == "unknown"
    assert found.model.training is None
    folder = only_run(tmp_path / "other")
    header = json.loads((folder / "run.json").read_text())
    assert header["training_record"]["weights_fingerprint"] == "0" * 64
    assert header["model"]["training"] is None
    assert verify_run(folder, regenerate=2).passed
    # A record that names no weights is taken at its word.
    recorded(checkpoint, weights_fingerprint=None)
    found = genbench.run(str(checkpoint), "gp-ood-rule", output=tmp_path / "none", **SHORT)
    assert found.contamination.status == "declared"
    assert found.model.training["method"] == "base"


def test_a_resumed_run_describes_the_checkpoint_as_it_is_found(checkpoint, tmp_path):
    genbench.run(str(checkpoint), "gp-ood-rule", output=tmp_path / "runs", **SHORT)
    folder = only_run(tmp_path / "runs")
    (folder / "results.json").unlink()
    recorded(checkpoint, step=7)
    found = genbench.run(str(checkpoint), "gp-ood-rule", output=tmp_path / "runs", **SHORT)
    assert found.model.training["step"] == 7
    assert read_run(folder).results == found
    assert verify_run(folder).passed
