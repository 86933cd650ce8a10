"""V-IRL's street views: which panorama lies where, and which of them a folder holds.

The published mapping is a pickle, `{(latitude, longitude): panorama id}`. Unpickling can run any
code, so this reads plain containers, numbers and texts alone; once converted to JSON
(`{"panoramas": [[latitude, longitude, id], ...]}`) the pickle is not needed again:

    python -m genbench_tasks.navigation.panoramas gps_pano_mapping.pkl panoramas.json
    python -m genbench_tasks.navigation.panoramas panoramas.json --views street_views/
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.task import TaskError

Geocode = tuple[float, float]
_LISTED = 5


class _PlainUnpickler(pickle.Unpickler):
    """Reads no class and calls no function."""

    def find_class(self, module: str, name: str) -> Any:
        raise TaskError(
            f"it would load {module}.{name}: a mapping of positions to panoramas holds plain "
            "tuples, numbers and texts"
        )

    def persistent_load(self, pid: Any) -> Any:
        raise TaskError("it refers to objects outside of the file")


def read_panoramas(path: Path) -> dict[Geocode, str]:
    """(latitude, longitude) -> panorama id, of a pickle or of our JSON. Raises TaskError."""
    try:
        with path.open("rb") as file:
            start = file.peek(1)[:1]
            if path.suffix == ".json" or start == b"{":
                raw: Any = json.load(file)
                raw = raw.get("panoramas") if isinstance(raw, dict) else None
            else:
                raw = _PlainUnpickler(file).load()
    except OSError as error:
        raise TaskError(f"the panorama mapping {path} cannot be read: {error.strerror}") from None
    except TaskError as error:
        raise TaskError(f"{path} is refused: {error}") from None
    except Exception as error:  # damaged pickles raise almost anything
        raise TaskError(
            f"{path} is no panorama mapping, neither a pickle nor JSON: {type(error).__name__}: "
            f"{error}"
        ) from None
    return _checked(raw, path)


def _checked(raw: Any, path: Path) -> dict[Geocode, str]:
    if isinstance(raw, Mapping):
        entries: Sequence[Any] = [(place, name) for place, name in raw.items()]
    elif isinstance(raw, list):
        entries = [
            ((entry[0], entry[1]), entry[2]) if isinstance(entry, list) and len(entry) == 3 else 0
            for entry in raw
        ]
    else:
        entries = []
    if not entries:
        raise TaskError(f"{path} holds no panoramas: {{(latitude, longitude): id}} is expected")
    found: dict[Geocode, str] = {}
    for entry in entries:
        if not _is_entry(entry):
            raise TaskError(f"{path}: {str(entry)[:80]} is not (latitude, longitude) and an id")
        (latitude, longitude), name = entry
        found[float(latitude), float(longitude)] = name
    return found


def _is_entry(entry: Any) -> bool:
    """Whether it is ((latitude, longitude), id), the id one that can name a file."""
    if not (isinstance(entry, tuple) and len(entry) == 2):
        return False
    place, name = entry
    if not (isinstance(place, tuple) and len(place) == 2 and isinstance(name, str)):
        return False
    if not name or any(letter in name for letter in "/\\\x00") or name.startswith("."):
        return False
    return all(
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= most
        for value, most in zip(place, (90, 180), strict=True)
    )


def missing_views(folder: Path, panoramas: Mapping[Geocode, str]) -> list[str]:
    """The files that a folder of street views lacks: for every panorama its picture (`<id>.jpg`)
    and its rotation (`<id>.metadata.json`). Raises TaskError where there is no such folder."""
    if not folder.is_dir():
        raise TaskError(
            f"there is no folder of street views {folder}; V-IRL's holds <id>.jpg and "
            "<id>.metadata.json of every panorama"
        )
    there = {path.name for path in folder.iterdir()}
    wanted = (
        f"{name}{suffix}" for name in panoramas.values() for suffix in (".jpg", ".metadata.json")
    )
    return sorted({file for file in wanted if file not in there})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command of the module's head; 0, or 2 with what is wrong or missing on stderr."""
    parser = argparse.ArgumentParser(prog="python -m genbench_tasks.navigation.panoramas")
    parser.add_argument("mapping", type=Path, help="gps_pano_mapping.pkl, or our JSON")
    parser.add_argument("output", type=Path, nargs="?", help="where the JSON goes")
    parser.add_argument("--views", type=Path, help="a folder of street views to hold against it")
    chosen = parser.parse_args(arguments)
    try:
        panoramas = read_panoramas(chosen.mapping)
        lacking = missing_views(chosen.views, panoramas) if chosen.views else []
        if chosen.output:
            entries = [[*place, name] for place, name in sorted(panoramas.items())]
            chosen.output.write_text(json.dumps({"panoramas": entries}) + "\n", encoding="utf-8")
    except TaskError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{chosen.output} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    if lacking:
        print(
            f"{chosen.views} lacks {len(lacking)} files, such as {', '.join(lacking[:_LISTED])}",
            file=sys.stderr,
        )
        return 2
    print(f"{len(panoramas)} panoramas")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
