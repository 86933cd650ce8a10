"""Run folders: append, resume, finish atomically.

A folder holds `run.json` from the start, `journal.jsonl` while the run goes on, and
`episodes.jsonl` and `results.json` once it is finished. Every batch of responses is appended to
the journal and flushed to the disk before the next one is asked for. Verdicts are not in the
journal: they are a pure function of the responses.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from genbench.errors import IncompleteError, StoreError
from genbench.models.interface import Response
from genbench.records import EpisodeRecord

RUN, JOURNAL, EPISODES, RESULTS = "run.json", "journal.jsonl", "episodes.jsonl", "results.json"
#: the folder, within a run's, of the shards that it is played in where that is done in shards
SHARDS = "shards"


def slug(name: str) -> str:
    """A model's name as the name of a folder."""
    text = re.sub(r"[^A-Za-z0-9._-]+", "__", name).strip("_.")
    if len(text) > 100:
        text = text[-80:] + "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return text or "model"


def differences(
    there: Any, here: Any, where: str = "", words: tuple[str, str] = ("there", "here")
) -> list[str]:
    """What differs between two JSON values, as `path: <there> there, <here> here`."""
    if there == here:
        return []
    found: list[str] = []
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in [*there, *(key for key in here if key not in there)]:
            path = f"{where}.{key}" if where else str(key)
            found += differences(there.get(key), here.get(key), path, words)
        return found
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for index, (one, other) in enumerate(zip(there, here, strict=True)):
            found += differences(one, other, f"{where}[{index}]", words)
        return found
    return [f"{where}: {json.dumps(there)[:200]} {words[0]}, {json.dumps(here)[:200]} {words[1]}"]


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number")
    return value


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a run folder; a number that is not finite is refused, as it is in writing.
    Raises StoreError."""
    try:
        found = json.loads(path.read_bytes(), parse_constant=_finite, parse_float=_finite)
    except FileNotFoundError:
        if path.name == RESULTS and (path.parent / RUN).is_file():
            raise StoreError(
                f"{path.parent} is not finished (it has no {path.name}): run its command again to "
                "go on"
            ) from None
        raise StoreError(f"{path.parent} has no {path.name}: it is not a run folder") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise StoreError(f"{path} holds no JSON object")
    return found


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """A failure to write becomes a message that says what is safe."""
    try:
        yield
    except OSError as error:
        raise IncompleteError(
            f"{path} cannot be written: {error.strerror}. The turns finished before are on disk: "
            "make room, then run the same command again to go on from there"
        ) from error


def write_atomically(path: Path, content: Iterable[bytes]) -> str:
    """Write a file whole or not at all; returns the SHA-256 of its content."""
    digest = hashlib.sha256()
    temporary = path.with_name(path.name + ".tmp")
    with _disk(path):
        try:
            with temporary.open("wb") as file:
                for chunk in content:
                    file.write(chunk)
                    digest.update(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(path.parent)
    return digest.hexdigest()


def json_bytes(value: Any) -> bytes:
    """The text of a JSON file; NaN is refused."""
    return json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False).encode() + b"\n"


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Journal:
    """The finished turns of a run that goes on; `known` are those of earlier processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[tuple[str, int], Response] = {}
        with _disk(path):
            self._file: BinaryIO = path.open("ab+")
            self._read()

    def _read(self) -> None:
        self._file.seek(0)
        good = 0
        lines = self._file.read().split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):
            try:
                raw = json.loads(line)
                key = (str(raw["episode"]), int(raw["turn"]))
                self.known.setdefault(key, Response(**raw["response"]))
            except (ValueError, KeyError, TypeError, RecursionError):
                # A torn tail is redone; a fault with good lines after it is not a crash's doing.
                if number < len(lines) - 1:
                    raise StoreError(
                        f"{self.path}: line {number} is damaged; start the run anew with "
                        "--no-resume"
                    ) from None
                break
            good += len(line) + 1
        self._file.truncate(good)

    def append(self, turns: Iterable[tuple[str, int, Response]]) -> None:
        """Add finished turns and wait until they are on the disk. Raises IncompleteError."""
        lines = [
            json.dumps({"episode": episode, "turn": turn, "response": asdict(response)}).encode()
            for episode, turn, response in turns
        ]
        if not lines:
            return
        with _disk(self.path):
            self._file.write(b"\n".join(lines) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        with _disk(self.path):
            self._file.close()


class RunFolder:
    """The folder of one run; `locked` keeps other processes out."""

    header_name, results_name = RUN, RESULTS

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def finished(self) -> bool:
        return (self.path / self.results_name).is_file()

    def create(self) -> None:
        """Make the folder and see that it can be written. Raises StoreError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".probe"
            probe.write_bytes(b"")
            probe.unlink(missing_ok=True)  # others of the run's processes do the same
        except OSError as error:
            raise StoreError(
                f"the run folder {self.path} cannot be written: {error.strerror}; choose another "
                "place with --output"
            ) from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process. Raises StoreError where another one has it."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StoreError(
                    f"another process is working in {self.path}; wait for it, or choose another "
                    "--output"
                ) from None
            yield
        finally:
            os.close(descriptor)

    def header(self) -> dict[str, Any] | None:
        """The content of the header, None in a new folder. Raises StoreError."""
        place = self.path / self.header_name
        return read_json(place) if place.is_file() else None

    def check(self, key: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise StoreError, naming the differences, where the folder holds another run."""
        header = self.header()
        if header is None:
            return
        found = [
            difference
            for name, part in key.items()
            for difference in differences(
                {item: header.get(name, {}).get(item) for item in part}, part, name
            )
        ]
        if found:
            raise StoreError(
                f"{self.path} holds a run with other settings ({'; '.join(found[:5])}); choose "
                "another --output, or start it anew with --no-resume"
            )

    def check_whole(self) -> None:
        """Raise StoreError where the run was begun in shards: as a whole, their turns were lost."""
        if not self.finished and (self.path / SHARDS).is_dir():
            raise StoreError(
                f"the unfinished run in {self.path} was begun in shards: go on with the command "
                "that began it, or start it anew with --no-resume"
            )

    def check_plan(self, plan: Mapping[str, Any], alike: Mapping[str, Any] | None = None) -> None:
        """Raise StoreError where an unfinished run was begun in another way than `plan`; of a shard
        that is new, `alike` is how others of its run were begun."""
        header = self.header()
        if header is not None and (self.path / JOURNAL).is_file():
            alike = header.get("execution", {}).get("plan", {})
        found = [] if alike is None else differences(dict(alike), dict(plan))
        if found:
            raise StoreError(
                f"the unfinished run in {self.path} was begun in another way "
                f"({'; '.join(found[:5])}), so its end would not fit its beginning; go on as it "
                "was begun, or start it anew with --no-resume"
            )

    def clear(self) -> None:
        """Forget what an earlier run left. Raises StoreError where a shard of it is at work."""
        self._drop_shards()
        for name in (self.results_name, EPISODES, JOURNAL, self.header_name):
            with _disk(self.path / name):
                (self.path / name).unlink(missing_ok=True)

    def abandon(self) -> None:
        """Remove what a refused run has made, where no turn of it is on the disk."""
        if self.finished or self.has_turns():
            return
        try:
            self.clear()
        except StoreError:  # another process is at work
            return
        for folder in (self.path, *list(self.path.parents)[:2]):  # its task's, its model's
            try:
                folder.rmdir()
            except FileNotFoundError:  # a shard of the run has removed it
                continue
            except OSError:  # something else is in it
                return

    def has_turns(self) -> bool:
        """Whether a turn of the run, or of a shard in it, is on the disk."""
        places = (self.path, *(self.path / SHARDS).glob("*"))
        files = [place / name for place in places for name in (JOURNAL, EPISODES)]
        return any(file.is_file() and file.stat().st_size for file in files)

    def _drop_shards(self) -> None:
        for place in sorted((self.path / SHARDS).glob("*")):
            with RunFolder(place).locked(), _disk(place):
                shutil.rmtree(place)
        with _disk(self.path / SHARDS):
            if (self.path / SHARDS).is_dir():
                (self.path / SHARDS).rmdir()

    def write_header(self, header: Mapping[str, Any]) -> None:
        write_atomically(self.path / self.header_name, [json_bytes(header)])

    def journal(self) -> Journal:
        return Journal(self.path / JOURNAL)

    def write_episodes(self, lines: Iterable[bytes]) -> str:
        return write_atomically(self.path / EPISODES, lines)

    def write_results(self, results: Mapping[str, Any]) -> None:
        write_atomically(self.path / self.results_name, [json_bytes(results)])

    def drop_journal(self) -> None:
        """The last act of a run: what is in journal and shards is in the other files."""
        self._drop_shards()
        with _disk(self.path / JOURNAL):
            (self.path / JOURNAL).unlink(missing_ok=True)

    def episodes(self) -> Iterator[EpisodeRecord]:
        """The stored episodes, read one at a time. Raises StoreError."""
        path = self.path / EPISODES
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    try:
                        yield EpisodeRecord.from_json(json.loads(line))
                    except (ValueError, KeyError, TypeError, RecursionError) as error:
                        raise StoreError(
                            f"{path}: line {number} is no episode ({type(error).__name__})"
                        ) from None
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from None

    def episodes_sha256(self) -> str:
        try:
            with (self.path / EPISODES).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise StoreError(f"{self.path / EPISODES} cannot be read: {error.strerror}") from None
