"""What a reproduction is going to do: every training and scoring, its time and its disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import GenbenchError, UsageError
from genbench.models import find_backend, identify
from genbench.models.files import TRAINING_RECORD, read_json, weight_files
from genbench.models.interface import LoadOptions
from genbench.registry import load_task
from genbench.reproduction.preset import Preset, TaskPreset, TrainingPreset, load_preset
from genbench.settings import make_settings
from genbench.sweep.plan import Scoring
from genbench.training.folders import step_folder
from genbench.training.recipe import BaseRecipe, RLRecipe, SFTRecipe
from genbench.training.recipes import load_recipe, recipe_fingerprint

_EPISODE_BYTES = 2_000  # in its run folder and in the report
_REPORT_BYTES = 5_000_000
_STATE_FACTOR = 12  # a resumable state in float32 to weights in float16; two are kept
_STARTING_MINUTES = 0.3  # imports and figures
_REPORTED_PER_SECOND = 3_000  # episodes read for the report


@dataclass(frozen=True)
class PlannedTraining:
    """One training run; `recipe` has its seed and its base."""

    preset: TrainingPreset
    recipe: SFTRecipe | RLRecipe
    seed: int
    folder: Path

    @property
    def label(self) -> str:
        return self.preset.label

    @property
    def name(self) -> str:
        return f"{self.label}, seed {self.seed}"

    @property
    def steps(self) -> list[int]:
        """Whose checkpoints are kept."""
        return self.recipe.schedule.kept_steps

    @property
    def last(self) -> Path:
        return step_folder(self.folder, self.recipe.schedule.steps)

    def finished(self) -> bool:
        """Whether its last checkpoint is there. Raises UsageError where that is of another one."""
        record = self.last / TRAINING_RECORD
        if not record.is_file():
            return False
        if read_json(record).get("recipe_fingerprint") != recipe_fingerprint(self.recipe):
            raise UsageError(
                f"{self.folder} holds a training by another recipe than {self.label} is now; "
                "choose another --output"
            )
        return True


@dataclass(frozen=True)
class Plan:
    """All stages of a reproduction, checked."""

    preset: Preset
    output: Path
    base: str
    base_recipe: BaseRecipe | None
    """What the base is trained by; None where it is there already."""
    trainings: tuple[PlannedTraining, ...]
    scorings: tuple[Scoring, ...]
    seeds: int
    workers: int
    device: str
    minutes: float
    megabytes: int

    @property
    def checkpoints(self) -> list[Path]:
        """Those that are scored, the base apart."""
        return [
            step_folder(one.folder, step)
            for one in self.trainings
            for step in _scored(self.preset, one)
        ]

    def text(self) -> str:
        """What is going to be done, before the start."""
        labels = ", ".join(
            f"{one.label} ({one.role})" if one.role == "control" else one.label
            for one in self.preset.trainings
        )
        seeds = f"{self.seeds} seed{'s' if self.seeds > 1 else ''} each"
        done = sum(one.finished() for one in self.trainings)
        scored = [f"{one.task} {_decoding(one)}" for one in self.scorings]
        lines = [
            f"{self.preset.name}: {self.preset.summary}",
            "base: " + (f"trained by {self.base_recipe.name}" if self.base_recipe else self.base),
            f"trainings: {labels}; {seeds}"
            + (f"; {done} of {len(self.trainings)} are finished" if done else ""),
            f"scored: the base and {len(self.checkpoints)} checkpoints on {', '.join(scored)}",
            f"about {max(1, round(self.minutes))} minutes with {self.workers} "
            f"process{'es' if self.workers > 1 else ''} on free cores as fast as those of the "
            f"estimate ({self.preset.hardware}), and {self.megabytes} MB in {self.output}",
        ]
        return "\n".join(lines)


def _decoding(scoring: Scoring) -> str:
    samples, temperature = scoring.settings["samples"], scoring.settings["temperature"]
    return "greedy" if temperature == 0 else f"x{samples} at temperature {temperature:g}"


def make_plan(
    preset_name: str,
    output: Path,
    *,
    seeds: int | None = None,
    tasks: Sequence[str] = (),
    from_scratch: bool = False,
    workers: int,
    device: str = "auto",
) -> Plan:
    """Read and check everything. Raises UsageError, TaskError and ModelError, and GenbenchError
    where the disk has no room."""
    preset = load_preset(preset_name)
    count = seeds or preset.seeds
    base_recipe = _base_recipe(preset, from_scratch)
    base = str(output / "base") if base_recipe else preset.base.checkpoint
    # The bundled checkpoint is checked now; one that is trained here is there only later.
    identity = identify(preset.base.checkpoint, find_backend(preset.base.checkpoint), LoadOptions())
    trainings = tuple(
        _training(one, seed, base, output)
        for seed in range(count)
        for one in sorted(preset.trainings, key=lambda one: -one.minutes)
    )
    for one in trainings:
        one.finished()
    chosen = _tasks(preset, tasks)
    scorings = tuple(
        Scoring(
            one.task,
            {"limit": one.limit},
            {
                "verify_iters": one.verify_iters,
                "max_new_tokens": one.max_new_tokens,
                "samples": decoding.samples,
                "temperature": decoding.temperature,
                "top_p": decoding.top_p,
                "seed": decoding.seed,
            },
        )
        for one in chosen
        for decoding in one.decodings or preset.decodings
    )
    episodes = 0
    for scoring in scorings:
        task = load_task(scoring.task, **scoring.questions)
        make_settings(task, backend="hf", **scoring.settings)
        instances = sum(len(split.instances()) for split in task.splits.values())
        episodes += instances * int(scoring.settings["samples"])
    kept = sum(len(one.steps) for one in trainings)
    scored = 1 + sum(len(_scored(preset, one)) for one in trainings)
    location = Path(str(identity.location))
    weights = sum(path.stat().st_size for path in weight_files(location, allow_pickle=False))
    size = (
        (kept + bool(base_recipe)) * weights
        + min(workers, len(trainings)) * _STATE_FACTOR * weights
        + scored * episodes * _EPISODE_BYTES
        + _REPORT_BYTES
    )
    each = [one.preset.minutes for one in trainings]
    minutes = (
        (preset.base.minutes if base_recipe else 0.0)
        + max(max(each), sum(each) / workers)
        + scored * episodes / preset.episodes_per_second / 60 / workers
        + scored * episodes / _REPORTED_PER_SECOND / 60
        + _STARTING_MINUTES
    )
    plan = Plan(
        preset, output, base, base_recipe, trainings, scorings, count, workers, device, minutes,
        size // 2**20 + 1,
    )  # fmt: skip
    _check_room(plan, size)
    return plan


def _scored(preset: Preset, training: PlannedTraining) -> list[int]:
    """The steps of a training whose checkpoints are scored, the last one among them.

    Raises UsageError for a step that keeps none.
    """
    if preset.checkpoints == "last":
        return training.steps[-1:]
    chosen = training.preset.scored
    for step in chosen:
        if step not in training.steps:
            raise UsageError(
                f"the preset {preset.name}, {training.label}: step {step} keeps no checkpoint; "
                f"those that do: {', '.join(map(str, training.steps))}"
            )
    return sorted({*chosen, training.steps[-1]}) if chosen else training.steps


def _base_recipe(preset: Preset, from_scratch: bool) -> BaseRecipe | None:
    if not from_scratch:
        return None
    if preset.base.recipe is None:
        raise UsageError(f"--from-scratch: the preset {preset.name} has no recipe of its base")
    recipe = load_recipe(preset.base.recipe, preset.base.set)
    if not isinstance(recipe, BaseRecipe):
        raise UsageError(f"the preset {preset.name}: {recipe.name} is no recipe of a base")
    return recipe


def _training(preset: TrainingPreset, seed: int, base: str, output: Path) -> PlannedTraining:
    settings = [*preset.set, f"name={preset.label}", f"seed={seed}"]
    recipe = load_recipe(preset.recipe, settings, base)
    if isinstance(recipe, BaseRecipe):
        raise UsageError(f"{preset.recipe} trains a base; a reproduction takes those of SFT and RL")
    folder = output / "training" / preset.label / f"seed-{seed}"
    return PlannedTraining(preset, recipe, seed, folder)


def _tasks(preset: Preset, names: Sequence[str]) -> list[TaskPreset]:
    """The preset's tasks, or those that were asked for, as the preset plays them."""
    known = {one.task: one for one in preset.tasks}
    return [known.get(name, TaskPreset(task=name)) for name in dict.fromkeys(names)] or list(
        preset.tasks
    )


def _check_room(plan: Plan, size: int) -> None:
    place = plan.output
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise UsageError(f"--output {plan.output}: {place} is a file")
    free = shutil.disk_usage(place).free
    if size > free and not all(one.finished() for one in plan.trainings):
        raise GenbenchError(
            f"{plan.text()}\nthe disk has {free // 2**20} MB left: choose another --output"
        )
