"""The episodes of all runs, read once and one at a time: a short index, and pieces of text."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.errors import StoreError
from genbench.records import EpisodeRecord, Turn
from genbench.recount import Recount
from genbench.report.chunks import PieceStore, script_json
from genbench.report.conversations import Conversations
from genbench.report.curves import flops_of
from genbench.report.loading import Group, ReportRun
from genbench.report.text import clean
from genbench.scores import ScoreRows, SplitScores
from genbench.store import EPISODES, RESULTS

_PIECE_EPISODES = 200
_PIECE_BYTES = 256 * 1024
_PIECE_PROMPTS = 100


@dataclass
class _Names:
    """Texts by number, in the order of their first appearance."""

    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))


@dataclass
class EpisodeIndex:
    """What the list of episodes shows and filters by: parallel columns, one value an episode.

    `first` and `last` are outcomes of the first and of the last response, `retries` counts the
    responses that are no first attempt at their step; `pieces` holds the number of the first
    episode of each piece.
    """

    outcomes: _Names = field(default_factory=_Names)
    splits: _Names = field(default_factory=_Names)
    instances: list[_Names] = field(default_factory=list)
    run: array[int] = field(default_factory=lambda: array("l"))
    split: array[int] = field(default_factory=lambda: array("l"))
    instance: array[int] = field(default_factory=lambda: array("l"))
    sample: array[int] = field(default_factory=lambda: array("l"))
    first: array[int] = field(default_factory=lambda: array("l"))
    last: array[int] = field(default_factory=lambda: array("l"))
    turns: array[int] = field(default_factory=lambda: array("l"))
    retries: array[int] = field(default_factory=lambda: array("l"))
    solved: array[int] = field(default_factory=lambda: array("l"))
    pieces: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.run)

    def json(self) -> dict[str, Any]:
        """The index as the page has it."""
        columns = (
            "run", "split", "instance", "sample", "first", "last", "turns", "retries", "solved",
        )  # fmt: skip
        return {
            "outcomes": list(self.outcomes.numbers),
            "splits": list(self.splits.numbers),
            "instances": [list(names.numbers) for names in self.instances],
            "pieces": self.pieces,
            "prompts": _PIECE_PROMPTS,
            **{name: getattr(self, name).tolist() for name in columns},
        }


@dataclass(frozen=True)
class Collected:
    """What one pass over all episodes leaves: the index of all, and the scores an instance, by
    run folder, of the checkpoints on the scaling curves."""

    index: EpisodeIndex
    scores: Mapping[Path, Mapping[str, SplitScores]]


def collect(
    groups: list[Group], conversations: list[Conversations], pieces: PieceStore
) -> Collected:
    """Read every episode once; its text goes to `pieces`. Raises StoreError where a file is
    damaged, is not the one that its run's results were computed from, or counts otherwise."""
    index = EpisodeIndex()
    scores = {}
    number = 0
    for at, (group, conversation) in enumerate(zip(groups, conversations, strict=True)):
        names = _Names()
        index.instances.append(names)
        for run in group.runs:
            rows = ScoreRows(run.results) if flops_of(run) is not None else None
            _collect_run(run, number, names, conversation, index, pieces, rows)
            if rows is not None:
                scores[run.folder] = rows.splits()
            number += 1
        _add_prompts(at, names, conversation, pieces)
    return Collected(index, scores)


