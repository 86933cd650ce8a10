"""The response cache: never another checkpoint's answer, the same bytes, and no crash."""

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest
from asking import answers, change_weights, load, prompts, requests, user
from openai_server import Speaker, serving

import genbench
from genbench.errors import UsageError
from genbench.models.cache import FILE, CachedModel, ResponseCache
from genbench.models.interface import Response

SETTINGS = {
    "task": "gp-ood-rule", "limit": 4, "verify_iters": 3, "max_new_tokens": 20, "device": "cpu",
    "batch_size": 8,
}  # fmt: skip


def run(model, output, cache=None, **settings):
    genbench.run(str(model), output=output, cache=cache, **{**SETTINGS, **settings})
    return contents(output)


def contents(output):
    (header,) = output.rglob("run.json")
    return {
        name: (header.parent / name).read_bytes() for name in ("episodes.jsonl", "results.json")
    }


def counts(output):
    (header,) = output.rglob("run.json")
    return json.loads(header.read_text())["execution"]["events"]["cache"]


def texts(found):
    return [
        turn["response"]
        for line in found["episodes.jsonl"].splitlines()
        for turn in json.loads(line)["turns"]
    ]


@pytest.fixture
def generated(monkeypatch):
    """The number of requests in each batch that a model generates."""
    from genbench.models.hf import HFModel

    sizes, generate = [], HFModel.generate

    def counted(self, batch):
        sizes.append(len(batch))
        return generate(self, batch)

    monkeypatch.setattr(HFModel, "generate", counted)
    return sizes


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.9, "top_p": 0.8, "samples": 2}])
def test_a_run_has_the_same_bytes_with_a_cache_and_without(
    tiny_llama, tmp_path, generated, settings
):
    plain = run(tiny_llama, tmp_path / "plain", **settings)
    asked = sum(generated)
    assert run(tiny_llama, tmp_path / "first", tmp_path / "cache", **settings) == plain
    assert counts(tmp_path / "first") == {"hits": 0, "misses": asked, "damaged": 0, "fault": None}
    generated.clear()
    assert run(tiny_llama, tmp_path / "second", tmp_path / "cache", **settings) == plain
    assert counts(tmp_path / "second") == {"hits": asked, "misses": 0, "damaged": 0, "fault": None}
    assert not generated


def test_a_run_that_finds_a_part_has_the_same_bytes(tiny_llama, tmp_path, generated):
    plain = run(tiny_llama, tmp_path / "plain", limit=6, verify_iters=2)
    run(tiny_llama, tmp_path / "part", tmp_path / "cache", limit=3, verify_iters=1)
    generated.clear()
    assert run(tiny_llama, tmp_path / "a", tmp_path / "cache", limit=6, verify_iters=2) == plain
    found = counts(tmp_path / "a")
    assert found["hits"] == 12
    assert found["misses"] == 24 - 12 + 12  # the id and ood splits are asked twice
    # A batch that is known in part is generated whole, so that its shape is the same.
    assert sum(generated) > found["misses"]


def test_a_checkpoint_that_is_overwritten_in_place_gets_no_old_answers(
    tiny_llama, copy_of, tmp_path
):
    folder = copy_of(tiny_llama)
    before = run(folder, tmp_path / "before", tmp_path / "cache")

    def change(weights):
        weights["model.layers.0.mlp.up_proj.weight"] *= 1.3

    change_weights(folder, change)
    after = run(folder, tmp_path / "after", tmp_path / "cache")
    assert counts(tmp_path / "after")["hits"] == 0
    assert after == run(folder, tmp_path / "plain")
    assert texts(after) != texts(before)


def test_other_files_of_a_checkpoint_count_too(tiny_llama, copy_of, tmp_path):
    folder = copy_of(tiny_llama)
    run(folder, tmp_path / "before", tmp_path / "cache")
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text() + "\n{# another one #}")
    run(folder, tmp_path / "after", tmp_path / "cache")
    assert counts(tmp_path / "after")["hits"] == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"max_new_tokens": 19},
        {"stop": ("s1",)},
        {"system": "Be brief."},
        {"prompt": "reasoned"},
        {"chat_template": "off"},
        {"dtype": "bfloat16"},
        {"temperature": 0.5},
        {"batch_size": 4},
        {"backend": "lm-eval:hf"},
    ],
)
def test_nothing_is_found_of_other_questions_or_of_another_way_to_answer(
    tiny_llama, tmp_path, changed
):
    settings = {"limit": 1, "verify_iters": 1}
    run(tiny_llama, tmp_path / "a", tmp_path / "cache", **settings)
    run(tiny_llama, tmp_path / "b", tmp_path / "cache", **settings, **changed)
    assert counts(tmp_path / "b")["hits"] == 0


