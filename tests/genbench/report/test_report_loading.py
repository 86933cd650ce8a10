"""What a report takes and what it refuses, naming the folder; how runs are grouped and named."""

import json
import shutil

import pytest
import report_runs

from genbench.errors import GenbenchError, StoreError, UsageError
from genbench.folders import find_runs
from genbench.report import build_report
from genbench.report.curves import training_series
from genbench.report.loading import load_groups
from genbench.report.text import clean, distinct


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refused(command, runs, output):
    """The message of a refusal: exit 2, no traceback, nothing written."""
    result = command("report", runs, "--output", output)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert not output.exists()
    return result.stderr


def test_a_missing_folder_is_named(command, tmp_path):
    assert str(tmp_path / "nowhere") in refused(command, tmp_path / "nowhere", tmp_path / "out")


def test_a_folder_without_runs_is_named(command, tmp_path):
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    message = refused(command, tmp_path / "empty", tmp_path / "out")
    assert f"{tmp_path / 'empty'} holds no run" in message


def test_an_unfinished_run_is_refused_and_can_be_left_out(command, copy, tmp_path):
    other = shutil.copytree(copy, copy.parent / "two")
    (other / "results.json").unlink()
    message = refused(command, copy.parent, tmp_path / "out")
    assert f"{other} is an unfinished run" in message
    result = command("report", copy.parent, "--output", tmp_path / "out", "--skip-unfinished")
    assert result.returncode == 0
    assert str(other) in result.stderr
    assert "Unfinished and left out" in (tmp_path / "out" / "index.html").read_text()


def test_nothing_but_unfinished_runs_is_refused(copy, tmp_path):
    (copy / "results.json").unlink()
    with pytest.raises(UsageError, match="unfinished"):
        build_report([copy], tmp_path / "out", skip_unfinished=True)


@pytest.mark.parametrize("file", ["results.json", "run.json"])
def test_another_schema_version_is_named(command, copy, tmp_path, file):
    shutil.copytree(copy, copy.parent / "two")
    edit(copy / file, lambda content: content.update(schema_version=99))
    message = refused(command, copy.parent, tmp_path / "out")
    assert str(copy / file) in message
    assert "schema version 99" in message


def cut_results(folder):
    (folder / "results.json").write_bytes((folder / "results.json").read_bytes()[:500])


def drop_header(folder):
    (folder / "run.json").unlink()


def drop_a_number(folder):
    edit(folder / "results.json", lambda found: found["splits"]["ood"].pop("n"))


def put_a_nan(folder):
    edit(
        folder / "results.json",
        lambda found: found["splits"]["ood"]["success_rate"].update(value=float("nan")),
    )


def put_an_impossible_p(folder):
    edit(
        folder / "results.json",
        lambda found: found["generalization"]["ood"]["gap"].update(p_value=1.5),
    )


def drop_a_split(folder):
    edit(folder / "results.json", lambda found: found["splits"].pop("ood"))


def header_of_another_run(folder):
    edit(folder / "run.json", lambda found: found["settings"].update(verify_iters=4))


def raise_a_rate(folder):
    edit(
        folder / "results.json",
        lambda found: found["splits"]["ood"]["success_rate"].update(value=0.9),
    )


def raise_a_rate_at_viter(folder):
    edit(
        folder / "results.json",
        lambda found: found["splits"]["ood"]["success_at"]["3"].update(value=0.9),
    )


def rename_the_checkpoint(folder):
    edit(folder / "run.json", lambda found: found["model"].update(name="other"))


def settings_of_nothing(folder):
    edit(folder / "results.json", lambda found: found.update(settings={}))


def tear_the_last_line(folder):
    path = folder / "episodes.jsonl"
    path.write_bytes(path.read_bytes()[:-40])


def change_a_response(folder):
    path = folder / "episodes.jsonl"
    path.write_text(path.read_text().replace('"attempt": 1', '"attempt":  1', 1))


def put_no_episode(folder):
    path = folder / "episodes.jsonl"
    path.write_text("[1, 2]\n" + path.read_text())


def drop_episodes(folder):
    (folder / "episodes.jsonl").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        cut_results, drop_header, drop_a_number, put_a_nan, put_an_impossible_p, drop_a_split,
        header_of_another_run, settings_of_nothing, tear_the_last_line, change_a_response,
        put_no_episode, drop_episodes, raise_a_rate, raise_a_rate_at_viter, rename_the_checkpoint,
    ],
)  # fmt: skip
def test_a_damaged_run_is_refused_by_name(command, copy, tmp_path, damage):
    damage(copy)
    assert str(copy) in refused(command, copy, tmp_path / "out")


def test_a_rate_that_its_episodes_do_not_have_is_named(command, copy, tmp_path):
    raise_a_rate(copy)
    message = refused(command, copy, tmp_path / "out")
    assert "splits.ood.success_rate.value is 0.9, and " in message
    assert f"`genbench verify {copy}` says what was changed" in message


