"""SFT on a model's own right answers: sampled, judged, trained on, and counted; and its lineage."""

import json

import pytest
from training_records import record

import genbench
from genbench.errors import UsageError
from genbench.training.plan import Job
from genbench.training.recipes import load_recipe
from genbench.training.tuning import tune
from genbench_tasks.general_points.environment import GeneralPoints

SMALL = [
    "schedule.steps=2",
    "schedule.batch_size=4",
    "schedule.checkpoints=[]",
    "monitoring=null",
    "own_samples.problems=6",
    "own_samples.per_problem=3",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    said = []
    recipe = load_recipe("gp-sft-own-samples", SMALL)
    return tune(recipe, tmp_path_factory.mktemp("own") / "a", Job("cpu", 1, said.append)), said


def test_the_samples_are_the_models_own_right_answers(trained):
    folder, said = trained
    lines = [json.loads(line) for line in (folder / "own_samples.jsonl").read_text().splitlines()]
    assert 3 <= len(lines) < 18
    assert f"{len(lines)} of 18 responses were right" in said
    environment = GeneralPoints(prompt="paper", feedback="outcome", settings={})
    for line in lines:
        instance = genbench.training.rewards.instance_from(json.dumps(line["instance"]))
        assert environment.verify(instance, line["response"]).correct
    # Sampled, not solved: not every answer to a problem is the same.
    answers = {}
    for line in lines:
        answers.setdefault(str(line["instance"]["data"]["cards"]), set()).add(line["response"])
    assert max(map(len, answers.values())) > 1


def test_sampling_is_part_of_the_compute(trained):
    found = record(trained[0] / "step-2")
    tokens, size = found["tokens"], found["parameters"]
    assert tokens["generated"] > 18 * 40
    sampled = tokens["rollout_prompt"] + tokens["generated"]
    assert found["flops"] == size * (6 * tokens["trained"] + 2 * sampled)
    assert found["problems"]["samples_sha256"]


def test_a_recipe_without_samples_says_what_is_missing(tmp_path):
    recipe = load_recipe("gp-sft-own-samples", [*SMALL, "own_samples=null"])
    with pytest.raises(UsageError, match=r"data.settings.path: the file of samples is missing"):
        tune(recipe, tmp_path / "b", Job("cpu", 1))


def test_a_model_that_is_never_right_has_nothing_to_train_on(parent, tmp_path):
    recipe = load_recipe(
        "gp-sft-own-samples", [*SMALL, "own_samples.max_new_tokens=4"], str(parent)
    )
    with pytest.raises(UsageError, match="none of 18 responses"):
        tune(recipe, tmp_path / "c", Job("cpu", 1))


def test_a_checkpoint_of_ours_is_proven_clean_with_its_parent(trained, tmp_path):
    found = genbench.run(
        str(trained[0] / "step-2"), "gp-ood-rule", output=tmp_path, limit=2, verify_iters=1
    )
    assert found.contamination.status == "proven"
    assert set(found.contamination.overlap.values()) == {0}


def test_what_a_parent_was_trained_on_counts_as_seen(trained, tmp_path):
    """Its record with a test problem among the parent's: the overlap is found."""
    from genbench_tasks.general_points.cards import multiset, numbers_of

    task = genbench.load_task("gp-ood-rule", limit=3)
    splits = {name: split.instances() for name, split in task.splits.items()}
    training = record(trained[0] / "step-2")
    overlap = task.environment.training_overlap
    assert overlap(splits, training)["id"] == 0
    data = splits["id"][0].data
    numbers = ".".join(map(str, multiset(numbers_of(data["cards"], data["values"]))))
    training["ancestors"][0]["problems"]["number_multisets"].append(numbers)
    assert overlap(splits, training)["id"] >= 1
    training["ancestors"][0]["problems"] = None
    assert overlap(splits, training) is None


def test_the_compute_of_all_parents_is_summed(trained, tmp_path):
    sets = [*SMALL, "own_samples.problems=2", "seed=1"]
    before = record(trained[0] / "step-2")
    recipe = load_recipe("gp-sft-own-samples", sets, str(trained[0] / "step-2"))
    found = record(tune(recipe, tmp_path / "d", Job("cpu", 1)) / "step-2")
    assert found["parent_flops"] == before["flops"] + before["parent_flops"]
    assert [item["recipe"] for item in found["ancestors"]] == ["gp-sft-own-samples", "gp-base"]
