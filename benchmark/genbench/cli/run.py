"""`genbench run`: score checkpoints on tasks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    Stop,
    System,
    TaskSet,
    VerifyIters,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from genbench.evaluation import Evaluation
    from genbench.models.interface import LoadOptions
    from genbench.results import Results
    from genbench.runner import Progress
    from genbench.sharding.playing import ShardResult


def parse_assignments(text: str | None, option: str) -> dict[str, str]:
    """`k=v,k=v` as a mapping. Raises UsageError."""
    from genbench.errors import UsageError

    found = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{option} takes key=value pairs joined by commas, not '{part}'")
        found[key.strip()] = value.strip()
    return found


def load_options(
    model_args: str | None,
    device: str,
    dtype: str,
    batch_size: str,
    chat_template: str,
    thinking_budget: int | None,
    cache: str | None = None,
) -> LoadOptions:
    """The options of loading, checked. Raises UsageError."""
    from pathlib import Path

    from genbench.errors import UsageError, closest
    from genbench.models.interface import LoadOptions

    if batch_size != "auto" and not (batch_size.isascii() and batch_size.isdigit()):
        raise UsageError(f"--batch-size: a whole number from 1, or auto, not '{batch_size}'")
    size = None if batch_size == "auto" else int(batch_size)
    if size == 0:
        raise UsageError("--batch-size: a whole number from 1, or auto, not '0'")
    templates = ("auto", "on", "off")
    if chat_template not in templates:
        raise UsageError(f"--chat-template '{chat_template}': {closest(chat_template, templates)}")
    return LoadOptions(
        device=device,
        dtype=dtype,
        batch_size=size,
        chat_template=chat_template,  # type: ignore[arg-type]
        thinking_budget=thinking_budget,
        arguments=parse_assignments(model_args, "--model-args"),
        cache=None if cache is None else Path(cache),
    )


def run(
    model: Annotated[
        str,
        typer.Option(help="A directory, a hub id, demo/NAME, agent:, vllm:, lm-eval: or api:NAME."),
    ],
    task: Annotated[list[str], typer.Option(help="A task's name or file; may be repeated.")],
    backend: Annotated[
        str | None, typer.Option(help="hf, vllm, lm-eval:NAME, api, or an installed one.")
    ] = None,
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
    stop: Stop = None,
    thinking: Annotated[
        str, typer.Option(help="strip or keep <think> blocks before verification.")
    ] = "strip",
    thinking_budget: Annotated[
        int | None, typer.Option(help="Tokens after which a thinking block is closed.")
    ] = None,
    limit: Limit = None,
    seed: Annotated[int, typer.Option(help="The seed of sampling.")] = 0,
    output: Annotated[str, typer.Option(help="Where run folders go.")] = "runs",
    no_resume: Annotated[bool, typer.Option("--no-resume", help="Start anew.")] = False,
    shard: Annotated[
        str | None,
        typer.Option(help="i/n: play the i-th of n shares alone, for `genbench merge`."),
    ] = None,
    workers: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Processes on this CPU, a thread each, that share the run out; auto: one a core.",
        ),
    ] = "1",
    cache: Annotated[
        str | None, typer.Option(help="A folder of responses that are kept across runs.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json.")] = False,
) -> None:
    """Score a checkpoint on tasks: ID, OOD and controls, the gap and what it is made of."""
    options = load_options(
        model_args, device, dtype, batch_size, chat_template, thinking_budget, cache
    )
    wanted = _workers(workers, shard)
    from pathlib import Path

    from genbench.errors import InterruptedRunError
    from genbench.evaluation import prepare
    from genbench.models import find_backend
    from genbench.models.loader import Loader
    from genbench.registry import load_task
    from genbench.sharding.shard import Shard
    from genbench.sharding.workers import usable_workers
    from genbench.yamlfile import assigned

    share = None if shard is None else Shard.parse(shard)
    at_once = usable_workers(wanted, find_backend(model, backend), options)
    asked: dict[str, Any] = {
        "protocol": protocol,
        "prompt": prompt,
        "feedback": feedback,
        "limit": limit,
        "settings": assigned(assign),
    }
    settings: dict[str, Any] = {
        "verify_iters": verify_iters,
        "samples": samples,
        "temperature": temperature,
        "top_p": top_p,
        "max_new_tokens": max_new_tokens,
        "stop": tuple(stop or ()),
        "thinking": thinking,
        "system": system,
        "seed": seed,
    }
    prepared = [
        prepare(
            model,
            load_task(name, **asked),
            output=output,
            backend=backend,
            options=options,
            shard=share,
            **settings,
        )
        for name in dict.fromkeys(task)
    ]
    from genbench.cli.tables import print_results
    from genbench.sharding.playing import ShardResult, execute_shard
    from genbench.sharding.shares import SharedRun
    from genbench.sharding.workers import execute_shared

    loader = Loader(prepared[0][1], prepared[0][0].identity)
    found = []
    results: Results | ShardResult
    for evaluation, of_model in prepared:
        was_finished = evaluation.finished and not no_resume
        shared = SharedRun(
            title=f"{model} on {evaluation.task.name}",
            model=model,
            task=evaluation.task,
            settings=settings,
            folder=evaluation.folder.path,
            output=Path(output),
            backend=backend,
            options=options,
        )
        try:
            with progress_of_run(shared.title) as report:
                how: dict[str, Any] = {"resume": not no_resume, "report": report}
                if share is None:
                    results = execute_shared(
                        evaluation, shared, of_model, loader.load, at_once, note=_note, **how
                    )
                else:
                    results = execute_shard(evaluation, loader.load, options, **how)
        except KeyboardInterrupt:
            raise InterruptedRunError(
                "interrupted. The finished turns are on disk: run the same command again to go on"
            ) from None
        found.append(results)
        if not as_json:
            if isinstance(results, ShardResult):
                typer.echo(_shard_text(evaluation, results))
            else:
                print_results(results, evaluation.folder.path)
            if was_finished:
                typer.echo(_finished_before(evaluation), err=True)
    loader.close()
    if as_json:
        shown: list[Any] = [results.model_dump(mode="json") for results in found]
        typer.echo(json.dumps(shown[0] if len(shown) == 1 else shown, indent=1))


def _note(text: str) -> None:
    typer.echo(f"({text})", err=True)


def _workers(text: str, shard: str | None) -> int | Literal["auto"]:
    """`--workers`. Raises UsageError."""
    from genbench.errors import UsageError

    found: int | Literal["auto"]
    if text == "auto":
        found = "auto"
    elif re.fullmatch("[0-9]{1,6}", text) and int(text):
        found = int(text)
    else:
        raise UsageError(f"--workers: a whole number from 1, or auto, not '{text}'")
    if found != 1 and shard is not None:
        raise UsageError(
            "--workers and --shard: a run is shared out by the one or by the other; --shard plays "
            "one share in this process"
        )
    return found


def _shard_text(evaluation: Evaluation, result: ShardResult) -> str:
    place = evaluation.folder.path
    return (
        f"shard {result.shard} of {evaluation.identity.name} on {evaluation.task.name}: "
        f"{result.episodes} episodes played\n"
        f"shard folder: {place}\n"
        f"when all {result.count} are played: genbench merge {place.parent} --output DIR"
    )


def _finished_before(evaluation: Evaluation) -> str:
    if evaluation.identity.weights_fingerprint is not None:
        return "(finished before; --no-resume plays it again)"
    when = (evaluation.folder.header() or {}).get("execution", {}).get("finished", "earlier")
    return (
        f"(finished before, {when}; whether the server's weights are still the same cannot be "
        "seen: --no-resume asks it again)"
    )


@contextmanager
def progress_of_run(title: str) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on stderr; nothing where stderr is no terminal."""
    import sys

    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    import time

    started = time.monotonic()
    with bar:
        shown = bar.add_task(title, total=None, rate="loading")

        def report(progress: Progress) -> None:
            seconds = max(time.monotonic() - started, 1e-6)
            rate = f"{progress.done / seconds:.1f} episodes/s"
            if progress.first_attempts:
                share = 100 * progress.first_solved / progress.first_attempts
                rate += f", {share:.0f}% right at first, all splits"
            bar.update(shown, total=progress.episodes, completed=progress.done, rate=rate)

        yield report