def test_a_greedy_answer_has_no_seed_and_a_sampled_one_has(tiny_llama, tmp_path):
    def hits(name, **settings):
        run(tiny_llama, tmp_path / name, tmp_path / "cache", limit=1, verify_iters=1, **settings)
        return counts(tmp_path / name)["hits"]

    assert hits("greedy") == 0
    assert hits("greedy-2", seed=2) == 4
    assert hits("sampled", temperature=0.5) == 0
    assert hits("sampled-2", temperature=0.5, seed=2) == 0
    assert hits("sampled-3", temperature=0.5, samples=2) == 4  # the first samples


def test_images_count_by_their_bytes(tiny_llava, colours, tmp_path):
    def hits(name, task):
        run(
            tiny_llava, tmp_path / name, tmp_path / "cache", task=task, limit=3, verify_iters=1,
            max_new_tokens=4,
        )  # fmt: skip
        return counts(tmp_path / name)

    first = hits("a", colours)
    assert first["hits"] == 0
    assert hits("b", colours)["misses"] == 0
    from genbench.models.cache import _hashed
    from genbench.task import Image, Message

    one, other = (Message("user", ("What?", Image(data))) for data in (b"1", b"2"))
    assert _hashed(one) != _hashed(other)
    assert _hashed(one) != _hashed(replace(one, content="What?"))


def test_a_resumed_run_counts_the_hits_of_all_its_sessions(tiny_llama, tmp_path):
    plain = run(tiny_llama, tmp_path / "plain", tmp_path / "cache")
    cache, folder = ResponseCache(tmp_path / "cache"), tmp_path / "a"

    class Stopping(CachedModel):
        def receive(self):
            if len(self._waiting) < 10:
                raise KeyboardInterrupt
            return super().receive()

    import genbench.models.cache as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CachedModel", Stopping)
        with pytest.raises(KeyboardInterrupt):
            run(tiny_llama, folder, tmp_path / "cache")
    assert run(tiny_llama, folder, tmp_path / "cache") == plain
    assert counts(folder)["hits"] == len(texts(plain))
    cache.close()


# -- what it may not be used for -------------------------------------------------------------------


def test_unknown_weights_are_cached_only_where_the_user_names_them(tiny_llama, tmp_path):
    def ask(name, **more):
        args = {"base_url": server.base_url, "prompt_price": "1", "generated_price": "1", **more}
        settings = {"backend": "api", "model_args": args, "device": "auto", "batch_size": None}
        return run("tiny", tmp_path / name, tmp_path / "cache", limit=2, **settings)

    with serving(Speaker(tiny_llama)) as server:
        with pytest.raises(UsageError, match=r"cannot be seen.*revision="):
            ask("a")
        assert not (tmp_path / "cache").exists()
        first = ask("b", revision="monday")
        number = server.number
        assert ask("c", revision="monday") == first
        assert server.number == number, "nothing was asked again"
        header = json.loads(next((tmp_path / "c").rglob("run.json")).read_text())
        events = header["execution"]["events"]
        assert events["cache"]["hits"] == events["responses"] == number
        assert events["cost"]["total"] == 0, "what the cache gave was paid before"
        ask("d", revision="tuesday")
        assert server.number == 2 * number


def test_a_scripted_agent_is_not_cached(tmp_path):
    with pytest.raises(UsageError, match="does not answer by the prompt alone"):
        genbench.run("agent:oracle", "gp-ood-rule", output=tmp_path, cache=tmp_path / "cache")


# -- damage ----------------------------------------------------------------------------------------


def test_a_file_that_is_no_cache_is_refused_before_the_model_loads(tiny_llama, tmp_path, command):
    place = tmp_path / "cache" / FILE
    place.parent.mkdir()
    given = (
        "run", "--model", tiny_llama, "--task", "gp-ood-rule", "--limit", 1, "--output",
        tmp_path / "runs", "--cache", place.parent,
    )  # fmt: skip
    for content in (b"no database at all" * 300, b"SQLite format 3\0" + b"\xff" * 8000):
        place.write_bytes(content)
        done = command(*given)
        assert done.returncode == 2
        assert f"{place} is damaged or no response cache" in done.stderr
        assert "delete it" in done.stderr
        assert "Traceback" not in done.stderr
    place.unlink()
    with sqlite3.connect(place) as database:
        database.execute("PRAGMA user_version = 7")
    assert "has the format 7" in command(*given).stderr
    place.unlink()
    place.mkdir()
    assert "cannot be opened" in command(*given).stderr


