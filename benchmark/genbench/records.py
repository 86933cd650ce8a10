"""What is stored of a played episode, one JSON line each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from genbench.models.interface import Response
from genbench.task import Instance, Verdict


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON values."""
    return {
        "correct": verdict.correct,
        "outcome": verdict.outcome,
        "reward": verdict.reward,
        "feedback": verdict.feedback,
        "checks": dict(verdict.checks),
        "fields": dict(verdict.fields),
        "readings": [list(reading) for reading in verdict.readings],
        "extraction": verdict.extraction,
        "strict": verdict.strict,
    }


def verdict_from(raw: Mapping[str, Any]) -> Verdict:
    """The verdict that `verdict_json` wrote."""
    return Verdict(
        correct=raw["correct"],
        outcome=raw["outcome"],
        reward=raw["reward"],
        feedback=raw["feedback"],
        checks=raw["checks"],
        fields=raw["fields"],
        readings=tuple((str(symbol), str(value)) for symbol, value in raw["readings"]),
        extraction=raw["extraction"],
        strict=raw["strict"],
    )


@dataclass(frozen=True, slots=True)
class Turn:
    """One response and its judgement: an attempt (from 1) at a step (from 0) of the episode."""

    response: Response
    verdict: Verdict
    step: int = 0
    attempt: int = 1

    def json(self) -> dict[str, Any]:
        """What is stored; not log-probabilities, whose last digits depend on the batch, nor which
        of a server's replicas answered."""
        kept = asdict(self.response)
        del kept["error"], kept["logprob"], kept["origin"]
        return {
            "step": self.step,
            "attempt": self.attempt,
            "response": kept.pop("text"),
            **kept,
            "verdict": verdict_json(self.verdict),
        }


@dataclass(frozen=True, slots=True)
class EpisodeRecord:
    """An instance played to the end; `sample` numbers the K samples of an instance."""

    instance_id: str
    pair_id: str
    cluster: str
    split: str
    sample: int
    solved: bool
    turns: tuple[Turn, ...]

    @classmethod
    def of(
        cls, split: str, instance: Instance, sample: int, solved: bool, turns: Iterable[Turn]
    ) -> EpisodeRecord:
        return cls(
            instance.id, instance.pair_id, instance.cluster, split, sample, solved, tuple(turns)
        )

    @property
    def key(self) -> str:
        return episode_key(self.instance_id, self.sample)

    def solved_within(self, attempts: int) -> bool:
        """Whether the episode was solved with at most so many attempts at every step."""
        return self.solved and all(turn.attempt <= attempts for turn in self.turns)

    def json(self) -> dict[str, Any]:
        return {
            "instance_id": self.instance_id,
            "pair_id": self.pair_id,
            "cluster": self.cluster,
            "split": self.split,
            "sample": self.sample,
            "solved": self.solved,
            "turns": [turn.json() for turn in self.turns],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> EpisodeRecord:
        return cls(
            raw["instance_id"],
            raw["pair_id"],
            raw["cluster"],
            raw["split"],
            raw["sample"],
            raw["solved"],
            tuple(
                Turn(
                    Response(
                        turn["response"],
                        turn["finish_reason"],
                        turn["prompt_tokens"],
                        turn["generated_tokens"],
                    ),
                    verdict_from(turn["verdict"]),
                    turn["step"],
                    turn["attempt"],
                )
                for turn in raw["turns"]
            ),
        )


def episode_key(instance_id: str, sample: int) -> str:
    """The name of an episode in a run."""
    return f"{instance_id}#{sample}"


def dump_lines(records: Iterable[EpisodeRecord]) -> Iterator[bytes]:
    """`episodes.jsonl`, line by line: ASCII, so that any text of a model survives."""
    for record in records:
        yield json.dumps(record.json(), ensure_ascii=True).encode() + b"\n"


def lines_sha256(records: Iterable[EpisodeRecord]) -> str:
    """The SHA-256 of the `episodes.jsonl` that they make."""
    digest = hashlib.sha256()
    for line in dump_lines(records):
        digest.update(line)
    return digest.hexdigest()
