"""The default backend, on tiny checkpoints of several architectures."""

import json
import re
from itertools import pairwise

import pytest
import torch
from asking import (
    answers,
    change_json,
    change_weights,
    load,
    plain_answers,
    raw_text,
    requests,
    short_prompts,
    user,
)

import genbench
from genbench.errors import ModelError, UsageError
from genbench.models.decoding import StopStrings
from genbench.task import Message
from genbench.thinking import visible_text

# -- greedy ----------------------------------------------------------------------------------------


def test_a_greedy_answer_is_that_of_transformers_to_the_prompt_alone(checkpoint):
    asked = short_prompts(24)
    expected = plain_answers(checkpoint, asked)
    found = answers(load(checkpoint, batch_size=7), requests(asked))
    for one, other in zip(found, expected, strict=True):
        assert one.text == other.text
        assert one.finish_reason == other.finish_reason
        assert one.prompt_tokens == other.prompt_tokens
        assert one.generated_tokens == other.generated_tokens
        assert one.logprob == pytest.approx(other.logprob, abs=1e-3)
    # The comparison says something only where answers vary, and where some end by themselves.
    assert len({one.text for one in found}) > 12
    assert {one.finish_reason for one in found} == {"stop", "length"}


def test_the_batches_follow_the_order_of_the_episodes_however_requests_come(tiny_llama):
    asked = requests(short_prompts(6)) + requests(short_prompts(3), turn=1)
    model = load(tiny_llama, batch_size=4)
    for request in reversed(asked):
        model.submit([request])
    batches = []
    while sum(map(len, batches)) < 9:
        batches.append([(one.turn, one.order) for one, _ in model.receive()])
    assert batches == [
        [(0, 0), (0, 1), (0, 2), (0, 3)],
        [(0, 4), (0, 5)],  # turns are not mixed
        [(1, 0), (1, 1), (1, 2)],
    ]


