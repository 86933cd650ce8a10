"""The whole pipeline with a tiny model and real trainers: what it makes, and that a kill costs
nothing."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from genbench.errors import TaskError, UsageError
from genbench.reproduction.plan import make_plan
from genbench.reproduction.preset import load_preset, preset_names

PRESET = """
name: tiny
summary: "A test."
hardware: "any"
seeds: 2
base:
  checkpoint: {base}
  recipe: gp-base
  set: [schedule.steps=3, schedule.batch_size=4, schedule.decay_steps=0, schedule.save_every=1]
trainings:
  - recipe: gp-sft-quick
    role: main
    name: sft
    set: [schedule.steps=4, schedule.batch_size=4, "schedule.checkpoints=[2]",
          schedule.resume_every=1, monitoring=null, schedule.warmup_steps=0]
  - recipe: gp-rl-quick
    name: rl
    why: "A control: of nothing."
    set: [schedule.steps=2, schedule.batch_size=2, schedule.micro_batch=4, rl.num_generations=2,
          rl.max_completion_length=12, "schedule.checkpoints=[]", schedule.resume_every=1,
          monitoring=null]
contrasts: [[rl, sft]]
tasks: [{{task: gp-ood-rule, limit: 3, max_new_tokens: 16}}]
decodings: [{{temperature: 0}}, {{temperature: 1.0, samples: 2}}]
"""


@pytest.fixture(scope="session")
def preset(tiny_llama, tmp_path_factory):
    path = tmp_path_factory.mktemp("preset") / "tiny.yaml"
    path.write_text(PRESET.format(base=tiny_llama))
    return path


def test_from_a_base_to_a_conclusion_and_a_second_call_that_does_nothing(preset, tmp_path, command):
    output = tmp_path / "r"
    arguments = ("reproduce", "--preset", preset, "--output", output, "--seeds", 1)
    result = command(*arguments, "--workers", 2, "--device", "cpu")
    assert result.returncode == 0, result.stderr
    assert "trainings: sft, rl (control); 1 seed each" in result.stdout
    assert "scored: the base and 3 checkpoints on gp-ood-rule greedy, gp-ood-rule x2" in (
        result.stdout
    )
    assert "MB in" in result.stdout
    stages = [line[:5] for line in result.stderr.splitlines() if line.startswith("[")]
    assert stages == [f"[{stage}/5]" for stage in range(1, 6)]
    assert "sft, seed 0: trained in" in result.stderr
    assert "Conclusion on gp-ood-rule 1.0, greedy" in result.stdout
    assert "rl minus sft at matched compute" in result.stdout
    assert "one training seed a method" in result.stdout

    conclusion = json.loads((output / "conclusion.json").read_text())
    assert [one["decoding"] for one in conclusion["groups"]] == [
        "greedy", "2 samples at temperature 1",
    ]  # fmt: skip
    sampled = conclusion["groups"][1]["trainings"][0]
    assert {one["k"] for one in sampled["pass_at_k"]} == {1, 2}
    assert sampled["decomposition"][0]["split"] == "ood"
    page = (output / "page" / "README.md").read_text()
    assert "A control: of nothing." in page
    assert "OOD: numbers" in page
    for line in page.splitlines():
        if line.startswith("!["):
            assert (output / "page" / line.partition("(")[2].rstrip(")")).is_file()
    assert json.loads((output / "page" / "conclusion.json").read_text()) == conclusion
    with (output / "page" / "scaling.csv").open() as file:
        rows = list(csv.DictReader(file))
    # Two ways of decoding, two splits: the three checkpoints, and the base where it has a record.
    trained = [row for row in rows if row["method"] in ("sft", "rl")]
    assert len(trained) == 2 * 2 * 3
    assert all(float(row["flops"]) > 0 for row in trained)
    for path in (output / "page").iterdir():  # nothing says where this machine keeps it
        assert str(output).encode() not in path.read_bytes(), path
    assert page.count("![") == 2  # greedy and sampled are two figures
    assert (output / "conclusion.md").is_file()

    before = stamps(output)
    again = command(*arguments, "--workers", 1, "--json")
    assert again.returncode == 0, again.stderr
    assert stamps(output) == before
    assert json.loads(again.stdout) == conclusion
    assert "2 trainings, 2 of them finished before" in again.stderr


def stamps(output):
    return {
        path: path.stat().st_mtime_ns
        for name in ("run.json", "genbench_training.json")
        for path in output.rglob(name)
    }


@pytest.mark.slow
def test_a_reproduction_killed_again_and_again_ends_with_the_same_bytes(preset, tmp_path):
    def start(place):
        place.mkdir(exist_ok=True)  # equal relative names give equal bytes
        arguments = ["reproduce", "--preset", preset, "--output", "r", "--from-scratch"]
        return subprocess.Popen(
            [sys.executable, "-m", "genbench", *map(str, arguments), "--workers", "2"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        )  # fmt: skip

    whole, place = tmp_path / "whole", tmp_path / "killed"
    process = start(whole)
    _, told = process.communicate(timeout=400)
    assert process.returncode == 0, told

    stream, kills = random.Random(4), 0
    for stage in (
        "base/trainer/checkpoint-1", "training/*/*/trainer/checkpoint-*", "training/*/*/step-*",
        "runs/*/*/*/journal.jsonl", "runs/*/*/*/results.json", "report/index.html",
        "conclusion.json",
    ):  # fmt: skip
        process = start(place)
        while process.poll() is None and not any((place / "r").glob(stage)):
            time.sleep(0.01)
        time.sleep(stream.uniform(0, 0.5))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
        time.sleep(1)
    assert kills >= 5
    process = start(place)
    _, told = process.communicate(timeout=400)
    assert process.returncode == 0, told
    names = ("conclusion.json", "results.json", "episodes.jsonl", "model.safetensors")
    files = [path for name in names for path in (whole / "r").rglob(name)]
    assert len(files) == 1 + 2 * 2 * 7 + 1 + 6
    for path in files:
        assert (place / path.relative_to(whole)).read_bytes() == path.read_bytes(), path


def test_a_task_can_be_drawn_otherwise_than_the_preset_says(preset, tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(
        preset.read_text().replace(
            "max_new_tokens: 16}",
            "max_new_tokens: 16}, {task: gp-ood-cards, limit: 2, decodings: [{temperature: 0}]}",
        )
    )
    plan = make_plan(str(path), tmp_path / "r", workers=1)
    drawn = [(one.task, one.settings["samples"]) for one in plan.scorings]
    assert drawn == [("gp-ood-rule", 1), ("gp-ood-rule", 2), ("gp-ood-cards", 1)]


def test_a_training_can_have_fewer_checkpoints_scored_than_it_keeps(preset, tmp_path):
    path = tmp_path / "fewer.yaml"

    def planned(steps):
        path.write_text(
            preset.read_text().replace("    name: sft\n", f"    name: sft\n    scored: {steps}\n")
        )
        return [
            str(one.relative_to(tmp_path))
            for one in make_plan(str(path), tmp_path / "r", workers=1, seeds=1).checkpoints
        ]

    sft, rl = "r/training/sft/seed-0/step-", "r/training/rl/seed-0/step-"
    assert planned("[]") == [f"{sft}2", f"{sft}4", f"{rl}2"]
    assert planned("[4]") == [f"{sft}4", f"{rl}2"]
    assert planned("[2]") == [f"{sft}2", f"{sft}4", f"{rl}2"]  # the last one is always scored
    with pytest.raises(UsageError, match="step 3 keeps no checkpoint; those that do: 2, 4"):
        planned("[3]")


def test_the_bundled_presets_are_plans_that_can_be_run():
    assert {"quick", "full"} <= set(preset_names())
    from pathlib import Path

    quick = make_plan("quick", Path("nowhere"), workers=2)
    assert quick.minutes < 15
    assert {one.recipe.method for one in quick.trainings} == {"sft", "rl"}
    full = make_plan("full", Path("nowhere"), workers=2)
    assert full.seeds >= 3
    rates = {one.label: one.recipe.schedule.learning_rate for one in full.trainings}
    for first, second in (("gp-rl", "gp-sft-low-rate"), ("gp-rl-high-rate", "gp-sft")):
        assert rates[first] == rates[second]
        assert (first, second) in full.preset.contrasts
    assert full.preset.trainings[0].role == "main"
    assert all(one.why for one in full.preset.trainings if one.role == "control")


def test_seeds_differ_in_the_seed_alone(preset, tmp_path):
    plan = make_plan(str(preset), tmp_path, workers=1)
    sft = [one for one in plan.trainings if one.label == "sft"]
    assert [one.recipe.seed for one in sft] == [0, 1]
    assert sft[0].recipe.model_copy(update={"seed": 1}) == sft[1].recipe


def test_from_scratch_trains_the_base_first(tmp_path):
    from pathlib import Path

    plan = make_plan("quick", tmp_path, workers=2, from_scratch=True)
    assert plan.base_recipe.name == "gp-base"
    assert {one.recipe.model.base for one in plan.trainings} == {str(Path(tmp_path, "base"))}
    assert plan.minutes > make_plan("quick", tmp_path, workers=2).minutes


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--preset", "quikc"], "did you mean 'quick'?"),
        (["--task", "gp-ood-ruel"], "did you mean 'gp-ood-rule'?"),
        (["--preset", "nowhere.yaml"], "there is no preset file"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(more, said, tmp_path, command):
    result = command("reproduce", "--output", tmp_path / "r", *more)
    assert result.returncode == 2
    assert said in result.stderr
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("contrasts: [[rl, sft]]", "contrasts: [[rl, stf]]", "did you mean 'sft'?"),
        ("name: rl", "name: sft", "two are called sft"),
        ("hardware:", "hardwear:", "hardwear"),
        ("seeds: 2", "seeds: 0", "seeds"),
    ],
)
def test_a_faulty_preset_is_refused_with_the_place(preset, tmp_path, old, new, said):
    path = tmp_path / "faulty.yaml"
    path.write_text(preset.read_text().replace(old, new))
    with pytest.raises(TaskError, match=said.replace("?", r"\?")):
        load_preset(str(path))


def test_a_fault_in_a_training_is_found_before_the_start(preset, tmp_path):
    path = tmp_path / "faulty.yaml"
    path.write_text(preset.read_text().replace("rl.num_generations=2", "rl.num_generation=2"))
    with pytest.raises(TaskError, match="did you mean 'num_generations'"):
        make_plan(str(path), tmp_path, workers=1)


def test_a_folder_of_another_training_is_refused(preset, tmp_path):
    plan = make_plan(str(preset), tmp_path, workers=1)
    last = plan.trainings[0].last
    last.mkdir(parents=True)
    (last / "genbench_training.json").write_text('{"recipe_fingerprint": "other"}')
    with pytest.raises(UsageError, match="another recipe"):
        make_plan(str(preset), tmp_path, workers=1)
