"""`genbench parity`: whether backends give the same answers."""

from __future__ import annotations

import json
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
    Stop,
    System,
    TaskSet,
    VerifyIters,
)

if TYPE_CHECKING:
    from rich.console import Console

    from genbench.parity.results import Agreement, Difference, ParityReport

_AROUND = 24  # characters or tokens shown on either side of a difference


def parity(
    model: Annotated[str, typer.Option(help="A directory, a hub id or demo/NAME.")],
    backends: Annotated[
        str, typer.Option(help="Two or more, joined by commas: hf, vllm, lm-eval:NAME, api:NAME.")
    ],
    task: Annotated[str, typer.Option(help="A task's name or file.")],
    model_args: Annotated[
        str | None, typer.Option(help="k=v,k=v for the backends that load the checkpoint here.")
    ] = None,
    backend_args: Annotated[
        list[str] | None,
        typer.Option(help="BACKEND:k=v,k=v for one of them; may be repeated."),
    ] = None,
    device: Device = "auto",
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, float16, auto; half precision seldom agrees.")
    ] = "float32",
    batch_size: BatchSize = "auto",
    verify_iters: VerifyIters = None,
    protocol: Protocol = None,
    prompt: Prompt = None,
    feedback: Feedback = None,
    assign: TaskSet = None,
    system: System = None,
    chat_template: ChatTemplate = "auto",
    max_new_tokens: MaxNewTokens = None,
    stop: Stop = None,
    limit: Limit = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Play a task greedily through several backends and compare prompts, token ids, answers and
    verdicts, turn by turn. Exit code 1 where they differ."""
    from genbench.cli.run import load_options, progress_of_run
    from genbench.errors import InterruptedRunError
    from genbench.parity import Asked, check_parity
    from genbench.yamlfile import assigned

    asked = Asked(
        model=model,
        task=task,
        questions={
            "protocol": protocol,
            "prompt": prompt,
            "feedback": feedback,
            "limit": limit,
            "settings": assigned(assign),
        },
        settings={
            "verify_iters": verify_iters,
            "max_new_tokens": max_new_tokens,
            "stop": tuple(stop or ()),
            "system": system,
        },
        options=load_options(model_args, device, dtype, batch_size, chat_template, None),
        arguments=_by_backend(backend_args or ()),
    )
    names = [name.strip() for name in backends.split(",") if name.strip()]
    try:
        report = check_parity(asked, names, progress_of_run)
    except KeyboardInterrupt:
        raise InterruptedRunError("interrupted") from None
    if as_json:
        typer.echo(
            json.dumps({**report.model_dump(mode="json"), "agrees": report.agrees}, indent=1)
        )
    else:
        print_parity(report)
    if not report.agrees:
        raise typer.Exit(1)


def _by_backend(given: Any) -> dict[str, dict[str, str]]:
    """`BACKEND:k=v,k=v` as a mapping. Raises UsageError."""
    from genbench.cli.run import parse_assignments
    from genbench.errors import UsageError

    found: dict[str, dict[str, str]] = {}
    for text in given:
        # A backend's name may have a colon, and so may a value: a key has none.
        name, colon, assignments = text.partition("=")[0].rpartition(":")
        if not colon or not name or "=" not in text:
            raise UsageError(f"--backend-args takes BACKEND:key=value,key=value, not '{text}'")
        assignments = text[len(name) + 1 :]
        found.setdefault(name, {}).update(parse_assignments(assignments, "--backend-args"))
    return found


def print_parity(report: ParityReport, console: Console | None = None) -> None:
    """Backends, agreement by pair, and the first difference of each kind."""
    from genbench.cli.layout import Row, print_rows, say
    from genbench.cli.tables import plain_console

    console = console or plain_console()
    settings = report.settings
    limit = f", limit {settings['limit']}" if settings["limit"] else ""
    say(
        console,
        f"parity of {report.backends[0].model} on {report.task['name']} {report.task['version']} "
        f"({settings['protocol']}, prompt {settings['prompt']}, greedy, {settings['dtype']}, "
        f"VIter {settings['verify_iters']}{limit})",
        bold=True,
    )
    rows = [
        Row(
            run.backend,
            (
                f"{run.load_seconds:.1f}",
                f"{run.play_seconds:.1f}",
                str(run.turns),
                "-" if run.generated_tokens is None else str(run.generated_tokens),
                "-"
                if run.generated_tokens is None
                else f"{run.generated_tokens / max(run.play_seconds, 1e-9):.0f}",
            ),
        )
        for run in report.backends
    ]
    print_rows(
        console,
        ("start, s", "playing, s", "turns", "tokens generated", "tokens/s"),
        rows,
        heads=("backend",),
    )
    say(console, "")
    titles = ("prompts", "token ids", "first texts", "later texts", "verdicts")
    pairs = [
        Row(
            " | ".join(pair.backends),
            (
                _share(pair.first["prompt"], pair.later["prompt"]),
                _share(pair.first["token_ids"], pair.later["token_ids"]),
                _agreement(pair.first["text"]),
                _agreement(pair.later["text"]),
                _share(pair.first["verdict"], pair.later["verdict"]),
            ),
        )
        for pair in report.pairs
    ]
    print_rows(console, titles, pairs, heads=("equal, of those compared",))
    for pair in report.pairs:
        if pair.differences:
            say(console, "")
            say(console, f"{' | '.join(pair.backends)}: first differences", bold=True)
            for difference in pair.differences:
                for line in _lines(pair.backends, difference):
                    say(console, line)
            if pair.not_compared:
                say(
                    console,
                    f"  {pair.not_compared} later turns were not compared: the conversations had "
                    "parted",
                )
    say(console, "")
    say(console, "the backends agree" if report.agrees else "the backends differ")


def _share(*parts: Agreement) -> str:
    n = sum(part.n for part in parts)
    return f"{sum(part.agree for part in parts)}/{n}" if n else "-"


def _agreement(found: Agreement) -> str:
    """`198/200 [96.4, 99.7]`: the interval in percent."""
    if found.rate is None:
        return "-"
    low, high = found.rate.ci95
    return f"{found.agree}/{found.n} [{100 * low:.1f}, {100 * high:.1f}]"


def _lines(names: tuple[str, str], found: Difference) -> list[str]:
    what = found.kind.replace("_", " ")
    place = "" if found.position is None else f" from place {found.position} on"
    head = f"  {what}: {found.instance_id} ({found.split}), turn {found.turn}{place}"
    width = max(map(len, names))
    return [
        head,
        *(
            f"    {name.ljust(width)}  {_excerpt(found, value)}"
            for name, value in zip(names, found.values, strict=True)
        ),
    ]


def _excerpt(found: Difference, value: Any) -> str:
    if found.kind == "verdict":
        return f"{value['outcome']} ({'correct' if value['correct'] else 'not correct'})"
    if found.position is None:
        return str(value)
    begin = max(0, found.position - _AROUND)
    part = value[begin : found.position + _AROUND]
    if isinstance(part, str):
        shown = json.dumps(part, ensure_ascii=False)
    else:
        shown = " ".join(map(str, part))
    return f"{'... ' if begin else ''}{shown}{' ...' if len(value) > begin + len(part) else ''}"
