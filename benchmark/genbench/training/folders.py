"""The folder of a training: whose it is, its finished checkpoints, and their records."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.errors import StoreError, UsageError
from genbench.models.files import TRAINING_RECORD, fingerprints, read_json, weight_files
from genbench.store import json_bytes, write_atomically
from genbench.training.counts import TokenCounts, flops

if TYPE_CHECKING:
    from genbench.training.recipe import Recipe

TRAINER = "trainer"  # the subfolder of an unfinished training


def claim(output: Path, note: Path, record: Path, identity: Mapping[str, Any]) -> bool:
    """Make the folder and note whose it is; true where this very training is finished.

    `identity` is what must be equal for a training to go on in its folder, `recipe_fingerprint`
    among it. Raises UsageError for a folder of something else, StoreError where nothing can be
    written.
    """
    if record.is_file():
        found = read_json(record)
        if all(found.get(key) == value for key, value in identity.items()):
            return True
        raise UsageError(f"{output} holds a checkpoint of another recipe; choose another --output")
    if note.is_file():
        found = read_json(note)
        begun = any(path.is_file() and path != note for path in output.rglob("*"))
        if begun and any(found.get(key) != value for key, value in identity.items()):
            raise UsageError(
                f"{output} holds an unfinished training of another recipe, or with other settings; "
                "choose another --output"
            )
    elif output.is_dir() and any(output.iterdir()):
        raise UsageError(f"{output} is not empty; choose another --output")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(note, [json_bytes(dict(identity))])
    except OSError as error:
        raise StoreError(f"{output} cannot be written: {error.strerror}") from None
    return False


def step_folder(output: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return output / f"step-{step}"


def make_record(
    recipe: Recipe,
    identity: Mapping[str, Any],
    *,
    step: int,
    parameters: int,
    counts: TokenCounts,
    weights: Path,
    problems: Mapping[str, Any],
    ancestors: list[dict[str, Any]],
    parent_flops: int | None,
) -> dict[str, Any]:
    """The content of `genbench_training.json`; `weights` is the folder with the weight files."""
    return {
        "schema_version": 1,
        "recipe": recipe.name,
        **identity,
        "method": recipe.method,
        "step": step,
        "seed": recipe.seed,
        "parameters": parameters,
        "tokens": counts.json(),
        "flops": flops(parameters, counts),
        "parent_flops": parent_flops,
        "weights_fingerprint": fingerprints(weights, weight_files(weights, allow_pickle=False))[0],
        "problems": dict(problems),
        "ancestors": ancestors,
    }


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """The training record, last of a checkpoint's files: it says that the folder is complete."""
    write_atomically(folder / TRAINING_RECORD, [json_bytes(dict(record))])


def publish(staged: Path, folder: Path) -> None:
    """A finished checkpoint takes its place at once."""
    if folder.exists():  # of an attempt that was killed before its state was saved
        shutil.rmtree(folder)
    staged.rename(folder)
