"""The vllm backend on tiny checkpoints, held to the default backend's answers.

Their attention heads have 32 numbers each: fewer vLLM does not compute on a CPU.
"""

import json
from dataclasses import replace

import pytest
import tiny_models
import torch
from asking import (
    answers,
    change_json,
    change_weights,
    identify,
    load,
    prompts,
    requests,
    short_prompts,
    user,
)
from picture_task import picture
from test_hf import opening
from tiny_models import byte_tokenizer

import genbench
from genbench.errors import IncompleteError, ModelError, UsageError
from genbench.task import Message

pytestmark = pytest.mark.vllm

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 1024,
    "initializer_range": 0.3,
}


@pytest.fixture(scope="module")
def wide_llama(save_checkpoint):
    """A Llama with the tokenizer and the chat template of the demo models."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from genbench_tasks.general_points.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = LlamaConfig(vocab_size=len(tokenizer), bos_token_id=None, **ends, **SIZES)
    return save_checkpoint(
        "wide-llama", LlamaForCausalLM, config, tokenizer, likely=[tokenizer.eos_token_id]
    )


@pytest.fixture(scope="module")
def wide_qwen(save_checkpoint):
    """A Qwen3 without a chat template, whose tokenizer puts BOS before every text."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = byte_tokenizer(bos=True)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = Qwen3Config(vocab_size=len(tokenizer), **ends, **SIZES)
    return save_checkpoint(
        "wide-qwen", Qwen3ForCausalLM, config, tokenizer, likely=[tokenizer.eos_token_id]
    )


@pytest.fixture(scope="module")
def wide_idefics(save_checkpoint):
    """An Idefics3, SmolVLM's architecture."""
    architecture, config, processor = tiny_models.idefics()
    text = config.text_config
    text.num_attention_heads, text.num_key_value_heads, text.head_dim = 2, 1, 32
    tokenizer = processor.tokenizer
    ends = [tokenizer.eos_token_id]
    folder = save_checkpoint("wide-idefics", architecture, config, tokenizer, ends)
    tiny_models.save_processor(folder, processor)
    return folder


@pytest.fixture
def engine():
    """Loads one model after another: of engines one a process is alive."""
    alive = []

    def start(folder, **options):
        while alive:
            alive.pop().close()
        options.setdefault("arguments", {"kv_cache_memory_bytes": str(2**26)})
        alive.append(load(folder, "vllm", **options))
        return alive[-1]

    yield start
    for model in alive:
        model.close()


def same(found, expected):
    """Equal but for the log-probability, which vLLM is not asked for."""
    assert found == [replace(one, logprob=None) for one in expected]


@pytest.mark.parametrize("name", ["wide_llama", "wide_qwen"])
def test_greedy_answers_are_those_of_the_default_backend(request, engine, name):
    folder = request.getfixturevalue(name)
    ours = load(folder, batch_size=16)
    model = engine(folder)
    for stop in ((), ("as", "s1", "\n")):
        asked = requests(prompts(48), max_new_tokens=20, stop=stop)
        expected = answers(ours, asked)
        same(answers(model, asked), expected)
        assert len({one.text for one in expected}) > 20
        assert {one.finish_reason for one in expected} == {"stop", "length"}
    assert model.rendered(asked[0]) == ours.rendered(asked[0])


def test_what_the_checkpoint_asks_for_is_set_aside_but_for_its_ends(wide_llama, engine, copy_of):
    folder = copy_of(wide_llama)
    asked = requests(short_prompts(12))
    first = answers(load(folder), asked)[0].text[0]
    extra = load(folder).tokenizer(first, add_special_tokens=False)["input_ids"][0]
    change_json(
        folder / "generation_config.json",
        do_sample=True,
        temperature=0.6,
        repetition_penalty=3.0,
        eos_token_id=[extra],
    )
    ours, model = load(folder), engine(folder)
    same(answers(model, asked), answers(ours, asked))
    assert model.sampling() == ours.sampling()
    assert extra in model.sampling()["end_token_ids"]
    assert "repetition_penalty" in model.sampling()["ignored_from_generation_config"]


