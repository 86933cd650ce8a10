"""kill -9 costs nothing under adapters, a KL penalty, revision and RLOO either."""

import random
import signal
from pathlib import Path

import pytest
from training_records import record, same_weights

from genbench.training.plan import Job
from genbench.training.recipes import load_recipe
from genbench.training.tuning import tune

TINY = ["schedule.steps=4", "schedule.checkpoints=[]", "schedule.warmup_steps=0", "monitoring=null"]
RL = [*TINY, "schedule.resume_every=1", "schedule.batch_size=2", "schedule.micro_batch=4",
      "rl.num_generations=4", "rl.max_completion_length=72"]  # fmt: skip
MONITORED = (
    "monitoring={task: gp-ood-rule, settings: {part: dev}, every: 1, instances: 2,"
    " max_new_tokens: 8}"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sets"),
    [
        ("gp-sft-quick", [*TINY, "schedule.resume_every=2", "schedule.batch_size=4",
                          "lora={r: 2, dropout: 0.1}"]),
        ("gp-rl-quick", [*RL, "rl.beta=0.1", "rl.turns=2", MONITORED]),
        ("gp-rl-quick", [*RL, "rl.algorithm=rloo", "rl.beta=0.1", "lora={r: 2}"]),
    ],
    ids=["sft-lora", "grpo-kl-turns-monitored", "rloo-kl-lora"],
)  # fmt: skip
def test_a_killed_training_ends_the_same(name, sets, tmp_path, in_a_process):
    step = random.randint(1, 3)
    whole = tune(load_recipe(name, sets, "demo/gp-base"), tmp_path / "a", Job("cpu", 1))
    arguments = (name, sets, "demo/gp-base", str(tmp_path / "b"))
    assert in_a_process(*arguments, at_step=step) == -signal.SIGKILL, step
    assert in_a_process(*arguments) == 0
    again = Path(tmp_path / "b")
    assert same_weights(whole / "step-4", again / "step-4"), step
    assert record(whole / "step-4") == record(again / "step-4"), step
