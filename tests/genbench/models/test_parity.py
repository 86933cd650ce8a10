"""Whether backends agree, and what is said where they do not."""

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest
from openai_server import Speaker, serving

import genbench
from genbench.cli.parity import _by_backend
from genbench.errors import ModelError, UsageError
from genbench.models.interface import LoadOptions
from genbench.parity import Asked, check_parity
from genbench.parity.comparing import compare, first_place
from genbench.parity.playing import TURNS, Played, play_backend
from genbench.parity.results import KINDS, ParityReport

ASKED = {
    "task": "gp-ood-rule",
    "questions": {"limit": 6},
    "settings": {"verify_iters": 3, "max_new_tokens": 16},
}


def played(folder, place, spec="hf", **changes):
    """What a backend wrote, played in this process."""
    options = LoadOptions(device="cpu", dtype="float32")
    place.mkdir(parents=True)
    told = []
    one = Played(spec, str(folder), spec, options, **ASKED)
    play_backend(replace(one, **changes), place, told.append)
    assert told[-1].done == told[-1].episodes
    return place


@pytest.fixture(scope="module")
def turns(tiny_llama, tmp_path_factory):
    """A folder that a backend has filled, and its episodes."""
    place = played(tiny_llama, tmp_path_factory.mktemp("parity") / "hf")
    return place, [json.loads(line) for line in (place / TURNS).read_text().splitlines()]


def rewritten(episodes, place):
    place.mkdir()
    (place / TURNS).write_text("".join(json.dumps(episode) + "\n" for episode in episodes))
    return place


def test_three_backends_agree_and_the_report_says_on_how_much(tiny_llama, command):
    with serving(Speaker(tiny_llama), "tiny") as server:
        asked = ("--model", tiny_llama, "--task", "gp-ood-rule", "--limit", 4, "--device", "cpu")
        named = ("--backends", "hf,lm-eval:hf,api:tiny", "--verify-iters", 2)
        more = ("--backend-args", f"api:base_url={server.base_url}", "--max-new-tokens", 12)
        done = command("parity", *asked, *named, *more, "--json")
    assert done.returncode == 0, done.stderr
    raw = json.loads(done.stdout)
    assert raw.pop("agrees") is True
    assert raw["schema_version"] == 1
    report = ParityReport.model_validate(raw)
    assert [run.backend for run in report.backends] == ["hf", "lm-eval:hf", "api:tiny"]
    assert report.backends[0].weights_fingerprint == report.backends[1].weights_fingerprint
    assert [pair.backends for pair in report.pairs] == [
        ("hf", "lm-eval:hf"),
        ("hf", "api:tiny"),
        ("lm-eval:hf", "api:tiny"),
    ]
    episodes = 4 * len(genbench.load_task("gp-ood-rule").splits)
    later = report.backends[0].turns - episodes
    assert later > 0
    for pair in report.pairs:
        with_server = "api:tiny" in pair.backends
        for kind in KINDS:
            # A server does not say what it made of the messages.
            unknown = with_server and kind in ("prompt", "token_ids")
            for found, n in ((pair.first[kind], episodes), (pair.later[kind], later)):
                assert (found.n, found.agree) == ((0, 0) if unknown else (n, n)), kind
                assert (found.rate is None) == unknown
        assert pair.first["text"].rate.ci95[0] < 1
        assert pair.not_compared == 0


def test_another_checkpoint_behind_a_backend_is_found_out(tiny_llama, tiny_qwen, turns, tmp_path):
    other = played(tiny_qwen, tmp_path / "other")
    found = compare(("hf", "other"), (turns[0], other))
    # The two have one tokenizer and one template: what they are asked at first is the same.
    assert found.first["prompt"].agree == found.first["token_ids"].agree == len(turns[1])
    assert found.first["text"].agree < found.first["text"].n == len(turns[1])
    assert not found.agrees
    (text,) = [one for one in found.differences if one.kind == "text"]
    ours, theirs = text.values
    assert ours[: text.position] == theirs[: text.position]
    assert ours[text.position : text.position + 1] != theirs[text.position : text.position + 1]
    assert text.turn == 1
    assert found.not_compared > 0


