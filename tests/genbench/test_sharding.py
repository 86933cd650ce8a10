"""Shards: a run of several processes has the files of one, whatever happened to them."""

import json
import shutil
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from killing import kill_at, starting

import genbench
from genbench.errors import StoreError, UsageError
from genbench.sharding.merging import merge_shards
from genbench.sharding.shard import Shard

FILES = ("episodes.jsonl", "results.json")
ASKED = ("--task", "gp-ood-rule", "--limit", 7, "--verify-iters", 3)


@pytest.fixture
def play(command):
    """Runs `genbench run ...`; the exit code must be 0."""

    def run(*arguments):
        done = command("run", *arguments)
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def shards(play, tmp_path):
    """The folders of three shards of a random agent's run."""
    for index in (1, 2, 3):
        play("--model", "agent:random", *ASKED, "--shard", f"{index}/3", "--output", tmp_path / "s")
    return sorted(tmp_path.glob("s/*/*/*-shard-*"))


def contents(output):
    (header,) = output.rglob("run.json")
    return {name: (header.parent / name).read_bytes() for name in FILES}


def edited(folder, name, change):
    path = folder / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# -- the same files --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("sampling", [(), ("--samples", 3, "--temperature", 1, "--seed", 4)])
def test_merged_shards_have_the_bytes_of_one_process(play, tmp_path, command, count, sampling):
    given = ("--model", "agent:random", *ASKED, *sampling)
    play(*given, "--output", tmp_path / "one")
    for index in range(count, 0, -1):
        play(*given, "--shard", f"{index}/{count}", "--output", tmp_path / "s")
    done = command("merge", tmp_path / "s", "--output", tmp_path / "merged")
    assert done.returncode == 0, done.stderr
    assert f"merged from {count} shards" in done.stderr
    assert contents(tmp_path / "merged") == contents(tmp_path / "one")
    names = [next((tmp_path / part).rglob("run.json")).parent for part in ("merged", "one")]
    assert names[0].relative_to(tmp_path / "merged") == names[1].relative_to(tmp_path / "one")
    headers = [json.loads((name / "run.json").read_text()) for name in names]
    shown = [one["shard"] for one in headers[0]["execution"].pop("shards")]
    assert shown == [f"{index}/{count}" for index in range(1, count + 1)]
    for part in headers[1]:
        if part != "execution":
            assert headers[0][part] == headers[1][part]
    assert command("verify", names[0]).returncode == 0


def test_a_models_shards_merge_into_the_bytes_of_one_process(play, tiny_llama, tmp_path, command):
    given = ("--model", tiny_llama, *ASKED, "--max-new-tokens", 20, "--device", "cpu")
    play(*given, "--output", tmp_path / "one")
    for index in (1, 2, 3):
        play(*given, "--shard", f"{index}/3", "--output", tmp_path / "s")
    assert command("merge", tmp_path / "s", "--output", tmp_path / "merged").returncode == 0
    assert contents(tmp_path / "merged") == contents(tmp_path / "one")


def test_shards_that_were_killed_and_resumed_merge_into_the_same_bytes(tiny_llama, tmp_path):
    shared = {
        "model": str(tiny_llama), "task": "gp-ood-rule", "limit": 8, "verify_iters": 3,
        "max_new_tokens": 24, "batch_size": 4,
    }  # fmt: skip
    partial_kills = 0
    with starting() as start:
        import killed_run

        whole = start({**shared, "output": tmp_path / "one"})
        whole.join()
        assert whole.exitcode == 0
        for index in (1, 2):
            output = tmp_path / "s" / str(index)
            asked = {**shared, "shard": f"{index}/2", "output": output}
            run = partial(start, asked, killed_run.play_shard)
            for turns in (4, 12):
                process = run()
                killed = kill_at(process, output, turns, 0.01)
                partial_kills += killed
            process = run()
            process.join()
            assert process.exitcode == 0
    assert partial_kills >= 2
    merge_shards([tmp_path / "s"], tmp_path / "merged")
    assert contents(tmp_path / "merged") == contents(tmp_path / "one")