def test_one_run_is_said_to_be_one(command, copy, tmp_path):
    assert command("report", copy, "--output", tmp_path / "out").stdout.startswith("1 run, 96 ")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("turns",), []),
        (("turns", 0, "verdict", "checks"), [1]),
        (("turns", 0, "verdict", "feedback"), {"a": 1}),
        (("turns", 0, "verdict", "reward"), "much"),
        (("turns", 0, "response"), None),
        (("solved",), "yes"),
        (("sample",), -1),
        (("instance_id",), 5),
        (("split",), "elsewhere"),
    ],
)
def test_an_episode_of_wrong_types_is_refused_with_its_place(copy, tmp_path, path, value):
    lines = (copy / "episodes.jsonl").read_text().splitlines()
    episode = place = json.loads(lines[2])
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    lines[2] = json.dumps(episode)
    (copy / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(StoreError, match=r"episodes\.jsonl: .*(line 3|episode 3)"):
        build_report([copy], tmp_path / "out")


def test_a_failed_report_leaves_the_earlier_one(copy, tmp_path):
    build_report([copy], tmp_path / "out")
    before = (tmp_path / "out" / "index.html").read_bytes()
    tear_the_last_line(copy)
    with pytest.raises(GenbenchError):
        build_report([copy], tmp_path / "out")
    assert (tmp_path / "out" / "index.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []


def test_a_report_never_writes_over_other_files(command, copy, tmp_path):
    place = tmp_path / "mine"
    place.mkdir()
    (place / "thesis.tex").write_text("years of work")
    result = command("report", copy, "--output", place)
    assert result.returncode == 2
    assert "holds other files" in result.stderr
    assert [path.name for path in place.iterdir()] == ["thesis.tex"]


def test_a_manifest_cannot_name_files_outside_the_report(copy, tmp_path):
    place = tmp_path / "out"
    place.mkdir()
    (tmp_path / "victim.txt").write_text("keep")
    names = ["../victim.txt", "figures/../../victim.txt", str(tmp_path / "victim.txt")]
    (place / "report.json").write_text(json.dumps({"files": names}))
    build_report([copy], place)
    assert (tmp_path / "victim.txt").read_text() == "keep"


def test_runs_are_found_once_below_any_folder_and_in_the_order_of_their_steps(copy, tmp_path):
    root = tmp_path / "many"
    for step in (1000, 200):
        shutil.copytree(copy, root / f"step-{step}" / "task" / "hash")
    found, unfinished = find_runs([root, root / "step-200"])
    assert [path.parts[-3] for path in found] == ["step-200", "step-1000"]
    assert unfinished == []


def test_equal_names_are_told_apart_and_other_questions_stand_apart(copy, tmp_path):
    shutil.copytree(copy, copy.parent / "two")
    report_runs.agent_run(copy.parent, "random", limit=6, verify_iters=3)
    groups, _ = load_groups([copy.parent])
    assert [len(group.runs) for group in groups] == [1, 2] or [2, 1]
    (pair,) = [group for group in groups if len(group.runs) == 2]
    (other,) = [group for group in groups if len(group.runs) == 1]
    assert len({run.label for run in pair.runs}) == 2
    assert "limit 6" in other.title
    assert other.slug != pair.slug
    assert any("do not compare across" in note for note in pair.notes)


def test_settings_that_differ_within_a_group_are_said(copy):
    report_runs.agent_run(copy.parent, "oracle", limit=24, verify_iters=5)
    ((group,), _) = load_groups([copy.parent])
    assert any("verify_iters" in note for note in group.notes)


def test_greedy_and_sampled_runs_of_one_checkpoint_stand_apart(copy):
    """Else each would be a second checkpoint at the same training compute."""
    training = {"method": "rl", "recipe": "r", "seed": 0, "flops": 1e12}
    report_runs.agent_run(
        copy.parent, "random", limit=24, verify_iters=3, samples=2, temperature=1.0
    )
    for path in [*copy.parent.rglob("run.json"), *copy.parent.rglob("results.json")]:
        edit(path, lambda content: content["model"].update(training=training))
    groups, _ = load_groups([copy.parent])
    assert sorted(len(group.runs) for group in groups) == [1, 1]
    assert sorted(group.title for group in groups) == [
        "gp-ood-rule 1.0 (2 samples at temperature 1)", "gp-ood-rule 1.0 (greedy)",
    ]  # fmt: skip
    assert sorted(group.slug for group in groups) == [
        "gp-ood-rule-2-samples-at-temperature-1", "gp-ood-rule-greedy",
    ]  # fmt: skip
    for group in groups:
        assert len(training_series(group)) == 1
        assert any("sampled in another way" in note for note in group.notes)
    build_report([copy.parent], copy.parent.parent / "out")
    table = (copy.parent.parent / "out" / "tables" / "compute.md").read_text()
    assert "two checkpoints of the same training compute" not in table


def test_imported_responses_stand_with_runs_of_as_many_samples(copy, sources):
    rows = [
        (instance, attempt, text)
        for (_, instance, attempt), text in sources[1]["oracle"].items()
        if attempt == 1
    ]
    report_runs.imported_run(copy.parent, "elsewhere", rows, limit=24, verify_iters=3)
    ((group,), _) = load_groups([copy.parent])
    assert len(group.runs) == 2
    report_runs.agent_run(
        copy.parent, "random", limit=24, verify_iters=3, samples=2, temperature=1.0
    )
    groups, _ = load_groups([copy.parent])
    assert sorted(len(group.runs) for group in groups) == [1, 2]
    # Drawn in two ways: it is not known which of them the import was.
    report_runs.agent_run(copy.parent, "random", limit=24, verify_iters=3, temperature=0.5)
    groups, _ = load_groups([copy.parent])
    assert sorted(len(group.runs) for group in groups) == [1, 1, 1, 1]
    assert any("(imported, 1 sample)" in group.title for group in groups)


def test_names_are_made_harmless_lines():
    assert clean("a\nb\x00\u202e\ud800c") == "a\ufffdb\ufffd\ufffd\ufffdc"
    assert clean("Qwen/Qwen3-8B é 模型") == "Qwen/Qwen3-8B é 模型"
    assert distinct(["a", "a", "b"], [["x"], ["y"], ["z"]]) == ["a (x)", "a (y)", "b"]
    assert distinct(["a", "a"], [["x"], ["x"]]) == ["a (x)", "a (x) #2"]
