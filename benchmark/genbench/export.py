"""A task as a dataset: one row an instance, with its prompt, data and a right response.

Of an environment of many steps, one row a step, asked as after right answers to the steps before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.errors import StoreError, TaskError, UsageError, closest
from genbench.store import write_atomically
from genbench.task import Instance, Split, Task, canonical_json

FORMATS = ("jsonl", "parquet")


def rows(task: Task, split: Split) -> Iterator[dict[str, Any]]:
    """The rows of a split. `messages` is the chat that asks for the first attempt; `solution` is
    the canonical right response; `data` is the instance as JSON, what `verify` needs."""
    task_fingerprint = task.fingerprint
    states = (
        state for instance in split.instances() for state in task.environment.states(instance)
    )
    for instance in states:
        yield {
            "instance_id": instance.id,
            "pair_id": instance.pair_id,
            "cluster": instance.cluster,
            "split": split.name,
            "role": split.spec.role,
            "shift": split.spec.shift,
            "rule": split.spec.rule,
            "messages": _messages(task, instance),
            "solution": next(task.environment.solutions(instance), None),
            "data": dict(instance.data),
            "task": task.name,
            "task_version": task.spec.version,
            "task_fingerprint": task_fingerprint,
        }


def _messages(task: Task, instance: Instance) -> list[dict[str, str]]:
    found = []
    for message in task.messages(instance):
        if message.images:
            raise TaskError(f"{task.name} shows images, which this export cannot write yet")
        found.append({"role": message.role, "content": message.text})
    return found


def export(
    task: Task, folder: Path, format_name: str = "jsonl", splits: Sequence[str] | None = None
) -> list[Path]:
    """Write `<split>.<format>` for each split (all by default); returns the paths.

    Raises UsageError for an unknown format or split, StoreError where the folder cannot be
    written.
    """
    if format_name not in FORMATS:
        raise UsageError(f"there is no format '{format_name}'; {closest(format_name, FORMATS)}")
    chosen = list(splits or task.splits)
    for name in chosen:
        if name not in task.splits:
            raise UsageError(
                f"task '{task.name}' has no split '{name}'; {closest(name, task.splits)}"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made: {error.strerror}") from None
    paths = []
    for name in chosen:
        path = folder / f"{name}.{format_name}"
        found = rows(task, task.splits[name])
        if format_name == "jsonl":
            write_atomically(path, (json.dumps(row).encode() + b"\n" for row in found))
        else:
            write_atomically(path, [_parquet(found)])
        paths.append(path)
    return paths


def _parquet(found: Iterator[Mapping[str, Any]]) -> bytes:
    """Parquet bytes; `data` becomes JSON text, since its values have no fixed columns."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([{**row, "data": canonical_json(row["data"])} for row in found])
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()
