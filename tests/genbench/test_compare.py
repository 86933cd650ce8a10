"""`genbench compare`: what is paired, what is refused, and what the changes are called."""

import csv
import io
import itertools
import json
import shutil
import typing

import numpy as np
import pytest

import genbench
from genbench import stats
from genbench.changes import change, difference_in_differences
from genbench.comparison import Comparison, compare
from genbench.errors import GenbenchError
from genbench.pairing import read_runs
from genbench.reading import Word, direction, read

LIMIT = 50


def run(kind, output, task="gp-ood-rule", **options):
    options = {"limit": LIMIT, "verify_iters": 2} | options
    genbench.run(f"agent:{kind}", task, output=output, **options)
    (found,) = output.glob(f"agent__{kind}/*/*")
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    output = tmp_path_factory.mktemp("runs")
    return {kind: run(kind, output) for kind in ("oracle", "memoriser", "random")}


@pytest.fixture(scope="module")
def memorised(folders):
    return compare([folders["oracle"], folders["memoriser"]])


def quantities(comparison, checkpoint=0):
    return {one.name: one for one in comparison.checkpoints[checkpoint].quantities}


def test_a_memoriser_against_an_oracle_memorises(memorised):
    (found,) = memorised.checkpoints
    assert [reading.word for reading in found.readings] == ["memorises"]
    assert "ID +0.0 pp, OOD -100.0 pp: memorises; corrected p" in found.readings[0].sentence
    by_name = quantities(memorised)
    assert by_name["id"].change.value == 0
    assert by_name["ood"].change.value == -1
    assert by_name["ood - id"].change.value == -1
    assert by_name["stickiness, ood"].change.value == 1
    assert by_name["rule read, ood"].change.value == -1
    assert by_name["control-ood"].change.value == 0
    assert by_name["success at VIter, ood"].change.value == -1


def test_an_oracle_against_a_memoriser_generalises(folders):
    found = compare([folders["memoriser"], folders["oracle"]])
    assert found.checkpoints[0].readings[0].word == "generalises"
    assert quantities(found)["stickiness, ood"].change.value == -1


def test_the_base_can_be_named(folders):
    oracle, memoriser = folders["oracle"], folders["memoriser"]
    assert compare([oracle, memoriser], base=memoriser) == compare([memoriser, oracle])
    assert compare([oracle], base=memoriser) == compare([memoriser, oracle])


def test_rates_and_stickiness_are_those_of_the_runs(folders):
    found = quantities(compare([folders["oracle"], folders["random"]]))
    results = genbench.load_run(folders["random"]).results
    for split, of_split in results.splits.items():
        name = split
        assert found[name].value == pytest.approx(of_split.success_rate.value)
        if of_split.role != "control":
            at_viter = found[f"success at VIter, {split}"]
            assert at_viter.value == pytest.approx(of_split.success_at["2"].value)
    general = results.generalization["ood"]
    assert found["stickiness, ood"].value == pytest.approx(general.stickiness.value)
    assert found["ood - id"].value == pytest.approx(-general.gap.value)


def test_holm_runs_over_everything_that_is_shown(folders):
    found = compare(list(folders.values()))
    shown = [one.change for of_run in found.checkpoints for one in of_run.quantities]
    assert found.tests == len(shown) == 2 * len(quantities(found))
    assert f"over the {len(shown)} tests" in found.correction
    assert [one.p_value_holm for one in shown] == pytest.approx(
        list(stats.holm([one.p_value for one in shown]))
    )


def test_a_difference_in_differences_is_the_difference_of_the_two_changes(folders):
    oracle, random = read_runs([folders["oracle"], folders["random"]]).runs
    inside, out = (change(oracle, random, split) for split in ("id", "ood"))
    apart = difference_in_differences(oracle, random, "ood")
    assert apart.values.mean() == pytest.approx(out.values.mean() - inside.values.mean())
    assert apart.bound == 2


