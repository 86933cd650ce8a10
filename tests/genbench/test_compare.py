"""`genbench compare`: what is paired, what is refused, and what the changes are called."""

import csv
import io
import itertools
import json
import re
import shutil
import typing
from random import Random

import numpy as np
import pytest
from scipy import stats as scipy_stats

import genbench
from genbench import stats
from genbench.changes import change, difference_in_differences
from genbench.comparison import compare
from genbench.comparison_results import Comparison
from genbench.errors import GenbenchError
from genbench.importing import import_responses
from genbench.pairing import read_runs
from genbench.reading import Word, direction, read
from genbench.training_seeds import method_comparisons

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
    _edit_both(trained, lambda content: content["model"].update(training=training))
    shown = command("compare", folders["oracle"], trained).stdout
    assert "agent:memoriser (sft, step 400, 1.23e+12 FLOPs)" in shown


def _edit(folder, name, how):
    content = json.loads((folder / name).read_text())
    how(content)
    (folder / name).write_text(json.dumps(content))


def other_version(folder):
    _edit(folder, "results.json", lambda results: results["task"].update(version="9.9"))


def _edit_both(folder, how):
    """The two files say the same of the task, the settings and the checkpoint."""
    for name in ("run.json", "results.json"):
        _edit(folder, name, how)


def other_fingerprint(folder):
    _edit_both(folder, lambda content: content["task"].update(fingerprint="f" * 64))


def other_setting(**values):
    def change_setting(folder):
        _edit_both(folder, lambda content: content["settings"].update(values))

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


def other_header_schema(folder):
    _edit(folder, "run.json", lambda header: header.update(schema_version=0))


def files_of_two_runs(folder):
    _edit(folder, "results.json", lambda results: results["settings"].update(seed=7))


def better(folder):
    """A memoriser that solves nine of ten OOD problems, says its results.json alone."""
    _edit(
        folder,
        "results.json",
        lambda results: results["splits"]["ood"]["success_rate"].update(value=0.9),
    )


def without_faults(folder):
    _edit(
        folder,
        "results.json",
        lambda results: results["splits"]["id"]["outcomes"].update(correct=49, empty=1),
    )


def without_gap(folder):
    _edit(
        folder,
        "results.json",
        lambda results: results["generalization"]["ood"]["gap"].update(value=0.0),
    )


def renamed(folder):
    _edit(folder, "run.json", lambda header: header["model"].update(name="agent:oracle"))


def asked_fewer(folder):
    """As a run with --limit 30 says of itself."""
    other_setting(limit=30)(folder)
    other_fingerprint(folder)


def asked_warmer(folder):
    other_setting(temperature=0.7)(folder)
    other_fingerprint(folder)


