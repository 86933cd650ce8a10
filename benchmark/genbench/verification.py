"""Checking a stored run: every verdict and number again from the responses alone, and episodes
replayed against the weights.

Tier *rescored*: the verdicts and the numbers follow from the stored responses. Tier
*regenerated*: some responses, drawn at random, were made anew from the weights as well; only that
exposes invented responses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, ModelError, StoreError, TaskError, UsageError
from genbench.evaluation import Evaluation, read_results, results_of
from genbench.models.interface import Backend, Identity, LoadOptions
from genbench.records import EpisodeRecord, episode_key
from genbench.registry import load_task
from genbench.results_versions import as_of
from genbench.runner import play, replay
from genbench.settings import IMPORTED, RunSettings
from genbench.store import EPISODES, RESULTS, RUN, RunFolder, differences, read_json
from genbench.task import Instance, Task, derive_seed

_MOST_LISTED = 1000
_WORDS = ("stored", "recomputed")
_IN_RUN = ("in the run", "asked for")
#: what a run folder from elsewhere may not switch on by itself, and what it would do
_TRUST = {
    "trust_remote_code": "which can run code that comes with the weights",
    "allow_pickle": "which can run code that comes with the weights",
    "base_url": "a server that would be sent the prompts, and your key if one is set",
}


class WeightsError(ModelError):
    """The weights of a run cannot be had or used here, so that nothing can be replayed."""


@dataclass(frozen=True)
class Verification:
    """What a check of one run found; `differences` is empty where all agrees.

    `not_replayed` says why no episode was played again though some should have been.
    """

    folder: Path
    tier: str
    episodes: int
    regenerated: int
    differences: tuple[str, ...]
    not_replayed: str | None = None

    @property
    def passed(self) -> bool:
        return not self.differences


def verify_run(
    folder: Path,
    *,
    task_file: str | None = None,
    regenerate: int = 0,
    seed: int = 0,
    model: str | None = None,
    model_args: Mapping[str, str] | None = None,
    device: str = "auto",
    weights_needed: bool = True,
) -> Verification:
    """Check a finished run folder.

    `regenerate` episodes, chosen by `seed`, are played again on the weights of `model` (by
    default those that the run names). A run folder is a stranger's word: what it asked for that
    can run code (`trust_remote_code`, `allow_pickle`) or be sent a key (`base_url`) is done only
    if `model_args` ask for it again. Raises StoreError where the folder cannot be read,
    UsageError where its responses came from no weights, WeightsError where these cannot be had or
    used here; with `weights_needed` false, the last is a sentence in the result's `not_replayed`.
    """
    evaluation = stored_evaluation(folder, task_file)
    found = list(header_faults(evaluation))
    if found:
        # Under another task nothing else can agree.
        return Verification(folder, "none", 0, 0, tuple(found))
    records, faults = _rescored(evaluation)
    found = faults or list(_result_faults(evaluation, records))
    replayed, reason = 0, None
    if regenerate and not found:
        chosen = _drawn(records, regenerate, seed)
        try:
            found = list(_regenerated(evaluation, chosen, model, model_args or {}, device))
            replayed = len(chosen)
        except WeightsError as error:
            if weights_needed:
                raise
            reason = str(error)
    tier = "none" if found else "regenerated" if replayed else "rescored"
    return Verification(folder, tier, len(records), replayed, tuple(found[:_MOST_LISTED]), reason)


def stored_evaluation(folder: Path, task_file: str | None = None) -> Evaluation:
    """The evaluation that a run folder holds, from its `run.json`. Raises StoreError."""
    header = read_json(folder / RUN)
    read_json(folder / RESULTS)  # an unfinished run is called so
    return described_evaluation(header, RunFolder(folder), task_file)


def described_evaluation(
    header: Mapping[str, Any], folder: RunFolder, task: Task | str | None = None
) -> Evaluation:
    """The evaluation that a folder's header describes; of `task`, or of the file that this names
    instead of the header's. Raises StoreError."""
    from pydantic import ValidationError

    try:
        settings = RunSettings.model_validate(header["settings"])
        described, model = header["task"], header["model"]
        identity = Identity(
            name=model["name"],
            backend=model["backend"],
            weights_fingerprint=model["weights_fingerprint"],
            files_fingerprint=model["files_fingerprint"],
            revision=model["revision"],
            parameters=model["parameters"],
            training=header["training_record"],
        )
        source = task or described["source"]
        key = {
            "settings": settings.model_dump(mode="json"),
            "task": {part: described[part] for part in ("name", "version", "fingerprint")},
            "model": {
                part: model[part]
                for part in ("weights_fingerprint", "files_fingerprint", "revision")
            },
        }
    except (KeyError, TypeError, ValidationError) as error:
        text = str(error).splitlines()[0] if str(error) else ""
        raise StoreError(
            f"{folder.path / folder.header_name} is damaged: {type(error).__name__} {text}"
        ) from None
    if not isinstance(source, Task):
        source = _stored_task(folder.path, source, settings)
    return Evaluation(source, settings, identity, folder, key)


