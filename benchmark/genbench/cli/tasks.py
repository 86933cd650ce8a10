"""`genbench tasks`: list, show and check tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

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
    from genbench.cli.task_details import described, print_described
    from genbench.errors import UsageError, closest

    task = _loaded(name, protocol, prompt, assign)
    if split is not None and split not in task.splits:
        raise UsageError(
            f"task '{task.name}' has no split '{split}'; {closest(split, task.splits)}"
        )
    found = described(task)
    samples = [
        instance
        for one in ([task.splits[split]] if split else task.splits.values())
        for instance in one.instances()[:n]
    ]
    saved = _saved(task, samples, save_images) if save_images else {}
    if as_json:
        typer.echo(json.dumps({**found, **({"images": saved} if save_images else {})}, indent=2))
        return
    print_described(found)
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
