"""What the model was told: the messages of stored episodes, rebuilt by the environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from genbench.errors import GenbenchError
from genbench.records import EpisodeRecord
from genbench.registry import load_task
from genbench.report.loading import Group, ReportRun
from genbench.report.pictures import page_picture
from genbench.task import Environment, Image, Instance, Message, Task
from genbench.thinking import visible_text

MOST_PICTURES = 200
"""Of episodes with prompts of their own, each with its pictures: as soon as a split of a run has so
many on the page, its further episodes are shown without."""
_LEFT_OUT = (
    "[a picture, left out of this page, which has those of the first episodes of each split: "
    "`genbench tasks show --save-images` and `genbench tasks export` draw it]"
)

#: a message as the page has it: its role, and texts and pictures in reading order
Told = list[Any]


@dataclass(frozen=True)
class Conversations:
    """The task of a group, or why its prompts cannot be rebuilt (`reason`)."""

    task: Task | None
    reason: str | None
    instances: Mapping[str, Instance] = field(default_factory=dict)
    _shown: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Pictures so far, by run and split."""

    @property
    def shared_prompts(self) -> bool:
        """Whether every episode of an instance begins alike: the environment has no episodes of
        its own, and its prompts can be kept once an instance."""
        return self.task is not None and type(self.task.environment).episode is Environment.episode

    def prompt(self, instance_id: str) -> list[Told] | None:
        """The chat that asks for the first attempt."""
        instance = self.instances.get(instance_id)
        if self.task is None or instance is None:
            return None
        return [told(message) for message in self.task.environment.messages(instance)]

    def before(self, run: ReportRun, episode: EpisodeRecord) -> list[list[Told] | None]:
        """For every turn the messages that are new since the response before it; the shared
        prompt is left out."""
        instance = self.instances.get(episode.instance_id)
        if self.task is None or instance is None:
            return [None] * len(episode.turns)
        if self.shared_prompts:
            revision = self.task.environment.revision
            return [
                [],
                *([["user", revision(turn.verdict)]] for turn in episode.turns[:-1]),
            ]
        return self._replayed(run, episode, instance)

    def _replayed(
        self, run: ReportRun, episode: EpisodeRecord, instance: Instance
    ) -> list[list[Told] | None]:
        assert self.task is not None
        role = self.task.splits[episode.split].spec.role
        attempts = 1 if role == "control" else run.settings.verify_iters
        live = self.task.environment.episode(instance, attempts)
        found: list[list[Told] | None] = []
        known: list[Message] = []
        place = (run.label, episode.split)
        pictured = self._shown[place] < MOST_PICTURES
        for turn in episode.turns:
            if live.done:
                found.append(None)
                continue
            messages = list(live.messages())
            fresh = messages[len(known) :] if messages[: len(known)] == known else messages
            if known and fresh and fresh[0].role == "assistant":
                fresh = fresh[1:]  # the response itself, which is shown as it was given
            found.append([told(message, pictured=pictured) for message in fresh])
            self._shown[place] += sum(len(message.images) for message in fresh)
            known = messages
            live.step(
                visible_text(turn.response.text, run.settings.thinking),
                truncated=turn.response.finish_reason == "length",
            )
        return found


def told(message: Message, *, pictured: bool = True) -> Told:
    """A message as JSON values: `[role, part, ...]`, a picture as `page_picture` has it, or a
    sentence in its place."""
    content = (message.content,) if isinstance(message.content, str) else message.content

    def shown(part: str | Image) -> Any:
        if isinstance(part, str):
            return part
        return page_picture(part) if pictured else _LEFT_OUT

    return [message.role, *map(shown, content)]


def load_conversations(group: Group) -> Conversations:
    """The task that asked the group's questions, by the first run whose source loads."""
    reasons: list[str] = []
    for source in dict.fromkeys(run.source for run in group.runs):
        run = next(run for run in group.runs if run.source == source)
        try:
            task = _load(source, run)
        except GenbenchError as error:
            reasons.append(str(error))
            continue
        if task.fingerprint != run.results.task.fingerprint:
            reasons.append(
                f"the task {source} is no longer the one that was asked (its fingerprint differs)"
            )
            continue
        instances = {
            instance.id: instance
            for split in task.splits.values()
            for instance in split.instances()
        }
        return Conversations(task, None, instances)
    return Conversations(None, reasons[0])


def _load(source: str, run: ReportRun) -> Task:
    settings = run.settings
    return load_task(
        source,
        protocol=settings.protocol,
        prompt=settings.prompt,
        feedback=settings.feedback,
        limit=settings.limit,
        settings=settings.task_settings,
    )


def instance_data(conversations: Conversations, instance_id: str) -> Mapping[str, Any] | None:
    """The data of an instance, None where the task is not at hand."""
    instance = conversations.instances.get(instance_id)
    return None if instance is None else instance.data
