"""Playing the episodes of a task: responses asked for, judged, journalled, until all are done.

The runner knows turns and episodes alone. An episode asks for its next response as soon as its
last one is judged, whatever the others do; how requests are grouped is the model's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from genbench.errors import IncompleteError
from genbench.models.interface import Model, Request, Response
from genbench.records import EpisodeRecord, Turn, episode_key
from genbench.settings import RunSettings
from genbench.steps import attempts_of
from genbench.store import Journal
from genbench.task import Episode, Instance, Message, Task, derive_seed
from genbench.thinking import visible_text


@dataclass
class Progress:
    """Where a run stands."""

    episodes: int
    done: int = 0
    first_attempts: int = 0
    first_solved: int = 0
    turns: int = 0
    generated_tokens: int = 0


@dataclass(slots=True)
class _Live:
    order: int
    split: str
    instance: Instance
    sample: int
    episode: Episode
    turns: list[Turn] = field(default_factory=list)

    @property
    def key(self) -> str:
        return episode_key(self.instance.id, self.sample)

    def record(self) -> EpisodeRecord:
        """What is stored of the episode as far as it was played."""
        solved = self.episode.solved
        return EpisodeRecord.of(self.split, self.instance, self.sample, solved, self.turns)


def play(
    task: Task,
    model: Model,
    settings: RunSettings,
    journal: Journal | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    only: frozenset[str] | None = None,
) -> list[EpisodeRecord]:
    """Play every episode (those in `only`, if given) to its end, in canonical order.

    Raises IncompleteError where responses failed: the others are on disk.
    """
    live = {item.key: item for item in _episodes(task, settings, only)}
    # In canonical order. What an episode asked is forgotten when it is over: it is most of it.
    records: dict[str, EpisodeRecord | None] = dict.fromkeys(live)
    progress = Progress(len(live))
    known = journal.known if journal else {}
    failures: list[str] = []
    model.start(task)
    model.submit([_request(item, settings, known) for item in live.values()])
    waiting = len(records)
    while waiting:
        received = model.receive()
        if journal:
            journal.append(
                (request.episode, request.turn, response)
                for request, response in received
                if request.known is None and response.finish_reason != "error"
            )
        following = []
        for request, response in received:
            item = live[request.episode]
            waiting -= 1
            if response.finish_reason == "error":
                failures.append(f"{request.episode}, turn {request.turn + 1}: {response.error}")
                continue
            _step(item, response, settings)
            if request.turn == 0:  # those that are solved end first: `done` alone would mislead
                progress.first_attempts += 1
                progress.first_solved += item.turns[0].verdict.correct
            progress.turns += 1
            progress.generated_tokens += response.generated_tokens or 0
            if item.episode.done:
                progress.done += 1
                records[request.episode] = item.record()
                del live[request.episode]
            else:
                following.append(_request(item, settings, known))
        waiting += len(following)
        model.submit(following)
        report(progress)
    if failures:
        raise IncompleteError(
            f"{len(failures)} of {len(records)} episodes got no response; the first: "
            f"{failures[0]}. The others are on disk: run the same command again to try these "
            "once more"
        )
    return [record for record in records.values() if record is not None]


def first_requests(task: Task, settings: RunSettings) -> Iterator[Request]:
    """What is asked at the first turn of every episode, made one at a time."""
    for item in _episodes(task, settings, None):
        yield _request(item, settings, {})


def replay(
    task: Task,
    settings: RunSettings,
    split: str,
    instance: Instance,
    sample: int,
    responses: Sequence[Response] | Callable[[Episode], Response | None],
) -> tuple[EpisodeRecord, bool]:
    """Judge stored responses anew, as the runner did; and whether they end the episode.

    They stand in order, or come from a function of the episode that they are for, which has no
    more where it gives None.
    """
    attempts = attempts_of(task, settings, split)
    item = _Live(0, split, instance, sample, task.environment.episode(instance, attempts))
    if not callable(responses):
        stored = iter(responses)

        def responses(episode: Episode) -> Response | None:
            return next(stored, None)

    while not item.episode.done:
        response = responses(item.episode)
        if response is None:
            break
        _step(item, response, settings)
    return item.record(), item.episode.done


def _episodes(task: Task, settings: RunSettings, only: frozenset[str] | None) -> Iterator[_Live]:
    order = 0
    for name, split in task.splits.items():
        attempts = attempts_of(task, settings, name)
        for instance in split.instances():
            for sample in range(settings.samples):
                if only is None or episode_key(instance.id, sample) in only:
                    episode = task.environment.episode(instance, attempts)
                    yield _Live(order, name, instance, sample, episode)
                order += 1


def _step(item: _Live, response: Response, settings: RunSettings) -> None:
    step, attempt = item.episode.place
    verdict = item.episode.step(
        visible_text(response.text, settings.thinking),
        truncated=response.finish_reason == "length",
    )
    item.turns.append(Turn(response, verdict, step, attempt))


def _request(item: _Live, settings: RunSettings, known: dict[tuple[str, int], Response]) -> Request:
    messages = tuple(item.episode.messages())
    if settings.system is not None:
        messages = (Message("system", settings.system), *messages)
    turn = len(item.turns)
    return Request(
        episode=item.key,
        turn=turn,
        order=item.order,
        messages=messages,
        max_new_tokens=settings.max_new_tokens,
        stop=settings.stop,
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=derive_seed("request", settings.seed, item.instance.id, item.sample, turn),
        known=known.get((item.key, turn)),
        instance=item.episode.state,
    )
