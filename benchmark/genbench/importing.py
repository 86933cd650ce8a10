"""Responses made elsewhere, scored as a run: JSONL or CSV, one row a response.

Columns: `instance_id` and `response`; optionally `attempt` (from 1), `sample` (from 0),
`finish_reason` (`stop` or `length`), `prompt_tokens`, `generated_tokens`. Instance ids and prompts
are those that `genbench tasks export` writes.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from genbench.errors import UsageError, closest
from genbench.evaluation import Evaluation, evaluation_of, finish, make_header, versions
from genbench.models.interface import FinishReason, Identity, Response
from genbench.records import EpisodeRecord, episode_key
from genbench.results import Results
from genbench.runner import replay
from genbench.settings import IMPORTED, make_settings
from genbench.task import Episode, Task

_COLUMNS = (
    "instance_id", "response", "attempt", "sample", "finish_reason", "prompt_tokens",
    "generated_tokens",
)  # fmt: skip
_MAX_CELL = 16 * 2**20

Table = dict[str, dict[tuple[int, int], Response]]


def import_responses(
    path: Path,
    task: Task,
    output: Path,
    *,
    model: str | None = None,
    verify_iters: int | None = None,
) -> tuple[Evaluation, Results, int]:
    """Score a file of responses; returns the evaluation, its results, and how many responses came
    after their episode was solved (they count for nothing).

    `verify_iters` is the highest attempt in the file by default. Raises UsageError with the place
    of the first fault: an unknown instance, a row given twice, an episode without its responses.
    """
    table, digest = _read(path, task)
    samples = 1 + max(sample for rows in table.values() for sample, _ in rows)
    attempts = verify_iters or max(attempt for rows in table.values() for _, attempt in rows)
    settings = make_settings(task, backend=IMPORTED, samples=samples, verify_iters=attempts)
    identity = Identity(model or path.stem, IMPORTED, None, digest)
    records, unused = _records(task, settings, table, path)
    evaluation = evaluation_of(task, settings, identity, output)
    folder = evaluation.folder
    with folder.locked():
        folder.check(evaluation.key)
        header = make_header(
            evaluation, {"versions": versions(IMPORTED, task.environment)}, {}, None
        )
        header["execution"]["source"] = path.name
        header["execution"]["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        folder.write_header(header)
        results = finish(evaluation, records, {})
    return evaluation, results, unused


def _records(
    task: Task, settings: Any, table: Table, path: Path
) -> tuple[list[EpisodeRecord], int]:
    records: list[EpisodeRecord] = []
    missing: list[str] = []
    used = 0
    for name, split in task.splits.items():
        for instance in split.instances():
            for sample in range(settings.samples):
                given = _Given(table, sample)
                record, done = replay(task, settings, name, instance, sample, given)
                if not done:
                    missing.append(given.last)
                used += len(record.turns)
                records.append(record)
    if missing:
        raise UsageError(
            f"{path} lacks the responses of {len(missing)} of {len(records)} episodes; the first: "
            f"{missing[0]}. Give every instance of every split (genbench tasks export writes "
            "them), or say --limit for the first pairs alone, --verify-iters for fewer attempts"
        )
    return records, sum(map(len, table.values())) - used


class _Given:
    """The responses to one sample of an episode, by the state and the attempt that they are for;
    `last` names what was asked for last."""

    def __init__(self, table: Table, sample: int) -> None:
        self._table, self._sample = table, sample
        self.last = ""

    def __call__(self, episode: Episode) -> Response | None:
        state, attempt = episode.state.id, episode.place[1]
        self.last = f"{episode_key(state, self._sample)}, attempt {attempt}"
        return self._table.get(state, {}).get((self._sample, attempt))


def _read(path: Path, task: Task) -> tuple[Table, str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error}") from None
    if path.suffix == ".csv":
        rows = _csv_rows(path, text)
    elif path.suffix in (".jsonl", ".ndjson"):
        rows = _json_rows(path, text)
    else:
        raise UsageError(f"{path}: responses come as .jsonl or .csv")
    known = {
        state.id
        for split in task.splits.values()
        for instance in split.instances()
        for state in task.environment.states(instance)
    }
    table: Table = {}
    for place, row in rows:
        _add(table, place, row, known)
    if not table:
        raise UsageError(f"{path} holds no response")
    return table, hashlib.sha256(content).hexdigest()


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}, line {number} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise UsageError(f"{path}, line {number} is no JSON object")
        yield f"{path}, line {number}", row


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    csv.field_size_limit(_MAX_CELL)
    reader = csv.DictReader(text.splitlines(keepends=True), strict=True)
    try:
        for row in reader:
            yield f"{path}, line {reader.line_num}", {k: v for k, v in row.items() if v != ""}
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: {error}") from None


def _number(row: Mapping[str, Any], name: str, default: int | None, place: str) -> int | None:
    value = row.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise UsageError(f"{place}: {name} is a whole number, not {str(value)[:40]!r}")
    return value


def _add(table: Table, place: str, row: Mapping[str, Any], known: set[str]) -> None:
    for name in row:
        if name not in _COLUMNS:
            raise UsageError(
                f"{place}: there is no column '{name}'; {closest(name or '', _COLUMNS)}"
            )
    instance = row.get("instance_id")
    if not isinstance(instance, str):
        raise UsageError(f"{place}: instance_id is missing")
    if instance not in known:
        raise UsageError(
            f"{place}: the task has no instance '{instance[:100]}' "
            f"({_nearest(instance, known)}; with --limit, only the first pairs count)"
        )
    text = row.get("response", "")
    if text is not None and not isinstance(text, str):
        raise UsageError(f"{place}: response is a text, not {type(text).__name__}")
    reasons: dict[Any, FinishReason] = {"stop": "stop", "length": "length", None: "stop"}
    given = row.get("finish_reason")
    if not isinstance(given, str | None) or given not in reasons:
        raise UsageError(f"{place}: finish_reason is stop or length, not {str(given)[:40]!r}")
    attempt, sample = _number(row, "attempt", 1, place), _number(row, "sample", 0, place)
    if not attempt:
        raise UsageError(f"{place}: attempts count from 1")
    key = (sample or 0, attempt)
    if key in table.setdefault(instance, {}):
        raise UsageError(f"{place}: {instance}, sample {key[0]}, attempt {attempt} is given twice")
    table[instance][key] = Response(
        text or "",
        reasons[given],
        _number(row, "prompt_tokens", None, place),
        _number(row, "generated_tokens", None, place),
    )


def _nearest(instance: str, known: set[str]) -> str:
    import difflib

    match = difflib.get_close_matches(instance[:100], known, n=1)
    return f"did you mean '{match[0]}'?" if match else f"such as '{min(known)}'"
