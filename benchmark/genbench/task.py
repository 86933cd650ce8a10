"""The vocabulary of genbench as types: what an environment offers and what a task is.

A task pack imports this module alone. Data are frozen; behaviour belongs to the environment.
The same environment serves evaluation (`episode`), RL reward (`verify`) and dataset export
(`messages` + `solutions`): there is no second implementation of a rule.
"""

from __future__ import annotations

import hashlib
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

# Re-exported: a task pack imports this module alone.
from genbench.errors import TaskError as TaskError
from genbench.errors import UsageError as UsageError
from genbench.errors import closest as closest

FEEDBACK_LEVELS = ("none", "outcome", "detail")
#: the reference agents that every environment has, and those that some have beside them
REFERENCE_AGENTS = ("oracle", "memoriser", "random", "broken")
AGENT_KINDS = (*REFERENCE_AGENTS, "visual-memoriser")

CORRECT = "correct"
TRUNCATED = "truncated"


def canonical_json(value: Any) -> str:
    """The one JSON text of a value that fingerprints are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def fingerprint(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def derive_seed(*parts: str | int) -> int:
    """A 63-bit seed from a hash of its parts.

    Hashed and never added: with seed + index two "different" splits share their items.
    """
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class Image:
    """A picture in a message: encoded bytes and their media type (`image/png`).

    It is made from bytes, or from a function that makes them: what follows from an instance is
    drawn whenever `data` is read, so that a thousand waiting requests hold no picture.
    """

    __slots__ = ("_source", "media_type")

    def __init__(self, data: bytes | Callable[[], bytes], media_type: str = "image/png") -> None:
        self._source = data
        self.media_type = media_type

    @property
    def data(self) -> bytes:
        """The encoded picture."""
        return self._source if isinstance(self._source, bytes) else self._source()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Image) or self.media_type != other.media_type:
            return False
        return self._source is other._source or self.data == other.data

    def __hash__(self) -> int:
        return hash((self.media_type, self.data))

    def __repr__(self) -> str:
        size = (
            f"{len(self._source)} bytes" if isinstance(self._source, bytes) else "drawn on demand"
        )
        return f"Image({self.media_type}, {size})"


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message; `content` is text, or text and images in reading order."""

    role: Literal["system", "user", "assistant"]
    content: str | tuple[str | Image, ...]

    @property
    def text(self) -> str:
        """The text parts, images left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part for part in self.content if isinstance(part, str))

    @property
    def images(self) -> tuple[Image, ...]:
        if isinstance(self.content, str):
            return ()
        return tuple(part for part in self.content if isinstance(part, Image))


@dataclass(frozen=True)
class Instance:
    """One problem.

    `pair_id` is equal for the same underlying problem in other splits; `cluster` is the unit of
    independence for statistics; `data` holds JSON values only and is what the fingerprint sees.
    """

    id: str
    pair_id: str
    cluster: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one response.

    `checks` maps a check (perception, rule, reasoning) to true, false, or null where the response
    does not expose it; a check of several parts may be the share that passed (0 to 1). `readings`
    lists what each rule-dependent symbol was taken for, as (symbol, value) pairs. `extraction`
    names how the answer was found, `strict` says whether the strict answer format was kept.
    """

    correct: bool
    outcome: str
    reward: float
    feedback: str
    checks: Mapping[str, bool | float | None] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    readings: tuple[tuple[str, str], ...] = ()
    extraction: str = "none"
    strict: bool = False


@dataclass(frozen=True)
class SplitSpec:
    """A split as a task file states it.

    `role` is `id`, `ood` or `control`. A control names the OOD split whose gap it decomposes
    (`control_of`) and the reading whose numbers it carries (`numbers`: `id` or `ood`). `level` is
    how far an OOD split lies from ID, where a task grades its shift; ID is 0. `settings` are the
    environment's own.
    """

    name: str
    role: Literal["id", "ood", "control"]
    shift: str | None = None
    rule: str | None = None
    control_of: str | None = None
    numbers: Literal["id", "ood"] | None = None
    level: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


class Agent(ABC):
    """A scripted reference: answers through the same text interface as a model."""

    @abstractmethod
    def respond(self, instance: Instance, messages: Sequence[Message], seed: int) -> str:
        """The response to the last message; agents may look at the instance, models never do."""