def test_a_sampled_answer_follows_its_seed_alone(wide_llama, engine):
    asked = [
        replace(one, seed=7 + one.order % 4)
        for one in requests(short_prompts(3) * 8, temperature=1.0, top_p=0.9)
    ]
    model = engine(wide_llama)
    found = answers(model, asked)
    alone = [answers(model, [one])[0] for one in asked[:6]]
    assert [one.text for one in alone] == [one.text for one in found[:6]]
    by_seed = {}
    for request, response in zip(asked, found, strict=True):
        by_seed.setdefault((request.messages, request.seed), set()).add(response.text)
    assert all(len(texts) == 1 for texts in by_seed.values())
    assert len({response.text for response in found}) > 6


def test_a_conversation_that_goes_on_comes_before_new_ones_and_finds_its_beginning(
    wide_llama, engine
):
    arguments = {"block_size": "32", "kv_cache_memory_bytes": str(2**26)}
    model = engine(wide_llama, batch_size=2, arguments=arguments)
    first = requests(prompts(12), max_new_tokens=8)
    model.submit(first)
    received, turns = [], []
    while len(received) < 24:
        following = []
        for request, response in model.receive():
            received.append(request.episode)
            turns.append(request.turn)
            if request.turn == 0:
                said = Message("assistant", response.text)
                messages = (*request.messages, said, Message("user", "Once more."))
                following.append(replace(request, turn=1, messages=messages))
        model.submit(following)
    assert sorted(received) == sorted(2 * [request.episode for request in first])
    # Nobody waits for the end of a round.
    assert turns.index(1) < len(turns) - 1 - turns[::-1].index(0)
    events = model.events()
    assert 0 < events["prompt_tokens_reused"] < events["prompt_tokens"]


def test_the_budget_closes_thinking_as_the_default_backend_does(wide_llama, engine, copy_of):
    folder = opening(copy_of(wide_llama))
    asked = requests(short_prompts(20), max_new_tokens=40)
    found = answers(engine(folder, thinking_budget=6), asked)
    expected = answers(load(folder, thinking_budget=6), asked)
    same(found, expected)
    assert sum("</think>\n" in one.text for one in found) > 10
    asked = requests(short_prompts(8), max_new_tokens=24)
    plain = answers(engine(wide_llama, thinking_budget=6), asked)
    assert [one.text for one in plain] == [one.text for one in answers(load(wide_llama), asked)]


def test_the_context_bounds_first_prompts_and_later_turns(wide_llama, engine):
    model = engine(
        wide_llama, arguments={"max_model_len": "128", "kv_cache_memory_bytes": str(2**26)}
    )
    with pytest.raises(ModelError, match=r"context of this checkpoint in vLLM \(128 tokens\)"):
        model.submit(requests([user("!" * 300)]))
    short = [user("How many?" * 2)]
    size = model._prompts.length(model._prompt(requests(short)[0]))
    long, full = (
        requests([user("How many?" * 2 + "!" * more)], turn=1, max_new_tokens=64)[0]
        for more in (90 - size, 400)
    )
    one, other = answers(model, [long, replace(full, episode="other")])
    assert one.prompt_tokens + one.generated_tokens <= 128
    assert one.generated_tokens > 0
    assert (other.text, other.finish_reason, other.generated_tokens) == ("", "length", 0)


def test_images_are_shown_as_the_default_backend_shows_them(wide_idefics, engine):
    asked = requests(
        [
            (Message("user", (picture(index), "What is it?")),)
            if index % 2
            else (Message("user", (picture(index), " and ", picture(9, "blue", (90, 33)), "?")),)
            for index in range(6)
        ]
        + [user("No image.")]
    )
    ours, model = load(wide_idefics), engine(wide_idefics)
    expected = answers(ours, asked)
    same(answers(model, asked), expected)
    assert len({one.text for one in expected}) == 7
    for request in asked:
        assert model.rendered(request) == ours.rendered(request)
    assert model.sampling() == ours.sampling()
    assert "Idefics3ImageProcessor" in model.execution()["vllm"]["image_processor"]


