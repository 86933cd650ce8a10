"""`genbench tasks`: list, show and check tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli.options import Prompt, Protocol, TaskSet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from genbench.task import Instance, Message, Split, Task

tasks_app = typer.Typer(
    name="tasks", help="List, show and check tasks.", no_args_is_help=True, rich_markup_mode=None
)
_CHECKED = 25
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Name = Annotated[str, typer.Argument(help="A task's name, or a task file (.yaml).")]


@tasks_app.command("list")
def list_tasks(as_json: _Json = False) -> None:
    """The installed tasks."""
    from genbench.cli.listing import print_tasks
    from genbench.registry import task_summaries

    if as_json:
        typer.echo(json.dumps(task_summaries(), indent=2))
    else:
        print_tasks()


@tasks_app.command("show")
def show(
    name: _Name,
    protocol: Protocol = None,
    prompt: Prompt = None,
    assign: TaskSet = None,
    split: Annotated[str | None, typer.Option(help="Show samples of this split alone.")] = None,
    n: Annotated[int, typer.Option("--n", min=0, help="Sample prompts a split.")] = 1,
    save_images: Annotated[
        str | None, typer.Option(help="A folder for the pictures of the samples.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Size, clusters, chance, minimum detectable gap, certificate and sample prompts."""
    from genbench.errors import UsageError, closest

    task = _loaded(name, protocol, prompt, assign)
    if split is not None and split not in task.splits:
        raise UsageError(
            f"task '{task.name}' has no split '{split}'; {closest(split, task.splits)}"
        )
    found = _described(task)
    samples = [
        instance
        for one in ([task.splits[split]] if split else task.splits.values())
        for instance in one.instances()[:n]
    ]
    saved = _saved(task, samples, save_images) if save_images else {}
    if as_json:
        typer.echo(json.dumps({**found, **({"images": saved} if save_images else {})}, indent=2))
        return
    _print(found)
    for instance in samples:
        typer.echo(f"\n--- {instance.id}")
        for message in task.messages(instance):
            typer.echo(f"[{message.role}] {_told(message)}")
        for path in saved.get(instance.id, ()):
            typer.echo(f"(picture: {path})")


@tasks_app.command("check")
def check(
    name: _Name,
    protocol: Annotated[
        str | None, typer.Option(help="One of the task's protocols, by default each of them.")
    ] = None,
    assign: TaskSet = None,
) -> None:
    """Load a task, draw every split of every protocol, and hold its agents against it."""
    from genbench.registry import load_spec

    protocols = list(load_spec(name).protocols) if protocol is None else [protocol]
    for task in [_loaded(name, one, None, assign) for one in protocols]:
        task.check_instances()
        for split in task.splits.values():
            sample = split.instances()[:_CHECKED]
            kinds = task.environment.agents
            right = {kind: _agent_score(task, kind, sample) for kind in kinds}
            asked = len(_states(task, sample))
            _check_scores(split, right, asked)
            listed = ", ".join(f"{kind} {count}" for kind, count in right.items())
            steps = "" if asked == len(sample) else f" states of {len(sample)}"
            typer.echo(
                f"{task.protocol.name}/{split.name}: {len(split.instances())} instances; "
                f"right of {asked}{steps}: {listed}"
            )


@tasks_app.command("export")
def export(
    name: _Name,
    folder: Annotated[str, typer.Argument(help="Where the files go.")],
    format_name: Annotated[
        str, typer.Option("--format", help="jsonl, parquet or lm-eval.")
    ] = "jsonl",
    protocol: Protocol = None,
    prompt: Prompt = None,
    assign: TaskSet = None,
    split: Annotated[
        list[str] | None, typer.Option(help="A split; may be repeated. All by default.")
    ] = None,
) -> None:
    """Write a task as a dataset (prompts, data, solutions, and the pictures that are shown), or as
    tasks for `lm_eval --include_path`."""
    from pathlib import Path

    from genbench.export import export as export_task

    task = _loaded(name, protocol, prompt, assign)
    for path in export_task(task, Path(folder), format_name, split):
        typer.echo(str(path))