class Episode:
    """One instance being played: sequential revision with the verifier in the loop.

    The chat follows the paper (section 3; figure 2): the first prompt, then for every attempt the
    model's response and the verifier's feedback. An environment of many steps overrides what it
    needs; the runner asks for `messages`, `state`, `place`, `step`, `done` and `solved` alone.
    """

    def __init__(self, environment: Environment, instance: Instance, verify_iters: int) -> None:
        self.environment = environment
        self.instance = instance
        self.verify_iters = verify_iters
        self.verdicts: list[Verdict] = []
        self._messages = list(environment.messages(instance))

    def messages(self) -> Sequence[Message]:
        """The conversation that the next response answers."""
        return tuple(self._messages)

    @property
    def state(self) -> Instance:
        """The instance that the next response is judged against, as `Environment.verify` does."""
        return self.instance

    @property
    def place(self) -> tuple[int, int]:
        """(step, attempt) of the next response: the step from 0, the attempt at it from 1."""
        return 0, len(self.verdicts) + 1

    def step(self, response: str, *, truncated: bool = False) -> Verdict:
        """Judge a response and move on; pure in the sequence of responses."""
        verdict = self.environment.verify(self.instance, response, truncated=truncated)
        self.verdicts.append(verdict)
        self._messages.append(Message("assistant", response))
        self._messages.append(Message("user", self.environment.revision(verdict)))
        return verdict

    @property
    def solved(self) -> bool:
        return bool(self.verdicts) and self.verdicts[-1].correct

    @property
    def done(self) -> bool:
        return self.solved or len(self.verdicts) >= self.verify_iters


