"""What the runner asks of a model: submit requests, receive responses as they finish.

A backend is one module with a `Backend` (finds and checks a checkpoint without loading it, then
loads it) and a `Model` (answers). `BatchedModel` is the base of models that answer in batches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, Literal, TypeAlias

from genbench.errors import UsageError, closest
from genbench.models.options import check_on_cpu
from genbench.task import Instance, Message, Task

FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class Response:
    """What a model said.

    `finish_reason`: `stop` (an end token or a stop string), `length` (cut off at the token or
    context limit), `error` (no answer; `error` says why). Token counts and `logprob` (sum over
    the generated tokens, natural logarithm, at temperature 1) are None where unknown. `origin` is
    what a server says with the answer of what gave it (`model`, `system_fingerprint`, `filter`).
    """

    text: str
    finish_reason: FinishReason = "stop"
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    logprob: float | None = None
    error: str | None = None
    origin: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One response asked for.

    `episode` and `turn` name it; `order` is the episode's place in the canonical order. Greedy
    where `temperature` is 0; otherwise sampling follows `seed` alone. `known` is the response
    that the journal already holds: the model hands it back and need not generate it.
    `instance` is for scripted agents; no model of text may look at it.
    """

    episode: str
    turn: int
    order: int
    messages: Sequence[Message]
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    known: Response | None = None
    instance: Instance | None = None


@dataclass(frozen=True)
class Identity:
    """What a checkpoint is, known before it is loaded.

    `weights_fingerprint` is the SHA-256 over its weight files, `files_fingerprint` over the other
    files that decide an answer (configuration, tokenizer, chat template, image processor).
    `training` is the content of its `genbench_training.json`, if it has one. `cannot_see` is a
    clause that says why it cannot be shown images; None where it can, or where that is not known.
    """

    name: str
    backend: str
    weights_fingerprint: str | None
    files_fingerprint: str | None = None
    revision: str | None = None
    parameters: int | None = None
    training: Mapping[str, Any] | None = None
    location: str | None = None
    cannot_see: str | None = None


def of_other_weights(training: Mapping[str, Any] | None, weights_fingerprint: str | None) -> bool:
    """Whether a training record names weights, and they are not these."""
    named = None if training is None else training.get("weights_fingerprint")
    return named is not None and named != weights_fingerprint


@dataclass(frozen=True)
class LoadOptions:
    """How a checkpoint is loaded and asked; `arguments` are the backend's own (`--model-args`).

    `cache` is the folder of responses that are kept across runs.
    """

    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | None = None
    chat_template: Literal["auto", "on", "off"] = "auto"
    thinking_budget: int | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    cache: Path | None = None


class Model(ABC):
    """A loaded model. Requests may be answered in any order."""

    def start(self, task: Task) -> None:  # noqa: B027  optional
        """Called before the first request of a run; scripted agents take the task from here."""

    @abstractmethod
    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests. Raises ModelError where one cannot be answered (context too short)."""

    @abstractmethod
    def receive(self) -> Sequence[tuple[Request, Response]]:
        """Some finished responses, at least one where requests are queued; blocks until then."""

    def rendered(self, request: Request) -> Mapping[str, Any] | None:
        """The prompt text and token ids that a request becomes, where the backend knows them."""
        return None

    def prompt_key(self, request: Request) -> Any:
        """What of the rendered prompt decides an answer, its images apart, as JSON."""
        return self.rendered(request)

    def execution(self) -> Mapping[str, Any]:
        """What may differ between machines: device, batch plan, versions."""
        return {}

    def sampling(self) -> Mapping[str, Any]:
        """Sampling parameters beyond the request's, such as those of the checkpoint ignored."""
        return {}

    def close(self) -> None:  # noqa: B027  optional
        """Free what the model holds."""