def _stored_task(folder: Path, name: str, settings: RunSettings) -> Task:
    try:
        return load_task(
            name,
            protocol=settings.protocol,
            prompt=settings.prompt,
            feedback=settings.feedback,
            limit=settings.limit,
            settings=settings.task_settings,
        )
    except (UsageError, TaskError) as error:
        raise StoreError(
            f"the task of {folder} cannot be loaded: {error}. A task file that has moved is "
            "given with --task"
        ) from None


def header_faults(evaluation: Evaluation) -> Iterator[str]:
    """How the task here differs from the one that the folder was played on."""
    task = evaluation.task
    here = {"name": task.name, "version": task.spec.version, "fingerprint": task.fingerprint}
    yield from differences(evaluation.key["task"], here, "run.json: task", _WORDS)


def _expected(task: Task, settings: RunSettings) -> Iterator[tuple[str, Instance, int]]:
    for name, split in task.splits.items():
        for instance in split.instances():
            for sample in range(settings.samples):
                yield name, instance, sample


def _rescored(evaluation: Evaluation) -> tuple[list[EpisodeRecord], list[str]]:
    """The episodes judged anew, and where `episodes.jsonl` says otherwise."""
    task, settings = evaluation.task, evaluation.settings
    stored: dict[tuple[str, str], dict[str, Any]] = {}
    faults: list[str] = []
    for number, raw in _lines(evaluation.folder.path / EPISODES):
        key = (
            str(raw.get("split")),
            episode_key(str(raw.get("instance_id")), raw.get("sample", 0)),
        )
        if key in stored:
            faults.append(f"line {number}: episode {key[1]} stands there twice")
        stored.setdefault(key, raw)
    order = list(stored)
    records: list[EpisodeRecord] = []
    position = 0
    for split, instance, sample in _expected(task, settings):
        key = (split, episode_key(instance.id, sample))
        found = stored.pop(key, None)
        if found is None:
            faults.append(f"episode {key[1]} is missing")
            continue
        if position < len(order) and order[position] != key:
            faults.append(f"episode {key[1]} is out of order")
            position = order.index(key)
        position += 1
        record = _judged(evaluation, split, instance, sample, found, faults)
        if record is not None:
            records.append(record)
    faults += [f"episode {key} is none of this task's" for _, key in stored]
    return records, [f"{EPISODES}: {fault}" for fault in faults]


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    raw = json.loads(line)
                except (ValueError, RecursionError):
                    raise StoreError(f"{path}: line {number} is not JSON") from None
                if not isinstance(raw, dict):
                    raise StoreError(f"{path}: line {number} is no episode")
                yield number, raw
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None


def _judged(
    evaluation: Evaluation,
    split: str,
    instance: Instance,
    sample: int,
    raw: Mapping[str, Any],
    faults: list[str],
) -> EpisodeRecord | None:
    name = episode_key(instance.id, sample)
    try:
        responses = [turn.response for turn in EpisodeRecord.from_json(raw).turns]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        faults.append(f"episode {name} is damaged ({type(error).__name__}: {error})")
        return None
    record, done = replay(evaluation.task, evaluation.settings, split, instance, sample, responses)
    if not responses or not done:
        faults.append(f"episode {name}: {len(responses)} turns do not end it")
        return None
    if len(record.turns) < len(responses):
        faults.append(f"episode {name}: it ends at turn {len(record.turns)} of {len(responses)}")
        return None
    again = json.loads(json.dumps(record.json()))
    faults += differences(raw, again, f"episode {name}", _WORDS)
    return record


