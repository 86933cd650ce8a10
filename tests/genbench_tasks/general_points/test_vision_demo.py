"""The bundled vision-language checkpoint: plain transformers, clean of test problems, and what the
two shifts do to it."""

import io
import json
from pathlib import Path

import pytest

import genbench
import genbench_tasks
from genbench.training.recipes import load_recipe, recipe_fingerprint
from genbench_tasks.general_points.hands import held_out_numbers, partition_fingerprint
from genbench_tasks.general_points.vision_training import build_vision_tokenizer

CHECKPOINTS = Path(genbench_tasks.__file__).parent / "checkpoints"
FOLDER = CHECKPOINTS / "gp-vl-base"
RECORD = json.loads((FOLDER / "genbench_training.json").read_text())
HANDS = 32


def only_run(output):
    (found,) = output.glob("*/*/*/results.json")
    return found.parent


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run's folder by task, at the first attempt."""
    output = tmp_path_factory.mktemp("vision-demo")
    found = {}
    for name in ("gp-vl-recognition", "gp-vl-ood-visual", "gp-vl-ood-rule"):
        genbench.run("demo/gp-vl-base", name, output=output / name, limit=HANDS, verify_iters=1)
        found[name] = only_run(output / name)
    return found


def results(runs, name):
    return genbench.load_run(runs[name]).results


def test_it_is_what_its_recipe_makes_and_saw_no_held_out_problem():
    from genbench.models.files import fingerprints, weight_files

    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 4 * 2**20
    recipe = load_recipe("gp-vl-base")
    assert RECORD["recipe_fingerprint"] == recipe_fingerprint(recipe)
    assert (RECORD["recipe"], RECORD["step"]) == ("gp-vl-base", recipe.schedule.steps)
    weights, _ = fingerprints(FOLDER, weight_files(FOLDER, allow_pickle=False))
    assert RECORD["weights_fingerprint"] == weights
    text = json.loads((CHECKPOINTS / "gp-base" / "genbench_training.json").read_text())
    assert RECORD["parent"] == {
        "name": "demo/gp-base", "weights_fingerprint": text["weights_fingerprint"],
    }  # fmt: skip
    assert RECORD["parent_flops"] == text["flops"]
    assert RECORD["problems"]["partition_fingerprint"] == partition_fingerprint()
    trained = {tuple(map(int, it.split("."))) for it in RECORD["problems"]["number_multisets"]}
    assert len(trained) > 1000
    assert not trained & held_out_numbers()


def test_its_tokenizer_is_the_one_that_the_recipe_builds():
    stored = json.loads((FOLDER / "tokenizer.json").read_text())
    built = json.loads(build_vision_tokenizer().backend_tokenizer.to_str())
    assert stored["model"] == built["model"]
    size = len(built["added_tokens"])
    assert stored["added_tokens"][:size] == built["added_tokens"]


def test_plain_transformers_reads_the_cards():
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(FOLDER)
    model = AutoModelForImageTextToText.from_pretrained(FOLDER)
    task = genbench.load_task("gp-vl-recognition")
    instance = task.splits["id"].instances()[0]
    (message,) = task.messages(instance)
    picture = Image.open(io.BytesIO(message.images[0].data))
    chat = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": message.text}]}
    ]
    prompt = processor.apply_chat_template(chat, add_generation_prompt=True)
    inputs = processor(text=prompt, images=[picture], return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=40, do_sample=False)
    said = processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert task.verify(instance, said).correct


def test_it_reads_black_cards_and_far_fewer_red_ones(runs):
    splits = results(runs, "gp-vl-recognition").splits
    assert splits["id"].checks["perception"].value > 0.9
    assert splits["ood"].checks["perception"].value < 0.5
    assert splits["ood"].checks["cards"].value > 0.2  # blinder, not blind: by chance 1 in 13


def test_the_visual_shift_takes_its_perception_and_leaves_its_reading_of_the_rule(runs):
    found = results(runs, "gp-vl-ood-visual")
    gap = found.generalization["ood"].perception_gap
    assert gap.ci95[0] > 0.3
    for split in found.splits.values():
        assert split.checks["rule"].value > 0.9
    assert found.contamination.status == "proven"
    assert set(found.contamination.overlap.values()) == {0}


def test_the_rule_shift_is_read_from_the_prompt(runs):
    splits = results(runs, "gp-vl-ood-rule").splits
    for split in splits.values():
        assert split.checks["perception"].value > 0.9
        assert split.checks["rule"].value > 0.9
        assert split.success_rate.value > 0.1


def test_in_float32_the_batch_size_changes_no_byte(runs, tmp_path):
    genbench.run(
        "demo/gp-vl-base",
        "gp-vl-ood-visual",
        output=tmp_path,
        limit=HANDS,
        verify_iters=1,
        batch_size=5,
    )
    for name in ("episodes.jsonl", "results.json"):
        stored = (runs["gp-vl-ood-visual"] / name).read_bytes()
        assert (only_run(tmp_path) / name).read_bytes() == stored


def test_lm_eval_gives_the_same_texts(runs, tmp_path):
    genbench.run(
        "demo/gp-vl-base",
        "gp-vl-recognition",
        output=tmp_path,
        backend="lm-eval:hf-multimodal",
        limit=HANDS,
        verify_iters=1,
    )
    ours = genbench.load_run(runs["gp-vl-recognition"]).episodes.to_pandas()
    theirs = genbench.load_run(only_run(tmp_path)).episodes.to_pandas()
    assert len(ours) == 2 * HANDS
    for column in ("instance_id", "response"):
        assert list(ours[column]) == list(theirs[column])


def test_what_it_was_shown_is_in_the_table_where_it_saw_all(command, tmp_path):
    arguments = ["--limit", 3, "--verify-iters", 1, "--output", tmp_path]
    done = command("run", "--model", "demo/gp-vl-base", "--task", "gp-vl-ood-rule", *arguments)
    assert "success where seen" in done.stdout
    assert "gap of perception" in done.stdout
