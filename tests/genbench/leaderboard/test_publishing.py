"""What `leaderboard add` publishes, what it refuses, and what it leaves behind."""

import json
import shutil

import pytest
from small_board import TASK, agent, edit, imported, write_board

from genbench.verification import verify_run


@pytest.fixture
def fresh(tmp_path):
    """A board without results, and the options that name both folders."""
    write_board(tmp_path / "leaderboards")
    return ["--results", tmp_path / "results", "--boards", tmp_path / "leaderboards"]


@pytest.fixture
def copied(runs, tmp_path):
    """A run that a test may change."""
    return shutil.copytree(runs["middle"], tmp_path / "copy")


def test_a_run_is_published_whole_with_the_record_of_its_check(runs, fresh, tmp_path, command):
    done = command("leaderboard", "add", runs["middle"], *fresh)
    assert done.returncode == 0, done.stderr
    assert "rescored: 160 episodes" in done.stdout
    (folder,) = (tmp_path / "results").glob("*/*/*")
    assert sorted(path.name for path in folder.iterdir()) == [
        "episodes.jsonl", "results.json", "run.json", "verification.json",
    ]  # fmt: skip
    assert folder.parts[-3:-1] == ("org__middle", TASK)
    for name in ("episodes.jsonl", "results.json"):
        assert (folder / name).read_bytes() == (runs["middle"] / name).read_bytes()
    record = json.loads((folder / "verification.json").read_text())
    assert (record["tier"], record["regenerated"], record["seed"]) == ("rescored", 0, None)
    assert verify_run(folder).passed
    assert not list((tmp_path / "results").glob(".*"))


def test_regenerated_episodes_give_the_higher_tier(runs, fresh, tmp_path, command):
    done = command(
        "leaderboard", "add", runs["oracle"], *fresh, "--regenerate", "7", "--seed", "5", "--json"
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["tier"], shown["regenerated"], shown["seed"]) == ("regenerated", 7, 5)


def invent_a_response(folder):
    path = folder / "episodes.jsonl"
    path.write_text(path.read_text().replace("I do not know.", "24", 1))


def raise_a_number(folder):
    def change(results):
        results["splits"]["ood"]["success_rate"]["value"] = 0.99

    edit(folder / "results.json", change)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (invent_a_response, "recomputed"),
        (raise_a_number, "results.json.splits.ood.success_rate.value: 0.99 stored"),
    ],
)
def test_a_run_that_does_not_reproduce_is_refused_with_the_first_difference(
    copied, fresh, tmp_path, command, change, difference
):
    change(copied)
    done = command("leaderboard", "add", copied, *fresh)
    assert done.returncode == 1
    assert "does not reproduce" in done.stderr
    assert difference in done.stderr
    assert not (tmp_path / "results").exists()


def test_invented_responses_are_exposed_by_the_weights(tmp_path, fresh, command):
    """An oracle's answers under a random agent's name: every number follows, the text does not."""
    folder = agent(tmp_path / "a", "oracle")

    def rename(content):
        content["model"]["name"] = "agent:random"

    edit(folder / "run.json", rename)
    edit(folder / "results.json", rename)
    assert verify_run(folder).passed
    done = command("leaderboard", "add", folder, *fresh, "--regenerate", "5")
    assert done.returncode == 1
    assert "does not reproduce" in done.stderr
    assert "weights" in done.stderr