def same(found, expected):
    """Equal but for the last digits of the log-probability."""
    assert [one.text for one in found] == [one.text for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.finish_reason == other.finish_reason
        assert one.generated_tokens == other.generated_tokens
        assert one.logprob == pytest.approx(other.logprob, abs=1e-3)


@pytest.mark.parametrize("stop", [(), ("1",), ("e", "\n")])
def test_a_greedy_answer_does_not_depend_on_the_batch(checkpoint, stop):
    asked = requests(short_prompts(33), stop=stop)
    expected = answers(load(checkpoint, batch_size=1), asked)
    for size in (7, 32):
        same(answers(load(checkpoint, batch_size=size), asked), expected)


@pytest.mark.parametrize("backend", ["hf", "lm-eval:hf"])
@pytest.mark.parametrize("place", ["generation_config.json", "config.json"])
def test_greedy_means_greedy_whatever_the_checkpoint_asks_for(tiny_llama, copy_of, place, backend):
    wanted = {"do_sample": True, "temperature": 0.6, "top_k": 20, "repetition_penalty": 3.0}
    asked = short_prompts(12)
    expected = [one.text for one in plain_answers(tiny_llama, asked)]
    folder = copy_of(tiny_llama)
    if place == "config.json":
        (folder / "generation_config.json").unlink()
    change_json(folder / place, **wanted)
    # transformers follows the checkpoint even where it is told not to sample.
    assert [one.text for one in plain_answers(folder, asked)] != expected
    model = load(folder, backend)
    assert [one.text for one in answers(model, requests(asked))] == expected
    ignored = model.sampling()["ignored_from_generation_config"]
    assert {key: ignored.get(key) for key in wanted} == wanted


def test_every_end_token_of_the_checkpoint_ends_an_answer(tiny_llama, copy_of):
    asked = short_prompts(12)
    folder = copy_of(tiny_llama)
    first = plain_answers(tiny_llama, asked[:1])[0].text[0]
    model = load(folder)
    extra = model.tokenizer(first, add_special_tokens=False)["input_ids"][0]
    change_json(folder / "generation_config.json", eos_token_id=[extra])
    model = load(folder)
    assert set(model.sampling()["end_token_ids"]) == {extra, model.tokenizer.eos_token_id}
    found = answers(model, requests(asked))
    assert (found[0].text, found[0].finish_reason, found[0].generated_tokens) == ("", "stop", 1)


# -- stop strings ----------------------------------------------------------------------------------


def stopped_ids(folder, whole, stops):
    """The shortest beginning of an answer that holds a stop string, None where there is none."""
    for count in range(1, whole.generated_tokens + 1):
        if any(stop in raw_text(folder, whole.ids[:count]) for stop in stops):
            return whole.ids[:count]
    return None


def test_a_stop_string_ends_the_answer_before_itself(tiny_llama):
    asked = short_prompts(16)
    free = plain_answers(tiny_llama, asked, max_new_tokens=24)
    stop = "as"  # within a phrase that is one token, or in two tokens of a letter
    found = answers(load(tiny_llama), requests(asked, max_new_tokens=24, stop=(stop,)))
    kinds = set()
    for one, whole in zip(found, free, strict=True):
        assert one.text == whole.text.split(stop)[0]
        ids = stopped_ids(tiny_llama, whole, [stop])
        kinds.add(ids is None)
        assert one.generated_tokens == len(ids or whole.ids)
        assert one.finish_reason == ("stop" if ids else whole.finish_reason)
    assert kinds == {True, False}


def test_of_two_stop_strings_the_first_in_the_text_counts(tiny_llama):
    asked = short_prompts(16)
    stops = ("Q", "1")
    free = plain_answers(tiny_llama, asked)
    assert any(0 <= one.text.find("1") < one.text.find("Q") for one in free)
    found = answers(load(tiny_llama), requests(asked, stop=stops))
    for one, whole in zip(found, free, strict=True):
        assert one.text == re.split("Q|1", whole.text)[0]


def test_a_stop_string_in_the_prompt_does_not_end_the_answer(tiny_gpt2):
    # Each prompt ends with a blank line: "\n\nx" is there as soon as an "x" is generated.
    asked = short_prompts(30)
    free = answers(load(tiny_gpt2), requests(asked))
    first = next(one.text[0] for one in free if len(one.text) > 1 and one.text[0].isascii())
    found = answers(load(tiny_gpt2), requests(asked, stop=(f"\n\n{first}",)))
    assert not any(f"\n\n{first}" in one.text for one in free)
    assert found == free


def test_a_row_stops_with_its_stop_string_and_not_later(tiny_gpt2):
    model = load(tiny_gpt2)

    def ids(text):
        return model.tokenizer(text, add_special_tokens=False)["input_ids"]

    watched = StopStrings(["the end"], model._decoder, prompt_length=7)
    texts = ["it is the end", "at the end, a", "of the e nd  ", "nothing of it"]
    rows = torch.tensor([[*ids("the end"), *ids(text)] for text in texts])
    assert watched(rows, None).tolist() == [True, True, False, False]
    assert watched(rows[:, :-1], None).tolist() == [False, True, False, False]


def test_a_stop_string_may_be_a_special_token(tiny_llama, copy_of):
    folder = copy_of(tiny_llama)
    special = load(folder).tokenizer.convert_tokens_to_ids("<|user|>")

    def favour(weights):
        weights["lm_head.weight"][special] *= 1.5

    change_weights(folder, favour)
    asked = short_prompts(24)
    free = plain_answers(folder, asked)
    found = answers(load(folder), requests(asked, stop=("<|user|>",)))
    kinds = set()
    for one, whole in zip(found, free, strict=True):
        ids = whole.ids[: whole.ids.index(special) + 1] if special in whole.ids else whole.ids
        kinds.add(special in ids)
        assert one.generated_tokens == len(ids)
        assert one.text == raw_text(folder, ids).removesuffix("<|user|>").removesuffix("<|end|>")
        assert one.finish_reason == ("stop" if special in ids else whole.finish_reason)
    assert kinds == {True, False}


# -- prompts ---------------------------------------------------------------------------------------

CHAT = (Message("system", "Be brief."), Message("user", "Count."))


def shown(folder, messages=CHAT, **options):
    """The prompt that a model says it was given."""
    return load(folder, **options).rendered(requests([messages])[0])


def test_the_chat_template_is_used_unless_it_is_turned_off(tiny_llama):
    templated = "<|system|>Be brief.<|end|><|user|>Count.<|end|><|assistant|>"
    assert shown(tiny_llama)["text"] == templated
    assert shown(tiny_llama, chat_template="on")["text"] == templated
    assert shown(tiny_llama)["chat_template"] is True
    off = shown(tiny_llama, chat_template="off")
    assert off["text"] == "Be brief.\n\nCount.\n\n"
    assert off["chat_template"] is False


def test_the_rendered_ids_are_those_of_transformers(tiny_bos):
    tokenizer = load(tiny_bos).tokenizer
    chat = [{"role": message.role, "content": message.text} for message in CHAT]
    expected = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)
    assert shown(tiny_bos)["ids"] == expected["input_ids"]
    assert shown(tiny_bos)["ids"].count(tokenizer.bos_token_id) == 1
    off = shown(tiny_bos, chat_template="off")
    assert off["ids"] == tokenizer("Be brief.\n\nCount.\n\n")["input_ids"]
    assert off["ids"].count(tokenizer.bos_token_id) == 1