def test_the_sizes_of_images_are_those_of_all_shards(tmp_path, tiny_llava, colours, command):
    given = (
        "run", "--model", tiny_llava, "--task", colours, "--limit", 4, "--max-new-tokens", 4,
        "--set", "sizes=true",
    )  # fmt: skip
    assert command(*given, "--output", tmp_path / "one").returncode == 0
    for index in (1, 2):
        shard = ("--shard", f"{index}/2", "--output", tmp_path / "s")
        assert command(*given, *shard).returncode == 0
    done = command("merge", tmp_path / "s", "--output", tmp_path / "merged")
    assert done.returncode == 0, done.stderr
    found = contents(tmp_path / "merged")
    assert found == contents(tmp_path / "one")
    sizes = json.loads(found["results.json"])["sampling"]["images"]["sizes"]
    alone = [
        json.loads(path.read_text())["sampling"]["images"]["sizes"]
        for path in (tmp_path / "s").rglob("shard-results.json")
    ]
    assert len(sizes) > min(map(len, alone)), "or this test would show nothing"


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 30), limit=st.integers(1, 30), samples=st.integers(1, 3))
def test_every_episode_is_in_one_shard_and_twins_are_in_the_same(count, limit, samples):
    task = genbench.load_task("gp-ood-rule", limit=limit)
    if count > limit:
        with pytest.raises(UsageError, match=f"{limit} shards at most"):
            Shard(1, count).check(task)
        return
    every = [Shard(index, count).episodes(task, samples) for index in range(1, count + 1)]
    assert all(every)
    assert sum(map(len, every)) == len(frozenset().union(*every)) == 4 * limit * samples
    place = {key: number for number, keys in enumerate(every) for key in keys}
    for split in task.splits.values():
        for one, twin in zip(split.instances(), task.splits["id"].instances(), strict=True):
            assert one.pair_id == twin.pair_id
            assert place[f"{one.id}#0"] == place[f"{twin.id}#0"]


def test_shards_of_several_runs_are_merged_each_by_itself(play, tmp_path, command):
    for model in ("agent:random", "agent:memoriser"):
        for index in (1, 2):
            more = ("--task", "gp-ood-target", "--shard", f"{index}/2", "--output", tmp_path / "s")
            play("--model", model, *ASKED, *more)
        play("--model", model, *ASKED, "--task", "gp-ood-target", "--output", tmp_path / "one")
    done = command("merge", tmp_path / "s", "--output", tmp_path / "merged", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 4
    ours = sorted((tmp_path / "one").rglob("results.json"))
    assert len(ours) == 4
    for path in ours:
        other = tmp_path / "merged" / path.relative_to(tmp_path / "one")
        assert other.read_bytes() == path.read_bytes()


def test_a_finished_shard_is_not_played_again_and_merging_twice_changes_nothing(
    play, shards, tmp_path
):
    before = {path: path.stat().st_mtime_ns for path in shards[0].iterdir()}
    again = ("--model", "agent:random", *ASKED, "--shard", "1/3", "--output", tmp_path / "s")
    assert "finished before" in play(*again).stderr
    assert {path: path.stat().st_mtime_ns for path in shards[0].iterdir()} == before
    (first,) = merge_shards(shards, tmp_path / "m")
    stamp = (first.folder / "results.json").stat().st_mtime_ns
    (second,) = merge_shards(reversed(shards), tmp_path / "m")
    assert second.results == first.results
    assert (first.folder / "results.json").stat().st_mtime_ns == stamp


def test_a_shard_is_no_run(shards, command, tmp_path):
    done = command("report", tmp_path / "s", "--output", tmp_path / "r")
    assert done.returncode == 2
    assert "holds no run" in done.stderr
    assert command("verify", shards[0]).returncode == 2


# -- what is refused -------------------------------------------------------------------------------


def refused(command, tmp_path, *paths, more=()):
    done = command("merge", *paths, "--output", tmp_path / "merged", *more)
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "merged").rglob("results.json"))
    return done.stderr


