"""The check as a whole: every backend in a process of its own, one after the other."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from genbench import __version__
from genbench.errors import GenbenchError, ModelError, UsageError
from genbench.evaluation import Evaluation
from genbench.jobs import Job, run_jobs
from genbench.models import find_backend
from genbench.models.interface import LoadOptions
from genbench.parity.comparing import compare_all
from genbench.parity.playing import RUN, Played, play_backend
from genbench.parity.results import BackendRun, ParityReport
from genbench.runner import Progress

_API = "api"
_TOLD_OF_A_FAULT = 20  # lines of a backend's own output

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Asked:
    """What is asked of every backend.

    `options` are for those that load the checkpoint here; a server has its own. `arguments` are
    model arguments by backend, beside those of `options`.
    """

    model: str
    task: str
    questions: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: LoadOptions = field(default_factory=lambda: LoadOptions(dtype="float32"))
    arguments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def check_parity(
    asked: Asked,
    backends: Sequence[str],
    showing: Callable[[str], AbstractContextManager[Report]] = lambda spec: nullcontext(
        lambda progress: None
    ),
) -> ParityReport:
    """Play a task greedily through two or more backends (`hf`, `vllm`, `lm-eval:NAME`, `api` or
    `api:NAME`), and compare what they were asked and said.

    `showing(backend)` gives what is told of its progress. Everything that can be refused is
    refused before the first model loads. Raises UsageError, ModelError, TaskError.
    """
    if len(backends) < 2 or len(set(backends)) < len(backends):
        raise UsageError(
            "--backends takes two or more names, each once, joined by commas: hf,vllm,lm-eval:hf"
        )
    for name in asked.arguments:
        if not any(name in (spec, spec.partition(":")[0]) for spec in backends):
            raise UsageError(
                f"--backend-args: '{name}' is none of the backends: {', '.join(backends)}"
            )
    played = [_played(asked, spec) for spec in backends]
    evaluations = [_prepared(one) for one in played]
    with tempfile.TemporaryDirectory() as place:
        folders = {one.spec: Path(place) / str(number) for number, one in enumerate(played)}
        for one in played:
            _play(one, folders[one.spec], showing)
        task = evaluations[0].task
        return ParityReport(
            genbench_version=__version__,
            task={
                "name": task.name,
                "version": task.spec.version,
                "fingerprint": task.fingerprint,
            },
            settings=evaluations[0].settings.model_dump(mode="json"),
            backends=[
                BackendRun.model_validate(json.loads((folder / RUN).read_text()))
                for folder in folders.values()
            ],
            pairs=compare_all(folders),
        )


def _played(asked: Asked, spec: str) -> Played:
    """A backend as `--backends` names it."""
    kind, _, name = spec.partition(":")
    of_server = kind == _API
    backend = kind if of_server else spec
    options = asked.options
    if not find_backend(asked.model, backend).reads_folders:
        options = LoadOptions(chat_template=options.chat_template)
    more = {**asked.arguments.get(kind, {}), **asked.arguments.get(spec, {})}
    return Played(
        spec=spec,
        model=name if of_server and name else asked.model,
        backend=backend,
        options=replace(options, arguments={**options.arguments, **more}),
        task=asked.task,
        questions=asked.questions,
        settings=asked.settings,
    )


def _prepared(one: Played) -> Evaluation:
    try:
        return one.prepared()[0]
    except GenbenchError as error:
        raise type(error)(f"{one.spec}: {error}") from error


def _play(
    one: Played, folder: Path, showing: Callable[[str], AbstractContextManager[Report]]
) -> None:
    folder.mkdir()
    log = folder / "log"
    with showing(one.spec) as report:
        (ended,) = run_jobs(
            [Job(one.spec, play_backend, (one, folder), log)],
            workers=1,
            told=lambda job, progress: report(progress),
        )
    if ended.error is not None:
        lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
        output = "".join(f"\n  {line}" for line in lines[-_TOLD_OF_A_FAULT:])
        raise ModelError(
            f"{one.spec}: {ended.error}" + (f"; its output:{output}" if output else "")
        )