def test_a_checkpoint_without_a_template_gets_the_bare_messages(tiny_gpt2):
    assert shown(tiny_gpt2)["text"] == "Be brief.\n\nCount.\n\n"
    with pytest.raises(ModelError, match="has no chat template"):
        load(tiny_gpt2, chat_template="on")


def set_template(folder, template):
    (folder / "chat_template.jinja").write_text(template)


@pytest.mark.parametrize("backend", ["hf", "lm-eval:hf"])
def test_two_bos_tokens_are_an_error(tiny_bos, copy_of, backend):
    folder = copy_of(tiny_bos)
    set_template(folder, "{{ bos_token }}{{ bos_token }}{{ messages[-1]['content'] }}")
    with pytest.raises(ModelError, match="two BOS tokens"):
        load(folder, backend).submit(requests([user("hello")]))


@pytest.mark.parametrize("backend", ["hf", "lm-eval:hf"])
@pytest.mark.parametrize(
    "refusal",
    ["{{ raise_exception('System role not supported') }}", "{{ message['content'] + none }}"],
)
def test_a_template_that_refuses_the_system_message_says_so(tiny_llama, copy_of, backend, refusal):
    folder = copy_of(tiny_llama)
    set_template(
        folder,
        "{% for message in messages %}{% if message['role'] == 'system' %}"
        + refusal
        + "{% endif %}"
        "{{ message['content'] }}{% endfor %}",
    )
    model = load(folder, backend)
    assert answers(model, requests([user("hello")]))[0].generated_tokens
    with pytest.raises(ModelError, match=r"chat template refuses .*leave --system out"):
        model.submit(requests([CHAT]))


def test_a_run_keeps_the_first_prompt_and_its_ids(tiny_llama, tmp_path):
    genbench.run(
        str(tiny_llama),
        "gp-ood-rule",
        output=tmp_path,
        limit=2,
        verify_iters=1,
        max_new_tokens=4,
        system="Play well.",
    )
    header = json.loads(next(tmp_path.rglob("run.json")).read_text())
    prompt = header["first_prompt"]
    assert prompt["text"].startswith("<|system|>Play well.<|end|><|user|>")
    assert load(tiny_llama).tokenizer.decode(prompt["ids"]) == prompt["text"]
    assert header["sampling"]["chat_template"] is True


# -- context ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["hf", "lm-eval:hf"])
def test_a_prompt_too_long_is_refused_before_the_first_batch(tiny_gpt2, backend):
    model = load(tiny_gpt2, backend)
    # 239 + the blank line = 241 tokens and 16 new ones are one too many for 256.
    with pytest.raises(ModelError, match=r"256 tokens.* 241 tokens .*16 more"):
        model.submit(requests([user("short"), user("x" * 239)]))
    found = answers(load(tiny_gpt2, backend), requests([user("short"), user("x" * 238)]))
    assert found[1].prompt_tokens == 240