def test_separate_splits_have_the_same_difference_in_differences(tmp_path):
    task = genbench.load_task("gp-ood-rule", protocol="paper", limit=30)
    made = []
    for kind in ("memoriser", "random"):
        genbench.run(f"agent:{kind}", task, output=tmp_path, verify_iters=1)
        made += tmp_path.glob(f"agent__{kind}/*/*")
    one, other = read_runs(made).runs
    assert not one.paired("ood")
    apart = difference_in_differences(one, other, "ood")
    assert apart.values.mean() == pytest.approx(
        change(one, other, "ood").values.mean() - change(one, other, "id").values.mean()
    )
    assert compare(made).checkpoints[0].readings[0].word == "forgets ID"


def test_every_constellation_has_a_word_and_every_word_a_constellation():
    directions = ("up", "down", "flat")
    words = {(a, b, c): read(a, b, c) for a, b, c in itertools.product(directions, repeat=3)}
    assert set(words.values()) == set(typing.get_args(Word))
    for (inside, out, apart), word in words.items():
        if word == "memorises":
            assert inside != "down"
            assert out == "down" or (apart == "down" and out == "flat")
        if word == "generalises":
            assert out == "up"
            assert not (inside == "up" and apart == "down")
        if word == "no change shown":
            assert (inside, out, apart) == ("flat", "flat", "flat")


def test_a_change_that_its_corrected_test_does_not_bear_out_has_no_direction():
    assert direction(-0.2, 0.051, 0.05) == "flat"
    assert direction(-0.2, 0.05, 0.05) == "down"
    assert direction(0.2, 0.01, 0.05) == "up"


def test_no_change_says_what_could_have_been_detected(folders, tmp_path):
    copy = shutil.copytree(folders["random"], tmp_path / "copy")
    _edit(copy, "results.json", lambda results: results.update(settings_hash="0" * 16))
    reading = compare([folders["random"], copy]).checkpoints[0].readings[0]
    assert reading.word == "no change shown"
    assert "changes that 80% of such runs would show: " in reading.sentence


def test_the_table_fits_a_hundred_columns_and_hides_nothing(folders, command):
    done = command("compare", folders["oracle"], folders["memoriser"])
    assert done.returncode == 0, done.stderr
    assert "…" not in done.stdout
    lines = done.stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if "change, pp" in line)
    table = lines[start : lines.index("", start)]
    assert len(table) == 11
    assert max(map(len, table)) <= 100
    assert "holm over the 10 tests of this call" in done.stdout


def test_json_and_csv_hold_what_the_table_holds(folders, command, tmp_path):
    path = tmp_path / "found.csv"
    done = command(
        "compare", folders["oracle"], folders["memoriser"], folders["random"], "--json",
        "--csv", path,
    )  # fmt: skip
    found = Comparison.model_validate_json(done.stdout)
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert len(rows) == found.tests
    shown = [
        (of_run.model.name, one.name, one.change.value)
        for of_run in found.checkpoints
        for one in of_run.quantities
    ]
    assert [(row["checkpoint"], row["quantity"], float(row["change"])) for row in rows] == shown


def test_training_metadata_are_shown_where_they_are_known(folders, command, tmp_path):
    trained = shutil.copytree(folders["memoriser"], tmp_path / "trained")
    training = {"method": "sft", "step": 400, "flops": 1234567890000}
    _edit(trained, "results.json", lambda results: results["model"].update(training=training))
    shown = command("compare", folders["oracle"], trained).stdout
    assert "agent:memoriser (sft, step 400, 1.23e+12 FLOPs)" in shown


def _edit(folder, name, how):
    content = json.loads((folder / name).read_text())
    how(content)
    (folder / name).write_text(json.dumps(content))


def other_version(folder):
    _edit(folder, "results.json", lambda results: results["task"].update(version="9.9"))


def other_fingerprint(folder):
    _edit(folder, "results.json", lambda results: results["task"].update(fingerprint="f" * 64))


