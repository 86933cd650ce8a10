"""A small board, and runs of models that are right as often as a test wants."""

import json
import random

import yaml

import genbench
from genbench.importing import import_responses

LIMIT = 40
TASK = "gp-ood-rule"

BOARD = {
    "title": "A small board",
    "description": "The first pairs of the main task.",
    "tasks": [TASK],
    "rank_by": {"metric": "splits.ood.success_rate", "direction": "higher"},
    "columns": [
        {"label": "OOD", "metric": "splits.ood.success_rate.value"},
        {"label": "gap", "metric": "generalization.ood.gap"},
        {"label": "chance", "metric": "splits.ood.chance", "format": "percent"},
        {"label": "size", "metric": "model.parameters"},
        {"label": "recipe", "metric": "model.training.recipe"},
    ],
    "eligibility": {"settings": {"protocol": "paired", "verify_iters": 1, "limit": LIMIT}},
    "references": ["agent"],
}

HOSTILE = "<script>alert(1)</script>|a\n# `b` [c](https://evil.example) \u202e"


def write_board(folder, name="small", **changes):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**BOARD, **changes}))
    return path


def imported(output, name, success, seed=0, samples=1, limit=LIMIT):
    """The run of a model that is right with these probabilities on (ID, OOD)."""
    task = genbench.load_task(TASK, limit=limit)
    draw, rows = random.Random(seed), []
    for split_name, split in task.splits.items():
        for instance in split.instances():
            right = next(iter(task.environment.solutions(instance)))
            for sample in range(samples):
                solved = draw.random() < success[0 if split_name.endswith("id") else 1]
                text = right if solved else "I do not know."
                rows.append({"instance_id": instance.id, "sample": sample, "response": text})
    path = output / "answers.jsonl"
    output.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluation, _, _ = import_responses(path, task, output / "runs", model=name)
    return evaluation.folder.path


def agent(output, kind="oracle", **settings):
    genbench.run(
        f"agent:{kind}", TASK, output=output, **{"limit": LIMIT, "verify_iters": 1} | settings
    )
    (found,) = output.glob("*/*/*/results.json")
    return found.parent