@pytest.mark.parametrize("backend", ["hf", "lm-eval:hf"])
def test_a_run_whose_prompts_are_too_long_leaves_no_answer(tiny_gpt2, tmp_path, backend):
    with pytest.raises(ModelError, match="256 tokens"):
        genbench.run(str(tiny_gpt2), "gp-ood-rule", output=tmp_path, limit=2, backend=backend)
    assert not [path for path in tmp_path.rglob("journal.jsonl") if path.stat().st_size]
    assert not list(tmp_path.rglob("episodes.jsonl"))


@pytest.mark.parametrize("backend", ["hf", "lm-eval:hf"])
def test_a_later_turn_gets_what_room_is_left_and_its_neighbours_the_same_as_ever(
    tiny_gpt2, backend
):
    model = load(tiny_gpt2, backend)
    neighbours = [user("a neighbour"), user("another neighbour"), user("and a third")]
    expected = answers(model, requests(neighbours, turn=1))
    long = [user("y" * 248), user("z" * 254), user("w" * 300)]
    mixed = [neighbours[0], long[0], neighbours[1], long[1], long[2], neighbours[2]]
    found = answers(model, requests(mixed, turn=1))
    assert [found[place].text for place in (0, 2, 5)] == [one.text for one in expected]
    alone = plain_answers(tiny_gpt2, [long[0]], max_new_tokens=6)[0]
    assert (found[1].text, found[1].generated_tokens) == (alone.text, alone.generated_tokens)
    assert found[1].generated_tokens <= 6
    for full in (found[3], found[4]):
        assert (full.text, full.finish_reason, full.generated_tokens) == ("", "length", 0)


def test_an_answer_that_fills_the_context_is_cut_off_at_its_length(tiny_llama):
    # The random Llama seldom ends by itself: 1021 tokens of prompt leave room for three.
    tokens = load(tiny_llama).rendered(requests([user("")])[0])["ids"]
    found = answers(
        load(tiny_llama), requests([user("!" * (1021 - len(tokens))), user("K")], turn=2)
    )
    assert found[0].prompt_tokens == 1021
    assert (found[0].finish_reason, found[0].generated_tokens) == ("length", 3)
    assert found[1].generated_tokens > 3


# -- memory ----------------------------------------------------------------------------------------


def fail_above(model, rows):
    """Let the model's `generate` run out of memory above a number of rows."""
    generate = model._model.generate
    tried = []

    def limited(ids, **settings):
        tried.append(len(ids))
        if len(ids) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return generate(ids, **settings)

    model._model.generate = limited
    return tried


def test_a_batch_that_does_not_fit_is_halved_and_every_answer_stays(tiny_llama):
    asked = requests(short_prompts(13))
    expected = answers(load(tiny_llama, batch_size=13), asked)
    model = load(tiny_llama, batch_size=13)
    tried = fail_above(model, rows=3)
    same(answers(model, asked), expected)
    assert tried[0] == 13
    assert sum(size for size in tried if size <= 3) == 13
    assert model.events()["halved_batches"] == [size for size in tried if size > 3]


def test_a_prompt_that_does_not_fit_alone_is_an_error(tiny_llama):
    model = load(tiny_llama, batch_size=4)
    fail_above(model, rows=0)
    with pytest.raises(ModelError, match=r"one prompt alone does not fit.*cpu"):
        answers(model, requests(short_prompts(4)))


def test_a_run_records_the_halved_batches(tiny_llama, tmp_path, monkeypatch):
    from genbench.models.hf import HFModel

    generate = HFModel._generate

    def limited(self, batch, room):
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return generate(self, batch, room)

    settings = {"limit": 2, "verify_iters": 1, "max_new_tokens": 4}
    whole = genbench.run(str(tiny_llama), "gp-ood-rule", output=tmp_path / "whole", **settings)
    monkeypatch.setattr(HFModel, "_generate", limited)
    halved = genbench.run(str(tiny_llama), "gp-ood-rule", output=tmp_path / "halved", **settings)
    header = json.loads(next((tmp_path / "halved").rglob("run.json")).read_text())
    assert header["execution"]["events"]["halved_batches"] == [8, 4, 4]
    assert halved.splits == whole.splits


