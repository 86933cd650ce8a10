"""The Python face of the commands: score a checkpoint, read a stored run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from genbench.errors import UsageError
from genbench.evaluation import prepare, read_results
from genbench.models import find_backend
from genbench.models.interface import LoadOptions
from genbench.registry import load_task
from genbench.results import Results
from genbench.sharding.shares import SharedRun
from genbench.sharding.workers import execute_shared, usable_workers
from genbench.store import RUN, RunFolder, read_json
from genbench.task import Task

_QUESTIONS = ("protocol", "prompt", "feedback")  # what a task is loaded with

if TYPE_CHECKING:
    import pandas as pd

    from genbench.records import EpisodeRecord


def run(
    model: str,
    task: str | Path | Task,
    *,
    output: str | Path = "runs",
    backend: str | None = None,
    limit: int | None = None,
    task_settings: Mapping[str, Any] | None = None,
    resume: bool = True,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
    model_args: dict[str, str] | None = None,
    chat_template: str = "auto",
    thinking_budget: int | None = None,
    cache: str | Path | None = None,
    workers: int | Literal["auto"] = 1,
    **settings: Any,
) -> Results:
    """Score a checkpoint on a task, as `genbench run` does; returns the content of `results.json`.

    `model` is a directory, a hub id, `demo/<name>`, `agent:<name>`, `lm-eval:<name>` or
    `api:<name>`; `settings` are those of `RunSettings` (`protocol`, `prompt`, `verify_iters`,
    `temperature`, `samples`, `seed`, ...), `task_settings` those of the task's environment
    (`{"pixels": 224}`). A finished run is read and not played again, unless `resume` is false.
    `cache` is a folder of responses that are kept across runs. `workers` are processes on this
    machine's CPU, one thread each, that the run is shared out among (`auto`: one a core); a script
    that asks for several makes the call below `if __name__ == "__main__":`. Raises GenbenchError.
    """
    asked = {name: settings.pop(name) for name in _QUESTIONS if name in settings}
    if not isinstance(task, Task):
        task = load_task(task, limit=limit, settings=task_settings, **asked)
    else:
        _refuse_other_questions(task, asked)
        if task_settings:
            raise UsageError(
                f"the task {task.name} is loaded already; its settings are given to "
                f"genbench.load_task('{task.name}', settings=...)"
            )
        if limit is not None:
            task = Task(task.spec, task.environment, task.protocol, limit, task.overrides)
    options = LoadOptions(
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        chat_template=chat_template,  # type: ignore[arg-type]  # make_settings checks it
        thinking_budget=thinking_budget,
        arguments=dict(model_args or {}),
        cache=None if cache is None else Path(cache),
    )
    at_once = usable_workers(workers, find_backend(model, backend), options)
    evaluation, found = prepare(
        model, task, output=output, backend=backend, options=options, **settings
    )
    shared = SharedRun(
        title=f"{model} on {task.name}",
        model=model,
        task=task,
        settings=settings,
        folder=evaluation.folder.path,
        output=Path(output),
        backend=backend,
        options=options,
    )
    return execute_shared(
        evaluation,
        shared,
        found,
        lambda chosen: found.load(evaluation.identity, chosen),
        at_once,
        resume=resume,
    )


def _refuse_other_questions(task: Task, asked: dict[str, str | None]) -> None:
    """A loaded task has its questions; raises UsageError where others are wanted."""
    of_task = {
        "protocol": task.protocol.name,
        "prompt": task.environment.prompt,
        "feedback": task.environment.feedback,
    }
    for name, value in asked.items():
        if value not in (None, of_task[name]):
            raise UsageError(
                f"the task {task.name} was loaded with {name} '{of_task[name]}', not '{value}': "
                f"genbench.load_task('{task.name}', {name}='{value}')"
            )


@dataclass(frozen=True)
class Episodes:
    """The episodes of a run, read one at a time whenever they are iterated over."""

    folder: Path

    def __iter__(self) -> Iterator[EpisodeRecord]:
        return RunFolder(self.folder).episodes()

    def to_pandas(self) -> pd.DataFrame:
        """One row a turn: the episode's ids, its step and attempt, the response and its verdict."""
        import pandas as pd

        rows = []
        for episode in self:
            for turn in episode.turns:
                row: dict[str, Any] = {
                    "instance_id": episode.instance_id,
                    "pair_id": episode.pair_id,
                    "cluster": episode.cluster,
                    "split": episode.split,
                    "sample": episode.sample,
                    "step": turn.step,
                    "attempt": turn.attempt,
                    "response": turn.response.text,
                    "finish_reason": turn.response.finish_reason,
                    "prompt_tokens": turn.response.prompt_tokens,
                    "generated_tokens": turn.response.generated_tokens,
                    "correct": turn.verdict.correct,
                    "outcome": turn.verdict.outcome,
                    "reward": turn.verdict.reward,
                    "extraction": turn.verdict.extraction,
                    "strict": turn.verdict.strict,
                }
                row |= {f"check_{name}": value for name, value in turn.verdict.checks.items()}
                rows.append(row)
        return pd.DataFrame(rows)


@dataclass(frozen=True)
class StoredRun:
    """A finished run folder: `header` is `run.json`, `results` is `results.json`."""

    folder: Path
    header: dict[str, Any]
    results: Results

    @property
    def episodes(self) -> Episodes:
        return Episodes(self.folder)


def load_run(folder: str | Path) -> StoredRun:
    """Read a finished run folder. Raises StoreError where it is none, or is not finished."""
    path = Path(folder)
    return StoredRun(path, read_json(path / RUN), read_results(path))