# -- eligibility ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"settings": {"verify_iters": 5}}, "the setting verify_iters is 1; this board takes 5"),
        ({"settings": {"limit": None}}, "the setting limit is 40; this board takes null"),
        (
            {"settings": {"prompt": ["reasoned", "terse"]}},
            'prompt is "paper"; this board takes "reasoned" or "terse"',
        ),
        ({"settings": {"limit": True, "samples": True}}, "samples is 1; this board takes true"),
        ({"tier": "regenerated"}, "add the run with --regenerate N"),
        ({"contamination": ["proven"]}, "status is unknown; this board takes proven"),
    ],
)
def test_each_rule_that_fails_is_a_sentence(runs, tmp_path, command, rules, sentence):
    write_board(tmp_path / "leaderboards", eligibility=rules)
    places = ["--results", tmp_path / "results", "--boards", tmp_path / "leaderboards"]
    done = command("leaderboard", "add", runs["middle"], *places)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_checkpoint_trained_on_the_test_is_refused(tmp_path, runs):
    from genbench.evaluation import read_results
    from genbench.leaderboard.definition import load_board
    from genbench.leaderboard.eligibility import refusals

    board = load_board(write_board(tmp_path))
    seen = read_results(runs["middle"])
    seen.contamination.status = "proven"
    seen.contamination.overlap = {"id": 0, "ood": 3}
    (sentence,) = refusals(board, seen, "rescored")
    assert "3 of 40 in ood" in sentence
    seen.contamination.overlap = {"id": 0, "ood": 0}
    assert refusals(board, seen, "rescored") == []


def test_of_two_boards_one_may_take_the_run_and_the_other_says_why_not(
    runs, fresh, tmp_path, command
):
    write_board(tmp_path / "leaderboards", "strict", eligibility={"tier": "regenerated"})
    done = command("leaderboard", "add", runs["middle"], *fresh)
    assert done.returncode == 0
    assert "on: small\n" in done.stdout
    assert "not on strict: no episode was played again" in done.stdout
    shutil.rmtree(tmp_path / "results")
    named = command("leaderboard", "add", runs["middle"], *fresh, "--board", "strict")
    assert named.returncode == 1


def test_a_run_of_another_task_is_refused_with_the_boards_tasks(tmp_path, fresh, command):
    import genbench

    genbench.run("agent:oracle", "gp-ood-cards", output=tmp_path / "runs", limit=3)
    (folder,) = (tmp_path / "runs").glob("*/*/*")
    done = command("leaderboard", "add", folder, *fresh)
    assert done.returncode == 1
    assert f"the task gp-ood-cards is not on this board ({TASK})" in done.stderr


# -- imported and sampled runs ---------------------------------------------------------------------


def test_an_imported_run_is_called_so_wherever_it_stands(repository, command, runs):
    """Its settings hold defaults: temperature 0 there is no statement about how it was sampled."""
    for suffix in ("md", "html"):
        text = (repository / "leaderboards" / f"small.{suffix}").read_text()
        assert "Imported: the responses were made elsewhere" in text
    page = (repository / "leaderboards" / "small.html").read_text()
    assert page.count('class="tag imported"') == 4
    rows = json.loads((repository / "leaderboards" / "small.json").read_text())
    found = {row["model"]: row["backend"] for row in rows["tasks"][TASK]["rows"]}
    assert (found["org/good"], found["agent:oracle"]) == ("import", "agent")
    card = command("leaderboard", "card", runs["good"]).stdout
    assert "responses made elsewhere" in card
    assert "greedy" not in card


