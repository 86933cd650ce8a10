"""A small board, and runs of models that are right as often as a test wants."""

import json
import random

import yaml

import genbench
from genbench.importing import import_responses
from genbench.leaderboard.published import Record, file_sha256

LIMIT = 40
TASK = "gp-ood-rule"
OTHER_TASK = "gp-ood-cards"

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

WRONG = "I do not know."
HOSTILE = "<script>alert(1)</script>|a\n# `b` [c](https://evil.example) \u202e"


def write_board(folder, name="small", **changes):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    title = BOARD["title"] if name == "small" else f"The {name} board"
    path.write_text(yaml.safe_dump({**BOARD, "title": title, **changes}))
    return path


#: name -> success on (ID, OOD): several that no test tells apart, some that all tests do
CROWD = {
    "org/good-8b-rl": (1.0, 1.0),
    "org/good-8b-sft": (1.0, 0.95),
    "org/a-name-that-goes-on-for-very-long/checkpoints-of-2026-01-17/step-004000-merged-bf16": (
        0.9,
        0.9,
    ),
    HOSTILE: (0.8, 0.55),
    "模型/Modèle-é": (0.8, 0.5),
    "org/middle": (0.6, 0.45),
    '=HYPERLINK("https://evil.example")': (0.6, 0.4),
    "x" * 200: (0.3, 0.1),
    "org/nothing": (0.0, 0.0),
}
ROWS = {TASK: len(CROWD), OTHER_TASK: 4}
HOSTILE_RESPONSE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"


def imported(output, name, success, seed=0, samples=1, limit=LIMIT, task=TASK, wrong=WRONG):
    """The run of a model that is right with these probabilities on (ID, OOD)."""
    task = genbench.load_task(task, limit=limit)
    draw, rows = random.Random(seed), []
    for split_name, split in task.splits.items():
        for instance in split.instances():
            right = next(iter(task.environment.solutions(instance)))
            for sample in range(samples):
                solved = draw.random() < success[0 if split_name.endswith("id") else 1]
                text = right if solved else wrong
                rows.append({"instance_id": instance.id, "sample": sample, "response": text})
    path = output / "answers.jsonl"
    output.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluation, _, _ = import_responses(path, task, output / "runs", model=name)
    return evaluation.folder.path


def agent(output, kind="oracle", task=TASK, **settings):
    genbench.run(
        f"agent:{kind}", task, output=output, **{"limit": LIMIT, "verify_iters": 1} | settings
    )
    (found,) = output.glob("*/*/*/results.json")
    return found.parent


def edit(path, change):
    """Change the content of a JSON file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def forge(folder, name, old, new, *, episodes=False):
    """Edit a file and bring all digests into line, as a careful forger would."""
    path = folder / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1 if episodes else -1))
    add_digests(folder, episodes=episodes)


def add_digests(folder, *, episodes=False):
    """Bring the digests of a published run into line with its files."""
    if episodes:
        digest = file_sha256(folder / "episodes.jsonl")
        edit(folder / "results.json", lambda results: results.update(episodes_sha256=digest))
    raw = json.loads((folder / "verification.json").read_text())
    raw["files"] = {file: file_sha256(folder / file) for file in raw["files"]}
    record = Record.model_validate(raw)
    raw["record_sha256"] = record.digest()
    (folder / "verification.json").write_text(json.dumps(raw))