class Backend(ABC):
    """Finds, checks and loads checkpoints of one kind.

    Everything that can be refused is refused in `identify`, before the model loads.
    """

    name: str
    #: whether it draws each response by its request's own seed; without, it answers greedily alone
    seeds_requests: bool = True
    #: the names that `--model-args` may use; None: any
    arguments: tuple[str, ...] | None = ()
    #: whether its models are checkpoints here: folders, hub ids, the bundled ones
    reads_folders: bool = True
    #: whether its answers follow from prompt, sampling and seed, so that they can be kept
    caches: bool = True

    @abstractmethod
    def identify(self, name: str, options: LoadOptions) -> Identity:
        """The checkpoint behind a name. Raises ModelError or UsageError; imports nothing heavy."""

    def precision(self, options: LoadOptions) -> str | None:
        """The floating-point type of a run with these options; None where it has none."""
        return None

    @abstractmethod
    def load(self, identity: Identity, options: LoadOptions) -> Model:
        """The loaded model. Raises ModelError."""

    def check_sampling(self, temperature: float) -> None:
        """Raise UsageError for a temperature that the backend cannot sample at by seed."""
        if temperature and not self.seeds_requests:
            raise UsageError(
                f"--temperature above 0: the backend {self.name} takes no seed for each request, "
                "so its samples could not be drawn again; use --backend hf"
            )

    def check_workers(self, options: LoadOptions) -> None:
        """Raise UsageError where several processes, each with a model of its own and one thread,
        are no way to be faster on this machine: with these options, or at all."""
        check_on_cpu(options.device)

    def deciding(self, options: LoadOptions) -> dict[str, str]:
        """The model arguments that can change an answer: settings of the run."""
        return dict(options.arguments)

    def check_arguments(self, options: LoadOptions) -> None:
        """Raise UsageError for a model argument that the backend does not know."""
        if self.arguments is None:
            return
        for key in options.arguments:
            if key not in self.arguments:
                raise UsageError(
                    f"--model-args: the backend '{self.name}' has no argument '{key}'; "
                    f"{closest(key, self.arguments)}"
                )


_Queued: TypeAlias = tuple[int, int, int, Request]


class BatchedModel(Model):
    """A model that answers one batch at a time, after a fixed plan.

    The plan: the queued requests of the lowest turn, in canonical order, `batch_size` at a time.
    It depends on the requests and the batch size alone, so a resumed run has the batches of the
    first one: a batch that the journal holds is handed back, one that it holds in part is
    generated whole, since floats may depend on a batch's shape.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        # A heap by turn and canonical order: sorting a queue for every batch would be quadratic.
        self._queue: list[_Queued] = []
        self._submitted = 0
        #: in `generate`: the batch after that one, where it is known already
        self.following: Sequence[Request] = ()

    def submit(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self._submitted += 1
            heappush(self._queue, (request.turn, request.order, self._submitted, request))

    def receive(self) -> Sequence[tuple[Request, Response]]:
        batch = [entry[3] for entry in self._take()]
        if all(request.known for request in batch):
            return [(request, request.known) for request in batch if request.known]
        self.following = self._following(batch[0].turn)
        answers = self.generate(batch)
        return [
            (request, request.known or answer)
            for request, answer in zip(batch, answers, strict=True)
        ]

    def _take(self) -> list[_Queued]:
        """The next batch, off the queue."""
        first = self._queue[0][3]
        batch: list[_Queued] = []
        while self._queue and len(batch) < self.batch_size:
            request = self._queue[0][3]
            if (request.turn, request.max_new_tokens, request.stop) != (
                first.turn,
                first.max_new_tokens,
                first.stop,
            ):
                break
            batch.append(heappop(self._queue))
        return batch

    def _following(self, turn: int) -> list[Request]:
        """The batch after one of that turn, where it is settled: what the answers lead to is of
        later turns. Empty where it is not, or where the journal holds it."""
        if not self._queue or self._queue[0][0] != turn:
            return []
        batch = self._take()
        for entry in batch:
            heappush(self._queue, entry)
        requests = [entry[3] for entry in batch]
        return [] if all(request.known for request in requests) else requests

    @abstractmethod
    def generate(self, batch: Sequence[Request]) -> Sequence[Response]:
        """Responses to a batch, in its order."""

    def execution(self) -> Mapping[str, Any]:
        return {"batch_size": self.batch_size}