def test_a_run_ends_with_the_bytes_of_the_default_backend_and_is_verified(
    wide_llama, tmp_path, command
):
    found = {}
    for backend in ("hf", "vllm"):
        place = ("--output", tmp_path / backend, "--backend", backend, "--dtype", "float32")
        asked = ("--limit", 8, "--verify-iters", 3, "--max-new-tokens", 24, *place)
        if backend == "vllm":
            asked += ("--model-args", f"block_size=32,kv_cache_memory_bytes={2**26}")
        done = command("run", "--model", wide_llama, "--task", "gp-ood-rule", *asked)
        assert done.returncode == 0, done.stderr
        (results,) = (tmp_path / backend).rglob("results.json")
        found[backend] = results.parent
    episodes = {name: (path / "episodes.jsonl").read_bytes() for name, path in found.items()}
    assert episodes["hf"] == episodes["vllm"]
    header = json.loads((found["vllm"] / "run.json").read_text())
    plan = header["execution"]["plan"]
    assert plan["versions"]["vllm"]
    assert plan["vllm"]["max_model_len"] == 1024
    assert header["execution"]["events"]["prompt_tokens_reused"] > 0
    assert header["model"]["weights_fingerprint"] == identify(wide_llama).weights_fingerprint
    done = command("verify", found["vllm"], "--regenerate", 4)
    assert done.returncode == 0, done.stderr


def test_a_run_that_was_cut_short_ends_with_the_same_bytes(wide_llama, tmp_path, monkeypatch):
    from genbench.models.vllm_model import VLLMModel

    settings = {
        "backend": "vllm",
        "limit": 8,
        "verify_iters": 3,
        "max_new_tokens": 16,
        "dtype": "float32",
        "batch_size": 4,
    }

    def run(output):
        genbench.run(str(wide_llama), "gp-ood-rule", output=output, **settings)
        (results,) = output.rglob("results.json")
        return results.parent

    whole = run(tmp_path / "whole")
    heard = VLLMModel._heard
    calls = iter(range(10**6))

    def dying(self, asked, found):
        if next(calls) == 30:
            raise IncompleteError("the engine is gone")
        return heard(self, asked, found)

    monkeypatch.setattr(VLLMModel, "_heard", dying)
    with pytest.raises(IncompleteError):
        run(tmp_path / "cut")
    (journal,) = (tmp_path / "cut").rglob("journal.jsonl")
    assert len(journal.read_text().splitlines()) >= 20
    resumed = run(tmp_path / "cut")
    for name in ("episodes.jsonl", "results.json"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()


# -- what is refused -------------------------------------------------------------------------------


def test_a_head_size_that_vllm_does_not_compute_is_refused(tiny_llama, engine):
    with pytest.raises(
        ModelError, match=r"heads of size 16.*computes those of 32, 64.*--backend hf"
    ):
        engine(tiny_llama)


def test_missing_weights_are_not_drawn_at_random(wide_llama, engine, copy_of):
    folder = copy_of(wide_llama)

    def without(weights):
        del weights["model.layers.1.mlp.up_proj.weight"]

    change_weights(folder, without)
    with pytest.raises(ModelError, match=r"lacks weights .*the first: model.layers.1.mlp.up_proj"):
        engine(folder)


def test_weights_that_are_no_numbers_are_an_error(wide_llama, engine, copy_of):
    folder = copy_of(wide_llama)

    def broken(weights):
        weights["model.norm.weight"].fill_(float("nan"))

    change_weights(folder, broken)
    with pytest.raises(ModelError, match="NaN scores"):
        answers(engine(folder), requests(short_prompts(3)))


def test_a_cache_too_small_for_one_conversation_says_what_helps(wide_llama, engine):
    with pytest.raises(ModelError, match=r"^vLLM cannot load .*--model-args max_model_len=N"):
        engine(wide_llama, arguments={"kv_cache_memory_bytes": "1000"})


def test_an_architecture_that_vllm_does_not_have_is_refused(wide_llama, engine, copy_of):
    folder = copy_of(wide_llama)
    change_json(folder / "config.json", architectures=["NonesuchForCausalLM"])
    with pytest.raises(ModelError, match=r"^vLLM cannot load .*Nonesuch"):
        engine(folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tensor_parallel_size", "data_parallel_size"])
def test_two_processes_give_the_answers_of_one(wide_llama, kind):
    asked = requests(prompts(24), max_new_tokens=12)
    arguments = {kind: "2", "kv_cache_memory_bytes": str(2**26)}
    model = load(wide_llama, "vllm", arguments=arguments)
    try:
        assert model.execution()["vllm"][kind] == 2
        same(answers(model, asked), answers(load(wide_llama), asked))
    finally:
        model.close()


def test_another_device_than_vllm_is_built_for_is_refused(wide_llama):
    other = "cpu" if torch.cuda.is_available() else "mps"
    with pytest.raises(UsageError, match="vLLM takes the device that it was built for"):
        identify(wide_llama, "vllm", device=other)
