"""One backend plays a task and writes down, turn by turn, what it was asked and said."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from genbench.evaluation import Evaluation, prepare, versions
from genbench.models.interface import Backend, LoadOptions, Model, Request, Response
from genbench.records import EpisodeRecord, verdict_json
from genbench.registry import load_task
from genbench.runner import play
from genbench.task import Task

TURNS, RUN = "turns.jsonl", "backend.json"


@dataclass(frozen=True)
class Played:
    """A checkpoint to be asked through one backend: `questions` are what the task is loaded with,
    `settings` those of the run."""

    spec: str
    model: str
    backend: str
    options: LoadOptions
    task: str
    questions: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def prepared(self) -> tuple[Evaluation, Backend]:
        """As `prepare`; raises what it raises. Nothing of the run's folder is left."""
        task = load_task(self.task, **self.questions)
        with tempfile.TemporaryDirectory() as output:
            return prepare(
                self.model,
                task,
                output=output,
                backend=self.backend,
                options=self.options,
                **self.settings,
            )


class _Recorded(Model):
    """A model whose requests are kept."""

    def __init__(self, inner: Model) -> None:
        self._inner = inner
        self.requests: dict[tuple[str, int], Request] = {}

    def start(self, task: Task) -> None:
        self._inner.start(task)

    def submit(self, requests: Sequence[Request]) -> None:
        self.requests |= {(request.episode, request.turn): request for request in requests}
        self._inner.submit(requests)

    def receive(self) -> Sequence[tuple[Request, Response]]:
        return self._inner.receive()


def play_backend(asked: Played, folder: Path, tell: Callable[[Any], None]) -> None:
    """A job: play, and write `turns.jsonl` and `backend.json` into a folder; tells the Progress."""
    evaluation, backend = asked.prepared()
    begun = time.monotonic()
    model = backend.load(evaluation.identity, asked.options)
    loaded = time.monotonic()
    recorded = _Recorded(model)
    records = play(evaluation.task, recorded, evaluation.settings, report=tell)
    done = time.monotonic()
    with (folder / TURNS).open("w") as file:
        for record in records:
            file.write(json.dumps(_episode(record, recorded, model)) + "\n")
    execution = {
        **model.execution(),
        "versions": versions(backend.name, evaluation.task.environment, model),
        "events": dict(getattr(model, "events", dict)()),
    }
    turns = [turn.response for record in records for turn in record.turns]
    run = {
        "backend": asked.spec,
        "model": evaluation.identity.name,
        "weights_fingerprint": evaluation.identity.weights_fingerprint,
        "dtype": evaluation.settings.dtype,
        "execution": execution,
        "turns": len(turns),
        "prompt_tokens": _total(response.prompt_tokens for response in turns),
        "generated_tokens": _total(response.generated_tokens for response in turns),
        "load_seconds": round(loaded - begun, 3),
        "play_seconds": round(done - loaded, 3),
    }
    (folder / RUN).write_text(json.dumps(run))
    model.close()


def _total(counts: Iterator[int | None]) -> int | None:
    found = list(counts)
    known = [count for count in found if count is not None]
    return sum(known) if len(known) == len(found) else None


def _episode(record: EpisodeRecord, recorded: _Recorded, model: Model) -> dict[str, Any]:
    turns = []
    for number, turn in enumerate(record.turns):
        rendered = model.rendered(recorded.requests[record.key, number]) or {}
        said = asdict(turn.response)
        turns.append(
            {
                "prompt": rendered.get("text"),
                "token_ids": rendered.get("ids"),
                "prompt_tokens": said["prompt_tokens"],
                "text": said["text"],
                "finish_reason": said["finish_reason"],
                "generated_tokens": said["generated_tokens"],
                "verdict": verdict_json(turn.verdict),
            }
        )
    return {
        "split": record.split,
        "instance_id": record.instance_id,
        "cluster": record.cluster,
        "solved": record.solved,
        "turns": turns,
    }
