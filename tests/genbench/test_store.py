"""Nothing is lost: torn journals, full disks, foreign folders, two processes."""

import fcntl
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import genbench
from genbench.errors import StoreError
from genbench.evaluation import execute, prepare
from genbench.models.interface import LoadOptions

GENBENCH = str(Path(sys.executable).with_name("genbench"))
RUN = ["run", "--model", "agent:random", "--task", "gp-ood-rule", "--limit", "30"]
FILES = ("episodes.jsonl", "results.json")


def command(*arguments, **kwargs):
    return subprocess.run(
        [GENBENCH, *arguments], capture_output=True, text=True, check=False, **kwargs
    )


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


def prepared(output, limit=8, batch_size=4, **settings):
    task = genbench.load_task("gp-ood-rule", limit=limit)
    evaluation, backend = prepare("agent:random", task, output=output, **settings)
    options = LoadOptions(batch_size=batch_size)

    def play(**more):
        return execute(evaluation, lambda o: backend.load(evaluation.identity, o), options, **more)

    return evaluation, play


class StopError(Exception):
    pass


def interrupted(output, turns, **settings):
    """A run folder whose run stopped after so many turns; and how to go on."""
    evaluation, play = prepared(output, **settings)

    def stop(progress):
        if progress.turns >= turns:
            raise StopError

    with pytest.raises(StopError):
        play(report=stop)
    return evaluation.folder.path, play


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    evaluation, play = prepared(tmp_path_factory.mktemp("reference"))
    play()
    return contents(evaluation.folder.path)


@pytest.mark.parametrize("turns", [1, 8, 33, 60])
def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path, reference, turns):
    folder, play = interrupted(tmp_path, turns)
    assert len((folder / "journal.jsonl").read_bytes().splitlines()) >= turns
    assert not (folder / "results.json").exists()
    play()
    assert contents(folder) == reference
    assert not (folder / "journal.jsonl").exists()


def test_a_journal_torn_at_any_byte_of_its_last_line_is_redone(tmp_path, reference):
    folder, _ = interrupted(tmp_path / "start", 9)
    whole = (folder / "journal.jsonl").read_bytes()
    last = whole.rstrip(b"\n").rindex(b"\n") + 1
    for number, cut in enumerate(range(last, len(whole), 17)):
        evaluation, play = prepared(tmp_path / str(number))
        target = evaluation.folder.path
        shutil.copytree(folder, target, dirs_exist_ok=True)
        (target / "journal.jsonl").write_bytes(whole[:cut])
        play()
        assert contents(target) == reference


def test_zeros_at_the_end_of_a_journal_are_redone(tmp_path, reference):
    folder, play = interrupted(tmp_path, 9)
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(b"\0" * 100)
    play()
    assert contents(folder) == reference


def test_a_journal_damaged_in_its_middle_is_refused_with_the_line(tmp_path):
    folder, play = interrupted(tmp_path, 9)
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:10] + b"\n"
    (folder / "journal.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(StoreError, match="line 3 is damaged"):
        play()


def test_every_finished_turn_is_on_disk_before_the_next_batch(tmp_path):
    evaluation, play = prepared(tmp_path, batch_size=4)
    journal = evaluation.folder.path / "journal.jsonl"
    seen = []
    play(report=lambda p: seen.append((p.turns, len(journal.read_bytes().splitlines()))))
    assert len(seen) > 8
    assert all(turns == lines for turns, lines in seen)


def test_a_full_disk_is_an_incomplete_run_that_goes_on(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    failed = command(*RUN, "--output", str(tmp_path / "a"), "--batch-size", "16", preexec_fn=limit)
    assert failed.returncode == 3, failed.stderr
    assert "cannot be written" in failed.stderr
    assert "Traceback" not in failed.stderr
    (folder,) = (tmp_path / "a").glob("*/*/*")
    assert not (folder / "results.json").exists()
    assert (folder / "journal.jsonl").stat().st_size > 0
    assert command(*RUN, "--output", str(tmp_path / "a")).returncode == 0
    assert command(*RUN, "--output", str(tmp_path / "b")).returncode == 0
    (other,) = (tmp_path / "b").glob("*/*/*")
    assert contents(folder) == contents(other)


def test_a_folder_that_another_process_holds_is_refused(tmp_path):
    evaluation, play = prepared(tmp_path)
    holder = os.open(evaluation.folder.path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        with pytest.raises(StoreError, match="another process"):
            play()
    finally:
        os.close(holder)
    play()


def test_a_folder_of_other_settings_is_refused_with_the_difference(tmp_path):
    one, play = prepared(tmp_path, limit=8)
    play()
    other, play_other = prepared(tmp_path, limit=9, seed=3)
    shutil.copytree(one.folder.path, other.folder.path, dirs_exist_ok=True)
    with pytest.raises(StoreError, match=r"settings\.limit: 8 there, 9 here.*settings\.seed"):
        play_other()


def test_an_unfinished_run_keeps_to_its_batch_plan(tmp_path, reference):
    folder, _ = interrupted(tmp_path, 9)
    _, other = prepared(tmp_path, batch_size=5)
    with pytest.raises(StoreError, match=r"batch_size: 4 there, 5 here"):
        other()
    _, automatic = prepared(tmp_path, batch_size=None)
    automatic()
    assert contents(folder) == reference


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_played(tmp_path):
    (tmp_path / "file").write_text("")
    result = command(*RUN, "--output", str(tmp_path / "file"))
    assert result.returncode == 2
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr


def test_no_resume_starts_anew(tmp_path, reference):
    folder, play = interrupted(tmp_path, 9)
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"x\n" + b"".join(lines))
    play(resume=False)
    assert contents(folder) == reference


def test_what_may_differ_between_equal_runs_is_under_execution(tmp_path):
    headers = []
    for name in "ab":
        evaluation, play = prepared(tmp_path / name)
        play()
        headers.append(json.loads((evaluation.folder.path / "run.json").read_text()))
    for header in headers:
        assert header.pop("execution")["plan"]["batch_size"] == 4
    assert headers[0] == headers[1]
