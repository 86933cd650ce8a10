"""Models without weights: the reference agents of an environment."""

from __future__ import annotations

from collections.abc import Sequence

from genbench.errors import ModelError, UsageError, closest
from genbench.models.interface import (
    Backend,
    BatchedModel,
    Identity,
    LoadOptions,
    Model,
    Request,
    Response,
)
from genbench.task import AGENT_KINDS, Agent, Task, fingerprint

_DEFAULT_BATCH = 512


class AgentModel(BatchedModel):
    """`agent:<kind>`: answers by the environment's agent of that kind."""

    def __init__(self, kind: str, batch_size: int) -> None:
        super().__init__(batch_size)
        self._kind = kind
        self._agent: Agent | None = None

    def start(self, task: Task) -> None:
        self._agent = task.environment.agent(self._kind, task.training_split)

    def generate(self, batch: Sequence[Request]) -> Sequence[Response]:
        if self._agent is None:
            raise ModelError(f"agent:{self._kind} was asked before its task was named")
        answers = []
        for request in batch:
            if request.instance is None:
                raise ModelError(f"agent:{self._kind} needs the instance with each request")
            text = self._agent.respond(request.instance, request.messages, request.seed)
            answers.append(Response(text))
        return answers


class AgentBackend(Backend):
    """The reference agents, `agent:oracle` and its like."""

    name = "agent"
    reads_folders = False
    caches = False  # agents look at the instance

    def identify(self, name: str, options: LoadOptions) -> Identity:
        self.check_arguments(options)
        kind = name.removeprefix("agent:")
        if kind not in AGENT_KINDS:
            raise UsageError(f"there is no agent '{kind}'; {closest(kind, AGENT_KINDS)}")
        if options.thinking_budget is not None:
            raise UsageError("--thinking-budget: a scripted agent generates no tokens to limit")
        return Identity(f"agent:{kind}", self.name, fingerprint(["agent", kind]))

    def check_workers(self, options: LoadOptions) -> None:
        """Agents compute wherever they are."""

    def load(self, identity: Identity, options: LoadOptions) -> Model:
        return AgentModel(
            identity.name.removeprefix("agent:"), options.batch_size or _DEFAULT_BATCH
        )
