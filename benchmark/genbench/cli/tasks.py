"""`genbench tasks`: list, show and check tasks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from genbench.task import Instance, Split, Task

tasks_app = typer.Typer(
    name="tasks", help="List, show and check tasks.", no_args_is_help=True, rich_markup_mode=None
)
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Name = Annotated[str, typer.Argument(help="A task's name, or a task file (.yaml).")]
_Protocol = Annotated[str | None, typer.Option(help="How the splits are drawn (paired, paper).")]
_Prompt = Annotated[str | None, typer.Option(help="The prompt variant.")]


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
    protocol: _Protocol = None,
    prompt: _Prompt = None,
    split: Annotated[str | None, typer.Option(help="Show samples of this split alone.")] = None,
    n: Annotated[int, typer.Option("--n", min=0, help="Sample prompts a split.")] = 1,
    as_json: _Json = False,
) -> None:
    """Size, clusters, chance, minimum detectable gap, certificate and sample prompts."""
    from genbench.errors import UsageError, closest
    from genbench.registry import load_task

    task = load_task(name, protocol=protocol, prompt=prompt)
    if split is not None and split not in task.splits:
        raise UsageError(
            f"task '{task.name}' has no split '{split}'; {closest(split, task.splits)}"
        )
    found = _described(task)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    _print(found)
    for shown in [task.splits[split]] if split else task.splits.values():
        for instance in shown.instances()[:n]:
            typer.echo(f"\n--- {instance.id}")
            for message in task.messages(instance):
                typer.echo(f"[{message.role}] {message.text}")


@tasks_app.command("check")
def check(name: _Name) -> None:
    """Load a task, draw every split of every protocol, and hold its agents against it."""
    from genbench.registry import load_spec, load_task

    for protocol in load_spec(name).protocols:
        task = load_task(name, protocol=protocol)
        task.check_instances()
        for split in task.splits.values():
            right = _oracle_score(task, split.instances()[:25])
            typer.echo(f"{protocol}/{split.name}: {len(split.instances())} instances, {right}")


@tasks_app.command("export")
def export(
    name: _Name,
    folder: Annotated[str, typer.Argument(help="Where the files go, one a split.")],
    format_name: Annotated[str, typer.Option("--format", help="jsonl or parquet.")] = "jsonl",
    protocol: _Protocol = None,
    prompt: _Prompt = None,
    split: Annotated[
        list[str] | None, typer.Option(help="A split; may be repeated. All by default.")
    ] = None,
) -> None:
    """Write a task as a dataset: prompts, data, solutions."""
    from pathlib import Path

    from genbench.export import export as export_task
    from genbench.registry import load_task

    task = load_task(name, protocol=protocol, prompt=prompt)
    for path in export_task(task, Path(folder), format_name, split):
        typer.echo(str(path))


def _oracle_score(task: Task, sample: Any) -> str:
    from genbench.errors import TaskError
    from genbench.task import derive_seed

    oracle = task.environment.agent("oracle", task.training_split)
    for instance in sample:
        answer = oracle.respond(instance, task.messages(instance), derive_seed(instance.id))
        verdict = task.verify(instance, answer)
        if not verdict.correct:
            raise TaskError(f"the oracle's answer to {instance.id} is judged {verdict.outcome}")
    return f"the oracle is right on {len(sample)} of {len(sample)}"


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
    from genbench.stats import minimum_detectable_difference

    splits = {name: _one_split(task, split) for name, split in task.splits.items()}
    certificate = task.environment.certificate(
        {name: split.instances() for name, split in task.splits.items()}
    )
    n = splits["id"]["n"]
    mde = {
        str(discordance): minimum_detectable_difference(n, discordance)
        for discordance in (0.1, 0.2, 0.3)
    }
    return {
        "name": task.name,
        "version": task.spec.version,
        "summary": task.spec.summary,
        "protocol": task.protocol.name,
        "prompt": task.environment.prompt,
        "cluster": task.spec.cluster,
        "fingerprint": task.fingerprint,
        "splits": splits,
        "minimum_detectable_gap": {
            "method": "exact McNemar, independent pairs, alpha 0.05, power 0.80, by discordance",
            "by_discordance": mde if task.protocol.paired else None,
        },
        "certificate": certificate,
    }


def _print(found: dict[str, Any]) -> None:
    typer.echo(
        f"{found['name']} {found['version']} ({found['protocol']}, prompt {found['prompt']})"
    )
    typer.echo(found["summary"])
    typer.echo(f"fingerprint {found['fingerprint'][:16]}; cluster: {found['cluster']}\n")
    typer.echo(f"{'split':<14}{'role':<9}{'rule':<16}{'n':>6}{'clusters':>10}{'chance':>9}")
    for name, split in found["splits"].items():
        chance = "unknown" if split["chance"] is None else f"{100 * split['chance']:.2f}%"
        typer.echo(
            f"{name:<14}{split['role']:<9}{split['rule'] or '':<16}{split['n']:>6}"
            f"{split['clusters']:>10}{chance:>9}"
        )
    by_discordance = found["minimum_detectable_gap"]["by_discordance"]
    if by_discordance:
        listed = ", ".join(
            f"{100 * gap:.1f} pp at {d}" for d, gap in by_discordance.items() if gap is not None
        )
        typer.echo(f"\nminimum detectable gap: {listed}")
        typer.echo(f"  ({found['minimum_detectable_gap']['method']})")
    partition = found["certificate"].get("partition_fingerprint", "")[:16]
    held = f"; partition {partition}" if partition else ""
    typer.echo(f"\ncertificate (problems that the bundled recipes may train on{held})")
    for name, counts in found["certificate"].get("splits", {}).items():
        typer.echo(
            f"  {name}: {counts['problem_may_be_trained']} of {counts['n']} problems, "
            f"{counts['class_in_training_part']} with a class of the training part"
        )
