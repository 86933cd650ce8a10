"""Seconds a step of our SFT and RL against a bare loop of the same model, batches and rollouts.

Run from the repository root: python benchmarks/training.py [--steps 12] [--model demo/gp-base]
The bare loops hold nothing but the model, PyTorch's AdamW and transformers' `generate`. The two
alternate in blocks, so that a busy machine slows both; the first step of a trainer is left out.
Prints the ratio, and where the time of ours goes.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from genbench.process import keep_large_blocks, let_idle_threads_sleep

let_idle_threads_sleep()

import torch  # noqa: E402
from transformers import TrainerCallback  # noqa: E402

from genbench.models.transformer import quieten  # noqa: E402
from genbench.training import rl, sft  # noqa: E402
from genbench.training.counts import TokenCounts  # noqa: E402
from genbench.training.data import make_data  # noqa: E402
from genbench.training.encoding import Encoder  # noqa: E402
from genbench.training.parent import find_parent, load_model, load_tokenizer  # noqa: E402
from genbench.training.recipes import load_recipe  # noqa: E402
from genbench.training.rewards import verifier_reward  # noqa: E402
from genbench.training.trl_settings import trainer_settings  # noqa: E402


class Timer(TrainerCallback):  # type: ignore[misc]
    """Seconds of each step, from its begin to its end."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.last = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.last = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now


def ours(recipe: Any, folder: Path, profile: cProfile.Profile | None) -> list[float]:
    """Seconds a step of the trainer that `genbench train` makes."""
    parent = find_parent(recipe)
    method = sft if recipe.method == "sft" else rl
    tokenizer = load_tokenizer(recipe, parent.folder)
    trainer = method.make_trainer(
        recipe,
        load_model(recipe, parent.folder, "cpu"),
        tokenizer,
        make_data(recipe.data.factory, recipe.data.settings, recipe.seed),
        trainer_settings(recipe, folder, "cpu", 1),
        None,
    )
    timer = Timer()
    trainer.add_callback(timer)
    trainer.take_up(None, TokenCounts())
    if profile:
        profile.enable()
    trainer.train()
    if profile:
        profile.disable()
    return timer.seconds[1:]


def bare_sft(recipe: Any) -> list[float]:
    """The same steps without a trainer."""
    parent = find_parent(recipe)
    tokenizer = load_tokenizer(recipe, parent.folder)
    model = load_model(recipe, parent.folder, "cpu").train()
    encoder = Encoder(tokenizer)
    data = make_data(recipe.data.factory, recipe.data.settings, recipe.seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.schedule.learning_rate)
    size, seconds = recipe.schedule.batch_size, []
    for step in range(recipe.schedule.steps):
        started = time.perf_counter()
        batch = encoder.batch([data.example(step * size + row) for row in range(size)])
        batch.pop("prompt_tokens")
        model(**batch, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.schedule.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def bare_rl(recipe: Any) -> list[float]:
    """The same steps without a trainer: sample, verify, one policy-gradient update."""
    parent = find_parent(recipe)
    tokenizer = load_tokenizer(recipe, parent.folder)
    model = load_model(recipe, parent.folder, "cpu").train()
    encoder = Encoder(tokenizer)
    data = make_data(recipe.data.factory, recipe.data.settings, recipe.seed)
    reward = verifier_reward(data.environment)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.schedule.learning_rate)
    size, group = recipe.schedule.batch_size, recipe.rl.num_generations
    micro = recipe.schedule.micro_batch or size * group
    seconds = []
    for step in range(recipe.schedule.steps):
        started = time.perf_counter()
        problems = [data.problem(step * size + row) for row in range(size)]
        prompts = [encoder.encode(messages, "")[0] for messages, _ in problems]
        repeated = [ids for ids in prompts for _ in range(group)]
        inputs = tokenizer.pad({"input_ids": repeated}, padding_side="left", return_tensors="pt")
        with torch.no_grad():
            rows = model.generate(
                **inputs,
                do_sample=True,
                top_k=0,
                temperature=recipe.rl.temperature,
                max_new_tokens=recipe.rl.max_completion_length,
            )
        start = inputs["input_ids"].shape[1]
        written = rows[:, start:]
        ended = (written == tokenizer.eos_token_id).cumsum(1)
        kept = ((ended == 0) | ((ended == 1) & (written == tokenizer.eos_token_id))).long()
        texts = tokenizer.batch_decode(written, skip_special_tokens=True)
        columns = [rl.instance_column(instance) for _, instance in problems for _ in range(group)]
        scores = torch.tensor(reward(texts, texts, instance=columns)).view(size, group)
        advantages = scores - scores.mean(1, keepdim=True)
        advantages = (advantages / (scores.std(1, keepdim=True) + 1e-4)).view(-1, 1)
        mask = torch.cat([inputs["attention_mask"], kept], 1)
        for low in range(0, size * group, micro):
            part = slice(low, low + micro)
            logits = model(rows[part], attention_mask=mask[part], use_cache=False).logits
            chosen = logits[:, start - 1 : -1].log_softmax(-1)
            logps = chosen.gather(-1, written[part].unsqueeze(-1)).squeeze(-1)
            ratio = (logps - logps.detach()).exp()
            loss = -(advantages[part] * ratio * kept[part]).sum() / kept.sum()
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.schedule.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--model", default="demo/gp-base")
    parser.add_argument("--set", action="append", default=[], help="for the RL recipe")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_large_blocks()
    quieten()
    for name, bare, more in (
        ("gp-sft-quick", bare_sft, []), ("gp-rl-quick", bare_rl, options.set),
    ):  # fmt: skip
        sets = [f"schedule.steps={options.steps}", "schedule.checkpoints=[]",
                "schedule.resume_every=100000", *more]  # fmt: skip
        recipe = load_recipe(name, sets, options.model)
        mine: list[float] = []
        theirs: list[float] = []
        for _ in range(options.blocks):
            with tempfile.TemporaryDirectory() as folder:
                mine += ours(recipe, Path(folder), None)
            theirs += bare(recipe)
        a, b = statistics.median(mine), statistics.median(theirs)
        print(f"{name}: ours {a:.3f} s a step, bare loop {b:.3f} s, ratio {a / b:.2f}")
        profile = cProfile.Profile()
        with tempfile.TemporaryDirectory() as folder:
            ours(recipe, Path(folder), profile)
        show(profile)


_PLACES = (
    "generate", "_generate_single_turn", "_tokenize_prompts", "_calculate_rewards", "run_backward",
    "_run_engine_backward", "compute_loss", "_compute_loss", "training_step", "batch", "example",
    "verify", "log", "step", "clip_grad_norm_",
)  # fmt: skip


def show(profile: cProfile.Profile) -> None:
    """Cumulative seconds of the functions that matter, under the profiler (which slows Python)."""
    rows: dict[str, float] = {}
    for (_, _, name), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if any(place in name for place in _PLACES):
            rows[name] = max(rows.get(name, 0.0), cumulative)
    for name, seconds in sorted(rows.items(), key=lambda item: -item[1])[:14]:
        print(f"    {seconds:7.2f} s  {name}")


if __name__ == "__main__":
    main()
