"""Whoever edits what is published is found: each attack is refused by name, never a traceback."""

import json
import shutil

import pytest
from small_board import HOSTILE, TASK, add_digests, agent, edit, forge, write_board


def folder_of(repository, name):
    (found,) = (repository / "results").glob(f"*{name}*/*/*")
    return found


def refused(command, action, places, *arguments, code):
    """The output of a command that refuses, in sentences."""
    done = command("leaderboard", action, *places, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    text = done.stdout + done.stderr
    assert "Traceback" not in text
    return text


# -- careful forgers: every digest fits what was edited -------------------------------------------


def raise_a_rate(folder):
    value = json.loads((folder / "results.json").read_text())["splits"]["ood"]["success_rate"]
    forge(folder, "results.json", f'"value": {value["value"]}', '"value": 0.99')


def turn_a_verdict(folder):
    forge(folder, "episodes.jsonl", '"correct": false', '"correct": true', episodes=True)


def put_a_right_answer(folder):
    lines = (folder / "episodes.jsonl").read_text().splitlines()
    right = next(line for line in map(json.loads, lines) if line["solved"])
    wrong = json.dumps(right["turns"][0]["response"])
    forge(folder, "episodes.jsonl", '"I do not know."', wrong, episodes=True)


def drop_the_failures(folder):
    path = folder / "episodes.jsonl"
    kept = [line for line in path.read_text().splitlines() if json.loads(line)["solved"]]
    path.write_text("\n".join(kept) + "\n")
    add_digests(folder, episodes=True)


def claim_a_seed(folder):
    forge(folder, "run.json", '"seed": 0', '"seed": 1')


def rename_in_the_header(folder):
    forge(folder, "run.json", '"org/middle"', '"org/better"')


def claim_proof(folder):
    forge(folder, "results.json", '"status": "unknown"', '"status": "proven"')


def claim_another_hash(folder):
    forge(folder, "results.json", f'"settings_hash": "{folder.name}"', '"settings_hash": "00ff"')
    folder.rename(folder.with_name("00ff"))


def put_no_number(folder):
    value = json.loads((folder / "results.json").read_text())["splits"]["ood"]["success_rate"]
    forge(folder, "results.json", f'"value": {value["value"]}', '"value": NaN')


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (raise_a_rate, "results.json.splits.ood.success_rate.value: 0.99 stored"),
        (turn_a_verdict, "episodes.jsonl: episode "),
        (put_a_right_answer, "episodes.jsonl: episode "),
        (drop_the_failures, "is missing"),
        (claim_a_seed, "seed"),
        (rename_in_the_header, "results.json.model.name"),
        (claim_proof, "contamination.status"),
        (claim_another_hash, "settings_hash"),
        (put_no_number, "results.json"),
    ],
)
def test_an_edit_whose_digests_fit_is_found_by_scoring_again(
    repository, places, command, attack, message
):
    attack(folder_of(repository, "middle"))
    command("leaderboard", "build", *places)  # a forger would
    text = refused(command, "check", places, code=1)
    assert "org__middle" in text
    assert message in text


# -- what lies among the published runs -----------------------------------------------------------


def at_the_top(root):
    (root / "notes.txt").write_text("x")
    return "notes.txt is a file and no part of a published run"


def beside_a_task(root):
    path = next(root.glob("*middle*")) / "README.txt"
    path.write_text("x")
    return "README.txt is a file and no part of a published run"


def an_empty_model(root):
    (root / "org__empty").mkdir()
    return "org__empty is an empty folder"


def an_empty_run(root):
    (root / "org__empty" / TASK / "0123456789abcdef").mkdir(parents=True)
    return "0123456789abcdef holds no published run: it has no verification.json"


def a_linked_model(root):
    (root / "org__alias").symlink_to(next(root.glob("*middle*")))
    return "org__alias is a link"


def a_linked_run(root):
    run = next(root.glob("*middle*/*/*"))
    run.rename(root.parent / "elsewhere")
    run.symlink_to(root.parent / "elsewhere")
    return f"{run} is a link"


def a_linked_file(root):
    path = next(root.glob("*middle*/*/*")) / "episodes.jsonl"
    path.rename(root.parent / "elsewhere")
    path.symlink_to(root.parent / "elsewhere")
    return f"{path} is no part of a published run"


def a_killed_add(root):
    (root / ".publishing-abc").mkdir()
    return ".publishing-abc was left by an `add` that was killed"


def a_renamed_run(root):
    run = next(root.glob("*middle*/*/*"))
    run.rename(run.with_name("f" * 16))
    return "holds the run of"


def a_run_under_another_task(root):
    run = next(root.glob("*middle*/*/*"))
    (run.parents[1] / "gp-ood-cards").mkdir()
    run.rename(run.parents[1] / "gp-ood-cards" / run.name)
    run.parent.rmdir()
    return "holds the run of"


def an_unfinished_run(root):
    run = next(root.glob("*middle*/*/*"))
    (run / "results.json").unlink()
    return f"{run / 'results.json'} is missing"


def a_run_of_another_task_version(root):
    run = next(root.glob("*middle*/*/*"))
    for name in ("run.json", "results.json"):
        edit(run / name, lambda content: content["task"].update(version="0.9"))
    add_digests(run)
    return f"is a run of {TASK} 0.9; the installed task is 1.0"


def a_run_of_an_unknown_task(root):
    run = next(root.glob("*middle*/*/*"))
    for name in ("run.json", "results.json"):
        edit(run / name, lambda content: content["task"].update(name="gp-mine"))
    edit(run / "run.json", lambda content: content["task"].update(source="gp-mine"))
    add_digests(run)
    (run.parents[1] / "gp-mine").mkdir()
    run.rename(run.parents[1] / "gp-mine" / run.name)
    run.parent.rmdir()
    return "is a run of a task that is not at hand: there is no task 'gp-mine'"