def test_an_imported_run_has_no_weights_to_be_played_again_on(runs, fresh, tmp_path, command):
    done = command("leaderboard", "add", runs["good"], *fresh, "--regenerate", "3")
    assert done.returncode == 2
    assert "there are no weights to replay them" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_sampled_run_is_replayed_published_and_put_on_a_card(tmp_path, command):
    """Four samples an instance of the demo model: one row, with the samples of an instance as one
    score, and any-of-4 and all-of-4 on the card."""
    import genbench

    write_board(
        tmp_path / "leaderboards",
        eligibility={"settings": {"samples": [1, 4], "temperature": [0, 1]}},
    )
    places = ["--results", tmp_path / "results", "--boards", tmp_path / "leaderboards"]
    genbench.run(
        "demo/gp-base", TASK, output=tmp_path / "runs", limit=2, samples=4, temperature=1.0,
        verify_iters=1,
    )  # fmt: skip
    (folder,) = (tmp_path / "runs").glob("*/*/*")
    done = command("leaderboard", "add", folder, *places, "--regenerate", "3", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["tier"], shown["episodes"], shown["regenerated"]) == ("regenerated", 32, 3)
    assert command("leaderboard", "build", *places).returncode == 0
    rows = json.loads((tmp_path / "leaderboards" / "small.json").read_text())
    (row,) = rows["tasks"][TASK]["rows"]
    assert row["ranked_by"]["n"] == 2
    assert command("leaderboard", "check", *places, "--regenerate", "2").returncode == 0
    card = command("leaderboard", "card", folder).stdout
    assert "4 samples at temperature 1, the first 2 pairs" in card
    assert "any of 4 samples right, ood" in card
    assert "all of 4 samples right, id" in card


# -- one result a checkpoint, replaced only on request --------------------------------------------


def test_a_second_result_of_the_same_weights_and_settings_is_refused(tmp_path, fresh, command):
    folder = agent(tmp_path / "runs", "oracle")
    assert command("leaderboard", "add", folder, *fresh).returncode == 0
    again = command("leaderboard", "add", folder, *fresh, "--name", "under/another-name")
    assert again.returncode == 2
    assert "already holds a result of these weights under these settings" in again.stderr
    replaced = command("leaderboard", "add", folder, *fresh, "--name", "new/name", "--replace")
    assert replaced.returncode == 0, replaced.stderr
    assert "in place of agent__oracle/" in replaced.stdout
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["new__name"]


def test_a_refused_replacement_leaves_the_published_run(tmp_path, fresh, command):
    folder = agent(tmp_path / "runs", "oracle")
    assert command("leaderboard", "add", folder, *fresh).returncode == 0
    before = {
        path: path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file()
    }
    raise_a_number(folder)
    assert command("leaderboard", "add", folder, *fresh, "--replace").returncode == 1
    after = {
        path: path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file()
    }
    assert after == before


def test_a_move_that_fails_brings_the_older_result_back(tmp_path, fresh, command, monkeypatch):
    import os

    folder = agent(tmp_path / "runs", "oracle")
    assert command("leaderboard", "add", folder, *fresh).returncode == 0
    real = os.replace

    def failing(source, target):
        if ".publishing-" in str(source) and "agent__oracle" in str(target) and failing.armed:
            failing.armed = False
            raise OSError(28, "No space left on device")
        return real(source, target)

    failing.armed = True
    monkeypatch.setattr("genbench.leaderboard.publishing.os.replace", failing)
    # write_atomically renames within the staging folder alone
    done = command("leaderboard", "add", folder, *fresh, "--replace")
    monkeypatch.undo()
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    (kept,) = (tmp_path / "results").glob("*/*/*")
    assert verify_run(kept).passed
    assert not list((tmp_path / "results").glob(".*"))


# -- nothing names a path of this machine ---------------------------------------------------------


def test_a_model_named_by_its_path_needs_a_public_name(tmp_path, fresh, command):
    folder = imported(tmp_path / "m", "/data/checkpoints/step-100", (0.5, 0.5))
    done = command("leaderboard", "add", folder, *fresh)
    assert done.returncode == 2
    assert "model.name is '/data/checkpoints/step-100', a path of this machine" in done.stderr
    assert "--name" in done.stderr
    named = command("leaderboard", "add", folder, *fresh, "--name", "org/step-100")
    assert named.returncode == 0, named.stderr
    (published,) = (tmp_path / "results").glob("*/*/*")
    assert verify_run(published).passed
    for path in published.iterdir():
        assert "/data/checkpoints" not in path.read_text()
        assert str(tmp_path) not in path.read_text()