def _loaded(name: str, protocol: str | None, prompt: str | None, assign: list[str] | None) -> Task:
    from genbench.registry import load_task
    from genbench.yamlfile import assigned

    return load_task(name, protocol=protocol, prompt=prompt, settings=assigned(assign))


def _told(message: Message) -> str:
    """A message for a terminal: its texts, and a word for each picture."""
    if isinstance(message.content, str):
        return message.content
    return "".join(part if isinstance(part, str) else "[picture] " for part in message.content)


def _saved(task: Task, samples: Sequence[Instance], folder: str) -> dict[str, list[str]]:
    """Write the pictures of these instances; returns instance id -> paths. Raises StoreError,
    UsageError where the task shows none."""
    from pathlib import Path

    from genbench.errors import UsageError
    from genbench.export import image_names, images_of, write_images

    names = image_names(samples)
    saved = {
        instance.id: [
            str(path)
            for path in write_images(
                images_of(task.messages(instance)), Path(folder), names[instance.id]
            )
        ]
        for instance in samples
    }
    if not any(saved.values()):
        raise UsageError(f"--save-images: {task.name} shows no pictures")
    return saved


def _agent_score(task: Task, kind: str, sample: Sequence[Instance]) -> int:
    """How many an agent has right, of all states of the sample. Raises TaskError for a verdict
    that a run could not store."""
    from genbench.task import derive_seed

    agent = task.environment.agent(kind, task.training_split)
    right = 0
    for state in _states(task, sample):
        answer = agent.respond(state, task.messages(state), derive_seed(state.id))
        right += _checked_verdict(task, kind, state, answer)
    return right


def _states(task: Task, sample: Sequence[Instance]) -> list[Instance]:
    return [state for instance in sample for state in task.environment.states(instance)]


