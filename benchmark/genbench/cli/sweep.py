"""`genbench sweep`: every checkpoint of training runs on the same instances."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli.options import (
    BatchSize,
    ChatTemplate,
    Device,
    Feedback,
    Limit,
    MaxNewTokens,
    Prompt,
    Protocol,
    System,
    TaskSet,
    VerifyIters,
)

if TYPE_CHECKING:
    from genbench.sweep import Fault, SweepRow
    from genbench.sweep.play import Played


def sweep(
    folders: Annotated[
        list[str], typer.Argument(help="Folders of training runs, or that hold some.")
    ],
    task: Annotated[list[str], typer.Option(help="A task's name or file; may be repeated.")],
    output: Annotated[str, typer.Option(help="Where runs and report go.")] = "sweep",
    base: Annotated[
        str | None,
        typer.Option(help="What they are held against; by default their parent by record."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Jobs at once, a process with one thread each; 1, or with --ray as many as fit.",
        ),
    ] = None,
    shards: Annotated[
        int, typer.Option(min=1, help="Jobs that each run (a checkpoint on a task) is split into.")
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="[ADDRESS]",
            help="On a Ray cluster: host:port of its head, auto, or local (by default).",
        ),
    ] = None,
    gpus_per_job: Annotated[
        float, typer.Option(min=0, help="GPUs that Ray gives each job; 0.5 shares one.")
    ] = 0,
    backend: Annotated[str | None, typer.Option(help="hf, or an installed one.")] = None,
    model_args: Annotated[str | None, typer.Option(help="k=v,k=v for the backend.")] = None,
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")] = "auto",
    batch_size: BatchSize = "auto",
    verify_iters: VerifyIters = None,
    protocol: Protocol = None,
    prompt: Prompt = None,
    feedback: Feedback = None,
    assign: TaskSet = None,
    system: System = None,
    chat_template: ChatTemplate = "auto",
    samples: Annotated[int, typer.Option(help="Responses an instance.")] = 1,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Nucleus sampling.")] = 1.0,
    max_new_tokens: MaxNewTokens = None,
    limit: Limit = None,
    seed: Annotated[int, typer.Option(help="The seed of sampling.")] = 0,
    cache: Annotated[
        str | None, typer.Option(help="A folder of responses that are kept across runs.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Score every checkpoint of training runs, and their base: the scaling curve.

    A sweep that was stopped goes on where it was: run the same command again.
    """
    from pathlib import Path

    from genbench.cli.run import load_options
    from genbench.errors import IncompleteError, InterruptedRunError, UsageError

    if gpus_per_job and ray is None:
        raise UsageError("--gpus-per-job: Ray places them; give --ray as well")
    cluster = None
    if ray is not None:
        from genbench.cluster import Cluster

        cluster = Cluster(ray or None, gpus_per_job=gpus_per_job, workers=workers)
    options = load_options(model_args, device, dtype, batch_size, chat_template, None, cache)
    from genbench.sweep import Scoring, plan_sweep, play_sweep, sweep_rows
    from genbench.yamlfile import assigned

    questions = {
        "protocol": protocol,
        "prompt": prompt,
        "feedback": feedback,
        "limit": limit,
        "settings": assigned(assign),
    }
    settings = {
        "verify_iters": verify_iters,
        "samples": samples,
        "temperature": temperature,
        "top_p": top_p,
        "max_new_tokens": max_new_tokens,
        "system": system,
        "seed": seed,
    }
    plan = plan_sweep(
        [Path(folder) for folder in folders],
        [Scoring(name, questions, settings) for name in dict.fromkeys(task)],
        Path(output),
        base=base,
        options=options,
        backend=backend,
    )
    try:
        with cluster or nullcontext(), progress_bar("sweep") as report:
            faults = play_sweep(
                plan,
                workers or 1,
                shards=shards,
                run=cluster.run_jobs if cluster else None,
                report=report,
            )
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "interrupted. The finished turns are on disk: run the same command again to go on"
        ) from None
    rows = sweep_rows(plan)
    page = _report(rows, plan.output / "report") if rows else None
    if as_json:
        found = {
            "checkpoints": [row.json() for row in rows],
            "report": None if page is None else str(page),
            "failed": _failed(faults),
        }
        typer.echo(json.dumps(found, indent=1))
    else:
        print_sweep(rows)
        if page is not None:
            typer.echo(f"\nreport: {page}")
    if faults:
        raise IncompleteError(faults_text(faults))


