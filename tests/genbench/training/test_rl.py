"""RL through TRL: what it samples, counts and learns from, and that a kill costs nothing."""

import random
import signal

import pytest
import torch
from training_records import record, same_weights

from genbench.errors import UsageError
from genbench.training import rl as glue
from genbench.training.plan import Job
from genbench.training.recipes import load_recipe
from genbench.training.rewards import instance_from
from genbench.training.rollout import after_response
from genbench.training.tuning import tune

SMALL = [
    "schedule.steps=4",
    "schedule.batch_size=3",
    "schedule.micro_batch=4",
    "schedule.checkpoints=[2]",
    "schedule.resume_every=1",
    "schedule.warmup_steps=0",
    "rl.num_generations=4",
    "rl.max_completion_length=72",
    "monitoring=null",
]


def rl(base, output, *more, say=lambda text: None):
    return tune(load_recipe("gp-rl-quick", [*SMALL, *more], str(base)), output, Job("cpu", 1, say))


class Seen:
    """What TRL's own trainer generated, by its return values: no counter of ours is asked."""

    def __init__(self, monkeypatch, trainer):
        self.prompts, self.completions, self.masks = [], [], []
        real = trainer._generate

        def generate(this, prompts):
            found = real(this, prompts)
            self.prompts.append([list(ids) for ids in found[0]])
            self.completions.append([list(ids) for ids in found[1]])
            self.masks.append(found[2])
            return found

        monkeypatch.setattr(trainer, "_generate", generate)

    def tokens(self, steps):
        """(prompt, completion) tokens of the first steps."""
        return (
            sum(len(ids) for step in self.prompts[:steps] for ids in step),
            sum(len(ids) for step in self.completions[:steps] for ids in step),
        )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The demo base model: it solves some problems and fails others, so that there is a signal."""
    said = []
    with pytest.MonkeyPatch.context() as patch:
        seen = Seen(patch, glue.GRPOTrainer)
        folder = rl("demo/gp-base", tmp_path_factory.mktemp("rl") / "a", say=said.append)
    return folder, said, seen


def test_tokens_and_flops_agree_with_what_trl_generated(trained):
    folder, said, seen = trained
    assert "4 steps of 3 prompts x 4 samples" in said[0]
    for step in (2, 4):
        prompt, completion = seen.tokens(step)
        found = record(folder / f"step-{step}")
        assert found["tokens"] == {
            "trained": prompt + completion, "prompt": prompt, "response": completion,
            "rollout_prompt": prompt, "generated": completion, "reference": 0, "rescored": 0,
        }  # fmt: skip
        assert found["flops"] == 8 * found["parameters"] * (prompt + completion)
        assert found["parent_flops"] == 117_326_043_648_000
        assert found["problems"]["items"] == 3 * step
        assert found["ancestors"][0]["recipe"] == "gp-base"


def test_item_i_of_the_data_is_the_ith_prompt_and_each_is_sampled_often(trained):
    from genbench_tasks.general_points.tokenizer import build_tokenizer
    from genbench_tasks.general_points.training_data import RuleProblems

    tokenizer, data = build_tokenizer(), RuleProblems(seed=0)
    asked = [tokenizer.decode(ids) for step in trained[2].prompts for ids in step]
    assert len(asked) == 4 * 3 * 4
    for position, text in enumerate(asked):
        messages, _ = data.problem(position // 4)
        assert messages[0].text in text


def test_the_weights_move_because_some_answers_are_right_and_others_wrong(trained):
    assert not same_weights(trained[0] / "step-2", trained[0] / "step-4")


def test_a_training_that_was_killed_ends_with_the_same_weights_and_records(
    trained, tmp_path, in_a_process
):
    step = random.randint(1, 3)
    output = tmp_path / "b"
    arguments = ("gp-rl-quick", SMALL, "demo/gp-base", str(output))
    assert in_a_process(*arguments, at_step=step) == -signal.SIGKILL, step
    assert in_a_process(*arguments) == 0
    for name in ("step-2", "step-4"):
        assert same_weights(output / name, trained[0] / name), step
        assert record(output / name) == record(trained[0] / name), step


@pytest.mark.parametrize("algorithm", ["grpo", "rloo"])
def test_a_kl_penalty_counts_the_reference_model(parent, tmp_path, monkeypatch, algorithm):
    trainer = {"grpo": glue.GRPOTrainer, "rloo": glue.RLOOTrainer}[algorithm]
    seen = Seen(monkeypatch, trainer)
    folder = rl(
        parent, tmp_path / "c", f"rl.algorithm={algorithm}", "rl.beta=0.1", "schedule.steps=2",
        "rl.max_completion_length=6",
    )  # fmt: skip
    prompt, completion = seen.tokens(2)
    found = record(folder / "step-2")
    assert found["tokens"]["reference"] == prompt + completion
    assert found["tokens"]["trained"] == prompt + completion
    # TRL's RLOO asks the trained model for the old log-probabilities in a pass of its own.
    assert found["tokens"]["rescored"] == (prompt + completion if algorithm == "rloo" else 0)
    forwards = {"grpo": 2, "rloo": 3}[algorithm]
    assert found["flops"] == (6 + 2 * forwards) * found["parameters"] * (prompt + completion)


def test_revision_plays_the_episode_and_trains_on_the_model_s_own_tokens(tmp_path, monkeypatch):
    seen = Seen(monkeypatch, glue.GRPOTrainer)
    played = []
    real = glue.SequentialRevision.__call__

    def call(self, prompts, trainer):
        found = real(self, prompts, trainer)
        played.append((self, prompts, found, trainer.processing_class))
        return found

    monkeypatch.setattr(glue.SequentialRevision, "__call__", call)
    folder = rl("demo/gp-base", tmp_path / "d", "rl.turns=3", "schedule.steps=2")
    rollout_prompt = generated = 0
    lengths = set()
    for revision, prompts, found, tokenizer in played:
        for i, prompt in enumerate(prompts):
            environment = revision.environment
            instance = instance_from(revision._instances[_key(prompt)])
            verdicts = [environment.verify(instance, text) for text in found["attempts"][i]]
            lengths.add(len(verdicts))
            assert all(not verdict.correct for verdict in verdicts[:-1])
            assert verdicts[-1].correct or len(verdicts) == 3
            # The episode as evaluation renders it, token by token.
            chat = list(prompt)
            for turn, (text, verdict) in enumerate(
                zip(found["attempts"][i], verdicts, strict=True), 1
            ):
                asked = tokenizer.apply_chat_template(
                    chat, add_generation_prompt=True, return_dict=True
                )["input_ids"]
                rollout_prompt += len(asked)
                chat.append({"role": "assistant", "content": text})
                if turn < len(verdicts):
                    chat.append({"role": "user", "content": environment.revision(verdict)})
            whole = tokenizer.apply_chat_template(chat, return_dict=True)["input_ids"]
            written = found["prompt_ids"][i] + found["completion_ids"][i]
            assert tokenizer.decode(written) == tokenizer.decode(whole)
            generated += sum(found["env_mask"][i])
            assert len(found["env_mask"][i]) == len(found["completion_ids"][i])
    assert len(lengths) > 1
    counted = record(folder / "step-2")["tokens"]
    assert counted["generated"] == generated
    assert counted["rollout_prompt"] == rollout_prompt
    prompt, completion = seen.tokens(2)
    assert counted["trained"] == prompt + completion
    assert completion > generated  # the feedback is read in training and is not the model's


def _key(prompt):
    from genbench.training.rollout import _key as key

    return key(prompt)


def test_the_feedback_is_rendered_as_the_chat_template_does():
    from genbench_tasks.general_points.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    assert (
        tokenizer.decode(after_response(tokenizer, "no", ended=True))
        == "<|user|>no<|end|><|assistant|>"
    )
    assert tokenizer.decode(after_response(tokenizer, "no", ended=False)).startswith("<|end|>")
    # A template that writes a line break after each message, as ChatML does.
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
    )
    text = tokenizer.decode(after_response(tokenizer, "no", ended=True))
    assert text == "\n<|user|>\nno<|end|>\n<|assistant|>\n"


def test_vllm_is_not_used_where_it_is_not(parent, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError, match="vllm is not installed, or torch sees no CUDA device"):
        rl(parent, tmp_path / "e", "rl.vllm=on")


def test_an_episode_that_does_not_fit_the_context_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"9 x 200 tokens of answers do not fit .* of 1024"):
        rl("demo/gp-base", tmp_path / "f", "rl.turns=9", "rl.max_completion_length=200")


def test_a_full_disk_is_a_sentence(tmp_path, monkeypatch):
    from genbench.errors import StoreError

    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("genbench.training.trl_training.save_weights", full)
    with pytest.raises(StoreError, match=r"No space left on device; what was saved is whole"):
        rl("demo/gp-base", tmp_path / "g", "schedule.steps=1", "schedule.checkpoints=[]")