class Environment(ABC):
    """The code of a problem family; built from the settings of a task file.

    Raises TaskError from the constructor when a setting is wrong.
    """

    #: the outcome codes that `verify` can give, `correct` first
    outcomes: tuple[str, ...] = (CORRECT, TRUNCATED)
    #: the prompt variants, the default first
    prompts: tuple[str, ...] = ("default",)
    #: of an environment of many steps: the kinds of step that are scored apart
    step_kinds: tuple[str, ...] = ()
    #: the kinds that `agent` knows, of `AGENT_KINDS`
    agents: tuple[str, ...] = REFERENCE_AGENTS
    #: the settings that are mappings of which `--set`, or a split, gives parts: the others stay as
    #: they were (of any other setting, what is given takes the place of the whole)
    merged_settings: tuple[str, ...] = ()

    def __init__(self, *, prompt: str, feedback: str, settings: Mapping[str, Any]) -> None:
        if prompt not in self.prompts:
            raise UsageError(f"no prompt '{prompt}' here; {closest(prompt, self.prompts)}")
        if feedback not in FEEDBACK_LEVELS:
            raise UsageError(
                f"no feedback level '{feedback}'; {closest(feedback, FEEDBACK_LEVELS)}"
            )
        self.prompt = prompt
        self.feedback = feedback
        self.settings = dict(settings)

    @abstractmethod
    def instances(self, split: SplitSpec) -> Sequence[Instance]:
        """The split's instances, the same in every process; any prefix is a fair sample of it.

        A setting named `seed` draws others of the same kind: it makes no shift.
        """

    @abstractmethod
    def messages(self, instance: Instance) -> Sequence[Message]:
        """The chat that asks for the first attempt."""

    @abstractmethod
    def verify(self, instance: Instance, response: str, *, truncated: bool = False) -> Verdict:
        """Judge any string, in bounded time, without raising.

        `truncated` says that the response was cut off at the token limit: what is not correct
        then has the outcome `truncated`.
        """

    @abstractmethod
    def solutions(self, instance: Instance, *, seed: int = 0) -> Iterator[str]:
        """Correct responses in the answer format, the canonical one first."""

    @abstractmethod
    def agent(self, kind: str, training: SplitSpec) -> Agent:
        """The reference agent of that kind; `training` is the split a memoriser knows."""

    def revision(self, verdict: Verdict) -> str:
        """The user message after a failed attempt (the paper's wording, figure 2)."""
        return f"You failed this trial because {verdict.feedback}"

    def episode(self, instance: Instance, verify_iters: int) -> Episode:
        """A fresh episode; `verify_iters` is the number of attempts (a step, where there are)."""
        return Episode(self, instance, verify_iters)

    def states(self, instance: Instance) -> Sequence[Instance]:
        """What is asked, step by step, where every answer is right: each an instance for
        `messages`, `verify`, `solutions`, `chance` and `under_rule`. One step: itself."""
        return (instance,)

    def step_kind(self, state: Instance) -> str | None:
        """The kind of a step, one of `step_kinds`; None where no answer is judged."""
        return None

    def under_rule(self, instance: Instance, training: SplitSpec) -> Instance | None:
        """The instance as the training rule reads it, for measuring stickiness.

        None where a response could be right under both rules, or where there is no such rule.
        """
        return None

    def stickiness_reason(self, split: SplitSpec, training: SplitSpec) -> str | None:
        """Why stickiness is undefined for a split, or None where it is defined."""
        return "the shift has no training rule to return to"

    def expected_readings(self, instance: Instance) -> Mapping[str, str]:
        """What each rule-dependent symbol of the instance stands for under its rule."""
        return {}

    def chance(self, instance: Instance) -> float | None:
        """The exact probability that the `random` agent is correct, None where unknown."""
        return None

    def certificate(self, splits: Mapping[str, Sequence[Instance]]) -> Mapping[str, Any]:
        """Overlap counts between these splits and what our recipes may train on."""
        return {}

    def training_overlap(
        self, splits: Mapping[str, Sequence[Instance]], training: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Overlap with a checkpoint's recorded training problems, None where it has no record."""
        return None


@dataclass(frozen=True)
class Protocol:
    """One way to draw the splits of a task (`paired`, `paper`)."""

    name: str
    paired: bool
    splits: tuple[SplitSpec, ...]


@dataclass(frozen=True)
class TaskSpec:
    """A task as its file states it, validated."""

    name: str
    version: str
    summary: str
    environment: str
    cluster: str
    protocols: Mapping[str, Protocol]
    settings: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = ""
    feedback: str = "outcome"
    verify_iters: int = 1
    max_new_tokens: int = 512
    source: str = ""


class Split:
    """A named set of instances of a task."""

    def __init__(self, environment: Environment, spec: SplitSpec, limit: int | None) -> None:
        self.spec = spec
        self._environment = environment
        self._limit = limit
        self._instances: tuple[Instance, ...] | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    def instances(self) -> Sequence[Instance]:
        """The instances (at most `limit` of them, the first ones)."""
        if self._instances is None:
            every = tuple(self._environment.instances(self.spec))
            if not every:
                raise TaskError(f"split '{self.name}' has no instance")
            self._instances = every[: self._limit]
        return self._instances

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the instances and the split's settings."""
        return fingerprint(
            {
                "spec": [self.spec.role, self.spec.shift, self.spec.rule, self.spec.settings],
                "instances": [
                    [instance.id, instance.pair_id, instance.cluster, instance.data]
                    for instance in self.instances()
                ],
            }
        )


def _alike(one: SplitSpec, other: SplitSpec) -> bool:
    """Whether two splits have one rule, and the same settings but for a seed."""
    settings = [
        {key: value for key, value in spec.settings.items() if key != "seed"}
        for spec in (one, other)
    ]
    return one.rule == other.rule and settings[0] == settings[1]


class Task:
    """A task ready to be played: its specification, environment and splits.

    `limit` keeps the first N instances of each split (pairs, under a paired protocol);
    `overrides` are the settings of the environment that are not the task file's.
    """

    def __init__(
        self,
        spec: TaskSpec,
        environment: Environment,
        protocol: Protocol,
        limit: int | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self.spec = spec
        self.environment = environment
        self.protocol = protocol
        self.limit = limit
        self.overrides = dict(overrides or {})
        self.splits = {split.name: Split(environment, split, limit) for split in protocol.splits}

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process builds the task anew: instances are drawn there, not sent."""
        environment = self.environment
        made_of = (environment.prompt, environment.feedback, environment.settings)
        return _rebuilt, (
            *(self.spec, type(environment), made_of, self.protocol, self.limit, self.overrides),
        )

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def training_split(self) -> SplitSpec:
        """The ID split: what a checkpoint under test was trained on."""
        return self.splits["id"].spec

    def check_instances(self) -> None:
        """Draw every split. Raises TaskError where one is empty, where an instance id comes twice,
        where data are no JSON, where the splits of a paired protocol have no pairs, or where an OOD
        split has no shift: it holds what the ID split holds, or is drawn just as that is."""
        seen: dict[str, str] = {}
        for name, split in self.splits.items():
            for instance in split.instances():
                if instance.id in seen:
                    raise TaskError(
                        f"the instance id '{instance.id}' is in split '{seen[instance.id]}' and "
                        f"again in '{name}': ids are unique in a task"
                    )
                seen[instance.id] = name
                try:
                    canonical_json(instance.data)
                except (TypeError, ValueError) as error:
                    raise TaskError(
                        f"the data of the instance '{instance.id}' are not JSON values: {error}"
                    ) from None
        if self.protocol.paired:
            self._check_pairs()
        for split in self.splits.values():
            if split.spec.role == "ood":
                self._check_shift(split)

    def _check_shift(self, split: Split) -> None:
        inside, out, drawn = self.training_split, split.spec, self.environment.instances
        if self._all_equal(self.splits["id"].instances(), split.instances()) and (
            # A shift may begin beyond the first N instances.
            self.limit is None or self._all_equal(drawn(inside), drawn(out))
        ):
            fault = "every one of its problems is in split 'id' with the same data"
        elif _alike(inside, out) and self._drawn_alike(inside, out):
            fault = "it is drawn as split 'id' is, by the same rule and the same settings" + (
                "" if inside.settings == out.settings else " but for a seed"
            )
        else:
            return
        raise TaskError(
            f"split '{split.name}' is OOD in name alone, without the shift '{out.shift}': {fault}. "
            "Give it another rule, or settings in which the two differ"
        )

    def _all_equal(self, inside: Sequence[Instance], out: Sequence[Instance]) -> bool:
        """Whether all twins in two splits are equal; unpaired, whether all of `out` have one."""
        known = {instance.pair_id: instance.data for instance in inside}
        if self.protocol.paired:
            out = [instance for instance in out if instance.pair_id in known]
        return all(known.get(instance.pair_id) == instance.data for instance in out)

    def _drawn_alike(self, inside: SplitSpec, out: SplitSpec) -> bool:
        """Whether ID would hold what `out` holds, had it the name (and the seed) of that."""
        named = replace(inside, name=out.name, settings=out.settings)
        first, second = (
            [instance.data for instance in self.environment.instances(spec)]
            for spec in (named, out)
        )
        return first == second

    def _check_pairs(self) -> None:
        pairs = {name: self._pairs(split) for name, split in self.splits.items()}
        for name, found in pairs.items():
            if not found & pairs["id"]:
                raise TaskError(
                    f"the protocol '{self.protocol.name}' is paired, but no pair id of split "
                    f"'{name}' is in split 'id': twins in two splits have one pair id, and splits "
                    "have their pairs in one order"
                )

    def _pairs(self, split: Split) -> set[str]:
        pairs: set[str] = set()
        for instance in split.instances():
            if instance.pair_id in pairs:
                raise TaskError(
                    f"the pair id '{instance.pair_id}' comes twice in split '{split.name}' of a "
                    "paired protocol"
                )
            pairs.add(instance.pair_id)
        return pairs

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that decides which questions are asked and how judged."""
        return fingerprint(
            {
                "name": self.spec.name,
                "version": self.spec.version,
                "environment": self.spec.environment,
                "settings": self.environment.settings,
                "prompt": self.environment.prompt,
                "feedback": self.environment.feedback,
                "protocol": self.protocol.name,
                "splits": {name: split.fingerprint for name, split in self.splits.items()},
            }
        )

    def messages(self, instance: Instance) -> Sequence[Message]:
        """The chat that asks for the first attempt at an instance."""
        return self.environment.messages(instance)

    def verify(self, instance: Instance, response: str, *, truncated: bool = False) -> Verdict:
        """Judge any text as a response to an instance."""
        return self.environment.verify(instance, response, truncated=truncated)


def _rebuilt(
    spec: TaskSpec,
    kind: type[Environment],
    made_of: tuple[str, str, Mapping[str, Any]],
    protocol: Protocol,
    limit: int | None,
    overrides: Mapping[str, Any],
) -> Task:
    prompt, feedback, settings = made_of
    environment = kind(prompt=prompt, feedback=feedback, settings=settings)
    return Task(spec, environment, protocol, limit, overrides)


@dataclass(frozen=True)
class TaskPack:
    """What an entry point of the group `genbench.tasks` names: task files and their environments.

    `environments` maps a name to `module:Class`, imported when first needed.
    `checkpoints` and `recipes` are folders of demo checkpoints and of training recipes (one, or
    several), `reproductions` of the presets of `genbench reproduce`.
    """

    name: str
    task_dirs: tuple[Path, ...]
    environments: Mapping[str, str]
    checkpoints: Path | None = None
    recipes: Path | tuple[Path, ...] | None = None
    reproductions: Path | None = None


def hash_order(instances: Sequence[Instance], *salt: str | int) -> list[Instance]:
    """The instances in an order that a hash of their pair decides: any prefix is a fair sample."""
    return sorted(instances, key=lambda item: (derive_seed(item.pair_id, *salt), item.id))


def seeded(*parts: str | int) -> random.Random:
    """A random stream of its own for what the parts name."""
    return random.Random(derive_seed(*parts))