def edited(folder):
    with (folder / "episodes.jsonl").open("a") as file:
        file.write("{}\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_version, 'task.version: "1.0" in'),
        (other_fingerprint, "task.fingerprint: "),
        (other_setting(temperature=0.7), "settings.temperature: 0.0 in"),
        (other_setting(verify_iters=5), "settings.verify_iters: 2 in"),
        (other_setting(prompt="reasoned"), 'settings.prompt: "paper" in'),
        (other_setting(samples=4, temperature=0.7), "settings.samples: 1 in"),
        (other_setting(limit=None), "settings.limit: 50 in"),
        (unfinished, "is an unfinished run: finish it with the command"),
        (empty, "it is empty"),
        (gone, "there is no folder"),
        (other_schema, "has the schema version 99"),
        (other_header_schema, "has the schema version 0"),
        (files_of_two_runs, "are of different runs: settings.seed: 0 in run.json"),
        (edited, "was not made from this episodes.jsonl"),
        (better, "splits.ood.success_rate.value is 0.9, and 0 by their count; `genbench verify"),
        (without_faults, "splits.id.outcomes.correct is 49, and 50 by their count"),
        (without_gap, "generalization.ood.gap.value is 0, and 1 by their count"),
        (renamed, 'are of different runs: model.name: "agent:oracle" in run.json'),
        (asked_fewer, "would say nothing of the checkpoints: settings.limit: 50 in"),
        (asked_warmer, "would say nothing of the checkpoints: task.fingerprint: "),
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


def test_what_explains_another_fingerprint_stands_for_it(folders, tmp_path):
    other = shutil.copytree(folders["memoriser"], tmp_path / "other")
    asked_fewer(other)
    with pytest.raises(GenbenchError) as refused:
        compare([folders["oracle"], other])
    assert "fingerprint" not in str(refused.value)


def test_one_file_under_three_names_is_three_checkpoints(tmp_path):
    path = tmp_path / "responses.jsonl"
    task = genbench.load_task("gp-ood-rule", limit=10)
    ids = [one.id for split in task.splits.values() for one in split.instances()]
    path.write_text("".join(json.dumps({"instance_id": one, "response": ""}) + "\n" for one in ids))
    made = [
        import_responses(path, task, tmp_path / "runs", model=name)[0].folder.path
        for name in ("first", "second", "third")
    ]
    found = compare(made)
    assert [one.checkpoint for one in found.checkpoints] == ["second", "third"]
    copy = shutil.copytree(made[0], tmp_path / "copy")
    with pytest.raises(GenbenchError, match=r"are the same run: the same responses \(first\)"):
        compare([made[0], copy])


def test_one_run_twice_is_refused(folders, command, tmp_path):
    copy = shutil.copytree(folders["oracle"], tmp_path / "copy")
    assert "is given twice" in command("compare", folders["oracle"], folders["oracle"]).stderr
    done = command("compare", folders["oracle"], copy)
    assert done.returncode == 2
    assert "are the same run" in done.stderr
    done = command("compare", folders["oracle"])
    assert done.returncode == 2
    assert "two run folders or more" in done.stderr


def test_runs_of_one_checkpoint_alone_are_no_comparison(grid, command):
    done = command("compare", grid["oracle", TASKS[0]], grid["oracle", TASKS[1]])
    assert done.returncode == 2
    assert "every run found is one of agent:oracle" in done.stderr


def test_a_file_of_a_run_is_refused_with_its_folder(folders, command):
    done = command("compare", folders["oracle"] / "results.json", folders["memoriser"])
    assert done.returncode == 2
    assert f"is a file: give its folder, {folders['oracle']}" in done.stderr


def test_runs_on_other_instances_are_refused(folders, tmp_path):
    fewer = run("memoriser", tmp_path, limit=LIMIT - 5)
    fingerprint = genbench.load_run(folders["oracle"]).results.task.fingerprint
    _edit_both(fewer, lambda content: content["settings"].update(limit=LIMIT))
    _edit_both(fewer, lambda content: content["task"].update(fingerprint=fingerprint))
    with pytest.raises(GenbenchError, match=r"different instances of the split 'id' \(50 .* 45 "):
        compare([folders["oracle"], fewer])


def test_a_folder_above_runs_stands_for_them(folders, command):
    above = command("compare", folders["oracle"].parents[1], folders["memoriser"])
    assert above.returncode == 0
    assert above.stdout == command("compare", folders["oracle"], folders["memoriser"]).stdout


def test_what_may_differ_is_noted(folders, tmp_path):
    other = shutil.copytree(folders["random"], tmp_path / "other")
    _edit_both(other, lambda content: content["settings"].update(dtype="bfloat16"))
    found = compare([folders["oracle"], other])
    assert 'settings.dtype: null in agent:oracle, "bfloat16" in agent:random' in found.notes[0]


def test_what_differs_alike_in_several_runs_is_noted_once(folders, tmp_path):
    others = []
    for name in ("a", "b", "c", "d"):
        others.append(shutil.copytree(folders["random"], tmp_path / name))
        _edit_both(others[-1], lambda content: content["settings"].update(dtype="bfloat16"))
        _edit_both(others[-1], lambda content, name=name: content["model"].update(name=name))
        _edit(others[-1], "results.json", lambda results, name=name: results.update(
            settings_hash=name * 16))  # fmt: skip
    assert compare([folders["oracle"], *others]).notes == [
        "a, b, c and 1 more were run in another way than agent:oracle: settings.dtype: null in "
        'agent:oracle, "bfloat16" in them'
    ]


def test_of_other_backends_only_that_is_noted(folders, tmp_path):
    other = shutil.copytree(folders["random"], tmp_path / "other")
    _edit_both(other, lambda content: content["settings"].update(backend="hf", dtype="float32"))
    _edit_both(other, lambda content: content["model"].update(backend="hf"))
    _edit_both(other, lambda content: content.update(sampling={"eos_token_id": [1]}))
    _edit(other, "run.json", lambda header: header["execution"]["plan"].update(device="cuda"))
    assert compare([folders["oracle"], other]).notes == [
        "the backends differ: agent:oracle was run by agent, agent:random by hf"
    ]


def test_samples_of_an_instance_are_its_mean(tmp_path):
    made = [
        run(kind, tmp_path, limit=20, samples=4, temperature=1.0, verify_iters=1)
        for kind in ("random", "memoriser")
    ]
    random, memoriser = read_runs(made).runs
    assert random.splits["id"].first.size == 20
    assert np.unique(random.splits["id"].first * 4 % 1).tolist() == [0]
    assert (memoriser.splits["id"].first == 1).all()


# Several tasks

TASKS = ("gp-ood-rule", "gp-targets-ood-rule")


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Three agents on two tasks: (agent, task) -> folder."""
    output = tmp_path_factory.mktemp("grid")
    return {
        (kind, task): run(kind, output / kind / task, task, limit=30)
        for kind in ("oracle", "memoriser", "random")
        for task in TASKS
    }


@pytest.fixture(scope="module")
def above(grid):
    """The folder that holds them all."""
    return grid["oracle", TASKS[0]].parents[4]


@pytest.fixture(scope="module")
def compared(grid):
    return compare(list(grid.values()))


def test_every_task_has_the_base_that_the_first_run_names(grid, compared):
    assert [task.label for task in compared.tasks] == list(TASKS)
    for task in compared.tasks:
        assert task.base.model.name == "agent:oracle"
        assert task.base.folder == str(grid["oracle", task.label])
        assert [one.model.name for one in compared.on(task)] == ["agent:memoriser", "agent:random"]
        words = [one.readings[0].word for one in compared.on(task)]
        assert words == ["memorises", "forgets both"]
    # What holds of one task alone is not said of several.
    assert (compared.task, compared.base, compared.verify_iters) == (None, None, None)


def test_the_order_of_the_runs_decides_nothing_but_the_base(grid, compared):
    first, *others = grid.values()
    assert compare([first, *reversed(others)]).tests == compared.tests
    shuffled = compare([first, *reversed(others)])
    words = {(one.task, one.checkpoint): one.readings[0].word for one in shuffled.checkpoints}
    assert words == {
        (one.task, one.checkpoint): one.readings[0].word for one in compared.checkpoints
    }


def test_every_task_has_the_changes_of_a_call_of_its_own_and_a_correction_over_all(grid, compared):
    separate = [compare([grid[kind, task] for kind in ("oracle", "memoriser", "random")])
                for task in TASKS]  # fmt: skip
    assert compared.tests == sum(one.tests for one in separate)
    alone = [change for one in separate for change in one.changes()]
    together = compared.changes()
    assert [one.value for one in together] == [one.value for one in alone]
    assert [one.p_value_holm for one in together] == pytest.approx(
        list(stats.holm([one.p_value for one in together]))
    )
    assert any(
        one.p_value_holm > other.p_value_holm for one, other in zip(together, alone, strict=True)
    )


def test_one_task_keeps_the_keys_of_schema_version_1(memorised):
    found = memorised.model_dump()
    assert found["task"] == found["tasks"][0]["task"]
    assert found["base"] == found["tasks"][0]["base"]
    assert found["verify_iters"] == 2
    assert {"alpha", "correction", "tests", "checkpoints", "notes"} <= set(found)
    assert found["schema_version"] == 3


def test_a_folder_of_runs_is_all_of_them_and_the_base_can_be_named_by_its_folder(
    grid, above, compared
):
    found = compare([above], base=above / "oracle")
    assert found.tests == compared.tests
    assert {task.base.model.name for task in found.tasks} == {"agent:oracle"}
    assert compare([above]).tasks[0].base.model.name == "agent:memoriser"


def test_sections_and_a_summary_are_printed(grid, command, tmp_path):
    path = tmp_path / "found.csv"
    done = command("compare", *grid.values(), "--csv", path)
    assert done.returncode == 0
    for task in TASKS:
        assert f"{task} 1.0, base: agent:oracle" in done.stdout
    summary = done.stdout[done.stdout.index("checkpoint ") :].splitlines()
    assert summary[0].split() == ["checkpoint", *TASKS]
    assert summary[1].split() == ["agent:memoriser", "memorises", "memorises"]
    assert summary[2].split("  ")[0] == "agent:random"
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert {row["task_label"] for row in rows} == set(TASKS)
    assert Comparison.model_validate_json(command("compare", *grid.values(), "--json").stdout)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_terminal_breaks_a_word_or_hides_a_figure(grid, width):
    from rich.console import Console

    from genbench.cli import compare as cli

    found = compare([grid[kind, TASKS[0]] for kind in ("oracle", "memoriser")])
    console = Console(width=width, force_terminal=True, no_color=True, highlight=False)
    with console.capture() as captured:
        cli._print_task(console, found, found.tasks[0])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", captured.get()).splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    for quantity in found.checkpoints[0].quantities:
        label = cli._label(quantity, 2)
        assert any(line.startswith(label) for line in lines)
    figures = "-100.0 [-100.0"
    assert sum(figures in line for line in lines) == 3


def test_a_task_without_the_base_is_refused_by_name(grid, command):
    runs = [grid["oracle", TASKS[0]], *(grid["memoriser", task] for task in TASKS)]
    done = command("compare", *runs)
    assert done.returncode == 2
    assert f"the base, agent:oracle, has no run on {TASKS[1]}" in done.stderr
    assert str(grid["memoriser", TASKS[1]]) in done.stderr
    assert "leave that run out" in done.stderr


def test_a_task_with_nothing_but_the_base_is_refused_by_name(grid, command):
    done = command("compare", grid["oracle", TASKS[0]], grid["memoriser", TASKS[0]],
                   grid["oracle", TASKS[1]])  # fmt: skip
    assert done.returncode == 2
    assert f"is the base's run on {TASKS[1]}, and no other checkpoint" in done.stderr


def test_two_runs_of_the_base_on_a_task_are_told_apart_or_refused(grid, tmp_path):
    second = shutil.copytree(grid["oracle", TASKS[1]], tmp_path / "second")
    _edit_both(second, lambda content: content["settings"].update(seed=5))
    _edit(second, "results.json", lambda results: results.update(settings_hash="0" * 16))
    found = compare([*grid.values(), second])
    # The base of the other task was run with seed 0, so that one is the base here too.
    assert found.tasks[1].base.folder == str(grid["oracle", TASKS[1]])
    names = [one.checkpoint for one in found.on(found.tasks[1])]
    assert len(set(names)) == len(names) == 3
    third = shutil.copytree(second, tmp_path / "third")
    _edit_both(third, lambda content: content["settings"].update(seed=6))
    _edit(third, "results.json", lambda results: results.update(settings_hash="1" * 16))
    runs = [path for key, path in grid.items() if key != ("oracle", TASKS[1])]
    with pytest.raises(GenbenchError, match="are both runs of the base on gp-targets-ood-rule"):
        compare([*runs, second, third])


def test_a_base_folder_of_two_checkpoints_is_refused(grid, above, command):
    done = command("compare", above, "--base", above)
    assert done.returncode == 2
    assert "the base is one checkpoint, but" in done.stderr
    assert "name one of its runs with --base" in done.stderr


def test_unfinished_runs_in_a_folder_are_refused_or_skipped(grid, above, command, tmp_path):
    copy = shutil.copytree(above, tmp_path / "copy")
    (odd,) = copy.glob("random/gp-ood-rule/*/*/*/results.json")
    odd.unlink()
    done = command("compare", copy, "--base", copy / "oracle")
    assert done.returncode == 2
    assert f"{odd.parent} is an unfinished run" in done.stderr
    assert "--skip-unfinished" in done.stderr
    done = command("compare", copy, "--base", copy / "oracle", "--skip-unfinished")
    assert done.returncode == 0
    assert f"note: {odd.parent} is unfinished and left out" in done.stdout
    assert re.search(r"^agent:random +- +forgets both", done.stdout, re.MULTILINE)


def test_one_task_under_two_limits_is_two_tasks_with_names_of_their_own(grid, tmp_path):
    fewer = [run(kind, tmp_path / kind, limit=20) for kind in ("oracle", "memoriser")]
    found = compare([grid["oracle", TASKS[0]], grid["memoriser", TASKS[0]], *fewer])
    assert [task.label for task in found.tasks] == [
        "gp-ood-rule (limit 30)", "gp-ood-rule (limit 20)"
    ]  # fmt: skip


@pytest.fixture(scope="module")
def ways(tmp_path_factory):
    """Runs of an oracle on one task, asked in three ways: way -> folder."""
    output = tmp_path_factory.mktemp("ways")
    return {
        "as the others": run("oracle", output / "same", limit=30),
        "fewer": run("oracle", output / "fewer", limit=20),
        "reasoned": run("oracle", output / "reasoned", limit=30, prompt="reasoned"),
    }


def test_runs_of_one_side_alone_are_left_out_by_name_where_others_match(grid, ways):
    memoriser = grid["memoriser", TASKS[0]]
    found = compare([*ways.values(), memoriser])
    assert [one.model.name for one in found.checkpoints] == ["agent:memoriser"]
    assert found.base.folder == str(ways["as the others"])
    assert found.notes == [
        "left out of gp-ood-rule, as no other checkpoint was asked so: "
        f"{ways['fewer']} (limit 20); {ways['reasoned']} (prompt reasoned)"
    ]
    found = compare([memoriser, *ways.values()])
    assert [one.folder for one in found.checkpoints] == [str(ways["as the others"])]
    assert "as the base, agent:memoriser, was not asked so: " in found.notes[0]


def test_a_task_on_which_no_two_runs_were_asked_alike_is_refused_with_the_settings(
    grid, ways, command
):
    others = [ways["fewer"], ways["reasoned"]]
    memoriser = grid["memoriser", TASKS[0]]
    done = command("compare", *others, memoriser)
    assert done.returncode == 2
    assert (
        f"the base, agent:oracle, was scored on {TASKS[0]} only in other ways than {memoriser} "
        f"(limit 30, prompt paper): with limit 20 ({others[0]}); prompt reasoned ({others[1]})"
    ) in done.stderr


# Training seeds


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs as checkpoints of two methods would give them: (method, seed) -> folder; and a base."""
    output = tmp_path_factory.mktemp("trained")
    oracle = genbench.load_run(run("oracle", output / "oracle", limit=40, verify_iters=1))
    right = {episode.instance_id: episode.turns[0].response.text for episode in oracle.episodes}
    split = {episode.instance_id: episode.split for episode in oracle.episodes}
    task = genbench.load_task("gp-ood-rule", limit=40)

    def made(name, rates, training):
        random = Random(name)
        path = output / f"{name}.jsonl"
        with path.open("w") as file:
            for instance, text in right.items():
                solved = random.random() < rates.get(split[instance], 0.5)
                row = {"instance_id": instance, "response": text if solved else f"no {name}"}
                file.write(json.dumps(row) + "\n")
        folder = import_responses(path, task, output / name)[0].folder.path
        _edit_both(folder, lambda content: content["model"].update(training=training))
        return folder

    found = {"base": made("base", {"id": 0.5, "ood": 0.5}, None)}
    for method, rates in (("sft", {"id": 0.9, "ood": 0.1}), ("rl", {"id": 0.8, "ood": 0.8})):
        for seed in range(3):
            training = {"method": method, "recipe": f"gp-{method}", "step": 400, "seed": seed}
            found[method, seed] = made(f"{method}-{seed}", rates, training)
    return found


@pytest.fixture(scope="module")
def over_seeds(trained):
    return compare(list(trained.values()))


def test_seeds_of_a_method_have_their_mean_change(over_seeds):
    sft, rl = over_seeds.training_seeds
    assert (sft.label, rl.label) == ("sft gp-sft, step 400", "rl gp-rl, step 400")
    assert sft.seeds == [0, 1, 2]
    by_folder = {one.folder: one for one in over_seeds.checkpoints}
    for seeds in (sft, rl):
        assert [one.name for one in seeds.quantities] == ["id", "ood", "ood - id"]
        for found in seeds.quantities:
            values = [
                quantity.change.value
                for folder in seeds.folders
                for quantity in by_folder[folder].quantities
                if quantity.name == found.name
            ]
            assert found.change.value == pytest.approx(np.mean(values))
            assert found.sd == pytest.approx(np.std(values, ddof=1))
            if found.sd > 1e-9:
                expected = scipy_stats.ttest_1samp(values, 0)
                assert found.change.p_value == pytest.approx(expected.pvalue)
                assert found.seeds_needed == stats.required_seeds(found.sd, 0.04)


def test_two_methods_are_held_against_each_other(over_seeds):
    (found,) = over_seeds.methods
    assert (found.a, found.b) == ("sft gp-sft, step 400", "rl gp-rl, step 400")
    sft, rl = over_seeds.training_seeds
    for one, a, b in zip(found.quantities, sft.quantities, rl.quantities, strict=True):
        assert one.change.value == pytest.approx(a.change.value - b.change.value)
        assert one.change.method == "welch t over 3 and 3 seeds"


def test_seeds_and_methods_are_among_holms_tests(over_seeds):
    of_checkpoints = sum(len(one.quantities) for one in over_seeds.checkpoints)
    assert over_seeds.tests == of_checkpoints + 2 * 3 + 3 == len(over_seeds.changes())
    assert [one.p_value_holm for one in over_seeds.changes()] == pytest.approx(
        list(stats.holm([one.p_value for one in over_seeds.changes()]))
    )


def test_seeds_are_shown_with_the_number_that_4_points_need(trained, command, tmp_path):
    path = tmp_path / "found.csv"
    done = command("compare", *trained.values(), "--csv", path)
    assert "sft gp-sft, step 400: mean over 3 training seeds (0, 1, 2)" in done.stdout
    assert "seeds for 4 pp" in done.stdout
    assert "sft gp-sft, step 400 minus rl gp-rl, step 400" in done.stdout
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [row["row"] for row in rows].count("seeds") == 6
    assert [row["row"] for row in rows].count("methods") == 3
    (id_row,) = [row for row in rows if row["checkpoint"] == "rl gp-rl, step 400"
                 and row["quantity"] == "id"]  # fmt: skip
    assert id_row["seed"] == "0 1 2"
    assert float(id_row["seed_sd"]) > 0


def _trained_otherwise(trained, tmp_path, **changed):
    """A base, and two runs of one method whose records differ in the seed and in this."""
    folders = [shutil.copytree(trained["sft", seed], tmp_path / str(seed)) for seed in (0, 1)]
    _edit_both(folders[1], lambda content: content["model"]["training"].update(changed))
    return compare([trained["base"], *folders])


def test_other_steps_recipes_and_unknown_seeds_are_no_seeds_of_one_recipe(trained, tmp_path):
    assert _trained_otherwise(trained, tmp_path / "same").training_seeds != []
    for name, value in (("step", 300), ("recipe", "other"), ("method", "rl"), ("seed", None)):
        found = _trained_otherwise(trained, tmp_path / name, **{name: value})
        assert found.training_seeds == []
    found = _trained_otherwise(trained, tmp_path / "twice", seed=0)
    assert found.training_seeds == []
    assert any("another run of sft gp-sft, step 400, seed 0" in note for note in found.notes)


def test_methods_at_several_steps_are_compared_at_those_they_share(over_seeds):
    def at(method, *steps):
        (of_method,) = [one for one in over_seeds.training_seeds if one.method == method]
        return [
            of_method.model_copy(update={"step": step, "label": f"{method} {step}"})
            for step in steps
        ]

    def pairs(seeds):
        return [(one.a, one.b) for one in method_comparisons(seeds, over_seeds.checkpoints)]

    assert pairs([*at("sft", 1, 2, 3), *at("rl", 3, 2, 9)]) == [
        ("sft 2", "rl 2"),
        ("sft 3", "rl 3"),
    ]
    assert pairs([*at("sft", 1), *at("rl", 9)]) == [("sft 1", "rl 9")]
    assert pairs([*at("sft", 1, 2), *at("rl", 9)]) == []


def test_a_checkpoint_in_the_place_of_a_run_is_told_from_one(tmp_path, command):
    (tmp_path / "config.json").write_text("{}")
    for name in ("demo/gp-base", str(tmp_path)):
        done = command("compare", name, "elsewhere")
        assert done.returncode == 2
        assert f"{name} is a checkpoint, not a run: score it with `genbench" in done.stderr


# Perception


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    """Agents on the visual shift: one sees everything, one only what looks as in training."""
    output = tmp_path_factory.mktemp("seeing")
    asked = {"limit": 30, "verify_iters": 1, "task_settings": {"pixels": 96}}
    return {
        kind: run(kind, output, "gp-vl-ood-visual", **asked)
        for kind in ("oracle", "visual-memoriser", "memoriser")
    }


def test_perception_is_compared_as_the_runs_have_it(seeing):
    found = compare([seeing["oracle"], seeing["visual-memoriser"]])
    of_name = quantities(found)
    splits = genbench.load_run(seeing["visual-memoriser"]).results.splits
    for split in ("id", "ood"):
        one = of_name[f"perception, {split}"]
        checked = splits[split].checks["perception"]
        assert (one.base, one.value) == (1, pytest.approx(checked.value))
        assert one.change.n == checked.n == 30
        assert one.change.p_value_holm is not None
    assert of_name["perception, ood"].change.value < -0.9
    assert of_name["perception, ood"].mde is not None
    assert list(of_name).index("perception, id") + 2 == list(of_name).index("rule read, ood")
    assert found.tests == len(of_name)
    (only,) = found.checkpoints[0].perception
    assert (only.split, only.success, only.perception) == ("ood", "down", "down")
    assert re.fullmatch(
        r"perception on OOD -\d+\.\d pp: fell with success; corrected p < 0\.001", only.sentence
    )


def test_perception_is_printed_and_stands_in_json_and_csv(seeing, command, tmp_path):
    asked = ("compare", seeing["oracle"], seeing["visual-memoriser"])
    shown = command(*asked).stdout
    assert "\nperception on OOD -" in shown
    assert re.search(r"^perception id +30 +\d+ +100\.0 +100\.0 ", shown, re.M)
    assert re.search(r"^perception ood +30 +\d+ +100\.0 ", shown, re.M)
    done = command(*asked, "--json", "--csv", tmp_path / "rows.csv")
    found = Comparison.model_validate_json(done.stdout)
    assert found.checkpoints[0].perception[0].sentence in shown
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    measured = [row["split"] for row in rows if row["measure"] == "perception"]
    assert measured == ["id", "ood"]


def test_where_everything_was_seen_nothing_is_tested_and_a_note_says_so(seeing, tmp_path):
    plain = [seeing["oracle"], seeing["memoriser"]]
    found = compare(plain)
    assert not [one for one in quantities(found).values() if one.measure == "perception"]
    assert found.checkpoints[0].perception == []
    assert not [note for note in found.notes if "perception" in note]
    for number, folder in enumerate(plain):  # as a model leaves it, which was shown pictures
        plain[number] = shutil.copytree(folder, tmp_path / str(number))
        _edit(
            plain[number],
            "results.json",
            lambda results: results["sampling"].update(images={"sizes": []}),
        )
    (note,) = [note for note in compare(plain).notes if "perception" in note]
    assert note.startswith("perception is not compared: no first response")
    seen = compare([plain[0], seeing["visual-memoriser"]])
    assert not [note for note in seen.notes if "perception" in note]


def _said(instance, task, kind):
    """right, misseen (the cards are others, the formula is right), wrong, blind (both), silent."""
    answer = json.loads(next(task.environment.solutions(instance)))
    if kind in ("misseen", "blind"):
        answer["cards"] = ["A", "A", "A", "A"]
    if kind in ("wrong", "blind"):
        answer["formula"] = "1+1"
    if kind == "silent":
        answer = {"formula": answer["formula"]}
    return json.dumps(answer)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("blind", "right", ("up", "up", "rose with success")),
        ("right", "blind", ("down", "down", "fell with success")),
        ("misseen", "wrong", ("down", "up", "rose, success fell")),
        ("wrong", "misseen", ("up", "down", "fell, success rose")),
        ("misseen", "blind", ("down", "flat", "not shown to have changed, success fell")),
        ("blind", "misseen", ("up", "flat", "not shown to have changed, success rose")),
        ("blind", "wrong", ("flat", "up", "rose, success is not shown to have changed")),
        ("right", "misseen", ("flat", "down", "fell, success is not shown to have changed")),
        ("blind", "blind", None),
        ("silent", "blind", None),
    ],
)
def test_perception_beside_success_has_its_words(tmp_path, before, after, expected):
    """On OOD alone: ID is `blind` in both."""
    task = genbench.load_task("gp-ood-rule", limit=LIMIT)
    made = []
    for name, kind in (("before", before), ("after", after)):
        path = tmp_path / f"{name}.jsonl"
        with path.open("w") as file:
            for split in task.splits.values():
                for one in split.instances():
                    said = _said(one, task, kind if split.name == "ood" else "blind")
                    print(json.dumps({"instance_id": one.id, "response": said}), file=file)
        made.append(import_responses(path, task, tmp_path / "runs", model=name)[0].folder.path)
    (found,) = compare(made).checkpoints
    assert ("perception, ood" in quantities(compare(made))) == (before != "silent")
    if expected is None:
        assert found.perception == []
    else:
        (one,) = found.perception
        success, perception, words = expected
        assert (one.split, one.success, one.perception) == ("ood", success, perception)
        assert re.search(rf"pp: {words}; corrected p", one.sentence)


def test_perception_says_of_how_many_instances_it_is(tmp_path):
    """Where one response of a pair does not say what it saw, that pair is no part of it."""
    task = genbench.load_task("gp-ood-rule", limit=LIMIT)
    made = []
    for name in ("before", "after"):
        path = tmp_path / f"{name}.jsonl"
        with path.open("w") as file:
            for split in task.splits.values():
                for number, one in enumerate(split.instances()):
                    kind = "right" if name == "before" else "blind" if number % 2 else "silent"
                    said = _said(one, task, kind)
                    print(json.dumps({"instance_id": one.id, "response": said}), file=file)
        made.append(import_responses(path, task, tmp_path / "runs", model=name)[0].folder.path)
    found = compare(made)
    assert quantities(found)["perception, ood"].change.n == LIMIT / 2
    for one in found.checkpoints[0].perception:
        assert one.sentence.endswith(f"; of {LIMIT // 2} instances of {LIMIT}, where both say it")