def _collect_run(
    run: ReportRun,
    number: int,
    instances: _Names,
    conversation: Conversations,
    index: EpisodeIndex,
    pieces: PieceStore,
    scores: ScoreRows | None,
) -> None:
    texts: list[str] = []
    size = 0
    begun = len(index)
    recount = Recount()

    def flush() -> None:
        if texts:
            pieces.add(f"episodes-{len(index.pieces)}", f"[{','.join(texts)}]")
            index.pieces.append(len(index) - len(texts))
            texts.clear()

    for episode in read_episodes(run):
        if episode.split not in run.results.splits:
            raise StoreError(
                f"{run.folder / EPISODES}: the split '{clean(episode.split)}' of episode "
                f"{len(index) - begun + 1} is none of {RESULTS}"
            )
        recount.add(episode)
        if scores is not None:
            scores.add(episode)
        index.run.append(number)
        index.split.append(index.splits.number(clean(episode.split)))
        index.instance.append(instances.number(episode.instance_id))
        index.sample.append(episode.sample)
        index.first.append(index.outcomes.number(clean(episode.turns[0].verdict.outcome)))
        index.last.append(index.outcomes.number(clean(episode.turns[-1].verdict.outcome)))
        index.turns.append(len(episode.turns))
        index.retries.append(sum(turn.attempt > 1 for turn in episode.turns))
        index.solved.append(int(episode.solved))
        before = conversation.before(run, episode)
        told = [_turn(turn, new) for turn, new in zip(episode.turns, before, strict=True)]
        text = script_json([episode.pair_id, episode.cluster, told])
        texts.append(text)
        size += len(text)
        if len(texts) >= _PIECE_EPISODES or size >= _PIECE_BYTES:
            flush()
            size = 0
    flush()
    recount.check(run.results, run.folder)


def _turn(turn: Turn, before: list[list[Any]] | None) -> list[Any]:
    """A turn as the page has it: a list, whose places page.js names."""
    verdict, response = turn.verdict, turn.response
    return [
        before,
        response.text,
        response.finish_reason,
        response.prompt_tokens,
        response.generated_tokens,
        turn.step,
        turn.attempt,
        verdict.outcome,
        int(verdict.correct),
        verdict.reward,
        verdict.feedback,
        verdict.extraction,
        int(verdict.strict),
        [[name, value] for name, value in verdict.checks.items()],
        [list(reading) for reading in verdict.readings],
        # As text: keys that a model chose must not become properties of a script's objects.
        json.dumps(verdict.fields) if verdict.fields else "",
    ]


def read_episodes(run: ReportRun) -> Iterator[EpisodeRecord]:
    """The episodes of a run; at their end, whether they are those that its results are of.

    Raises StoreError with the line where one is no episode.
    """
    path: Path = run.folder / EPISODES
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                digest.update(line)
                try:
                    episode = EpisodeRecord.from_json(json.loads(line))
                    fault = _fault(episode)
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                    fault = type(error).__name__
                if fault:
                    raise StoreError(f"{path}: line {number} is no episode ({fault})")
                yield episode
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None
    if digest.hexdigest() != run.results.episodes_sha256:
        raise StoreError(
            f"{path} is not the file that {RESULTS} was computed from; `genbench verify "
            f"{run.folder}` names what differs"
        )


def _fault(episode: EpisodeRecord) -> str | None:
    """What the schema of a line does not say, None where all is well."""
    texts = [episode.instance_id, episode.pair_id, episode.cluster, episode.split]
    if not all(isinstance(text, str) for text in texts):
        return "an id is no text"
    if type(episode.sample) is not int or not 0 <= episode.sample < 2**31:
        return "the sample is no number"
    if not isinstance(episode.solved, bool) or not episode.turns:
        return "no turn, or solved is neither true nor false"
    for turn in episode.turns:
        said = turn.verdict
        words = [turn.response.text, turn.response.finish_reason, said.outcome, said.feedback]
        if not all(isinstance(text, str) for text in [*words, said.extraction]):
            return "a text is no text"
        if not isinstance(said.checks, dict) or not isinstance(said.fields, dict):
            return "the checks or the fields of a verdict are no object"
        numbers = [said.reward, turn.step, turn.attempt, said.correct, said.strict]
        numbers += [turn.response.prompt_tokens or 0, turn.response.generated_tokens or 0]
        if not all(isinstance(value, int | float) for value in numbers):
            return "a number is no number"
    return None


def _add_prompts(
    group: int, instances: _Names, conversation: Conversations, pieces: PieceStore
) -> None:
    """The prompts of a group's instances, each once, and what the instances hold."""
    if conversation.task is None:
        return
    names = list(instances.numbers)
    for start in range(0, len(names), _PIECE_PROMPTS):
        told = []
        for name in names[start : start + _PIECE_PROMPTS]:
            instance = conversation.instances.get(name)
            prompt = conversation.prompt(name) if conversation.shared_prompts else None
            told.append([prompt, json.dumps(dict(instance.data)) if instance else ""])
        pieces.add(f"prompts-{group}-{start // _PIECE_PROMPTS}", script_json(told))
