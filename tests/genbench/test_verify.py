"""`genbench verify` finds what was changed; `genbench import` scores like a run."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import genbench
import genbench.errors
from genbench.verification import verify_run

GENBENCH = str(Path(sys.executable).with_name("genbench"))


def command(*arguments):
    return subprocess.run(
        [GENBENCH, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    output = tmp_path_factory.mktemp("run")
    genbench.run("agent:random", "gp-ood-rule", output=output, limit=12)
    (found,) = output.glob("*/*/*")
    return found


@pytest.fixture
def copy(run_folder, tmp_path):
    """A copy to tamper with, under another name: a folder may be moved and renamed."""
    return Path(shutil.copytree(run_folder, tmp_path / "downloaded"))


def edit(folder, name, change):
    path = folder / name
    if name.endswith(".jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows = change(rows) or rows
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))


def test_an_untouched_run_is_rescored(copy):
    found = verify_run(copy)
    assert found.passed
    assert (found.tier, found.episodes) == ("rescored", 48)


def test_an_agents_run_is_regenerated(copy):
    found = verify_run(copy, regenerate=10, seed=1)
    assert found.passed, found.differences
    assert (found.tier, found.regenerated) == ("regenerated", 10)


def flip_verdict(rows):
    rows[3]["turns"][0]["verdict"]["correct"] = True


def change_response(rows):
    rows[3]["turns"][0]["response"] += " "
    rows[3]["turns"][0]["response"] = rows[3]["turns"][0]["response"].replace("+", "-")


def drop_episode(rows):
    return rows[:5] + rows[6:]


def double_episode(rows):
    return [*rows, rows[0]]


def swap_episodes(rows):
    return [rows[1], rows[0], *rows[2:]]


def drop_last_turn(rows):
    row = next(row for row in rows if len(row["turns"]) == 5)
    row["turns"].pop()


def add_turn(rows):
    row = next(row for row in rows if len(row["turns"]) == 5)
    row["turns"].append(row["turns"][-1])


def other_pair(rows):
    rows[0]["pair_id"] = "A-A-A-A"


def foreign_episode(rows):
    return [*rows, {**rows[0], "instance_id": "id/no-such-hand"}]


def claim_solved(rows):
    row = next(row for row in rows if not row["solved"])
    row["solved"] = True


def broken_row(rows):
    del rows[2]["turns"][0]["finish_reason"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip_verdict, "verdict.correct: true stored, false recomputed"),
        (change_response, "verdict"),
        (drop_episode, "is missing"),
        (double_episode, "stands there twice"),
        (swap_episodes, "out of order"),
        (drop_last_turn, "4 turns do not end it"),
        (add_turn, "it ends at turn 5 of 6"),
        (other_pair, "pair_id"),
        (foreign_episode, "none of this task's"),
        (claim_solved, "solved: true stored, false recomputed"),
        (broken_row, "is damaged"),
    ],
)
def test_a_change_of_the_episodes_is_named(copy, change, message):
    edit(copy, "episodes.jsonl", change)
    result = command("verify", copy)
    assert result.returncode == 1
    assert message in result.stdout
    assert "Traceback" not in result.stderr


def test_a_change_of_a_number_is_named(copy):
    def better(results):
        results["splits"]["ood"]["success_rate"]["value"] = 0.99

    edit(copy, "results.json", better)
    result = command("verify", copy)
    assert result.returncode == 1
    assert "results.json.splits.ood.success_rate.value: 0.99 stored, 0" in result.stdout


def test_consistent_but_invented_responses_are_exposed_by_regeneration(copy, tmp_path):
    # Every number fits the invented responses: only the model itself can tell.
    other = tmp_path / "oracle"
    genbench.run("agent:oracle", "gp-ood-rule", output=other, limit=12)
    (oracle,) = other.glob("*/*/*")
    for name in ("run.json", "results.json"):
        edit(oracle, name, lambda content: content["model"].update(name="agent:random"))

    def as_random(header):
        real = json.loads((copy / "run.json").read_text())
        header["model"] = real["model"]

    edit(oracle, "run.json", as_random)
    model = json.loads((copy / "results.json").read_text())
    edit(
        oracle,
        "results.json",
        lambda content: content.update(model=model["model"], settings_hash=model["settings_hash"]),
    )
    assert verify_run(oracle).passed
    found = verify_run(oracle, regenerate=5, seed=0)
    assert not found.passed
    assert "played again" in found.differences[0]


def test_a_run_folder_cannot_switch_on_what_runs_code(copy):
    def trusting(header):
        header["settings"]["model_args"] = {"trust_remote_code": "true"}
        header["settings"]["backend"] = header["model"]["backend"] = "hf"

    edit(copy, "run.json", trusting)
    results = json.loads((copy / "results.json").read_text())
    found = verify_run(copy)
    results["settings"] = json.loads((copy / "run.json").read_text())["settings"]
    results["model"]["backend"] = "hf"
    results["settings_hash"] = next(
        line.split('"')[3] for line in found.differences if "settings_hash" in line
    )
    (copy / "results.json").write_text(json.dumps(results))
    assert verify_run(copy).passed
    result = command("verify", copy, "--regenerate", 1)
    assert result.returncode == 2
    assert "repeat --model-args trust_remote_code=true" in result.stderr


def as_version_1(results):
    """What genbench wrote before it knew shares of outcomes and retention."""
    as_version_2(results)
    results["schema_version"] = 1
    for split in results["splits"].values():
        del split["outcome_rates"]
    for found in results["generalization"].values():
        del found["retention"], found["retention_reason"]


def as_version_2(results):
    """What genbench wrote before it knew episodes of many steps."""
    results["schema_version"] = 2
    for found in (*results["splits"].values(), *results["generalization"].values()):
        del found["steps"]


def test_results_of_schema_version_2_are_read_and_verified(copy):
    edit(copy, "results.json", as_version_2)
    assert verify_run(copy).passed
    assert genbench.load_run(copy).results.splits["id"].steps is None


def test_results_of_schema_version_1_are_read_and_verified(copy):
    edit(copy, "results.json", as_version_1)
    assert verify_run(copy).passed
    results = genbench.load_run(copy).results
    assert results.splits["id"].outcome_rates is None
    assert "schema version 1" in results.generalization["ood"].retention_reason
    edit(copy, "results.json", lambda results: results["splits"]["ood"].update(n=13))
    found = verify_run(copy)
    assert not found.passed
    assert "splits.ood.n" in found.differences[0]


def test_damaged_results_of_schema_version_1_are_named(copy):
    edit(copy, "results.json", lambda results: results.update(schema_version=1, splits=[3]))
    with pytest.raises(genbench.errors.StoreError, match=r"is damaged: splits"):
        genbench.load_run(copy)


def test_a_run_of_another_task_version_is_named(copy):
    edit(copy, "run.json", lambda header: header["task"].update(fingerprint="0" * 64))
    found = verify_run(copy)
    assert not found.passed
    assert "task.fingerprint" in found.differences[0]


@pytest.mark.parametrize("missing", ["run.json", "results.json", "episodes.jsonl"])
def test_a_folder_that_is_no_finished_run_is_a_usage_error(copy, missing):
    (copy / missing).unlink()
    result = command("verify", copy)
    assert result.returncode == 2
    assert missing in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_cannot_be_checked_does_not_hide_the_others(copy, run_folder, tmp_path):
    (copy / "results.json").unlink()
    edit(Path(shutil.copytree(run_folder, tmp_path / "edited")), "episodes.jsonl", drop_episode)
    result = command("verify", run_folder, copy, run_folder)
    assert result.returncode == 2
    assert result.stdout.count("rescored: 48 episodes agree") == 2
    assert f"{copy} is not finished" in result.stderr
    assert "run its command again" in result.stderr
    result = command("verify", copy, tmp_path / "edited", "--json")
    assert result.returncode == 1  # what differs comes before what cannot be read
    found = json.loads(result.stdout)
    assert [bool(one.get("error")) for one in found] == [False, True]
    assert not any(one["passed"] for one in found)


def test_verify_prints_json(copy):
    (found,) = json.loads(command("verify", copy, "--json").stdout)
    assert found["passed"]
    assert found["tier"] == "rescored"


# -- import ---------------------------------------------------------------------------------------


def rows_of(folder):
    for line in (folder / "episodes.jsonl").read_text().splitlines():
        episode = json.loads(line)
        for turn in episode["turns"]:
            yield {
                "instance_id": episode["instance_id"],
                "attempt": turn["attempt"],
                "response": turn["response"],
                "finish_reason": turn["finish_reason"],
            }


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_csv(path, rows):
    rows = list(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(("suffix", "write"), [("jsonl", write_jsonl), ("csv", write_csv)])
def test_an_agents_texts_imported_from_a_file_get_the_same_verdicts(
    run_folder, tmp_path, suffix, write
):
    path = tmp_path / f"responses.{suffix}"
    write(path, rows_of(run_folder))
    result = command(
        "import", path, "--task", "gp-ood-rule", "--limit", "12", "--output", tmp_path / "runs"
    )
    assert result.returncode == 0, result.stderr
    (imported,) = (tmp_path / "runs").glob("*/*/*")
    assert str(tmp_path) not in (imported / "run.json").read_text()
    assert (imported / "episodes.jsonl").read_bytes() == (
        run_folder / "episodes.jsonl"
    ).read_bytes()
    assert verify_run(imported).passed
    ours = json.loads((imported / "results.json").read_text())
    theirs = json.loads((run_folder / "results.json").read_text())
    assert ours["splits"] == theirs["splits"]
    assert ours["generalization"] == theirs["generalization"]


def test_the_exported_solutions_imported_are_all_right(tmp_path):
    assert command("tasks", "export", "gp-ood-rule", tmp_path / "data").returncode == 0
    rows = []
    for path in sorted((tmp_path / "data").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            rows.append({"instance_id": row["instance_id"], "response": row["solution"]})
    assert len(rows) == 4 * 261
    write_jsonl(tmp_path / "gold.jsonl", rows)
    result = command(
        "import", tmp_path / "gold.jsonl", "--task", "gp-ood-rule", "--output", tmp_path, "--json"
    )
    found = json.loads(result.stdout)
    assert {split["success_rate"]["value"] for split in found["splits"].values()} == {1.0}


def test_parquet_holds_the_same_rows_as_jsonl(tmp_path):
    import pandas as pd

    command("tasks", "export", "gp-ood-rule", tmp_path, "--split", "ood")
    command("tasks", "export", "gp-ood-rule", tmp_path, "--split", "ood", "--format", "parquet")
    rows = [json.loads(line) for line in (tmp_path / "ood.jsonl").read_text().splitlines()]
    table = pd.read_parquet(tmp_path / "ood.parquet")
    assert list(table["instance_id"]) == [row["instance_id"] for row in rows]
    assert [json.loads(text) for text in table["data"]] == [row["data"] for row in rows]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no response"),
        ('{"instance_id": "id/3-8-10-J"}\n{oops\n', "line 2 is not JSON"),
        ('{"response": "x"}\n', "line 1: instance_id is missing"),
        ('{"instance_id": "id/3-8-10-Jx", "response": "x"}\n', "did you mean 'id/3-8-10-J'"),
        ('{"instance_id": "id/3-8-10-J", "respons": "x"}\n', "did you mean 'response'"),
        ('{"instance_id": "id/3-8-10-J", "response": 24}\n', "response is a text"),
        ('{"instance_id": "id/3-8-10-J", "response": "x", "attempt": 0}\n', "count from 1"),
        ('{"instance_id": "id/3-8-10-J", "response": "x", "sample": -1}\n', "whole number"),
        ('{"instance_id": "id/3-8-10-J", "response": "x", "finish_reason": []}\n', "finish_reason"),
        ('{"instance_id": "id/3-8-10-J", "response": "x"}\n' * 2, "given twice"),
        ('{"instance_id": "id/3-8-10-J", "response": "x"}\n', "lacks the responses of"),
    ],
)
def test_a_wrong_file_of_responses_is_refused_with_its_place(tmp_path, content, message):
    path = tmp_path / "responses.jsonl"
    path.write_text(content)
    result = command("import", path, "--task", "gp-ood-rule", "--output", tmp_path / "runs")
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "runs").exists()