def test_lm_eval_says_that_a_batch_does_not_fit(tiny_llama):
    model = load(tiny_llama, "lm-eval:hf", batch_size=4)

    def full(**settings):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    model._lm.model.generate = full
    with pytest.raises(ModelError, match=r"4 prompts does not fit .*--batch-size"):
        answers(model, requests(short_prompts(4)))


# -- broken checkpoints ----------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["hf", "lm-eval:hf"])
def test_nan_weights_are_an_error_at_the_first_batch(tiny_llama, copy_of, backend):
    folder = copy_of(tiny_llama)

    def spoil(weights):
        weights["model.layers.1.mlp.up_proj.weight"][3, 3] = float("nan")

    change_weights(folder, spoil)
    model = load(folder, backend)
    with pytest.raises(ModelError, match="NaN scores: its weights are broken"):
        answers(model, requests(short_prompts(3)))


@pytest.mark.parametrize("backend", ["hf", "lm-eval:hf"])
def test_missing_weights_are_not_drawn_at_random(tiny_llama, copy_of, backend):
    folder = copy_of(tiny_llama)
    change_weights(
        folder, lambda old: {name: w for name, w in old.items() if "layers.1" not in name}
    )
    with pytest.raises(ModelError, match=r"lacks weights .*9, the first: model\.layers\.1\."):
        load(folder, backend)


@pytest.mark.parametrize("backend", ["hf", "lm-eval:hf"])
def test_weights_of_another_size_are_named(tiny_llama, copy_of, backend):
    folder = copy_of(tiny_llama)
    change_json(folder / "config.json", intermediate_size=96)
    with pytest.raises(ModelError, match=r"mlp\.down_proj.* stored as \[64, 128\].*\[64, 96\]"):
        load(folder, backend)


@pytest.mark.parametrize("backend", ["hf", "lm-eval:hf"])
def test_a_tokenizer_larger_than_the_model_is_an_error_before_the_first_batch(
    tiny_llama, copy_of, backend
):
    folder = copy_of(tiny_llama)
    size = 450

    def shrink(weights):
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            weights[name] = weights[name][:size].clone()

    change_weights(folder, shrink)
    change_json(folder / "config.json", vocab_size=size)
    model = load(folder, backend)
    with pytest.raises(ModelError, match=r"token id \d+, but the model has embeddings for 450"):
        # Only the role tokens, and the phrases, lie beyond.
        model.submit(requests([user("2, 3, K")]))


def test_padding_that_the_model_does_not_know_is_not_used(tiny_gpt2, copy_of):
    from transformers import AutoTokenizer

    folder = copy_of(tiny_gpt2)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})  # an id beyond the embeddings
    tokenizer.save_pretrained(folder)
    asked = requests(short_prompts(9))
    same(answers(load(folder), asked), answers(load(tiny_gpt2), asked))


def test_a_broken_tokenizer_is_named(tiny_llama, copy_of):
    folder = copy_of(tiny_llama)
    content = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(content.replace('"type": "BPE"', '"type": "BPX"'))
    with pytest.raises(ModelError, match=r"^the tokenizer of .* cannot be loaded: [^\n]*$"):
        load(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float8"}, "--dtype: one of auto, float32, bfloat16, float16, not 'float8'"),
        ({"device": "gpu"}, "--device: cpu, cuda, cuda:N, mps or xpu, not 'gpu'"),
        ({"device": "cpu:x"}, "--device: cpu, cuda, cuda:N, mps or xpu, not 'cpu:x'"),
        ({"device": "xpu"}, "--device xpu: torch sees no XPU device here; use --device cpu"),
        ({"device": "cuda:99"}, "--device cuda:99: "),
        ({"device": "mps:99"}, "--device mps:99: "),
        (
            {"arguments": {"trust_remote_code": "yes"}},
            "true or false, not 'yes'",
        ),
    ],
)
@pytest.mark.parametrize("backend", ["hf", "lm-eval:hf"])
def test_a_wrong_option_is_refused(tiny_llama, options, message, backend):
    with pytest.raises(UsageError, match=message):
        load(tiny_llama, backend, **options)


