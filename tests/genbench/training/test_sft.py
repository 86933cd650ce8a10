"""SFT through TRL: what it trains on, counts, records and keeps, and that a kill costs nothing."""

import random
import signal

import pytest
import torch
from training_records import record, same_weights, weights

from genbench.errors import ModelError, UsageError
from genbench.models.files import fingerprints, weight_files
from genbench.training.encoding import IGNORED, Encoder
from genbench.training.plan import Job
from genbench.training.recipes import load_recipe
from genbench.training.tuning import tune
from genbench_tasks.general_points.training_data import RuleProblems

SMALL = [
    "schedule.steps=6",
    "schedule.batch_size=4",
    "schedule.micro_batch=2",
    "schedule.checkpoints=[2]",
    "schedule.resume_every=2",
    "schedule.learning_rate=1e-2",
    "schedule.warmup_steps=10",
    "monitoring=null",
    "data.settings={rule: face-10, revision: 0.3}",
]


def sft(parent, output, *more, say=lambda text: None):
    return tune(
        load_recipe("gp-sft-quick", [*SMALL, *more], str(parent)), output, Job("cpu", 1, say)
    )


@pytest.fixture(scope="module")
def trained(parent, tmp_path_factory):
    said = []
    return sft(parent, tmp_path_factory.mktemp("sft") / "a", say=said.append), said


def test_each_asked_step_and_the_last_one_are_whole_checkpoints(trained, parent):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, said = trained
    assert sorted(path.name for path in folder.glob("step-*")) == ["step-2", "step-6"]
    assert not (folder / "trainer").exists()
    assert "6 steps of 4 examples on 1 x cpu; 2 checkpoints" in said[0]
    for step in (2, 6):
        checkpoint = folder / f"step-{step}"
        AutoModelForCausalLM.from_pretrained(checkpoint)
        assert AutoTokenizer.from_pretrained(checkpoint).chat_template
        found = record(checkpoint)
        assert (found["method"], found["step"], found["seed"]) == ("sft", step, 0)
        assert (
            found["weights_fingerprint"]
            == fingerprints(checkpoint, weight_files(checkpoint, allow_pickle=False))[0]
        )
        assert found["parent"] == {
            "name": str(parent),
            "weights_fingerprint": fingerprints(parent, weight_files(parent, allow_pickle=False))[
                0
            ],
        }
    assert not same_weights(folder / "step-2", folder / "step-6")


def test_tokens_and_flops_agree_with_an_independent_count(trained, parent):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, _ = trained
    tokenizer = AutoTokenizer.from_pretrained(parent)
    size = AutoModelForCausalLM.from_pretrained(parent).num_parameters()
    data = RuleProblems(seed=0, rule="face-10", revision=0.3)
    for step in (2, 6):
        prompt = response = 0
        for index in range(4 * step):
            messages, answer = data.example(index)
            chat = [{"role": item.role, "content": item.text} for item in messages]
            text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
            prompt += len(tokenizer(text)["input_ids"])
            response += len(tokenizer(answer)["input_ids"]) + 1  # the end token
        found = record(folder / f"step-{step}")
        assert found["tokens"] == {
            "trained": prompt + response, "prompt": prompt, "response": response,
            "rollout_prompt": 0, "generated": 0, "reference": 0, "rescored": 0,
        }  # fmt: skip
        assert found["parameters"] == size
        assert found["flops"] == 6 * size * (prompt + response)
        assert found["parent_flops"] is None
        assert found["problems"]["items"] == 4 * step


