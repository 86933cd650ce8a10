"""Scoring a checkpoint on a task: everything that can be refused is refused before it loads."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from genbench import __version__, models, registry
from genbench.errors import GenbenchError, IncompleteError, ModelError
from genbench.models import find_backend, identify
from genbench.models.interface import Backend, Identity, LoadOptions, Model, of_other_weights
from genbench.records import EpisodeRecord, dump_lines
from genbench.results import ModelResult, Results, TaskResult
from genbench.runner import Progress, first_requests, play
from genbench.settings import IMPORTED, RunSettings, make_settings, settings_hash
from genbench.sharding.shard import Shard
from genbench.store import RunFolder, read_json, slug
from genbench.task import Task

Outcome = TypeVar("Outcome")

RUN_SCHEMA_VERSION = 1
_TRAINING_SHOWN = ("recipe", "method", "step", "seed", "parent", "tokens", "flops")
# The settings that a model is loaded with; those of a request stand in it.
_OF_LOADING = ("backend", "model_args", "dtype", "chat_template", "thinking_budget")
_LIBRARIES = (
    *("torch", "transformers", "tokenizers", "lm_eval", "numpy", "scipy"),
    *("pillow", "torchvision"),  # what images become
)


@dataclass
class Evaluation:
    """One checkpoint on one task under one set of settings, ready to be played."""

    task: Task
    settings: RunSettings
    identity: Identity
    folder: RunFolder
    #: what the folder's name is a hash of, and what a resumed run must agree with
    key: Mapping[str, Any] = field(default_factory=dict)
    shard: Shard | None = None

    @property
    def finished(self) -> bool:
        return self.folder.finished

    def stored_results(self) -> Results:
        """The results of a finished run."""
        return read_results(self.folder.path)


def read_results(folder: Path) -> Results:
    """`results.json` of a run folder. Raises StoreError."""
    from pydantic import ValidationError

    from genbench.errors import StoreError
    from genbench.results_versions import READABLE, upgraded

    raw = read_json(folder / "results.json")
    version = raw.get("schema_version")
    if version not in READABLE:
        raise StoreError(
            f"{folder}/results.json has the schema version {version}; this genbench reads "
            f"{' and '.join(map(str, READABLE))}: use the version that wrote it, or score the "
            "checkpoint again"
        )
    try:
        return Results.model_validate(upgraded(raw))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise StoreError(f"{folder}/results.json is damaged: {where}: {fault['msg']}") from None


def prepare(
    model: str,
    task: Task,
    *,
    output: str | Path = "runs",
    backend: str | None = None,
    options: LoadOptions | None = None,
    shard: Shard | None = None,
    **settings: Any,
) -> tuple[Evaluation, Backend]:
    """Find and check everything, without loading the model.

    With `shard`, the evaluation is of a share of the episodes, for `execute_shard`. Raises
    UsageError, ModelError, TaskError and StoreError.
    """
    options = options or LoadOptions()
    found = find_backend(model, backend)
    # Faults before any weights are read.
    found.check_sampling(make_settings(task, backend=found.name, **settings).temperature)
    task.check_instances()
    identity = identify(model, found, options)
    if options.cache is not None:
        from genbench.models.cache import check_cache

        check_cache(options.cache, found, identity)
    if identity.cannot_see is not None and _shows_images(task):
        raise ModelError(
            f"the task {task.name} shows images, and {model} cannot be shown any: "
            f"{identity.cannot_see}"
        )
    chosen = make_settings(
        task,
        backend=found.name,
        model_args=found.deciding(options),
        dtype=found.precision(options),
        chat_template=options.chat_template,
        thinking_budget=options.thinking_budget,
        **settings,
    )
    return evaluation_of(task, chosen, identity, Path(output), shard), found


def _shows_images(task: Task) -> bool:
    """Whether the first prompt of a split has an image."""
    return any(
        message.images
        for split in task.splits.values()
        for message in task.messages(split.instances()[0])
    )


def evaluation_of(
    task: Task,
    settings: RunSettings,
    identity: Identity,
    output: Path,
    shard: Shard | None = None,
) -> Evaluation:
    """The evaluation and its folder below `output`, which is made."""
    key = {
        "settings": settings.model_dump(mode="json"),
        "task": {
            "name": task.name,
            "version": task.spec.version,
            "fingerprint": task.fingerprint,
        },
        "model": {
            "weights_fingerprint": identity.weights_fingerprint,
            "files_fingerprint": identity.files_fingerprint,
            "revision": identity.revision,
        },
    }
    folder = run_folder(output, identity.name, task.name, key)
    if shard is not None:
        shard.check(task)
        folder = shard.folder(folder.path)
    folder.create()
    return Evaluation(task, settings, identity, folder, key, shard)


def run_folder(output: Path, model: str, task: str, key: Mapping[str, Any]) -> RunFolder:
    """Where a run lies below `output`."""
    return RunFolder(output / slug(model) / task / settings_hash(key))


def execute(
    evaluation: Evaluation,
    load: Callable[[LoadOptions], Model],
    options: LoadOptions,
    *,
    resume: bool = True,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Results:
    """Play what is not yet played, and finish the folder. The model is loaded by `load`.

    Raises IncompleteError where the disk is full or responses failed: resumable.
    """
    return carry_out(
        evaluation,
        load,
        options,
        lambda episodes, sampling: finish(evaluation, episodes, sampling),
        evaluation.stored_results,
        resume=resume,
        report=report,
    )


def carry_out(
    evaluation: Evaluation,
    load: Callable[[LoadOptions], Model],
    options: LoadOptions,
    conclude: Callable[[list[EpisodeRecord], dict[str, Any]], Outcome],
    stored: Callable[[], Outcome],
    *,
    only: frozenset[str] | None = None,
    alike: Mapping[str, Any] | None = None,
    resume: bool = True,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """As `execute`, of all episodes or those in `only`: `conclude` makes of them, and of what is
    recorded of the sampling, what finishes the folder, and `stored` reads that where it is there.
    `alike` is the plan of what the folder must fit, if it is new.
    """
    folder = evaluation.folder
    with folder.locked():
        if not resume:
            folder.clear()
        folder.check(evaluation.key)
        if folder.finished:
            folder.drop_journal()
            return stored()
        folder.check_whole()
        header = folder.header()
        begun = alike if header is None else header.get("execution", {}).get("plan", {})
        if options.batch_size is None and begun and begun.get("batch_size"):
            options = replace(options, batch_size=begun["batch_size"])
        try:
            model = load(options)
            return _run(evaluation, model, header, alike, report, options.cache, only, conclude)
        except IncompleteError:
            raise
        except GenbenchError:
            if header is None:
                folder.abandon()
            raise


def _run(
    evaluation: Evaluation,
    model: Model,
    header: Mapping[str, Any] | None,
    alike: Mapping[str, Any] | None,
    report: Callable[[Progress], None],
    cache: Path | None,
    only: frozenset[str] | None,
    conclude: Callable[[list[EpisodeRecord], dict[str, Any]], Outcome],
) -> Outcome:
    folder = evaluation.folder
    plan = {
        **model.execution(),
        "versions": versions(evaluation.settings.backend, evaluation.task.environment, model),
    }
    folder.check_plan(plan, alike)
    started = time.time()
    if header is not None:
        # The same weights may have come under another name, or with another training record.
        record = {**header, **described(evaluation.identity)}
    else:
        prompt = _first_prompt(evaluation, model)
        record = make_header(evaluation, plan, model.sampling(), prompt)
    # At its beginning: a session that is cut short counts, too.
    record["execution"]["sessions"] = record["execution"].get("sessions", 0) + 1
    folder.write_header(record)
    journal = folder.journal()
    try:
        with _caching(evaluation, model, plan, cache) as asked:
            episodes = play(evaluation.task, asked, evaluation.settings, journal, report, only)
            events = dict(getattr(asked, "events", dict)())
    finally:
        journal.close()
    # Only now are the sizes of all images known. Written first: a finished folder is not amended.
    sampling = dict(model.sampling())
    if record["sampling"] != sampling:
        record["sampling"] = sampling
        folder.write_header(record)
    outcome = conclude(episodes, sampling)
    record["execution"]["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    record["execution"]["last_session_seconds"] = round(time.time() - started, 3)
    record["execution"]["events"] = events
    folder.write_header(record)
    folder.drop_journal()
    return outcome


@contextmanager
def _caching(
    evaluation: Evaluation, model: Model, plan: Mapping[str, Any], folder: Path | None
) -> Iterator[Model]:
    """The model, asked by way of the cache in `folder` if there is one."""
    if folder is None:
        yield model
        return
    from genbench.models.cache import CachedModel, ResponseCache

    settings = evaluation.settings
    context = {
        "model": evaluation.key["model"],
        "name": evaluation.identity.name
        if evaluation.identity.weights_fingerprint is None
        else None,
        "settings": {name: getattr(settings, name) for name in _OF_LOADING},
        "plan": dict(plan),
    }
    cache = ResponseCache(folder)
    try:
        yield CachedModel(model, cache, context)
    finally:
        cache.close()


def finish(
    evaluation: Evaluation, episodes: list[EpisodeRecord], sampling: dict[str, Any]
) -> Results:
    """Write `episodes.jsonl`, then `results.json`."""
    digest = evaluation.folder.write_episodes(dump_lines(episodes))
    results = results_of(evaluation, episodes, digest, sampling)
    evaluation.folder.write_results(results.model_dump(mode="json"))
    return results


def results_of(
    evaluation: Evaluation,
    episodes: list[EpisodeRecord],
    episodes_sha256: str,
    sampling: dict[str, Any],
) -> Results:
    """All numbers of a run, from its episodes alone."""
    from genbench import analysis
    from genbench.step_analysis import add_steps

    task, settings, identity = evaluation.task, evaluation.settings, evaluation.identity
    played = analysis.by_split(task, settings, episodes)
    splits = analysis.analyse_splits(task, settings, played)
    generalization = analysis.analyse_generalization(task, settings, played)
    add_steps(task, played, splits, generalization)
    contamination = analysis.analyse_contamination(
        task, identity.training, identity.weights_fingerprint
    )
    return Results(
        genbench_version=__version__,
        model=model_result(identity),
        task=TaskResult(
            name=task.name,
            version=task.spec.version,
            fingerprint=task.fingerprint,
            cluster=task.spec.cluster,
        ),
        settings=settings.model_dump(mode="json"),
        settings_hash=settings_hash(evaluation.key),
        sampling=sampling,
        splits=splits,
        generalization=generalization,
        contamination=contamination,
        warnings=analysis.warnings(settings, splits, contamination),
        episodes_sha256=episodes_sha256,
    )


def model_result(identity: Identity) -> ModelResult:
    """The checkpoint as results name it.

    The list of its training problems stays in `run.json`, as does a training record of other
    weights: it says nothing of this checkpoint.
    """
    training = identity.training
    if of_other_weights(training, identity.weights_fingerprint):
        training = None
    return ModelResult(
        name=identity.name,
        backend=identity.backend,
        revision=identity.revision,
        weights_fingerprint=identity.weights_fingerprint,
        files_fingerprint=identity.files_fingerprint,
        parameters=identity.parameters,
        training=None
        if training is None
        else {key: training[key] for key in _TRAINING_SHOWN if key in training},
    )


def versions(backend: str, *parts: object) -> dict[str, str]:
    """Versions that can change a response or a number; `parts` are the environment and the model,
    whose distributions are among them where they are not genbench's own."""
    wanted = ("numpy", "scipy") if backend in ("agent", "api", IMPORTED) else _LIBRARIES
    if "vllm" in backend:
        wanted = (*wanted, "vllm")
    found = {"genbench": __version__, "python": platform.python_version()}
    for name in wanted:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    packages = {type(part).__module__.partition(".")[0] for part in parts}
    for group in (registry.GROUP, models.GROUP):
        for entry in importlib.metadata.entry_points(group=group):
            if entry.module.partition(".")[0] in packages and entry.dist is not None:
                found.setdefault(entry.dist.name, entry.dist.version)
    return found


def make_header(
    evaluation: Evaluation,
    plan: Mapping[str, Any],
    sampling: Mapping[str, Any],
    first_prompt: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The content of `run.json`; all that may differ between equal runs is under `execution`."""
    return {
        "schema_version": RUN_SCHEMA_VERSION,
        "settings": evaluation.key["settings"],
        "task": {**evaluation.key["task"], "source": evaluation.task.spec.source},
        **described(evaluation.identity),
        "sampling": dict(sampling),
        "first_prompt": first_prompt,
        "execution": {
            "plan": dict(plan),
            "hardware": {"machine": platform.machine(), "system": platform.platform()},
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    }


def described(identity: Identity) -> dict[str, Any]:
    """What `run.json` says of the checkpoint."""
    return {
        "model": model_result(identity).model_dump(mode="json"),
        "training_record": identity.training,
    }


def _first_prompt(evaluation: Evaluation, model: Model) -> dict[str, Any] | None:
    """The first prompt as the model sees it: text and token ids."""
    rendered = model.rendered(next(first_requests(evaluation.task, evaluation.settings)))
    return None if rendered is None else dict(rendered)