def a_task_of_ones_own(root):
    """Its file could name any module to import."""
    run = next(root.glob("*middle*/*/*"))
    edit(run / "run.json", lambda content: content["task"].update(source="./evil.yaml"))
    add_digests(run)
    return "task.source is './evil.yaml'"


def results_of_an_unknown_schema(root):
    run = next(root.glob("*middle*/*/*"))
    edit(run / "results.json", lambda content: content.update(schema_version=7))
    add_digests(run)
    return "results.json has the schema version 7; this genbench reads 1 and 2"


def a_header_of_an_unknown_schema(root):
    run = next(root.glob("*middle*/*/*"))
    edit(run / "run.json", lambda content: content.update(schema_version=7))
    add_digests(run)
    return "run.json has the schema version 7; this genbench reads 1"


def a_record_of_an_unknown_schema(root):
    path = next(root.glob("*middle*/*/*")) / "verification.json"
    edit(path, lambda content: content.update(schema_version=7))
    return f"{path} has the schema version 7; this genbench reads 1"


def a_header_without_its_task(root):
    run = next(root.glob("*middle*/*/*"))
    edit(run / "run.json", lambda content: content.update(task=[]))
    add_digests(run)
    return "run.json"


def a_second_row_of_one_checkpoint(root):
    """The oracle's own folder once more, under another name and with digests that fit."""
    run = next(root.glob("*oracle*/*/*"))
    copy = root / "org__wonder" / TASK / run.name
    shutil.copytree(run, copy)
    for name in ("run.json", "results.json"):
        edit(copy / name, lambda content: content["model"].update(name="org/wonder"))
    add_digests(copy)
    return "are results of the same weights under the same settings"


EVERY = [
    at_the_top, beside_a_task, an_empty_model, an_empty_run, a_linked_model, a_linked_run,
    a_linked_file, a_killed_add, a_renamed_run, a_run_under_another_task, an_unfinished_run,
    a_run_of_another_task_version, a_run_of_an_unknown_task, a_task_of_ones_own,
    results_of_an_unknown_schema, a_header_of_an_unknown_schema, a_record_of_an_unknown_schema,
    a_header_without_its_task, a_second_row_of_one_checkpoint,
]  # fmt: skip


@pytest.mark.parametrize("attack", EVERY)
def test_what_is_no_published_run_fails_the_check_and_is_not_built(
    repository, places, command, attack
):
    tables = {path: path.read_bytes() for path in (repository / "leaderboards").iterdir()}
    message = attack(repository / "results")
    assert message in refused(command, "check", places, code=1)
    site = ["--site", repository / "site"]
    assert message in refused(command, "build", places, *site, code=2)
    assert {path: path.read_bytes() for path in (repository / "leaderboards").iterdir()} == tables
    assert not (repository / "site").exists()


def test_a_file_is_no_folder_of_results(repository, command):
    places = ["--results", repository / "leaderboards" / "small.yaml"]
    places += ["--boards", repository / "leaderboards"]
    for action in ("check", "build"):
        assert "is no folder" in refused(command, action, places, code=2)


def test_what_a_repository_keeps_beside_its_runs_may_lie_there(repository, places, command):
    for name in ("README.md", ".gitattributes", ".gitkeep"):
        (repository / "results" / name).write_text("x")
    assert command("leaderboard", "check", *places).returncode == 0


# -- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "change"),
    [
        *((suffix, "deleted") for suffix in ("md", "csv", "json", "html", "svg")),
        *((suffix, "a number by hand") for suffix in ("csv", "html", "svg")),
        ("html", "a byte at its end"),
        ("html", "a folder"),
    ],
)
def test_a_table_that_does_not_follow_is_named(repository, places, command, suffix, change):
    path = repository / "leaderboards" / f"small.{suffix}"
    text = path.read_text()
    path.unlink()
    if change == "a number by hand":
        path.write_text(text.replace("1", "2", 1))
    elif change == "a byte at its end":
        path.write_text(text + " ")
    elif change == "a folder":
        path.mkdir()
    shown = refused(command, "check", places, code=2 if change == "a folder" else 1)
    assert str(path) in shown


def test_the_index_is_checked_too(repository, places, command):
    path = repository / "leaderboards" / "README.md"
    path.write_text("# mine\n")
    assert f"{path} does not follow" in refused(command, "check", places, code=1)


# -- runs that a board cannot rank ----------------------------------------------------------------


def test_a_run_without_the_metric_that_ranks_is_refused_and_not_a_crash(tmp_path, command):
    write_board(
        tmp_path / "leaderboards",
        rank_by={"metric": "splits.ood.success_at.3"},
        eligibility={"settings": {"protocol": "paired"}},
    )
    places = ["--results", tmp_path / "results", "--boards", tmp_path / "leaderboards"]
    folder = agent(tmp_path / "runs", "oracle")
    text = refused(command, "add", places, folder, code=1)
    assert "it has no splits.ood.success_at.3, by which this board ranks" in text


def test_a_hostile_description_and_title_are_text_in_every_format(repository, places, command):
    title = "=1+1 <script>alert(1)</script> | `x`"
    write_board(repository / "leaderboards", title=title, description=HOSTILE)
    assert command("leaderboard", "build", *places).returncode == 0
    assert command("leaderboard", "check", *places).returncode == 0
    page = (repository / "leaderboards" / "small.html").read_text()
    assert "<script>alert" not in page
    assert "<script" not in (repository / "leaderboards" / "small.md").read_text()
    assert "<script" not in (repository / "leaderboards" / "README.md").read_text()