def test_a_later_turn_is_compared_while_the_conversations_are_the_same(turns, tmp_path):
    place, episodes = turns
    which, another = [i for i, episode in enumerate(episodes) if len(episode["turns"]) == 3][:2]
    changed = json.loads(json.dumps(episodes))
    _, second, third = changed[which]["turns"]
    said = second["text"]
    second["text"] += "#"
    third |= {"prompt": "other", "text": "other"}
    changed[another]["turns"][0]["token_ids"][7] += 1
    found = compare(("a", "b"), (place, rewritten(changed, tmp_path / "changed")))
    n, later = len(episodes), sum(len(episode["turns"]) - 1 for episode in episodes)
    assert (found.first["text"].n, found.first["text"].agree) == (n, n)
    assert (found.later["text"].n, found.later["text"].agree) == (later - 1, later - 2)
    assert found.not_compared == 1
    by_kind = {one.kind: one for one in found.differences}
    assert set(by_kind) == {"text", "token_ids"}  # what came after the first is no difference
    text, ids = by_kind["text"], by_kind["token_ids"]
    assert (text.instance_id, text.turn, text.position) == (
        episodes[which]["instance_id"],
        2,
        len(said),
    )
    assert (ids.instance_id, ids.turn, ids.position) == (episodes[another]["instance_id"], 1, 7)
    assert ids.values[1][7] == ids.values[0][7] + 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_difference_is_one(turns, tmp_path, kind):
    place, episodes = turns
    changed = json.loads(json.dumps(episodes))
    value = changed[0]["turns"][0][kind]
    other = {
        str: lambda: value + "x",
        int: lambda: value + 1,
        list: lambda: [*value, 0],
        dict: lambda: {**value, "outcome": "another"},
    }[type(value)]()
    changed[0]["turns"][0][kind] = other
    found = compare(("a", "b"), (place, rewritten(changed, tmp_path / "changed")))
    assert [one.kind for one in found.differences] == [kind]
    assert found.first[kind].agree == found.first[kind].n - 1
    assert found.differences[0].values == (value, other)
    assert compare(("a", "b"), (place, place)).agrees


def test_the_table_shows_where_the_backends_part(turns, tmp_path, capsys):
    from genbench.cli.parity import print_parity
    from genbench.parity.results import BackendRun

    place, episodes = turns
    which = next(i for i, episode in enumerate(episodes) if len(episode["turns"]) == 3)
    changed = json.loads(json.dumps(episodes))
    prompt = changed[which]["turns"][0]
    prompt["text"] = "unlike"
    prompt["verdict"]["outcome"] = "another"
    prompt["prompt"] = prompt["prompt"][:40] + "[bold]" + prompt["prompt"][40:]
    pair = compare(("hf", "other"), (place, rewritten(changed, tmp_path / "changed")))
    run = BackendRun.model_validate(json.loads((place / "backend.json").read_text()))
    settings = {"protocol": "paired", "prompt": "paper", "dtype": "float32", "verify_iters": 3}
    report = ParityReport(
        genbench_version="0",
        task={"name": "gp-ood-rule", "version": "1.0", "fingerprint": "x"},
        settings={**settings, "limit": 6},
        backends=[run, run.model_copy(update={"backend": "other", "generated_tokens": None})],
        pairs=[pair],
    )
    print_parity(report)
    shown = capsys.readouterr().out
    n, compared = len(episodes), sum(len(episode["turns"]) for episode in episodes) - 2
    assert f"{compared - 1}/{compared}" in shown  # prompts
    assert f"{n - 1}/{n} [" in shown
    assert f"prompt: {episodes[which]['instance_id']} ({episodes[which]['split']}), turn 1" in shown
    assert "from place 40 on" in shown
    assert "[bold]" in shown
    assert '"unlike"' in shown
    assert "another (not correct)" in shown
    assert "2 later turns were not compared" in shown
    assert shown.rstrip().endswith("the backends differ")
    assert max(map(len, shown.splitlines())) < 160