def test_an_unknown_attention_is_refused_in_one_line(tiny_llama):
    with pytest.raises(ModelError, match=r"^[^\n]*attn_implementation[^\n]*$"):
        load(tiny_llama, arguments={"attn_implementation": "nonesuch"})


def test_a_pickle_is_read_when_it_is_trusted(tiny_llama, copy_of):
    from safetensors.torch import load_file

    folder = copy_of(tiny_llama)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    asked = requests(short_prompts(4))
    expected = [one.text for one in answers(load(tiny_llama), asked)]
    for backend in ("hf", "lm-eval:hf"):
        with pytest.raises(ModelError, match=r"pickle alone.*allow_pickle=true"):
            load(folder, backend)
        trusted = load(folder, backend, arguments={"allow_pickle": "true"})
        assert [one.text for one in answers(trusted, asked)] == expected


# -- thinking --------------------------------------------------------------------------------------


def opening(folder):
    """Let the chat template open a thinking block."""
    template = (folder / "chat_template.jinja").read_text()
    set_template(folder, template.replace("'<|assistant|>'", "'<|assistant|><think>\\n'"))
    return folder


def test_the_budget_closes_a_block_that_the_template_opened(tiny_llama, copy_of):
    folder = opening(copy_of(tiny_llama))
    asked = short_prompts(20)
    free = plain_answers(folder, asked, max_new_tokens=40)
    found = answers(load(folder, thinking_budget=6), requests(asked, max_new_tokens=40))
    closed = 0
    for one, whole in zip(found, free, strict=True):
        if whole.generated_tokens <= 6:
            assert one.text == whole.text
            continue
        # Six tokens of the free answer, then the closing tag, whatever the model wanted.
        assert one.text.startswith(raw_text(folder, whole.ids[:6]) + "</think>\n")
        assert visible_text(one.text, "strip") == one.text.partition("</think>\n")[2].strip("\n")
        closed += 1
    assert closed > 10


def test_the_budget_leaves_an_answer_without_thinking_alone(tiny_llama):
    asked = requests(short_prompts(8), max_new_tokens=24)
    same(answers(load(tiny_llama, thinking_budget=6), asked), answers(load(tiny_llama), asked))


def test_thinking_tags_that_are_special_tokens_stay_in_the_text(tiny_llama, copy_of):
    from tokenizers import AddedToken
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = copy_of(tiny_llama)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(
        [AddedToken(tag, special=True) for tag in ("<think>", "</think>")], special_tokens=True
    )
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer))
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    opening(folder)
    found = answers(load(folder, thinking_budget=4), requests(short_prompts(4), max_new_tokens=12))
    assert all("</think>\n" in one.text for one in found)
    assert all("<|" not in one.text for one in found)


# -- a checkpoint is its weights -------------------------------------------------------------------


def test_an_overwritten_checkpoint_does_not_get_the_old_answers(tiny_llama, copy_of, tmp_path):
    folder = copy_of(tiny_llama, "mine")
    settings = {"limit": 4, "verify_iters": 1, "max_new_tokens": 8}

    def run():
        genbench.run(str(folder), "gp-ood-rule", output=tmp_path / "runs", **settings)
        return {
            path.parent.name: [
                [turn.response.text for turn in episode.turns]
                for episode in genbench.load_run(path.parent).episodes
            ]
            for path in (tmp_path / "runs").rglob("results.json")
        }

    first = run()
    assert run() == first  # nothing is played twice

    def other(weights):
        weights["lm_head.weight"] = weights["lm_head.weight"].flip(0).contiguous()

    change_weights(folder, other)
    both = run()
    assert len(both) == 2
    (new,) = both.keys() - first.keys()
    assert both[new] != next(iter(first.values()))
    same_texts = [one for one in pairwise(both.values()) if one[0] == one[1]]
    assert not same_texts


