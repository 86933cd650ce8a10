"""lm-eval as the independent reference of the default backend."""

import pytest
from asking import answers, change_json, identify, load, prompts, requests, short_prompts, user

import genbench
from genbench.errors import ModelError, UsageError
from genbench.evaluation import prepare
from genbench.models import find_backend
from genbench.models.interface import LoadOptions

# The GPT-2 has a context of 256 bytes: no question of a task fits.
ASKED = {
    "tiny_llama": prompts,
    "tiny_qwen": prompts,
    "tiny_gpt2": short_prompts,
    "tiny_bos": prompts,
}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("stop", [(), ("as", "s1")])
def test_hf_and_lm_eval_give_the_same_greedy_answers(request, name, stop):
    folder = request.getfixturevalue(name)
    asked = requests(ASKED[name](48), max_new_tokens=20, stop=stop)
    ours = answers(load(folder, batch_size=16), asked)
    theirs = answers(load(folder, "lm-eval:hf", batch_size=12), asked)
    for one, other in zip(ours, theirs, strict=True):
        assert one.text == other.text
        assert one.finish_reason == other.finish_reason
        assert one.prompt_tokens == other.prompt_tokens
        assert one.generated_tokens == other.generated_tokens
    assert len({one.text for one in ours}) > 24
    assert {one.finish_reason for one in ours} == {"stop", "length"}


def test_both_are_given_the_same_prompt(checkpoint):
    request = requests([user("How many?")])[0]
    for template in ("auto", "off"):
        ours = load(checkpoint, chat_template=template).rendered(request)
        theirs = load(checkpoint, "lm-eval:hf", chat_template=template).rendered(request)
        assert ours == theirs


def test_no_bos_is_added_to_what_a_template_wrote(tiny_bos, copy_of):
    folder = copy_of(tiny_bos)
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(template.replace("{{ bos_token }}", ""))
    request = requests([user("How many?")])[0]
    ours, theirs = load(folder), load(folder, "lm-eval:hf")
    assert ours.rendered(request) == theirs.rendered(request)
    assert ours.tokenizer.bos_token_id not in ours.rendered(request)["ids"]
    asked = requests(prompts(12))
    assert [one.text for one in answers(ours, asked)] == [
        one.text for one in answers(theirs, asked)
    ]


def test_a_run_through_lm_eval_has_the_verdicts_of_a_run_through_hf(tiny_llama, tmp_path):
    settings = {"limit": 12, "verify_iters": 3, "max_new_tokens": 24, "dtype": "float32"}
    found = {}
    for backend in ("hf", "lm-eval:hf"):
        output = tmp_path / backend.replace(":", "-")
        genbench.run(str(tiny_llama), "gp-ood-rule", output=output, backend=backend, **settings)
        (results,) = output.rglob("results.json")
        found[backend] = list(genbench.load_run(results.parent).episodes)
    turns = 0
    for one, other in zip(found["hf"], found["lm-eval:hf"], strict=True):
        assert one.instance_id == other.instance_id
        assert [turn.verdict for turn in one.turns] == [turn.verdict for turn in other.turns]
        assert [turn.response.text for turn in one.turns] == [
            turn.response.text for turn in other.turns
        ]
        turns += len(one.turns)
    assert turns > 60


def test_sampling_through_lm_eval_is_refused_before_the_model_is_loaded(tiny_llama, tmp_path):
    task = genbench.load_task("gp-ood-rule", limit=2)
    arguments = {"output": tmp_path, "temperature": 0.7}
    with pytest.raises(UsageError, match=r"takes no seed for each request.*use --backend hf"):
        prepare(str(tiny_llama), task, backend="lm-eval:hf", **arguments)
    prepare(str(tiny_llama), task, backend="hf", **arguments)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("hff", "lm-eval has no model 'hff'; did you mean 'hf'"), ("vlm", "did you mean 'vllm'")],
)
def test_an_unknown_model_of_lm_eval_gets_the_closest_name(tiny_llama, kind, message):
    with pytest.raises(UsageError, match=message):
        identify(tiny_llama, f"lm-eval:{kind}")


def test_model_arguments_reach_lm_eval_as_the_values_they_are(tiny_llama):
    model = load(tiny_llama, "lm-eval:hf", arguments={"max_length": "48", "logits_cache": "false"})
    with pytest.raises(ModelError, match=r"context of this checkpoint \(48 tokens\)"):
        model.submit(requests([user("!" * 40)]))
    assert model._lm.logits_cache is False


def test_an_argument_that_lm_eval_does_not_know_is_refused_in_one_line(tiny_llama):
    with pytest.raises(ModelError, match=r"^[^\n]*by lm-eval\) cannot be loaded: [^\n]*nonesuch"):
        load(tiny_llama, "lm-eval:hf", arguments={"nonesuch": "1"})


@pytest.mark.parametrize("key", ["device", "batch_size", "dtype"])
def test_what_has_an_option_is_no_model_argument(tiny_llama, key):
    with pytest.raises(UsageError, match=f"--model-args {key}: use --"):
        identify(tiny_llama, "lm-eval:hf", arguments={key: "1"})


def test_the_model_may_be_named_by_its_arguments(tiny_llama):
    options = LoadOptions(device="cpu", arguments={"pretrained": str(tiny_llama)})
    backend = find_backend("lm-eval:hf")
    found = backend.identify("lm-eval:hf", options)
    assert found.name == str(tiny_llama)
    assert found.weights_fingerprint == identify(tiny_llama).weights_fingerprint
    with pytest.raises(UsageError, match="needs --model-args pretrained="):
        backend.identify("lm-eval:hf", LoadOptions())


def test_the_fingerprint_covers_a_tokenizer_given_beside_the_weights(tiny_llama, copy_of):
    other = copy_of(tiny_llama, "tokenizer")
    arguments = {"tokenizer": str(other)}
    before = identify(tiny_llama, "lm-eval:hf", arguments=arguments)
    assert before.files_fingerprint != identify(tiny_llama, "lm-eval:hf").files_fingerprint
    change_json(other / "tokenizer_config.json", model_max_length=512)
    after = identify(tiny_llama, "lm-eval:hf", arguments=arguments)
    assert after.files_fingerprint != before.files_fingerprint
    assert after.weights_fingerprint == before.weights_fingerprint


def test_a_model_without_a_precision_refuses_one(tiny_llama):
    backend = find_backend(str(tiny_llama), "lm-eval:dummy")
    assert backend.precision(LoadOptions()) is None
    with pytest.raises(UsageError, match="--dtype is not available with the backend lm-eval:dummy"):
        identify(tiny_llama, "lm-eval:dummy", dtype="float32")
