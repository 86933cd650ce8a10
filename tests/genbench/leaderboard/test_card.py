"""A run on a Hugging Face model card: metadata that reads back, and text that stays text."""

import json
import shutil

import pytest
from huggingface_hub import ModelCard
from small_board import HOSTILE, imported

from genbench.evaluation import read_results


def test_id_ood_and_gap_are_entries_of_their_own(runs, tmp_path, command):
    path = tmp_path / "README.md"
    done = command("leaderboard", "card", runs["middle"], "--output", path)
    assert done.returncode == 0, done.stderr
    card = ModelCard.load(path)
    results = read_results(runs["middle"])
    found = {one.dataset_split: one for one in card.data.eval_results}
    assert set(found) == {"id", "ood", "id - ood"}
    assert card.data.model_name == "org/middle"
    assert found["ood"].metric_type == "accuracy"
    assert found["ood"].metric_value == pytest.approx(
        results.splits["ood"].success_rate.value, abs=1e-6
    )
    gap = results.generalization["ood"].gap
    assert found["id - ood"].metric_type == "gap"
    assert found["id - ood"].metric_value == pytest.approx(gap.value, abs=1e-6)
    assert found["id - ood"].metric_args["p_value"] == pytest.approx(gap.p_value, abs=1e-6)
    assert found["id - ood"].metric_args["ci95"] == pytest.approx(list(gap.ci95), abs=1e-6)
    for one in found.values():
        assert one.dataset_type == "genbench/gp-ood-rule"
        assert one.dataset_revision == results.task.fingerprint
        assert one.metric_args["n"] == 40


def test_a_hostile_name_neither_breaks_the_metadata_nor_the_text(runs, command):
    done = command("leaderboard", "card", runs["hostile"])
    assert done.returncode == 0
    card = ModelCard(done.stdout)
    assert card.data.model_name == HOSTILE
    assert "<script>" not in card.text


def test_an_existing_card_is_kept_and_its_results_are_renewed(runs, tmp_path, command):
    path = tmp_path / "README.md"
    path.write_text(
        "---\nlicense: mit\nmodel-index:\n- name: mine\n  results:\n  - task: {type: qa}\n"
        "    dataset: {name: Other, type: other}\n    metrics: [{type: f1, value: 0.5}]\n---\n\n"
        "# My model\n"
    )
    refused = command("leaderboard", "card", runs["middle"], "--output", path)
    assert refused.returncode == 2
    assert "--update" in refused.stderr
    for run in ("middle", "good"):
        done = command("leaderboard", "card", runs[run], "--output", path, "--update")
        assert done.returncode == 0, done.stderr
    card = ModelCard.load(path)
    assert card.data.license == "mit"
    assert card.data.model_name == "mine"
    assert [one.dataset_type for one in card.data.eval_results].count("other") == 1
    assert len(card.data.eval_results) == 4
    assert card.text.count("genbench: begin") == 1
    assert "# My model" in card.text
    assert "org/good" in card.text
    assert "org/middle" not in card.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("---\na: [\n---\n", "cannot be read"),
        ("---\na: b\n---\n<!-- genbench: begin gp-ood-rule -->", "without"),
    ],
)
def test_a_broken_card_is_left_alone(runs, tmp_path, command, content, message):
    path = tmp_path / "README.md"
    path.write_text(content)
    done = command("leaderboard", "card", runs["middle"], "--output", path, "--update")
    assert done.returncode == 2
    assert message in done.stderr
    assert path.read_text() == content


def test_an_edited_run_goes_on_no_card(runs, tmp_path, command):
    folder = shutil.copytree(runs["middle"], tmp_path / "copy")
    content = json.loads((folder / "results.json").read_text())
    content["splits"]["ood"]["success_rate"]["value"] = 0.99
    (folder / "results.json").write_text(json.dumps(content))
    done = command("leaderboard", "card", folder)
    assert done.returncode == 1
    assert "goes on no card" in done.stderr


def test_a_model_named_by_its_path_goes_on_a_card_under_a_public_name_alone(tmp_path, command):
    folder = imported(tmp_path / "m", "/data/checkpoints/step-100", (0.5, 0.5), limit=2)
    done = command("leaderboard", "card", folder)
    assert done.returncode == 2
    assert "model.name is '/data/checkpoints/step-100', a path of this machine" in done.stderr
    assert "publish it under a name with --name" in done.stderr
    assert done.stdout == ""
    named = command("leaderboard", "card", folder, "--name", "org/step-100")
    assert named.returncode == 0, named.stderr
    assert ModelCard(named.stdout).data.model_name == "org/step-100"
    assert "/data" not in named.stdout
