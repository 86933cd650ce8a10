"""Pictures on their way through the harness: prompts, exports, runs, results, reports."""

import io
import json
import re
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image as Pillow

import genbench
from genbench.errors import TaskError, UsageError
from genbench.export import export, image_names
from genbench.report import build_report
from genbench.report.pictures import page_picture
from genbench.results import Results
from genbench.results_versions import as_of
from genbench.settings import make_settings, settings_hash
from genbench.task import Image, Instance, Message
from genbench.verification import verify_run
from genbench_tasks.general_points.pictures import camera, table
from genbench_tasks.general_points.pictures.look import GRADED, NAMED

TASK = "gp-vl-ood-visual"
SMALL = {"pixels": 96}


@pytest.fixture(scope="module")
def task():
    return genbench.load_task(TASK, settings=SMALL, limit=5)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of agents on the visual shift, and their folder."""
    output = tmp_path_factory.mktemp("runs")
    found = {
        kind: genbench.run(
            f"agent:{kind}", TASK, output=output, limit=12, task_settings=SMALL, verify_iters=2
        )
        for kind in ("oracle", "visual-memoriser")
    }
    return found, output


def decoded(data):
    return np.asarray(Pillow.open(io.BytesIO(data)))


# -- images in messages ---------------------------------------------------------------------------


def test_an_image_is_made_whenever_it_is_read_and_kept_nowhere():
    made = []
    image = Image(lambda: made.append(1) or b"bytes")
    assert image == image
    assert not made
    assert (image.data, image.data) == (b"bytes", b"bytes")
    assert len(made) == 2
    assert image == Image(b"bytes")
    assert hash(image) == hash(Image(b"bytes"))
    assert image != Image(b"others")
    assert image != Image(b"bytes", "image/jpeg")
    assert Message("user", (image, "text")) == Message("user", (Image(b"bytes"), "text"))


# -- export ---------------------------------------------------------------------------------------


def test_an_export_to_jsonl_has_its_pictures_in_files(task, tmp_path):
    paths = export(task, tmp_path, "jsonl", ["ood"])
    rows = [json.loads(line) for line in paths[0].read_text().splitlines()]
    assert len(rows) == 5
    for row, instance in zip(rows, task.splits["ood"].instances(), strict=True):
        shown = task.messages(instance)[0]
        (name,) = row["images"]
        assert (decoded((tmp_path / name).read_bytes()) == decoded(shown.images[0].data)).all()
        assert row["messages"] == [
            {
                "role": "user",
                "content": [{"type": "image"}, {"type": "text", "text": shown.text}],
            }
        ]
        assert task.verify(instance, row["solution"]).correct
    assert len(list((tmp_path / "images" / "ood").iterdir())) == 5


def test_an_export_to_parquet_is_read_by_datasets_with_its_pictures(task, tmp_path):
    (path,) = export(task, tmp_path, "parquet", ["id"])
    found = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert found.features["images"].feature == datasets.Image()
    for row, instance in zip(found, task.splits["id"].instances(), strict=True):
        (picture,) = row["images"]
        assert (np.asarray(picture) == decoded(task.messages(instance)[0].images[0].data)).all()
        assert json.loads(row["data"]) == dict(instance.data)


def test_an_export_keeps_a_few_pictures_in_memory_alone(monkeypatch, tmp_path):
    """The rows of a split come one by one, and a Parquet file group by group."""
    from genbench import export as module

    task = genbench.load_task("gp-vl-recognition", settings=SMALL)
    (first, *_) = module._parquet(module.rows(task, task.splits["id"]))
    whole = b"".join(module._parquet(module.rows(task, task.splits["id"])))
    assert 0 < len(first) < len(whole) / 3


def test_a_text_task_is_exported_without_pictures(tmp_path):
    task = genbench.load_task("gp-ood-rule", limit=2)
    (path,) = export(task, tmp_path, "jsonl", ["id"])
    row = json.loads(path.read_text().splitlines()[0])
    assert "images" not in row
    assert isinstance(row["messages"][0]["content"], str)
    export(task, tmp_path, "parquet", ["id"])


def test_no_two_pictures_share_a_file():
    names = image_names([Instance(one, one, "c", {}) for one in ("a/b", "a__b", "A/b", "a b")])
    assert len({name.lower() for name in names.values()}) == 4


# -- command line ---------------------------------------------------------------------------------


def test_show_saves_the_pictures_of_its_samples(command, tmp_path):
    done = command(
        "tasks", "show", TASK, "--split", "ood", "--n", 3, "--save-images", tmp_path / "pictures",
        "--set", "pixels=96",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "pictures").iterdir())
    assert len(files) == 3
    assert decoded(files[0].read_bytes()).shape == (96, 96, 3)
    assert all(str(file) in done.stdout for file in files)
    assert "[user] [picture] You play" in done.stdout


def test_show_has_no_pictures_of_a_text_task_to_save(command, tmp_path):
    done = command("tasks", "show", "gp-ood-rule", "--save-images", tmp_path / "pictures")
    assert done.returncode == 2
    assert "gp-ood-rule shows no pictures" in done.stderr
    assert not (tmp_path / "pictures").exists()


def test_check_holds_the_agents_against_a_task_with_pictures(command):
    done = command("tasks", "check", "gp-vl-recognition", "--set", "pixels=96")
    assert done.returncode == 0, done.stderr
    assert "paired/ood: 261 instances; right of 25: oracle 25, memoriser 25" in done.stdout
    assert "visual-memoriser 25" in done.stdout


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("pixels", "--set takes key=value, not 'pixels'"),
        ("pixel=96", "did you mean 'pixels'"),
        ("pixels=[", "the value is no YAML"),
        ("look.fonts=serif", "did you mean 'font'"),
    ],
)
def test_a_wrong_setting_is_refused(command, tmp_path, assignment, message):
    done = command(
        "run", "--model", "agent:oracle", "--task", TASK, "--set", assignment,
        "--output", tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_agent_that_a_task_does_not_have_is_refused(command, tmp_path):
    done = command(
        "run", "--model", "agent:visual-memoriser", "--task", "gp-ood-rule", "--output", tmp_path
    )
    assert done.returncode == 2
    assert "no agent 'visual-memoriser' on this task" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_task_file_of_the_page_is_a_task(command, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "vision.md").read_text()
    (block,) = re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)
    path = tmp_path / "mine.yaml"
    path.write_text(block)
    done = command("tasks", "check", path, "--set", "pixels=96")
    assert done.returncode == 0, done.stderr
    assert "paired/ood" in done.stdout


def test_the_tables_of_the_page_are_the_looks_and_levels_of_the_code():
    page = (Path(__file__).parents[2] / "docs" / "vision.md").read_text()
    for name, values in NAMED.items():
        (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", page, re.M)
        assert re.findall("`([a-z-]+)`", row) == list(values)
    levels = {
        "rotation": table.ROTATIONS, "size": table.SIZES, "occlusion": range(6),
        "noise": camera.NOISES, "blur": camera.BLURS, "jpeg": camera.QUALITIES,
    }  # fmt: skip
    assert set(levels) == set(GRADED)
    for name, of_code in levels.items():
        (row,) = re.findall(rf"^\| `{name}`[^|]*\| (.*) \|$", page, re.M)
        assert [int(re.sub(r"\D", "", cell)) for cell in row.split("|")] == list(of_code[1:])


# -- settings of the task in runs -----------------------------------------------------------------


def test_a_run_without_task_settings_has_the_hash_that_it_had_before_there_were_any():
    task = genbench.load_task("gp-ood-rule")
    settings = make_settings(task, backend="agent")
    assert "task_settings" not in settings.model_dump(mode="json")
    other = make_settings(genbench.load_task(TASK, settings=SMALL), backend="agent")
    assert other.model_dump(mode="json")["task_settings"] == SMALL
    assert settings_hash({"settings": other.model_dump(mode="json")}) != settings_hash(
        {"settings": {**other.model_dump(mode="json"), "task_settings": {"pixels": 97}}}
    )


def test_a_stored_run_is_verified_with_its_own_task_settings(runs):
    for folder in runs[1].glob("*/*/*"):
        assert json.loads((folder / "run.json").read_text())["settings"]["task_settings"] == SMALL
        assert verify_run(folder).passed


def test_runs_at_two_sizes_were_not_asked_the_same(command, runs, tmp_path):
    genbench.run("agent:oracle", TASK, output=tmp_path, limit=12, verify_iters=2)
    (other,) = tmp_path.glob("*/*/*")
    (one,) = runs[1].glob("*visual-memoriser/*/*")
    done = command("compare", other, one)
    assert done.returncode == 2
    assert "task_settings" in done.stderr


def test_a_loaded_task_takes_no_further_settings(task, tmp_path):
    with pytest.raises(UsageError, match="is loaded already"):
        genbench.run("agent:oracle", task, output=tmp_path, task_settings={"pixels": 128})


def test_a_run_folder_holds_no_picture(runs):
    for folder in runs[1].glob("*/*/*"):
        content = b"".join(path.read_bytes() for path in folder.iterdir())
        assert b"PNG" not in content
        assert b"iVBOR" not in content
        assert len(content) < 200_000


# -- results --------------------------------------------------------------------------------------


def test_what_is_seen_is_told_apart_from_what_is_solved(runs):
    oracle, visual = runs[0]["oracle"], runs[0]["visual-memoriser"]
    for found in (oracle, visual):
        assert found.splits["id"].success_given_perception.value == 1
    assert oracle.generalization["ood"].perception_gap.value == 0
    assert oracle.generalization["ood"].gap_given_perception.n == 12
    assert visual.generalization["ood"].perception_gap.value == 1
    assert visual.generalization["ood"].gap_given_perception is None
    assert visual.splits["ood"].success_given_perception is None


def test_the_gap_where_both_were_seen_is_that_of_the_pairs_seen_in_both(tmp_path):
    """Counted by hand, from responses made so: seen and solved, seen alone, or not seen."""
    task = genbench.load_task(TASK, settings=SMALL, limit=8)
    kinds = {"id": "ssssssxx", "ood": "ssppxxsx"}  # s solved, p seen and not solved, x not seen
    rows = []
    for name, plan in kinds.items():
        for kind, instance in zip(plan, task.splits[name].instances(), strict=True):
            answer = json.loads(next(task.environment.solutions(instance)))
            if kind != "s":
                answer["formula"] = "1+1"
            if kind == "x":
                answer["cards"] = ["5", "5", "5", "5"]
            rows.append({"instance_id": instance.id, "response": json.dumps(answer)})
    path = tmp_path / "responses.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    from genbench.importing import import_responses

    _, results, _ = import_responses(path, task, tmp_path / "runs", verify_iters=1)
    found = results.generalization["ood"]
    assert results.splits["id"].success_given_perception.value == 1
    assert results.splits["ood"].success_given_perception.value == 3 / 5
    assert found.perception_gap.value == pytest.approx(6 / 8 - 5 / 8)
    assert found.gap_given_perception.n == 4  # the first four pairs were seen in both
    assert found.gap_given_perception.value == pytest.approx(1 - 2 / 4)


def test_several_gaps_of_perception_are_corrected_together(tmp_path):
    found = genbench.run(
        "agent:visual-memoriser", "gp-vl-ood-visual-graded", output=tmp_path, limit=6,
        task_settings=SMALL, protocol="size",
    )  # fmt: skip
    gaps = [one.perception_gap for one in found.generalization.values()]
    assert [split.level for split in found.splits.values()] == [None, 1, 2, 3, 4, 5]
    assert all(gap.p_value_holm >= gap.p_value for gap in gaps)


def test_results_of_version_2_are_read_without_what_they_did_not_hold(runs):
    raw = runs[0]["oracle"].model_dump(mode="json")
    old = {**raw, "schema_version": 2}
    for split in old["splits"].values():
        del split["success_given_perception"], split["level"]
    for found in old["generalization"].values():
        del found["perception_gap"], found["gap_given_perception"]
    read = Results.model_validate(as_of(old, 2))
    assert read.splits["id"].success_given_perception is None
    assert read.splits["id"].outcome_rates is not None


def test_levels_are_of_ood_splits(tmp_path):
    from genbench.registry import load_task
    from genbench_tasks import PACK

    text = (PACK.task_dirs[0] / "gp-vl-recognition.yaml").read_text()
    path = tmp_path / "graded.yaml"
    path.write_text(text.replace("id: {role: id}", "id: {role: id, level: 1}"))
    with pytest.raises(TaskError, match="a level is the distance of an OOD split from ID"):
        load_task(path)


def test_the_table_of_a_run_shows_what_was_seen_where_not_all_was(command, runs, tmp_path):
    arguments = ["--set", "pixels=96", "--limit", 12, "--verify-iters", 2, "--output", runs[1]]
    done = command("run", "--model", "agent:visual-memoriser", "--task", TASK, *arguments)
    assert "success where seen" in done.stdout
    assert "gap of perception" in done.stdout
    assert "- (none was seen in both splits)" in done.stdout
    assert "pixels 96" in done.stdout
    done = command("run", "--model", "agent:oracle", "--task", TASK, *arguments)
    assert "success where seen" not in done.stdout


# -- reports --------------------------------------------------------------------------------------


def test_the_page_holds_small_pictures_as_they_are_and_large_ones_smaller(task):
    message = task.messages(task.splits["id"].instances()[0])[0]
    assert set(page_picture(message.images[0])) == {"image"}
    large = genbench.load_task(TASK, settings={"pixels": 1200, "look": {"noise": 3}}, limit=1)
    image = large.messages(large.splits["id"].instances()[0])[0].images[0]
    shown = page_picture(image)
    assert shown["size"] == [1200, 1200]
    assert shown["image"].startswith("data:image/webp;base64,")
    assert len(shown["image"]) < len(image.data) / 4


def test_a_picture_that_cannot_be_read_stays_as_it_is():
    garbage = Image(b"\x89PNG" + b"x" * 50_000)
    assert set(page_picture(garbage)) == {"image"}


def test_a_report_of_graded_splits_has_a_curve_and_one_of_others_says_why_not(runs, tmp_path):
    for kind in ("oracle", "visual-memoriser"):
        genbench.run(
            f"agent:{kind}", "gp-vl-ood-visual-graded", output=tmp_path / "runs", limit=5,
            task_settings=SMALL,
        )  # fmt: skip
    report = build_report([tmp_path / "runs", runs[1]], tmp_path / "report")
    drawn = {path.parent.name for path in report.folder.glob("figures/*/distance.png")}
    assert drawn == {"gp-vl-ood-visual-graded"}
    assert "the task grades no shift" in report.page.read_text()
