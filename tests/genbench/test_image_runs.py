"""Runs of checkpoints that read images, from end to end."""

import json

import picture_task
import pytest
import torch
from picture_task import picture_task as make

import genbench
from genbench.errors import TaskError
from genbench.models.hf import HFModel
from genbench.pairing import read_runs
from genbench.store import read_json
from genbench.verification import verify_run

SETTINGS = {"device": "cpu", "dtype": "float32"}


def run(folder, output, task=None, **more):
    """The results and the run folder."""
    task = task or make(n=6, images=2, sizes=True)
    results = genbench.run(str(folder), task, output=output, **SETTINGS, **more)
    return results, newest(output)


def newest(output):
    return max(output.rglob("run.json"), key=lambda path: path.stat().st_mtime_ns).parent


def test_a_run_with_images_ends_with_verdicts_and_token_counts(vlm, tmp_path):
    results, folder = run(vlm, tmp_path)
    assert {name: split.success_rate.n for name, split in results.splits.items()} == {
        "id": 6, "ood": 6,
    }  # fmt: skip
    episodes = list(genbench.load_run(folder).episodes)
    turns = [turn for episode in episodes for turn in episode.turns]
    assert len(turns) == 24  # the random weights are never right
    tokens = {
        (one["width"], one["height"]): one["tokens"] for one in results.sampling["images"]["sizes"]
    }
    assert set(tokens) == set(picture_task.SIZES)
    for episode in episodes:
        first, second = episode.turns
        assert first.response.prompt_tokens > 2 * min(tokens.values())
        # The history keeps the pictures, and grows by the answer and the feedback.
        assert second.response.prompt_tokens > first.response.prompt_tokens


def test_a_run_is_verified_and_regenerated_from_its_folder(vlm, tmp_path, colours):
    genbench.run(str(vlm), colours, output=tmp_path / "runs", limit=4, **SETTINGS)
    found = verify_run(newest(tmp_path / "runs"), regenerate=3, device="cpu")
    assert found.passed, found.differences
    assert (found.tier, found.regenerated) == ("regenerated", 3)


def test_the_header_and_the_results_say_the_same_of_images(vlm, tmp_path):
    results, folder = run(vlm, tmp_path)
    header = read_json(folder / "run.json")
    assert header["sampling"] == results.sampling
    assert [image["tokens"] for image in header["first_prompt"]["images"]] == [
        next(
            one["tokens"]
            for one in results.sampling["images"]["sizes"]
            if (one["width"], one["height"]) == (image["width"], image["height"])
        )
        for image in header["first_prompt"]["images"]
    ]
    assert "pillow" in header["execution"]["plan"]["versions"]


def test_the_command_shows_what_became_of_the_images(tiny_idefics, tmp_path, command, colours):
    found = command(
        *("run", "--model", tiny_idefics, "--task", colours, "--limit", "3", "--device", "cpu"),
        *("--output", tmp_path / "runs"),
    )
    assert found.returncode == 0
    assert "images: 48 x 40 as 5 of 32 x 32, 34 tokens" in found.stdout


def test_nothing_recorded_names_a_place_of_this_machine(vlm, tmp_path):
    results, _ = run(vlm, tmp_path)
    assert str(vlm.parent) not in json.dumps(results.sampling)


def test_a_run_does_not_depend_on_the_batch_size(vlm, tmp_path):
    found = [run(vlm, tmp_path / str(size), batch_size=size)[1] for size in (1, 5)]
    assert contents_of(found[0]) == contents_of(found[1])


def contents_of(folder):
    return {name: (folder / name).read_bytes() for name in ("episodes.jsonl", "results.json")}


def test_one_model_in_memory_records_of_each_task_its_own_images(tiny_qwen_vl, tmp_path):
    from genbench.evaluation import execute, prepare
    from genbench.models.interface import LoadOptions
    from genbench.models.loader import Loader

    options = LoadOptions(**SETTINGS)
    loader, found = None, []
    for sizes in (True, False, True):
        task = make(n=3, images=1, sizes=sizes)
        output = tmp_path / str(len(found))
        evaluation, backend = prepare(str(tiny_qwen_vl), task, output=output, options=options)
        loader = loader or Loader(backend, evaluation.identity)
        found.append(execute(evaluation, loader.load, options).sampling["images"]["sizes"])
    assert len(found[1]) == 1 < len(found[0])
    assert found[0] == found[2]


def test_a_task_of_text_alone_is_answered(vlm, tmp_path):
    task = genbench.load_task("gp-ood-rule", limit=2)
    results, _ = run(vlm, tmp_path, task, verify_iters=1, max_new_tokens=8)
    assert results.sampling["images"]["sizes"] == []


def test_another_resolution_is_another_run_and_compare_says_so(tiny_qwen_vl, tmp_path):
    _, one = run(tiny_qwen_vl, tmp_path)
    _, other = run(tiny_qwen_vl, tmp_path, model_args={"max_pixels": "1024"})
    assert one != other
    text = " ".join(read_runs([one, other], stickiness=False).notes)
    assert "settings.model_args.max_pixels: null" in text
    assert "sampling.images.processor.image_processor.size.longest_edge: 2304" in text
    assert "sampling.images.sizes" in text


def test_a_changed_processor_is_not_resumed_nor_read_as_finished(tiny_qwen_vl, copy_of, tmp_path):
    folder = copy_of(tiny_qwen_vl, "mine")
    first, _ = run(folder, tmp_path)
    path = folder / "preprocessor_config.json"
    content = json.loads(path.read_text())
    content["size"]["longest_edge"] = 1024
    path.write_text(json.dumps(content))
    second, _ = run(folder, tmp_path)
    assert len(list(tmp_path.rglob("results.json"))) == 2
    assert first.model.files_fingerprint != second.model.files_fingerprint
    assert first.model.weights_fingerprint == second.model.weights_fingerprint
    images = [found.sampling["images"] for found in (first, second)]
    assert images[0]["files"] != images[1]["files"]
    assert images[0]["processor"] != images[1]["processor"]
    assert images[0]["sizes"] != images[1]["sizes"]


def test_a_run_that_halves_its_batches_has_the_same_results(vlm, tmp_path, monkeypatch):
    whole, _ = run(vlm, tmp_path / "whole")
    generate = HFModel._generate

    def limited(self, batch, room):
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return generate(self, batch, room)

    monkeypatch.setattr(HFModel, "_generate", limited)
    halved, folder = run(vlm, tmp_path / "halved")
    assert read_json(folder / "run.json")["execution"]["events"]["halved_batches"]
    assert halved == whole


def test_a_picture_that_is_damaged_stops_the_run_and_leaves_no_folder(vlm, tmp_path, monkeypatch):
    draw = picture_task.picture

    def damaged(seed, colour, size):
        good = draw(seed, colour, size)
        return genbench.task.Image(good.data[:-20]) if str(seed).startswith("4 ") else good

    monkeypatch.setattr(picture_task, "picture", damaged)
    with pytest.raises(TaskError, match=r"an image of id/4#0 .* cannot be shown"):
        run(vlm, tmp_path)
    assert not list(tmp_path.rglob("run.json"))
