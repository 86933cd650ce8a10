"""The bundled navigation checkpoint: clean of test cities, able under the rule of its training, and
bound to its words."""

import json
from pathlib import Path

import pytest

import genbench
import genbench_tasks
from genbench.training.recipes import load_recipe, recipe_fingerprint
from genbench_tasks.navigation.cities import part_of, partition_fingerprint
from genbench_tasks.navigation.tokenizer import build_tokenizer

FOLDER = Path(genbench_tasks.__file__).parent / "checkpoints" / "virl-base"
RECORD = json.loads((FOLDER / "genbench_training.json").read_text())
ROUTES = 12


def only_run(output):
    (found,) = output.glob("*/*/*/results.json")
    return found.parent


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    output = tmp_path_factory.mktemp("navigation-demo")
    genbench.run("demo/virl-base", "virl-ood-rule", output=output, limit=ROUTES, verify_iters=1)
    return only_run(output)


def test_it_is_what_its_recipe_makes_and_walked_in_training_cities_alone():
    from genbench.models.files import fingerprints, weight_files

    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 4 * 2**20
    recipe = load_recipe("virl-base")
    assert RECORD["recipe_fingerprint"] == recipe_fingerprint(recipe)
    assert (RECORD["recipe"], RECORD["step"]) == ("virl-base", recipe.schedule.steps)
    weights, _ = fingerprints(FOLDER, weight_files(FOLDER, allow_pickle=False))
    assert RECORD["weights_fingerprint"] == weights
    problems = RECORD["problems"]
    assert problems["partition_fingerprint"] == partition_fingerprint()
    assert problems["rules"] == ["absolute"]
    assert len(problems["cities"]) > 500
    assert {part_of(name) for name in problems["cities"]} == {"train"}


def test_its_tokenizer_is_the_one_that_the_recipe_builds():
    stored = json.loads((FOLDER / "tokenizer.json").read_text())
    built = json.loads(build_tokenizer().backend_tokenizer.to_str())
    assert stored["model"] == built["model"]
    assert stored["added_tokens"] == built["added_tokens"]


def test_it_turns_in_the_words_of_its_training_and_walks_as_well_under_both(run_folder):
    found = genbench.load_run(run_folder).results
    steps = {
        name: {kind: rate.accuracy.value for kind, rate in split.steps.kinds.items()}
        for name, split in found.splits.items()
    }
    assert steps["id"]["turn"] > 0.7
    assert steps["ood"]["turn"] == 0.0
    assert found.generalization["ood"].stickiness.value > 0.6
    for kind in ("forward", "stop"):
        assert abs(steps["id"][kind] - steps["ood"][kind]) < 0.1
        assert steps["ood"][kind] > 0.6
    assert found.contamination.status == "proven"
    assert set(found.contamination.overlap.values()) == {0}


def test_in_float32_the_batch_size_changes_no_byte(run_folder, tmp_path):
    genbench.run(
        "demo/virl-base",
        "virl-ood-rule",
        output=tmp_path,
        limit=ROUTES,
        verify_iters=1,
        batch_size=7,
    )
    for name in ("episodes.jsonl", "results.json"):
        assert (only_run(tmp_path) / name).read_bytes() == (run_folder / name).read_bytes()