_ADDRESS = re.compile(r"local|auto|[^/\s]+:[0-9]+|[a-z]+://\S+")


def with_address(arguments: Sequence[str]) -> list[str]:
    """Arguments with an empty address after a `--ray` that has none: typer wants a value."""
    found = []
    for argument, following in zip_longest(arguments, arguments[1:]):
        found.append(argument)
        if argument == "--ray" and not _ADDRESS.fullmatch(following or ""):
            found.append("")
    return found


def faults_text(faults: Sequence[Fault]) -> str:
    """What could not be scored, in a sentence each."""
    labels = {fault.label for fault in faults}
    count = f"{len(labels)} checkpoint{'s' if len(labels) > 1 else ''}"
    listed = "; ".join(f"{fault.label}: {fault.reason}" for fault in faults)
    return f"{count} could not be scored: {listed}"


def _failed(faults: Sequence[Fault]) -> dict[str, str]:
    found: dict[str, str] = {}
    for fault in faults:
        found[fault.label] = "; ".join(filter(None, (found.get(fault.label), fault.reason)))
    return found


def _report(rows: Sequence[SweepRow], output: Any) -> Any:
    from genbench.cli.report import stages
    from genbench.report import build_report

    with stages() as stage:
        folders = list(dict.fromkeys(row.folder for row in rows))
        return build_report(folders, output, title="genbench sweep", progress=stage).page


def print_sweep(rows: Sequence[SweepRow]) -> None:
    """A table for every task and way of decoding."""
    from genbench.cli.layout import Row, print_rows, say
    from genbench.cli.tables import plain_console
    from genbench.labels import clean

    console = plain_console()
    groups: dict[tuple[str, str, str], list[SweepRow]] = {}
    for row in rows:
        groups.setdefault((row.task, row.decoding, row.ood), []).append(row)
    for (task, decoding, ood), of_group in groups.items():
        console.print()
        against = "" if ood == "ood" else f", OOD split {ood}"
        n = of_group[0].ood_rate.n
        say(console, f"{clean(task)}, {decoding}{against}: first attempts, n={n}, %", bold=True)
        print_rows(
            console,
            ("method", "step", "FLOPs", "seed", "ID", "OOD", "gap, pp", "sticks", "rule read"),
            [Row(clean(_name(row)), tuple(_figures(row))) for row in of_group],
        )


def _name(row: SweepRow) -> str:
    return f"{row.checkpoint} (base)" if row.is_base else row.checkpoint


def _figures(row: SweepRow) -> Iterator[str]:
    from genbench.cli.tables import short_rate
    from genbench.labels import clean

    training = row.training
    yield clean(str(training.get("method") or "-"))
    yield clean(str(training.get("step", "-")))
    flops = training.get("flops")
    yield f"{flops:.2g}" if isinstance(flops, int | float) else "-"
    yield clean(str(training.get("seed", "-")))
    yield short_rate(row.id_rate)
    yield short_rate(row.ood_rate)
    low, high = row.gap.ci95
    yield f"{100 * row.gap.value:+.1f} [{100 * low:+.0f}, {100 * high:+.0f}]"
    for found in (row.stickiness, row.rule_read):
        yield "-" if found is None else f"{100 * found.value:.1f}"


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[Played], None]]:
    """Runs that are finished, on stderr; nothing where stderr is no terminal."""
    import sys

    if not sys.stderr.isatty():
        yield lambda played: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}"),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        shown = bar.add_task(title, total=None, now="")

        def report(played: Played) -> None:
            bar.update(shown, total=played.runs, completed=played.finished, now=escape(played.now))

        yield report
