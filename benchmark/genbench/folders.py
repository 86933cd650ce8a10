"""Run folders found below a folder, read, and checked for damage."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from genbench.api import StoredRun
from genbench.errors import StoreError, UsageError
from genbench.evaluation import RUN_SCHEMA_VERSION, read_results
from genbench.settings import RunSettings
from genbench.sharding.shard import begun_shards
from genbench.store import RESULTS, RUN, SHARDS, differences, read_json


def find_runs(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Finished and unfinished run folders in and below `paths`, each once. Raises UsageError."""
    finished: dict[Path, Path] = {}
    unfinished: dict[Path, Path] = {}
    for path in paths:
        if _is_checkpoint(path):
            raise UsageError(
                f"{path} is a checkpoint, not a run: score it with `genbench run --model {path} "
                "--task TASK`, and give the run folder that this names at its end"
            )
        if not path.is_dir():
            what = f"{path} is a file" if path.exists() else f"there is no folder {path}"
            inside = path.is_file() and _is_run(path.parent)
            give = (
                f"give its folder, {path.parent}"
                if inside
                else ("give run folders, or a folder of them")
            )
            raise UsageError(f"{what}: {give}")
        found = [path] if _is_run(path) else _below(path)
        if not found:
            raise UsageError(
                f"{path} holds no run: "
                + (
                    f"neither it nor a folder below it has a {RUN} or {RESULTS}"
                    if any(path.iterdir())
                    else "it is empty"
                )
            )
        for folder in found:
            # Without its results a run is unfinished; without its header it is damaged, which the
            # reader says.
            kind = finished if (folder / RESULTS).is_file() else unfinished
            kind.setdefault(folder.resolve(), folder)
    return list(finished.values()), list(unfinished.values())


def _is_checkpoint(path: Path) -> bool:
    from genbench.models import demo_checkpoints

    return (path / "config.json").is_file() or (
        not path.exists() and path.as_posix() in demo_checkpoints()
    )


def refuse_unfinished(unfinished: Sequence[Path], *, skippable: bool) -> None:
    """Raise UsageError, naming the first, where there are unfinished runs."""
    if not unfinished:
        return
    others = len(unfinished) - 1
    more = f", and so {'is 1 other' if others == 1 else f'are {others} others'}" if others else ""
    skip = ", or leave such runs out with --skip-unfinished" if skippable else ""
    raise UsageError(
        f"{unfinished[0]} is an unfinished run{more}: finish it with the command that began it"
        f"{skip}"
    )


def read_run(folder: Path) -> StoredRun:
    """A finished run whose files belong together and hold possible numbers. Raises StoreError."""
    results = read_results(folder)
    header = read_json(folder / RUN)
    version = header.get("schema_version")
    if version != RUN_SCHEMA_VERSION:
        raise StoreError(
            f"{folder / RUN} has the schema version {version}; this genbench reads "
            f"{RUN_SCHEMA_VERSION}: use the version that wrote it, or score the checkpoint again"
        )
    try:
        RunSettings.model_validate(results.settings)
        task: dict[str, Any] = header["task"]
        str(task["source"])
        there = {
            "settings": header["settings"],
            "fingerprint": task["fingerprint"],
            "model": header["model"],
        }
    except (KeyError, TypeError, ValidationError) as error:
        text = str(error).splitlines()[0] if str(error) else ""
        raise StoreError(f"{folder} is damaged: {type(error).__name__} {text}") from None
    here = {
        "settings": results.settings,
        "fingerprint": results.task.fingerprint,
        "model": results.model.model_dump(mode="json"),
    }
    found = differences(there, here, words=(f"in {RUN}", f"in {RESULTS}"))
    if found:
        raise StoreError(f"the files of {folder} are of different runs: {'; '.join(found[:3])}")
    if not results.generalization or "id" not in results.splits:
        raise StoreError(f"{folder / RESULTS} has no ID split or no OOD split")
    missing = [name for name in results.generalization if name not in results.splits]
    if missing:
        raise StoreError(f"{folder / RESULTS} has a gap, but no split, '{missing[0]}'")
    _check_numbers(results.model_dump(mode="python"), str(folder / RESULTS))
    return StoredRun(folder, header, results)


def _is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (RUN, RESULTS)) or bool(begun_shards(folder))


def _below(path: Path) -> list[Path]:
    found = {file.parent for name in (RUN, RESULTS) for file in path.rglob(name) if file.is_file()}
    found |= {place.parent for place in path.rglob(SHARDS) if begun_shards(place.parent)}
    return sorted(found, key=lambda folder: natural(str(folder)))


def natural(text: str) -> list[tuple[int, int | str]]:
    """A key under which step-200 comes before step-1000."""
    return [
        (0, int(part)) if part.isdigit() else (1, part)
        for part in re.split(r"([0-9]{1,18})", text)
        if part
    ]


def _check_numbers(value: Any, where: str) -> None:
    """JSON readers let NaN and infinity pass; no figure or test can be made of them."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_numbers(item, f"{where}: {key}")
            if str(key).startswith("p_value") and item is not None and not 0 <= item <= 1:
                raise StoreError(f"{where} is damaged: {key} is {item}, and no p-value")
    elif isinstance(value, list | tuple):
        for item in value:
            _check_numbers(item, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise StoreError(f"{where} is damaged: {value} is no number")