def test_missing_shards_are_named(shards, command, tmp_path):
    told = refused(command, tmp_path, shards[1])
    assert "of the shards of agent:random on gp-ood-rule, 1/3, 3/3 are missing" in told
    assert "2/3 is missing" in refused(command, tmp_path, shards[0], shards[2])
    assert "there is no folder" in refused(command, tmp_path, tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    assert "holds no shard" in refused(command, tmp_path, tmp_path / "empty")


def test_a_shard_of_another_run_is_named_with_what_differs(play, shards, command, tmp_path):
    other = ("--model", "agent:random", *ASKED, "--shard", "3/3", "--output", tmp_path / "t")
    play(*other, "--feedback", "detail")
    (foreign,) = (tmp_path / "t").glob("*/*/*-shard-*")
    told = refused(command, tmp_path, *shards[:2], foreign)
    assert "3/3 is missing" in told
    assert f"{foreign} is a shard of another run (settings.feedback: " in told
    # Complete runs beside it make it no better.
    assert "1/3, 2/3 are missing" in refused(command, tmp_path, *shards, foreign)


def test_overlapping_shards_are_refused(play, shards, command, tmp_path):
    copy = shutil.copytree(shards[1], tmp_path / "copy")
    told = refused(command, tmp_path, *shards, copy)
    assert "are both shard 2/3 of agent:random on gp-ood-rule: leave one out" in told
    play("--model", "agent:random", *ASKED, "--shard", "1/2", "--output", tmp_path / "s")
    assert "is one of 2, and" in refused(command, tmp_path, tmp_path / "s")
    # The same folder given twice is one.
    done = command("merge", *shards, shards[0], "--output", tmp_path / "merged")
    assert done.returncode == 0


def test_unfinished_and_damaged_shards_are_refused(shards, command, tmp_path):
    kept = shutil.copytree(tmp_path / "s", tmp_path / "kept")

    def again():
        shutil.rmtree(tmp_path / "s")
        shutil.copytree(kept, tmp_path / "s")

    (shards[0] / "shard-results.json").unlink()
    assert "is an unfinished shard" in refused(command, tmp_path, *shards)
    again()
    lines = (shards[1] / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    (shards[1] / "episodes.jsonl").write_bytes(b"".join(lines[:-1]))
    assert "were changed after it was finished" in refused(command, tmp_path, *shards)
    again()
    (shards[1] / "shard.json").write_text("{}")
    assert "is damaged: KeyError" in refused(command, tmp_path, *shards)
    again()
    edited(shards[1], "shard-results.json", lambda found: found.update(index=9))
    assert "it was renamed or changed" in refused(command, tmp_path, *shards)
    again()
    edited(shards[1], "shard-results.json", lambda found: found.update(index="two"))
    assert "is damaged: index" in refused(command, tmp_path, *shards)
    again()
    for place in ("shard.json", "shard-results.json"):
        edited(shards[1], place, lambda found: found["sampling"].update(chat_template=False))
    assert "were not sampled alike" in refused(command, tmp_path, *shards)
    again()
    # The share of another shard, under a true digest.
    shutil.copy(shards[0] / "episodes.jsonl", shards[1] / "episodes.jsonl")
    digest = json.loads((shards[0] / "shard-results.json").read_text())["episodes_sha256"]
    edited(shards[1], "shard-results.json", lambda found: found.update(episodes_sha256=digest))
    assert "its next episode is not" in refused(command, tmp_path, *shards)
    again()
    for shard in shards:
        edited(shard, "shard.json", lambda found: found["task"].update(fingerprint="0" * 64))
    assert "another version of its task" in refused(command, tmp_path, *shards)


def test_a_renamed_shard_is_not_taken_for_another(play, shards, command, tmp_path):
    shutil.rmtree(shards[1])
    shards[0].rename(shards[1])
    given = ("--model", "agent:random", *ASKED, "--shard", "2/3", "--output", tmp_path / "s")
    done = command("run", *given)
    assert done.returncode == 2
    assert "holds shard 1/3, not 2/3" in done.stderr
    play(*given, "--no-resume")


def test_shards_that_were_computed_in_different_ways_are_merged_on_request_alone(
    shards, command, tmp_path
):
    edited(shards[2], "shard.json", lambda found: found["execution"]["plan"].update(batch_size=9))
    told = refused(command, tmp_path, *shards)
    assert "were computed in different ways (batch_size: 512 in" in told
    assert "--mixed" in told
    done = command("merge", *shards, "--output", tmp_path / "merged", "--mixed")
    assert done.returncode == 0
    header = json.loads(next((tmp_path / "merged").rglob("run.json")).read_text())
    assert "batch_size: 512 in" in header["execution"]["mixed"][0]


def test_a_run_that_lies_at_the_place_is_not_overwritten(play, shards, command, tmp_path):
    (merged,) = merge_shards(shards, tmp_path / "m")
    path = merged.folder / "episodes.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"solved": false', b'"solved": true', 1))
    with pytest.raises(StoreError, match="with other episodes"):
        merge_shards(shards, tmp_path / "m")
    (merged.folder / "results.json").unlink()
    (merged.folder / "journal.jsonl").write_text('{"episode": "a", "turn": 0}\n')
    with pytest.raises(StoreError, match="played by one process and unfinished"):
        merge_shards(shards, tmp_path / "m")


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/3/4", "1/9999999"])
def test_a_share_that_is_none_is_refused(command, tmp_path, shard):
    done = command("run", "--model", "agent:random", *ASKED, "--output", tmp_path, "--shard", shard)
    assert done.returncode == 2
    assert "as 1/4, not" in done.stderr


def test_more_shards_than_instances_are_refused(command, tmp_path):
    given = ("run", "--model", "agent:random", *ASKED, "--output", tmp_path)
    done = command(*given, "--shard", "8/8")
    assert done.returncode == 2
    assert "has 7 instances here, so that there can be 7 shards at most" in done.stderr
    assert not list(tmp_path.iterdir())
