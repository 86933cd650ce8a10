"""Episodes of many steps with a picture each, played by a checkpoint that reads images."""

import json

import pytest
import tiny_models
from killing import check_killed_runs, starting

import genbench
from genbench.export import export
from genbench.sharding.merging import merge_shards
from genbench.verification import verify_run

TASK = "virl-vl-ood-rule"
ASKED = {
    "task_settings": {"pixels": 96, "intersections": [3, 3]},
    "limit": 2,
    "max_new_tokens": 3,
    "verify_iters": 1,
}
SETTINGS = {"device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="session")
def long_idefics(save_checkpoint):
    """A tiny Idefics3 with room for a prompt of navigation, a byte a token."""
    architecture, config, processor = tiny_models.idefics()
    config.text_config.max_position_embeddings = 8192
    folder = save_checkpoint("long-idefics", architecture, config, processor.tokenizer)
    tiny_models.save_processor(folder, processor)
    return folder


def played(model, output, **more):
    results = genbench.run(str(model), TASK, output=output, **{**ASKED, **SETTINGS, **more})
    (folder,) = {path.parent for path in output.rglob("results.json")}
    return results, folder


@pytest.fixture(scope="module")
def alone(long_idefics, tmp_path_factory):
    return played(long_idefics, tmp_path_factory.mktemp("alone"), batch_size=4)


def test_every_step_is_asked_with_one_picture(alone):
    results, folder = alone
    episodes = list(genbench.load_run(folder).episodes)
    assert len(episodes) == 4
    for episode in episodes:
        steps = {turn.step for turn in episode.turns}
        assert steps == set(range(len(steps)))
        assert len(steps) > 3
        assert all(turn.response.prompt_tokens > 1000 for turn in episode.turns)
    assert [(one["width"], one["height"]) for one in results.sampling["images"]["sizes"]] == [
        (192, 192)
    ]


def test_the_run_is_verified_and_regenerated(alone):
    found = verify_run(alone[1], regenerate=1, device="cpu")
    assert found.passed, found.differences
    assert found.tier == "regenerated"


def test_a_run_of_shards_has_the_bytes_of_one_process(long_idefics, alone, tmp_path, command):
    asked = ("--set", "pixels=96", "--set", "intersections=[3,3]", "--limit", "2")
    asked += ("--max-new-tokens", "3", "--verify-iters", "1", "--batch-size", "4")
    for index in (1, 2):
        done = command(
            *("run", "--model", long_idefics, "--task", TASK, *asked, "--device", "cpu"),
            *("--dtype", "float32", "--shard", f"{index}/2", "--output", tmp_path / "s"),
        )
        assert done.returncode == 0, done.stderr
    merge_shards([tmp_path / "s"], tmp_path / "merged")
    (folder,) = {path.parent for path in (tmp_path / "merged").rglob("results.json")}
    for file in ("results.json", "episodes.jsonl"):
        assert (folder / file).read_bytes() == (alone[1] / file).read_bytes()


def test_batches_of_another_size_give_the_same_answers(long_idefics, alone, tmp_path):
    _, folder = played(long_idefics, tmp_path, batch_size=1)
    assert (folder / "episodes.jsonl").read_bytes() == (alone[1] / "episodes.jsonl").read_bytes()


def test_killed_runs_end_with_the_bytes_of_one_that_was_not(long_idefics, tmp_path):
    with starting() as start:
        arguments = {"model": str(long_idefics), "task": TASK, "batch_size": 4, **ASKED}
        check_killed_runs(start, arguments, tmp_path, kills=2, most_turns=10, seed=1)


def test_an_export_has_a_picture_a_state(tmp_path):
    task = genbench.load_task(TASK, limit=1, settings=ASKED["task_settings"])
    (path,) = export(task, tmp_path, "jsonl", ["ood"])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    (route,) = task.splits["ood"].instances()
    states = task.environment.states(route)
    assert [row["instance_id"] for row in rows] == [state.id for state in states]
    for row, state in zip(rows, states, strict=True):
        (name,) = row["images"]
        assert (tmp_path / name).read_bytes() == task.messages(state)[0].images[0].data
        assert task.verify(state, row["solution"]).correct
        assert [part["type"] for part in row["messages"][0]["content"]] == ["image", "text"]
