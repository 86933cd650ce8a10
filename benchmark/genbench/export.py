"""A task as a dataset: one row an instance, with its prompt, data and a right response.

Where a task shows pictures, a message's content is a list of parts, `{"type": "image"}` and
`{"type": "text", "text": ...}`, and `images` holds the row's pictures in their order. JSONL names
files beside it (`images/<split>/...`), so that a line stays readable; Parquet holds their bytes, in
the columns that `datasets` reads as images.
Of an environment of many steps, one row a step, asked as after right answers to the steps before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from genbench.errors import StoreError, UsageError, closest
from genbench.store import slug, write_atomically
from genbench.task import Image, Instance, Message, Split, Task, canonical_json, fingerprint

FORMATS = ("jsonl", "parquet", "lm-eval")
IMAGES = "images"
_ROWS = 64  # of a Parquet row group: so many rows, pictures included, are in memory
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}


def rows(task: Task, split: Split) -> Iterator[dict[str, Any]]:
    """The rows of a split. `messages` is the chat that asks for the first attempt; `solution` is
    the canonical right response; `data` is the instance as JSON, what `verify` needs. A row of a
    split that shows pictures has them in `images`, not yet drawn."""
    task_fingerprint = task.fingerprint
    pictured = any(images_of(task.messages(instance)) for instance in _states(task, split))
    for instance in _states(task, split):
        messages = task.messages(instance)
        yield {
            "instance_id": instance.id,
            "pair_id": instance.pair_id,
            "cluster": instance.cluster,
            "split": split.name,
            "role": split.spec.role,
            "shift": split.spec.shift,
            "rule": split.spec.rule,
            "messages": [_message(message, pictured) for message in messages],
            **({IMAGES: images_of(messages)} if pictured else {}),
            "solution": next(task.environment.solutions(instance), None),
            "data": dict(instance.data),
            "task": task.name,
            "task_version": task.spec.version,
            "task_fingerprint": task_fingerprint,
        }


def _states(task: Task, split: Split) -> Iterator[Instance]:
    """What a split asks: of an instance of many steps, each of them."""
    for instance in split.instances():
        yield from task.environment.states(instance)


def images_of(messages: Iterable[Message]) -> list[Image]:
    """The pictures of a chat, in their order."""
    return [image for message in messages for image in message.images]


def _message(message: Message, pictured: bool) -> dict[str, Any]:
    if not pictured:
        return {"role": message.role, "content": message.text}
    parts = (message.content,) if isinstance(message.content, str) else message.content
    return {
        "role": message.role,
        "content": [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
            for part in parts
        ],
    }


def write_images(images: Sequence[Image], folder: Path, name: str) -> list[Path]:
    """Write pictures as `<name>.png`, or `<name>-2.png` for further ones; returns the paths.

    The folder is made. Raises StoreError where it cannot be written.
    """
    if images:
        make_folder(folder)
    paths = []
    for number, image in enumerate(images, start=1):
        more = f"-{number}" if number > 1 else ""
        ending = _ENDINGS.get(image.media_type, "bin")
        path = folder / f"{name}{more}.{ending}"
        write_atomically(path, [image.data])
        paths.append(path)
    return paths


def make_folder(folder: Path) -> None:
    """Raises StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made: {error.strerror}") from None


def image_names(instances: Iterable[Instance]) -> dict[str, str]:
    """Instance id -> a file name without its ending, no two alike."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for instance in instances:
        name = slug(instance.id)
        if name.lower() in taken:  # some disks do not tell capitals
            name += "-" + fingerprint(instance.id)[:8]
        taken.add(name.lower())
        found[instance.id] = name
    return found


def export(
    task: Task, folder: Path, format_name: str = "jsonl", splits: Sequence[str] | None = None
) -> list[Path]:
    """Write `<split>.<format>` for each split (all by default), and with JSONL its pictures below
    `images/<split>`; returns the paths of the former. `lm-eval` is no dataset but a folder of tasks
    for `lm_eval --include_path`.

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
    if format_name == "lm-eval":
        from genbench.lmeval_pack.writing import write_pack

        return write_pack(task, folder, chosen)
    make_folder(folder)
    paths = []
    for name in chosen:
        path = folder / f"{name}.{format_name}"
        split = task.splits[name]
        found = rows(task, split)
        if format_name == "jsonl":
            lines = _with_files(found, folder, split.name, _states(task, split))
            write_atomically(path, (json.dumps(row).encode() + b"\n" for row in lines))
        else:
            write_atomically(path, _parquet(found))
        paths.append(path)
    return paths


def _with_files(
    found: Iterable[dict[str, Any]], folder: Path, split: str, states: Iterable[Instance]
) -> Iterator[dict[str, Any]]:
    """The rows, of these states, with their pictures in files, named as from the folder."""
    below = f"{IMAGES}/{slug(split)}"
    names = image_names(states)
    for row in found:
        if IMAGES in row:
            paths = write_images(row[IMAGES], folder / below, names[row["instance_id"]])
            row = {**row, IMAGES: [f"{below}/{path.name}" for path in paths]}
        yield row


def _parquet(found: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """A Parquet file in pieces; `data` becomes JSON text, since its values have no fixed columns,
    and a picture `{bytes, path}`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = _Sink()
    writer = None
    while batch := [_columns(row) for row in islice(found, _ROWS)]:
        if writer is None:
            schema = _schema(pa.Table.from_pylist(batch).schema)
            writer = pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema)
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))
        yield sink.taken()
    assert writer is not None  # a split has an instance
    writer.close()
    yield sink.taken()


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    found = {**row, "data": canonical_json(row["data"])}
    if IMAGES in row:
        found[IMAGES] = [{"bytes": image.data, "path": None} for image in row[IMAGES]]
    return found


def _schema(schema: Any) -> Any:
    """The schema of the first rows, with text where they hold nothing, and with the note by which
    `datasets` decodes pictures."""
    import pyarrow as pa

    fields = []
    for one in schema:
        if pa.types.is_null(one.type):
            one = one.with_type(pa.string())
        if one.name == IMAGES:
            one = one.with_type(
                pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
            )
        fields.append(one)
    found = pa.schema(fields)
    if IMAGES not in found.names:
        return found
    note = {"info": {"features": {IMAGES: {"feature": {"_type": "Image"}, "_type": "List"}}}}
    return found.with_metadata({"huggingface": json.dumps(note)})


class _Sink:
    """What a writer of files writes to, to be taken piece by piece."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._length = 0

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        self._length += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._length

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        found = b"".join(self._pieces)
        self._pieces.clear()
        return found
