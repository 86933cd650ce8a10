"""Recipes: every bundled one is valid, and a fault in one is named with its place."""

import pytest
import yaml

from genbench.errors import TaskError, UsageError
from genbench.training.recipes import load_recipe, recipe_fingerprint, recipe_names


def test_every_bundled_recipe_is_valid_and_bears_the_name_of_its_file():
    assert len(recipe_names()) >= 10
    for name in recipe_names():
        recipe = load_recipe(name)
        assert recipe.name == name
        assert recipe.summary.endswith(".")
        assert recipe.hardware


@pytest.mark.parametrize(
    ("name", "assignment", "message"),
    [
        ("gp-sft-quick", "sft.los=dft", r"no setting sft\.los; did you mean 'loss'"),
        ("gp-sft-quick", "scedule.steps=3", "no setting scedule; did you mean 'schedule'"),
        ("gp-sft-quick", "rl.beta=1", "no setting rl; "),
        ("gp-sft-quick", "sft.loss=ntl", "sft.loss: .*nll"),
        ("gp-sft-quick", "schedule.checkpoints=[1000]", "no steps of a training of"),
        ("gp-rl-quick", "rl.num_generations=1", "rl.num_generations"),
        ("gp-rl-quick", "rl={algorithm: rloo, turns: 2}", "RLOO has no hook"),
        ("gp-rl-quick", "schedule.micro_batch=7", "does not divide"),
        ("gp-rl-quick", "monitoring.evry=7", r"no setting monitoring\.evry; did you mean 'every'"),
        ("gp-rl-quick", "lora.rank=7", r"no setting lora\.rank; "),
        ("gp-rl-quick", "method=ppo", "no method 'ppo'"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_place_and_the_closest_name(name, assignment, message):
    with pytest.raises((TaskError, UsageError), match=message):
        load_recipe(name, [assignment])


def test_settings_may_be_given_as_one_writes_them():
    recipe = load_recipe(
        "gp-sft-quick", ["schedule.learning_rate=3e-4", "logging.report_to=tensorboard"], "some/dir"
    )
    assert recipe.schedule.learning_rate == 3e-4
    assert recipe.logging.report_to == ("tensorboard",)
    assert recipe.model.base == "some/dir"
    assert load_recipe("gp-sft-quick", ["logging.report_to=none"]).logging.report_to == ()


def test_the_last_step_is_always_kept():
    sets = ["schedule.steps=9", "schedule.checkpoints=[2]", "schedule.save_every=4"]
    assert load_recipe("gp-sft-quick", sets).schedule.kept_steps == [2, 4, 8, 9]


def test_the_fingerprint_is_of_what_decides_the_training():
    plain = recipe_fingerprint(load_recipe("gp-sft-quick"))
    same = [["logging.every=3"], ["logging.report_to=wandb"]]
    other = [["seed=1"], ["sft.loss=dft"], ["data.settings.solutions=random"]]
    assert {recipe_fingerprint(load_recipe("gp-sft-quick", sets)) for sets in same} == {plain}
    assert plain not in {recipe_fingerprint(load_recipe("gp-sft-quick", sets)) for sets in other}


def test_a_recipe_file_may_name_another_trainer(tmp_path):
    raw = load_recipe("gp-rl-quick").model_dump(mode="json")
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**raw, "trainer": "my_pack.ppo:train"}))
    assert load_recipe(str(path)).trainer == "my_pack.ppo:train"