def test_the_steps_are_those_of_a_bare_loop(trained, parent):
    """The same examples, the same loss, the same optimiser: TRL adds nothing to the arithmetic."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, _ = trained
    model = AutoModelForCausalLM.from_pretrained(parent)
    encoder = Encoder(AutoTokenizer.from_pretrained(parent))
    data = RuleProblems(seed=0, rule="face-10", revision=0.3)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.0)
    for step in range(2):
        for group in optimiser.param_groups:
            group["lr"] = 1e-2 * step / 10  # warm-up over 10 steps
        batch = encoder.batch([data.example(4 * step + row) for row in range(4)])
        logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=IGNORED
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
    found, before = weights(folder / "step-2"), weights(parent)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter, atol=1e-6, rtol=1e-4)
    assert any(not torch.equal(found[name], before[name]) for name in found)


def test_a_training_that_was_killed_ends_with_the_same_weights_and_records(
    trained, parent, tmp_path, in_a_process
):
    step = random.randint(1, 5)
    output = tmp_path / "b"
    arguments = ("gp-sft-quick", SMALL, str(parent), str(output))
    assert in_a_process(*arguments, at_step=step) == -signal.SIGKILL, step
    # And again between a state and the file that completes it: the state before must serve.
    assert in_a_process(*arguments, while_saving=6) == -signal.SIGKILL
    assert not (output / "step-6" / "trainer").exists()
    assert in_a_process(*arguments) == 0
    for name in ("step-2", "step-6"):
        assert same_weights(output / name, trained[0] / name), step
        assert record(output / name) == record(trained[0] / name), step


def test_a_finished_training_is_not_done_again_and_another_is_refused(trained, parent, tmp_path):
    folder, _ = trained
    said = []
    sft(parent, folder, say=said.append)
    assert "finished" in said[0]
    with pytest.raises(UsageError, match="another recipe"):
        sft(parent, folder, "seed=1")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        sft(parent, tmp_path)


def test_the_record_names_what_the_parent_was_trained_on(trained, tmp_path):
    folder = sft(trained[0] / "step-2", tmp_path / "c", "schedule.steps=2", "seed=5")
    found, before = record(folder / "step-2"), record(trained[0] / "step-2")
    assert found["parent_flops"] is None  # nothing is known of the grandparent
    assert [item["step"] for item in found["ancestors"]] == [2, None]
    assert found["ancestors"][0]["problems"] == before["problems"]
    assert found["ancestors"][1]["problems"] is None


def test_a_training_that_was_refused_leaves_the_folder_free(parent, tmp_path):
    with pytest.raises(UsageError):
        sft(parent, tmp_path / "j", "arguments.learning_rat=1")
    sft(parent, tmp_path / "j", "schedule.steps=2")


def test_a_recipe_may_name_another_trainer(parent, tmp_path):
    said = []
    named = "trainer=training_records:copying_trainer"
    folder = sft(parent, tmp_path / "k", named, say=said.append)
    found = record(folder / "step-6")
    assert found["flops"] == 10 * (6 * 7 + 2 * 5)
    assert found["problems"]["items"] == 24
    assert same_weights(folder / "step-6", parent)
    sft(parent, folder, named, say=said.append)
    assert "finished" in said[-1]
    with pytest.raises(UsageError, match="no_module:train, which cannot be found"):
        sft(parent, tmp_path / "l", "trainer=no_module:train")


@pytest.mark.parametrize("settings", ["{part: test}", "{}"])
def test_monitoring_never_sees_a_test_problem(parent, tmp_path, settings):
    with pytest.raises(UsageError, match="never watched on test problems"):
        sft(parent, tmp_path / "d", f"monitoring={{task: gp-ood-rule, settings: {settings}}}")
    assert not (tmp_path / "d").exists()


def test_lora_checkpoints_are_merged_and_count_the_whole_model(trained, parent, tmp_path):
    from transformers import AutoModelForCausalLM

    folder = sft(parent, tmp_path / "e", "lora={r: 2, alpha: 4}", "schedule.learning_rate=0.05")
    found = record(folder / "step-6")
    assert found["flops"] == record(trained[0] / "step-6")["flops"]
    before, after = weights(parent), weights(folder / "step-6")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("proj" in name for name in changed)
    AutoModelForCausalLM.from_pretrained(folder / "step-6")


def test_development_success_is_logged_and_tensorboard_is_written(parent, tmp_path):
    import json

    folder = sft(
        parent,
        tmp_path / "f",
        "schedule.steps=2",
        "monitoring={task: gp-ood-rule, settings: {part: dev}, every: 1, instances: 3,"
        " max_new_tokens: 4}",
        "logging.report_to=tensorboard",
        "logging.every=1",
    )
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["development/success"] for line in lines if "development/success" in line] == [
        0,
        0,
    ]
    assert any("loss" in line for line in lines)
    assert list(folder.rglob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["arguments.learning_rat=1"], "SFTConfig has no 'learning_rat'; did you mean"),
        (["lora={quantise: 4bit}"], "lora.quantise=4bit needs bitsandbytes"),
        (["logging.report_to=wandb"], "needs wandb, which is not installed"),
        (["data.settings.soluti=1"], "takes no 'soluti'; did you mean 'solutions'"),
        (["data.settings.solutions=best"], "no solutions 'best'"),
        (["schedule.micro_batch=3"], "cannot be shared"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_a_model_is_loaded(
    parent, tmp_path, more, message, monkeypatch
):
    def load(*arguments):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("genbench.training.trl_training.load_model", load)
    monkeypatch.setattr("genbench.training.trl_settings.find_spec", {"peft": 1}.get)
    with pytest.raises(UsageError, match=message):
        sft(parent, tmp_path / "g", *more)


def test_a_parent_that_is_none_is_refused(tmp_path):
    with pytest.raises(ModelError, match="did you mean 'demo/gp-base'"):
        sft("demo/gp-bas", tmp_path / "h")
    with pytest.raises(UsageError, match="has none"):
        sft("agent:oracle", tmp_path / "h")


def test_a_vision_language_model_is_trained_on_text(tmp_path):
    from transformers import MllamaConfig, MllamaForConditionalGeneration

    from genbench_tasks.general_points.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    width = {"hidden_size": 16, "intermediate_size": 16}
    config = MllamaConfig(
        text_config={
            **width, "vocab_size": len(tokenizer), "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 2, "cross_attention_layers": [1], "bos_token_id": 0,
            "pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
        vision_config={
            **width, "num_hidden_layers": 1, "num_global_layers": 1, "attention_heads": 2,
            "vision_output_dim": 32, "image_size": 16, "patch_size": 8, "max_num_tiles": 1,
            "intermediate_layers_indices": [0], "supported_aspect_ratios": [[1, 1]],
        },
    )  # fmt: skip
    MllamaForConditionalGeneration(config).save_pretrained(tmp_path / "vlm")
    tokenizer.save_pretrained(tmp_path / "vlm")
    folder = sft(
        tmp_path / "vlm", tmp_path / "i", "model.kind=image-text", "schedule.learning_rate=0.01"
    )
    saved = MllamaForConditionalGeneration.from_pretrained(folder / "step-6")
    assert record(folder / "step-6")["parameters"] == saved.num_parameters()
    assert not same_weights(tmp_path / "vlm", folder / "step-6")


BOTH = (
    "{% for message in messages %}[{{ message['role'] }}]{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)


def test_a_model_that_was_trained_on_text_is_still_shown_images(tiny_idefics, copy_of, tmp_path):
    from picture_task import picture_task

    import genbench

    parent = copy_of(tiny_idefics)
    (parent / "chat_template.jinja").write_text(BOTH)
    folder = sft(parent, tmp_path / "j", "model.kind=image-text", "schedule.learning_rate=0.01")
    assert record(folder / "step-6")["parent"]["name"] == str(parent)
    found = {}
    for name, checkpoint in (("before", parent), ("after", folder / "step-6")):
        results = genbench.run(str(checkpoint), picture_task(n=4), output=tmp_path / name)
        (run,) = (tmp_path / name).rglob("episodes.jsonl")
        found[name] = results.sampling["images"], run.read_text()
    assert found["before"][0] == found["after"][0]
    assert found["before"][1] != found["after"][1]


def test_a_template_that_takes_parts_alone_cannot_be_trained_with(tiny_idefics, tmp_path):
    with pytest.raises(ModelError, match="takes messages as lists of parts alone"):
        sft(tiny_idefics, tmp_path / "k", "model.kind=image-text")


@pytest.mark.parametrize(
    ("name", "kind"), [("tiny_idefics", "causal-lm"), ("tiny_llama", "image-text")]
)
def test_a_checkpoint_of_another_kind_is_refused(request, tmp_path, name, kind):
    right = {"causal-lm": "image-text", "image-text": "causal-lm"}[kind]
    with pytest.raises(UsageError, match=f"is of the kind {right}: set model.kind={right}"):
        sft(request.getfixturevalue(name), tmp_path / "l", f"model.kind={kind}")