@pytest.mark.parametrize(
    "path", ["/opt/tokenizer", "~/x", "../x", "C:\\x", "file:///x", "\\\\a\\b"]
)
def test_no_setting_may_name_a_path(copied, fresh, command, path):
    def change(content):
        content["settings"]["model_args"] = {"tokenizer": path}

    edit(copied / "run.json", change)
    edit(copied / "results.json", change)
    done = command("leaderboard", "add", copied, *fresh)
    assert done.returncode == 2
    assert "settings.model_args.tokenizer is" in done.stderr
    assert "a path of this machine" in done.stderr


def test_a_task_of_ones_own_is_not_published(tmp_path, fresh, command):
    import genbench
    import genbench_tasks

    (source,) = genbench_tasks.PACK.task_dirs[0].glob(f"{TASK}.yaml")
    mine = shutil.copy(source, tmp_path / "mine.yaml")
    task = genbench.load_task(mine, limit=40)
    genbench.run("agent:oracle", task, output=tmp_path / "runs", verify_iters=1)
    (folder,) = (tmp_path / "runs").glob("*/*/*")
    done = command("leaderboard", "add", folder, *fresh)
    assert done.returncode == 2
    assert "a file of one's own" in done.stderr


# -- bad input ------------------------------------------------------------------------------------


def nothing(folder):
    shutil.rmtree(folder)


def empty(folder):
    for path in folder.iterdir():
        path.unlink()


def unfinished(folder):
    (folder / "results.json").unlink()
    (folder / "episodes.jsonl").rename(folder / "journal.jsonl")


def old_run(folder):
    edit(folder / "run.json", lambda header: header.update(schema_version=0))


def new_results(folder):
    edit(folder / "results.json", lambda results: results.update(schema_version=4))


def other_version(folder):
    for name in ("run.json", "results.json"):
        edit(folder / name, lambda content: content["task"].update(version="0.9"))


def no_model(folder):
    edit(folder / "run.json", lambda header: header.pop("model"))


def no_episodes(folder):
    (folder / "episodes.jsonl").unlink()


def torn(folder):
    (folder / "results.json").write_text("{")


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (nothing, 2, "there is no run folder"),
        (empty, 2, "has no run.json: it is not a run folder"),
        (unfinished, 2, "is not finished"),
        (old_run, 2, "run.json has the schema version 0; this genbench reads 1"),
        (new_results, 2, "results.json has the schema version 4; this genbench reads 1"),
        (other_version, 1, 'run.json: task.version: "0.9" stored'),
        (no_model, 2, "is damaged: it has no model"),
        (no_episodes, 2, "episodes.jsonl cannot be read"),
        (torn, 2, "results.json cannot be read"),
    ],
)
def test_bad_runs_are_refused_with_a_sentence(
    copied, fresh, tmp_path, command, change, code, message
):
    change(copied)
    done = command("leaderboard", "add", copied, *fresh)
    assert done.returncode == code
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_a_published_run_is_not_added_again(repository, places, command):
    folder = next((repository / "results").glob("*/*/*"))
    done = command("leaderboard", "add", folder, *places)
    assert done.returncode == 2
    assert "is published already" in done.stderr


def test_pages_of_reproductions_lie_beside_the_runs_and_no_model_takes_their_place(
    runs, fresh, tmp_path, command
):
    pages = tmp_path / "results" / "reproduction" / "full"
    pages.mkdir(parents=True)
    (pages / "README.md").write_text("A page.")
    done = command("leaderboard", "add", runs["middle"], *fresh)
    assert done.returncode == 0, done.stderr
    assert command("leaderboard", "build", *fresh).returncode == 0
    assert command("leaderboard", "check", *fresh).returncode == 0
    own = imported(tmp_path / "own", "reproduction", (0.5, 0.5))
    refused = command("leaderboard", "add", own, *fresh)
    assert refused.returncode == 2
    assert "kept for pages of reproductions" in refused.stderr
    assert [path.name for path in pages.parent.iterdir()] == ["full"]