# -- the command line ------------------------------------------------------------------------------


def no_config(folder):
    (folder / "config.json").unlink()


def adapter(folder):
    (folder / "config.json").rename(folder / "adapter_config.json")


def bert(folder):
    change_json(folder / "config.json", architectures=["BertForMaskedLM"])


def no_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def auto_map(folder):
    change_json(folder / "config.json", auto_map={"AutoModelForCausalLM": "own.Model"})


def truncated(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def pointer(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")


def bad_header(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[8] ^= 0xFF
    path.write_bytes(bytes(content))


def bad_config(folder):
    (folder / "config.json").write_text("{'model_type': 'llama'}")


def unknown_type(folder):
    change_json(folder / "config.json", model_type="nonesuch")


def nan(folder):
    def spoil(weights):
        weights["model.norm.weight"][:] = float("nan")

    change_weights(folder, spoil)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_config, "has no config.json: it is not a Hugging Face checkpoint"),
        (adapter, "an adapter without its base model; merge it into the base"),
        (bert, "nor an image-text-to-text model: its config.json names BertForMaskedLM"),
        (no_tokenizer, "has no tokenizer"),
        (pickled, "allow_pickle=true"),
        (no_weights, "has no weight file"),
        (auto_map, "trust_remote_code=true"),
        (truncated, "bytes where its header says"),
        (pointer, "not a readable safetensors file"),
        (bad_header, "not a readable safetensors file"),
        (bad_config, "config.json cannot be read as JSON"),
        (unknown_type, "cannot be loaded"),
        (nan, "NaN scores"),
    ],
)
@pytest.mark.parametrize("backend", ["hf", "lm-eval:hf"])
def test_a_broken_checkpoint_gives_one_sentence_and_exit_2(
    tiny_llama, copy_of, tmp_path, command, damage, message, backend
):
    folder = copy_of(tiny_llama, "broken")
    damage(folder)
    found = command(
        *("run", "--model", folder, "--backend", backend, "--task", "gp-ood-rule", "--limit", "1"),
        *("--output", tmp_path / "runs"),
    )
    assert found.returncode == 2
    assert message in found.stderr
    assert found.stderr.startswith("genbench: ")
    assert found.stderr.count("\n") == 1
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "./nowhere"], "there is no directory ./nowhere"),
        (["--model", __file__], "is a file; a checkpoint is given by its directory"),
        (["--model", "no such model"], "no valid hub id"),
        (["--model", "demo/nonesuch"], "there is no demo checkpoint 'demo/nonesuch'"),
        (["--model", "LLAMA", "--backend", "hg"], "there is no backend 'hg'; did you mean 'hf'?"),
        (["--model", "LLAMA", "--backend", "lm-eval:hff"], "did you mean 'hf'?"),
        (["--model", "LLAMA", "--model-args", "revison=1"], "did you mean 'revision'?"),
        (["--model", "LLAMA", "--dtype", "half"], "--dtype: one of"),
        (["--model", "LLAMA", "--device", "gpu"], "--device: "),
        (["--model", "LLAMA", "--max-new-tokens", "1024"], "context of this checkpoint (1024"),
        (["--model", "LLAMA", "--backend", "lm-eval:hf", "--temperature", "1"], "--backend hf"),
        (["--model", "LLAMA", "--backend", "lm-eval:hf", "--thinking-budget", "9"], "--thinking"),
    ],
)
def test_a_wrong_request_gives_one_sentence_and_exit_2(
    tiny_llama, tmp_path, command, arguments, message
):
    given = [str(tiny_llama) if part == "LLAMA" else part for part in arguments]
    found = command("run", *given, "--task", "gp-ood-rule", "--limit", "1", "--output", tmp_path)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert found.stderr.startswith("genbench: ")
    assert message in found.stderr