def _result_faults(evaluation: Evaluation, records: list[EpisodeRecord]) -> Iterator[str]:
    folder = evaluation.folder
    stored = read_results(folder.path).model_dump(mode="json")
    header = read_json(folder.path / RUN)
    yield from differences(
        header.get("sampling"),
        stored["sampling"],
        "sampling in run.json",
        ("there", "in results.json"),
    )
    again = results_of(evaluation, records, folder.episodes_sha256(), stored["sampling"])
    version = read_json(folder.path / RESULTS)["schema_version"]
    expected = as_of(again.model_dump(mode="json"), version)
    del stored["genbench_version"], expected["genbench_version"]
    yield from differences(stored, expected, "results.json", _WORDS)


def _drawn(records: list[EpisodeRecord], count: int, seed: int) -> list[EpisodeRecord]:
    return sorted(records, key=lambda record: derive_seed("regenerate", seed, record.key))[:count]


def _regenerated(
    evaluation: Evaluation,
    records: list[EpisodeRecord],
    model: str | None,
    model_args: Mapping[str, str],
    device: str,
) -> Iterator[str]:
    settings = evaluation.settings
    if settings.backend == IMPORTED:
        raise UsageError(
            "these responses were made elsewhere and imported: there are no weights to replay them"
        )
    for name, risk in _TRUST.items():
        asked = settings.model_args.get(name, "false")
        if asked.lower() != "false" and model_args.get(name) != asked:
            raise WeightsError(
                f"the run was made with {name}={asked}, {risk}; if you trust that, repeat "
                f"--model-args {name}={asked}"
            )
    options = LoadOptions(
        device=device,
        dtype=settings.dtype or "auto",
        chat_template=settings.chat_template,
        thinking_budget=settings.thinking_budget,
        arguments={**settings.model_args, **model_args},
    )
    name = model or evaluation.identity.name
    backend, identity = _weights(name, settings.backend, options)
    refused = differences(settings.model_args, backend.deciding(options), "", _IN_RUN)
    if refused:
        raise UsageError(f"--model-args: the run had others ({'; '.join(refused)})")
    fault = differences(
        evaluation.key["model"],
        {
            "weights_fingerprint": identity.weights_fingerprint,
            "files_fingerprint": identity.files_fingerprint,
            "revision": identity.revision,
        },
        "the weights",
        ("in the run", f"of {name}"),
    )
    # What the run says of its training must be what lies beside the weights.
    fault += differences(
        evaluation.identity.training,
        identity.training,
        "training_record",
        ("in the run", f"beside {name}"),
    )
    if fault:
        yield from fault
        return
    again = _played(evaluation, backend, identity, options, records)
    by_key = {(record.split, record.key): record for record in again}
    for record in records:
        yield from _text_faults(record, by_key[record.split, record.key])


def _weights(name: str, backend: str, options: LoadOptions) -> tuple[Backend, Identity]:
    """Raises WeightsError where this machine lacks the backend or the weights."""
    from genbench.models import find_backend, identify

    try:
        found = find_backend(name, backend)
    except GenbenchError as error:
        raise WeightsError(str(error)) from None
    try:
        return found, identify(name, found, options)
    except ModelError as error:
        raise WeightsError(str(error)) from None


def _played(
    evaluation: Evaluation,
    backend: Backend,
    identity: Identity,
    options: LoadOptions,
    records: list[EpisodeRecord],
) -> list[EpisodeRecord]:
    """The episodes once more. Raises WeightsError, as where they do not fit in the memory."""
    only = frozenset(record.key for record in records)
    try:
        loaded = backend.load(identity, options)
        try:
            return list(play(evaluation.task, loaded, evaluation.settings, only=only))
        finally:
            loaded.close()
    except ModelError as error:
        raise WeightsError(str(error)) from None


def _text_faults(stored: EpisodeRecord, again: EpisodeRecord) -> Iterator[str]:
    for number, turn in enumerate(stored.turns):
        if number >= len(again.turns):
            yield f"regenerated: episode {stored.key} has no turn {number + 1} when played again"
            return
        # Log-probabilities and origins are not stored.
        there = replaced(turn.response, logprob=None, origin=None)
        here = replaced(again.turns[number].response, logprob=None, origin=None)
        if there != here:
            found = differences(
                asdict(there), asdict(here), f"turn {number + 1}", ("stored", "played again")
            )
            yield f"regenerated: episode {stored.key}, {'; '.join(found)}"
            return