def test_the_first_place_at_which_two_differ():
    assert first_place("abc", "abd") == 2
    assert first_place("ab", "abc") == 2
    assert first_place([1, 2], [2, 2]) == 0


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--backends", "hf"), "--backends takes two or more names"),
        (("--backends", "hf,hf"), "each once"),
        (("--backends", "hf,vlm"), "there is no backend 'vlm'; did you mean 'vllm'?"),
        (("--backends", "hf,lm-eval:hff"), "lm-eval has no model 'hff'; did you mean 'hf'"),
        (("--backends", "hf,lm-eval:hf", "--task", "gp-ood"), "gp-ood"),
        (("--backends", "hf,lm-eval:hf", "--backend-args", "api:base_url=x"), "'api' is none of"),
        (("--backends", "hf,lm-eval:hf", "--backend-args", "base_url"), "takes BACKEND:key=value"),
        (("--backends", "hf,api:x"), "base_url"),
        (("--backends", "hf,lm-eval:hf", "--model-args", "nonesuch=1"), "no argument 'nonesuch'"),
        (("--backends", "hf,lm-eval:hf", "--max-new-tokens", "0"), "--max-new-tokens"),
    ],
)
def test_a_wrong_request_gives_one_sentence_and_exit_2(tiny_llama, command, arguments, message):
    task = () if "--task" in arguments else ("--task", "gp-ood-rule")
    done = command("parity", "--model", tiny_llama, *task, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("genbench: ")
    assert len(done.stderr.splitlines()) == 1


def test_arguments_of_one_backend_are_its_own():
    found = _by_backend(
        ["api:base_url=http://127.0.0.1:8/v1,timeout=3", "lm-eval:hf:max_length=48"]
    )
    assert found == {
        "api": {"base_url": "http://127.0.0.1:8/v1", "timeout": "3"},
        "lm-eval:hf": {"max_length": "48"},
    }


def test_a_backend_that_fails_on_the_way_is_named(tiny_llama, copy_of):
    folder = copy_of(tiny_llama)
    (folder / "tokenizer.json").write_text("{}")
    options = LoadOptions(device="cpu", dtype="float32")
    with pytest.raises(ModelError, match=r"^hf: .*tokenizer"):
        check_parity(Asked(str(folder), options=options, **ASKED), ["hf", "lm-eval:hf"])


# -- vLLM where it is not --------------------------------------------------------------------------


def test_without_vllm_its_backend_says_what_installs_it(tiny_llama, command, monkeypatch):
    from genbench.models import vllm

    monkeypatch.setattr(vllm, "find_spec", lambda name: None if name == "vllm" else find_spec(name))
    for asked in (
        ("run", "--model", f"vllm:{tiny_llama}"),
        ("run", "--model", tiny_llama, "--backend", "vllm"),
        ("parity", "--model", tiny_llama, "--backends", "hf,vllm"),
    ):
        done = command(*asked, "--task", "gp-ood-rule")
        assert done.returncode == 2
        assert "needs vLLM, which is not installed: pip install -e '.[vllm]'" in done.stderr


@pytest.mark.parametrize("temperature", [0.001, 2.5])
def test_a_temperature_that_vllm_does_not_sample_at_is_refused(tiny_llama, tmp_path, temperature):
    from genbench.evaluation import prepare

    task = genbench.load_task("gp-ood-rule", limit=2)
    with pytest.raises(UsageError, match=r"vLLM samples at 0.01 to 2; use --backend hf"):
        prepare(str(tiny_llama), task, backend="vllm", output=tmp_path, temperature=temperature)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tensor_parallel_size": "0"}, "a whole number from 1, not '0'"),
        ({"max_model_len": "4k"}, "a whole number from 1, not '4k'"),
        ({"gpu_memory_utilization": "90"}, "a share above 0, at most 1, not '90'"),
        ({"enforce_eager": "yes"}, "true or false, not 'yes'"),
    ],
)
def test_a_wrong_engine_argument_is_refused(arguments, message):
    from genbench.models.vllm import engine_arguments

    with pytest.raises(UsageError, match=message):
        engine_arguments(LoadOptions(arguments=arguments))


def test_what_makes_an_engine_fast_is_no_setting_of_the_run():
    from genbench.models.vllm import VLLMBackend

    given = {"tensor_parallel_size": "2", "gpu_memory_utilization": "0.5", "max_model_len": "512"}
    deciding = VLLMBackend().deciding(LoadOptions(arguments=given))
    assert deciding == {"max_model_len": "512"}
