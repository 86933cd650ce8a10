"""The bundled demo checkpoint: plain transformers, clean of test problems, able and exact."""

import json
from pathlib import Path

import pytest

import genbench
import genbench_tasks
from genbench.training.recipes import load_recipe, recipe_fingerprint
from genbench_tasks.general_points.hands import held_out_numbers, partition_fingerprint

CHECKPOINTS = Path(genbench_tasks.__file__).parent / "checkpoints"
FOLDER = CHECKPOINTS / "gp-base"
RECORD = json.loads((FOLDER / "genbench_training.json").read_text())


def only_run(output):
    (found,) = output.glob("*/*/*/results.json")
    return found.parent


def test_it_is_small_and_loads_with_plain_transformers():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert (FOLDER / "model.safetensors").stat().st_size <= 4 * 2**20
    model, tokenizer = (
        kind.from_pretrained(FOLDER) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    task = genbench.load_task("gp-ood-rule")
    instance = task.splits["ood"].instances()[0]
    chat = [{"role": "user", "content": task.messages(instance)[0].text}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")
    assert prompt["input_ids"].shape[1] < 120
    output = model.generate(**prompt, max_new_tokens=120, do_sample=False)
    answer = tokenizer.decode(output[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    assert task.verify(instance, answer).checks["rule"]


@pytest.mark.parametrize("name", ["gp-sft", "gp-rl"])
def test_the_tuned_ones_are_what_their_recipes_make_of_it_and_saw_no_held_out_problem(name):
    from genbench.models.files import fingerprints, weight_files

    folder = CHECKPOINTS / name
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 4 * 2**20
    record = json.loads((folder / "genbench_training.json").read_text())
    recipe = load_recipe(name)
    assert record["recipe_fingerprint"] == recipe_fingerprint(recipe)
    assert (record["recipe"], record["step"]) == (name, recipe.schedule.steps)
    weights, _ = fingerprints(folder, weight_files(folder, allow_pickle=False))
    assert record["weights_fingerprint"] == weights
    assert record["parent"] == {
        "name": "demo/gp-base", "weights_fingerprint": RECORD["weights_fingerprint"],
    }  # fmt: skip
    assert record["parent_flops"] == RECORD["flops"]
    assert record["problems"]["rules"] == ["face-10"]
    trained = {tuple(map(int, it.split("."))) for it in record["problems"]["number_multisets"]}
    assert len(trained) > 400
    assert not trained & held_out_numbers()


def test_it_is_what_its_recipe_makes_and_saw_no_held_out_problem():
    recipe = load_recipe("gp-base")
    assert RECORD["recipe_fingerprint"] == recipe_fingerprint(recipe)
    assert RECORD["step"] == recipe.schedule.steps
    assert RECORD["flops"] == 6 * RECORD["parameters"] * RECORD["tokens"]["trained"]
    problems = RECORD["problems"]
    assert problems["partition_fingerprint"] == partition_fingerprint()
    trained = {tuple(map(int, item.split("."))) for item in problems["number_multisets"]}
    assert len(trained) > 1000
    assert not trained & held_out_numbers()


def test_its_tokenizer_is_the_one_that_the_recipe_builds():
    from genbench_tasks.general_points.tokenizer import build_tokenizer

    built = json.loads(build_tokenizer().backend_tokenizer.to_str())
    stored = json.loads((FOLDER / "tokenizer.json").read_text())
    assert stored["model"] == built["model"]
    assert stored["added_tokens"] == built["added_tokens"]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    output = tmp_path_factory.mktemp("demo")
    genbench.run("demo/gp-base", "gp-ood-rule", output=output, limit=40, verify_iters=2)
    return only_run(output)


def test_it_has_weak_but_real_ability_under_both_rules_and_reads_the_rule(run_folder):
    found = genbench.load_run(run_folder).results
    for name in ("id", "ood"):
        split = found.splits[name]
        assert 0.1 < split.success_rate.value < 0.6
        assert split.success_rate.ci95[0] > split.chance
        assert split.checks["rule"].value > 0.95
        assert split.truncated.value < 0.02
    assert found.contamination.status == "proven"
    assert set(found.contamination.overlap.values()) == {0}


def test_other_weights_beside_its_record_prove_nothing(tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(FOLDER, tmp_path / "copy"))
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * 1.01
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    found = genbench.run(
        str(copy), "gp-ood-rule", output=tmp_path / "runs", limit=2, verify_iters=1
    )
    assert found.contamination.status == "unknown"
    assert "other weights" in found.contamination.reason


@pytest.mark.parametrize("size", [1, 32, 512])
def test_in_float32_the_batch_size_changes_no_byte(run_folder, tmp_path, size):
    genbench.run(
        "demo/gp-base",
        "gp-ood-rule",
        output=tmp_path,
        limit=40,
        verify_iters=2,
        batch_size=size,
    )
    other = only_run(tmp_path)
    for name in ("episodes.jsonl", "results.json"):
        assert (other / name).read_bytes() == (run_folder / name).read_bytes()


def test_lm_eval_gives_the_same_texts(run_folder, tmp_path):
    genbench.run(
        "demo/gp-base",
        "gp-ood-rule",
        output=tmp_path,
        backend="lm-eval:hf",
        limit=40,
        verify_iters=2,
    )
    ours = genbench.load_run(run_folder).episodes.to_pandas()
    theirs = genbench.load_run(only_run(tmp_path)).episodes.to_pandas()
    assert len(ours) > 160
    for column in ("instance_id", "attempt", "response", "finish_reason", "generated_tokens"):
        assert list(ours[column]) == list(theirs[column])


def test_its_run_is_regenerated_from_the_weights(run_folder):
    from genbench.verification import verify_run

    found = verify_run(run_folder, regenerate=8, seed=0)
    assert found.passed, found.differences
    assert found.tier == "regenerated"


def test_a_training_record_that_was_edited_in_the_run_is_found_by_the_weights(run_folder, tmp_path):
    import shutil

    from genbench.evaluation import results_of
    from genbench.verification import stored_evaluation, verify_run

    copy = Path(shutil.copytree(run_folder, tmp_path / "copy"))
    header = json.loads((copy / "run.json").read_text())
    header["training_record"]["problems"]["number_multisets"] = ["1.1.1.1"]
    (copy / "run.json").write_text(json.dumps(header))
    stored = genbench.load_run(copy)
    again = results_of(
        stored_evaluation(copy),
        list(stored.episodes),
        stored.results.episodes_sha256,
        stored.results.sampling,
    )
    (copy / "results.json").write_text(json.dumps(again.model_dump(mode="json")))
    assert verify_run(copy).passed  # nothing in the folder contradicts it
    found = verify_run(copy, regenerate=1, seed=0)
    assert not found.passed
    assert "training_record" in found.differences[0]