def test_a_damaged_response_is_asked_for_again(tiny_llama, tmp_path, caplog):
    plain = run(tiny_llama, tmp_path / "plain", tmp_path / "cache")
    with sqlite3.connect(tmp_path / "cache" / FILE) as database:
        rows = database.execute("SELECT key, content FROM responses ORDER BY key").fetchall()
        changes = [
            (content.replace('"text": "', '"text": "forged '), key) for key, content in rows[:3]
        ] + [("{", rows[3][0])]
        database.executemany("UPDATE responses SET content = ? WHERE key = ?", changes)
        # A whole row moved to another key.
        (digest,) = database.execute(
            "SELECT sha256 FROM responses WHERE key = ?", (rows[5][0],)
        ).fetchone()
        database.execute(
            "UPDATE responses SET content = ?, sha256 = ? WHERE key = ?",
            (rows[5][1], digest, rows[4][0]),
        )
    assert run(tiny_llama, tmp_path / "a", tmp_path / "cache") == plain
    assert counts(tmp_path / "a")["damaged"] == 5
    assert [record.message for record in caplog.records].count(
        f"genbench: a response in {tmp_path / 'cache' / FILE} is damaged; it is not used, and "
        "asked for again"
    ) == 1
    run(tiny_llama, tmp_path / "b", tmp_path / "cache")
    assert counts(tmp_path / "b")["damaged"] == 0
    assert counts(tmp_path / "b")["misses"] == 0


def test_a_cache_that_fails_on_the_way_is_left_aside_with_a_warning(
    tiny_llama, tmp_path, caplog, monkeypatch
):
    plain = run(tiny_llama, tmp_path / "plain")
    put = ResponseCache.put

    def breaking(self, found):
        put(self, found)
        # The table goes, as a damaged page would have it.
        sqlite3.connect(self.path).execute("DROP TABLE IF EXISTS responses")

    monkeypatch.setattr(ResponseCache, "put", breaking)
    assert run(tiny_llama, tmp_path / "a", tmp_path / "cache") == plain
    assert "no such table" in counts(tmp_path / "a")["fault"]
    told = [record.message for record in caplog.records if "goes on without it" in record.message]
    assert len(told) == 1


def test_a_full_disk_costs_the_cache_alone(tiny_llama, tmp_path):
    cache = ResponseCache(tmp_path / "cache")
    pages = cache._database.execute("PRAGMA page_count").fetchone()[0]
    cache._database.execute(f"PRAGMA max_page_count = {pages}")
    model = CachedModel(load(tiny_llama, batch_size=8), cache, {})
    asked = requests(prompts(24), max_new_tokens=20)
    bare = answers(load(tiny_llama, batch_size=8), asked)
    assert answers(model, asked) == bare
    assert "full" in cache.fault
    assert answers(model, asked) == bare


# -- several processes -----------------------------------------------------------------------------

_WRITER = """
import sys
from pathlib import Path
from genbench.models.cache import ResponseCache
from genbench.models.interface import Response
cache, number = ResponseCache(Path(sys.argv[1])), sys.argv[2]
for turn in range(150):
    own, shared = f"own {number} {turn}", f"shared {turn}"
    cache.put({own: Response(f"{number}-{turn}"), shared: Response(number)})
    assert cache.get(own).text == f"{number}-{turn}"
    assert cache.get(shared) is not None
assert cache.fault is None and not cache.damaged
"""


def test_several_processes_write_at_once_and_the_first_answer_stays(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, tmp_path, str(number)])
        for number in range(4)
    ]
    shared = {}
    cache = ResponseCache(tmp_path)
    while any(writer.poll() is None for writer in writers):
        for turn in range(150):
            found = cache.get(f"shared {turn}")
            if found is not None:
                assert shared.setdefault(turn, found) == found
    assert [writer.returncode for writer in writers] == [0] * 4
    for number in range(4):
        for turn in range(150):
            assert cache.get(f"own {number} {turn}") == Response(f"{number}-{turn}")
    assert cache.fault is None
    assert not cache.damaged


def test_a_key_is_of_the_context_too(tiny_llama, tmp_path):
    cache = ResponseCache(tmp_path)
    asked = requests([user("How many?")])
    for context, expected in (({"a": 1}, 0), ({"a": 1}, 1), ({"a": 2}, 0)):
        model = CachedModel(load(tiny_llama), cache, context)
        answers(model, asked)
        assert model.events()["cache"]["hits"] == expected
