"""Rejection sampling: what a checkpoint itself answers right becomes its SFT data.

The training problems are asked through the same backend as in evaluation; the environment judges.
One line of JSON a right response: {"instance": {...}, "response": "..."}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.errors import UsageError
from genbench.models import find_backend, identify
from genbench.models.interface import LoadOptions, Request
from genbench.store import json_bytes, write_atomically
from genbench.task import derive_seed
from genbench.training.counts import TokenCounts
from genbench.training.data import make_data
from genbench.training.rewards import instance_column

if TYPE_CHECKING:
    from genbench.training.parent import Parent
    from genbench.training.recipe import SFTRecipe

_COUNTS = "own_samples_counts.json"


def draw_own_samples(
    recipe: SFTRecipe, parent: Parent, output: Path, device: str, say: Callable[[str], None]
) -> tuple[Path, TokenCounts]:
    """The file of right responses, and the tokens that sampling took; drawn once a folder.

    Raises UsageError where no response was right.
    """
    path, counted = output / "own_samples.jsonl", output / _COUNTS
    if path.is_file() and counted.is_file():
        return path, TokenCounts(**json.loads(counted.read_text()))
    wanted = recipe.own_samples
    assert wanted is not None
    from tqdm import tqdm

    data = make_data(wanted.factory, wanted.settings, recipe.seed)
    say(
        f"{recipe.name}: {wanted.per_problem} samples of each of {wanted.problems} training "
        f"problems from {parent.name}"
    )
    backend = find_backend(parent.name)
    options = LoadOptions(device=device)
    model = backend.load(identify(parent.name, backend, options), options)
    problems = [data.problem(index) for index in range(wanted.problems)]
    requests = [
        Request(
            episode=f"{number}#{sample}",
            turn=1,
            order=number * wanted.per_problem + sample,
            messages=messages,
            max_new_tokens=wanted.max_new_tokens,
            temperature=wanted.temperature,
            seed=derive_seed("own samples", recipe.seed, number, sample),
        )
        for number, (messages, _) in enumerate(problems)
        for sample in range(wanted.per_problem)
    ]
    model.submit(requests)
    counts = TokenCounts()
    right: dict[int, dict[str, Any]] = {}
    bar = tqdm(total=len(requests), desc="sampling", disable=not sys.stderr.isatty())
    received = 0
    while received < len(requests):
        for request, response in model.receive():
            received += 1
            bar.update()
            counts.rollout_prompt += response.prompt_tokens or 0
            counts.generated += response.generated_tokens or 0
            instance = problems[request.order // wanted.per_problem][1]
            if data.environment.verify(instance, response.text).correct:
                right[request.order] = {
                    "instance": json.loads(instance_column(instance)),
                    "response": response.text,
                }
    bar.close()
    model.close()
    if not right:
        raise UsageError(
            f"none of {len(requests)} responses of {parent.name} to training problems was right: "
            "there is nothing to train on; raise own_samples.problems or per_problem"
        )
    say(f"{len(right)} of {len(requests)} responses were right")
    write_atomically(path, (json.dumps(right[order]).encode() + b"\n" for order in sorted(right)))
    write_atomically(counted, [json_bytes(counts.json())])
    return path, counts
