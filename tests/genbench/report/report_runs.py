"""Run folders for the tests of reports: real ones, of agents and of responses made elsewhere."""

import json
from random import Random

import genbench
from genbench.importing import import_responses

TASK = "gp-ood-rule"
LIMIT = 24
HOSTILE_NAME = "<img src=x onerror=document.title='owned'>"
HOSTILE_RESPONSE = (
    "</script><script>document.title='owned'</script>"
    "<!-- ]]> \u2028\u2029 ${7*7} {{7*7}} \u202egnp.exe \ud800 \x00 __proto__"
)


def agent_run(output, kind, task=TASK, **settings):
    """The folder of an agent's run."""
    before = set(output.rglob("results.json"))
    genbench.run(f"agent:{kind}", task, output=output, **settings)
    (found,) = set(output.rglob("results.json")) - before
    return found.parent


def responses_of(folder):
    """(split, instance, attempt) -> response of a run."""
    found = {}
    for episode in genbench.load_run(folder).episodes:
        for turn in episode.turns:
            found[episode.split, episode.instance_id, turn.attempt] = turn.response.text
    return found


def imported_run(output, name, rows, *, training=None, **chosen):
    """The folder of imported responses; `rows` are (instance, attempt, response).

    `training` is written into the checkpoint's identity, as a recipe's record would be.
    """
    path = output / "responses.jsonl"
    output.mkdir(parents=True, exist_ok=True)
    keys = ("instance_id", "attempt", "response")
    path.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows))
    task = chosen.pop("task", TASK)
    if isinstance(task, str):
        task = genbench.load_task(task, limit=chosen.pop("limit", None))
    evaluation, _, _ = import_responses(path, task, output, model=name, **chosen)
    folder = evaluation.folder.path
    if training is not None:
        for file in ("run.json", "results.json"):
            content = json.loads((folder / file).read_text())
            content["model"]["training"] = training
            (folder / file).write_text(json.dumps(content))
    return folder


def mixed_rows(right, sticking, wrong, *, id_rate, ood_rate, seed):
    """Responses of a checkpoint that solves so large a share of ID and OOD; half of its faults on
    OOD keep the training rule. The three arguments are what `responses_of` gives of the oracle,
    the memoriser and the random agent."""
    random = Random(seed)
    instances = dict.fromkeys((split, instance) for split, instance, _ in right)
    for split, instance in instances:
        rate = ood_rate if split == "ood" else id_rate
        if random.random() < rate:
            yield instance, 1, right[split, instance, 1]
            continue
        source = sticking if split == "ood" and random.random() < 0.5 else wrong
        attempts = [a for s, i, a in source if (s, i) == (split, instance)]
        for attempt in sorted(attempts):
            yield instance, attempt, source[split, instance, attempt]


def planted_rows(responses, *, rates, seed):
    """One response an instance, of which exactly so large a share of each split is right; `rates`
    are by split, 0 for others. The instances that are solved first depend on `seed` alone."""
    right = responses["oracle"]
    by_split = {}
    for split, instance, attempt in right:
        if attempt == 1:
            by_split.setdefault(split, []).append(instance)
    for split, instances in by_split.items():
        shuffled = Random(f"{seed} {split}").sample(instances, len(instances))
        solved = set(shuffled[: round(rates.get(split, 0.0) * len(shuffled))])
        for instance in instances:
            key = split, instance, 1
            yield instance, 1, right[key] if instance in solved else "I do not know."


def training_run(output, responses, method, *, flops, id_rates, ood_rates, seed=0, **record):
    """The folders of the checkpoints of a training run, by FLOPs, with exactly these rates."""
    record = {"recipe": f"gp-{method}", "parent": None} | record
    folders = []
    for step, amount in enumerate(flops, 1):
        rates = {"id": id_rates[step - 1], "ood": ood_rates[step - 1]}
        training = {**record, "method": method, "step": step, "seed": seed, "flops": amount}
        folders.append(
            imported_run(
                output, f"{record['recipe']}/seed-{seed}/step-{step}",
                list(planted_rows(responses, rates=rates, seed=seed)), limit=LIMIT,
                training=training,
            )
        )  # fmt: skip
    return folders