def other_setting(name, value):
    def change_setting(folder):
        _edit(folder, "results.json", lambda results: results["settings"].update({name: value}))

    return change_setting


def unfinished(folder):
    (folder / "results.json").unlink()


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def gone(folder):
    shutil.rmtree(folder)


def other_schema(folder):
    _edit(folder, "results.json", lambda results: results.update(schema_version=99))


def edited(folder):
    with (folder / "episodes.jsonl").open("a") as file:
        file.write("{}\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_version, 'task.version: "1.0" in'),
        (other_fingerprint, "task.fingerprint: "),
        (other_setting("temperature", 0.7), "settings.temperature: 0.0 in"),
        (other_setting("verify_iters", 5), "settings.verify_iters: 2 in"),
        (other_setting("prompt", "reasoned"), 'settings.prompt: "paper" in'),
        (other_setting("samples", 4), "settings.samples: 1 in"),
        (other_setting("limit", None), "settings.limit: 50 in"),
        (unfinished, "is not finished"),
        (empty, "it is empty"),
        (gone, "there is no folder"),
        (other_schema, "has the schema version 99"),
        (edited, "was not made from this episodes.jsonl"),
    ],
)
@pytest.mark.parametrize("name", ["compare", "check"])
def test_what_cannot_be_compared_is_refused_by_name(
    folders, command, tmp_path, name, spoil, message
):
    spoiled = shutil.copytree(folders["memoriser"], tmp_path / "spoiled")
    spoil(spoiled)
    between = ["--baseline"] if name == "check" else []
    # The first of a comparison is the base; the first of a check is the candidate.
    arguments = [spoiled, *between, folders["oracle"]]
    done = command(name, *(arguments if name == "check" else reversed(arguments)))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_one_run_twice_is_refused(folders, command, tmp_path):
    copy = shutil.copytree(folders["oracle"], tmp_path / "copy")
    assert "is given twice" in command("compare", folders["oracle"], folders["oracle"]).stderr
    done = command("compare", folders["oracle"], copy)
    assert done.returncode == 2
    assert "are the same run" in done.stderr
    done = command("compare", folders["oracle"])
    assert done.returncode == 2
    assert "two run folders or more" in done.stderr


def test_runs_on_other_instances_are_refused(folders, tmp_path):
    fewer = run("memoriser", tmp_path, limit=LIMIT - 5)
    _edit(fewer, "results.json", lambda results: results["settings"].update(limit=LIMIT))
    fingerprint = genbench.load_run(folders["oracle"]).results.task.fingerprint
    _edit(fewer, "results.json", lambda found: found["task"].update(fingerprint=fingerprint))
    with pytest.raises(GenbenchError, match=r"different instances of the split 'id' \(50 .* 45 "):
        compare([folders["oracle"], fewer])


def test_the_folder_above_a_run_is_no_run_and_the_run_below_is_named(folders, command):
    done = command("compare", folders["oracle"].parent, folders["memoriser"])
    assert done.returncode == 2
    assert f"there is a run below it: {folders['oracle']}" in done.stderr


def test_what_may_differ_is_noted(folders, tmp_path):
    other = shutil.copytree(folders["random"], tmp_path / "other")
    _edit(other, "results.json", lambda results: results["settings"].update(dtype="bfloat16"))
    found = compare([folders["oracle"], other])
    assert 'settings.dtype: null in agent:oracle, "bfloat16" in agent:random' in found.notes[0]


def test_samples_of_an_instance_are_its_mean(tmp_path):
    made = [
        run(kind, tmp_path, limit=20, samples=4, temperature=1.0, verify_iters=1)
        for kind in ("random", "memoriser")
    ]
    random, memoriser = read_runs(made).runs
    assert random.splits["id"].first.size == 20
    assert np.unique(random.splits["id"].first * 4 % 1).tolist() == [0]
    assert (memoriser.splits["id"].first == 1).all()