def _checked_verdict(task: Task, kind: str, state: Instance, answer: str) -> bool:
    """Whether an answer is right. Raises TaskError for a verdict that a run could not store."""
    from genbench.errors import TaskError
    from genbench.records import verdict_json

    verdict = task.verify(state, answer)
    where = f"the verdict on agent:{kind}'s answer to {state.id}"
    if verdict.outcome not in task.environment.outcomes:
        raise TaskError(
            f"{where} has the outcome '{verdict.outcome}', which the environment does not list"
        )
    try:
        json.dumps(verdict_json(verdict), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TaskError(f"{where} does not hold JSON values: {error}") from None
    if kind == "oracle" and not verdict.correct:
        raise TaskError(f"the oracle's answer to {state.id} is judged {verdict.outcome}")
    return verdict.correct


def _check_scores(split: Split, right: Mapping[str, int], n: int) -> None:
    from genbench.errors import TaskError

    if right["broken"]:
        raise TaskError(f"split '{split.name}': agent:broken is right on {right['broken']} of {n}")
    for kind, count in right.items():
        if split.spec.role == "id" and kind.endswith("memoriser") and count < n:
            raise TaskError(
                f"the ID split is what agent:{kind} knows, but it is right on {count} of {n} alone"
            )


def _mean_chance(task: Task, instances: tuple[Instance, ...]) -> float | None:
    chances = [task.environment.chance(instance) for instance in instances]
    known = [chance for chance in chances if chance is not None]
    return sum(known) / len(known) if len(known) == len(chances) else None


def _one_split(task: Task, split: Split) -> dict[str, Any]:
    instances = tuple(split.instances())
    return {
        "role": split.spec.role,
        "shift": split.spec.shift,
        "rule": split.spec.rule,
        "n": len(instances),
        "clusters": len({instance.cluster for instance in instances}),
        "chance": _mean_chance(task, instances),
        "fingerprint": split.fingerprint,
    }


def _described(task: Task) -> dict[str, Any]:
    splits = {name: _one_split(task, split) for name, split in task.splits.items()}
    certificate = task.environment.certificate(
        {name: split.instances() for name, split in task.splits.items()}
    )
    return {
        "name": task.name,
        "version": task.spec.version,
        "summary": task.spec.summary,
        "protocol": task.protocol.name,
        "prompt": task.environment.prompt,
        "cluster": task.spec.cluster,
        "fingerprint": task.fingerprint,
        "splits": splits,
        "minimum_detectable_gap": _detectable(splits, task.protocol.paired),
        "certificate": certificate,
    }


def _detectable(splits: Mapping[str, Mapping[str, Any]], paired: bool) -> dict[str, Any]:
    """What gap a run can find: of pairs by their discordance, else by the ID rate; as if all
    instances were independent, and as if those of a cluster agreed."""
    from genbench.stats import minimum_detectable_difference, minimum_detectable_fall

    out = [split for split in splits.values() if split["role"] == "ood"]

    def gaps(key: str) -> dict[str, float | None]:
        n = splits["id"][key]
        if paired:
            return {
                str(share): minimum_detectable_difference(n, share)
                for share in (0.1, 0.2, 0.3, 0.5)
            }
        smallest = min(split[key] for split in out)
        return {
            str(rate): minimum_detectable_fall(n, smallest, rate) for rate in (0.3, 0.5, 0.7, 0.9)
        }

    independent, agreeing = gaps("n"), gaps("clusters")
    test = "exact McNemar" if paired else "Fisher's exact test"
    return {
        "method": f"{test}, alpha 0.05, power 0.80, by {'discordance' if paired else 'ID success'}",
        "by_discordance": independent if paired else None,
        "by_discordance_of_clusters": agreeing if paired else None,
        "by_rate": None if paired else independent,
        "by_rate_of_clusters": None if paired else agreeing,
    }


def _print(found: dict[str, Any]) -> None:
    typer.echo(
        f"{found['name']} {found['version']} ({found['protocol']}, prompt {found['prompt']})"
    )
    typer.echo(found["summary"])
    typer.echo(f"fingerprint {found['fingerprint'][:16]}; cluster: {found['cluster']}\n")
    width = 2 + max(12, *map(len, found["splits"]))
    typer.echo(f"{'split':<{width}}{'role':<9}{'rule':<16}{'n':>6}{'clusters':>10}{'chance':>9}")
    for name, split in found["splits"].items():
        chance = "unknown" if split["chance"] is None else f"{100 * split['chance']:.2f}%"
        typer.echo(
            f"{name:<{width}}{split['role']:<9}{split['rule'] or '':<16}{split['n']:>6}"
            f"{split['clusters']:>10}{chance:>9}"
        )
    detectable = found["minimum_detectable_gap"]
    paired = detectable["by_discordance"] is not None
    by, what = ("by_discordance", "pairs") if paired else ("by_rate", "instances")
    typer.echo(f"\nminimum detectable gap ({detectable['method']}); a run lies between:")
    for words, key in (
        (f"if {what} are independent", by),
        (f"if the {what} of a cluster agree", f"{by}_of_clusters"),
    ):
        listed = ", ".join(
            f"{100 * gap:.1f} pp at {share}"
            for share, gap in detectable[key].items()
            if gap is not None
        )
        typer.echo(f"  {words}: {listed or 'none'}")
    partition = found["certificate"].get("partition_fingerprint", "")[:16]
    held = f"; partition {partition}" if partition else ""
    if not found["certificate"]:
        typer.echo("\ncertificate: none; the environment says nothing of training problems")
        return
    typer.echo(f"\ncertificate (problems that the bundled recipes may train on{held})")
    for name, counts in found["certificate"].get("splits", {}).items():
        listed = ", ".join(
            f"{key.replace('_', ' ')}: {count}" for key, count in counts.items() if key != "n"
        )
        typer.echo(f"  {name}: of {counts.get('n')} problems, {listed}")
