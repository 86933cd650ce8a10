"""What a script of the suite found: tables and targets, printed, and written as JSON.

The JSON file (`--json FILE`) also says where, when and with what it was measured; `table.py` makes
the tables of docs/benchmarks.md of such files.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1]
REQUIREMENTS = FOLDER / "requirements.txt"
_LIBRARIES = (
    "genbench", "torch", "transformers", "tokenizers", "numpy", "lm_eval", "inspect-ai",
    "reasoning-gym", "sympy",
)  # fmt: skip

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """Rows of values under columns; `forms` are the columns' format specifications."""

    title: str
    columns: Sequence[str]
    forms: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def cells(self) -> list[list[str]]:
        """The rows as texts."""
        return [
            ["-" if value is None else format(value, form if not isinstance(value, str) else "")
             for value, form in zip(row, self.forms, strict=True)]
            for row in self.rows
        ]  # fmt: skip

    def plain(self) -> str:
        """The table for a terminal."""
        rows = [list(self.columns), *self.cells()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if form else cell.ljust(width)
                for cell, width, form in zip(row, widths, self.forms, strict=True)
            ).rstrip()
            for row in rows
        ]
        return "\n".join([self.title, *lines, *([self.note] if self.note else [])])

    def markdown(self) -> str:
        """The table for a page."""
        rule = ["---:" if form else "---" for form in self.forms]
        rows = [[cell.replace("|", "\\|") for cell in row] for row in self.cells()]
        lines = [list(self.columns), rule, *rows]
        text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return "\n\n".join(part for part in (f"**{self.title}**", text, self.note) if part)


@dataclass(frozen=True)
class Target:
    """A figure that was wanted and what was found; both as they are to be read."""

    claim: str
    wanted: str
    found: str
    met: bool


@dataclass
class Record:
    """The findings of one script."""

    command: str
    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    seconds: float = 0.0
    load: float | None = None  # processes that wanted a core when it began, by the last minute
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def add(self, table: Table) -> None:
        """Take up a table, and print it."""
        self.tables.append(table)
        print(f"\n{table.plain()}", flush=True)

    def aim(self, claim: str, wanted: str, found: str, met: bool) -> None:
        """Take up a target, and print it."""
        self.targets.append(Target(claim, wanted, found, met))
        print(f"{'met' if met else 'MISSED'}: {claim}: {wanted}, found {found}", flush=True)

    @classmethod
    def read(cls, path: Path) -> Record:
        """What a file holds. Exits with a sentence where it holds no record."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            tables = [Table(**table) for table in raw.pop("tables")]
            targets = [Target(**target) for target in raw.pop("targets")]
            return cls(**raw, tables=tables, targets=targets)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SystemExit(
                f"{path} is no record of a benchmark ({error}): write it with --json"
            ) from None


class Recorder:
    """Begins a record when a script starts, and writes it where `--json` says."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables there, too")
        self._began = time.perf_counter()
        self.record = Record(
            command=_command(sys.argv),
            date=datetime.now(UTC).date().isoformat(),
            machine=machine(),
            versions=versions(),
            load=round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        )

    def save(self, path: Path | None) -> None:
        """Write the record."""
        self.record.seconds = round(time.perf_counter() - self._began, 1)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(asdict(self.record), indent=1, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Processor, cores and memory."""
    info = _first("/proc/cpuinfo", r"^model name\s*:\s*(.+)$") or platform.processor()
    memory = _first("/proc/meminfo", r"^MemTotal:\s*(\d+) kB$")
    return {
        "processor": info or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": None if memory is None else round(int(memory) / 2**20),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Of Python and of what is compared, as far as it is installed."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name.replace("_", "-")] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def installed(name: str) -> bool:
    """Whether a module can be imported."""
    return importlib.util.find_spec(name) is not None


def need(name: str, distribution: str) -> None:
    """Exit with code 2 and a sentence where a compared system is not installed."""
    if not installed(name):
        print(
            f"{Path(sys.argv[0]).name} compares with {distribution}, which is not installed here: "
            f"pip install {pinned(distribution)}",
            file=sys.stderr,
        )
        raise SystemExit(2)


def pinned(distribution: str) -> str:
    """The line of benchmarks/requirements.txt for a distribution."""
    lines: Iterable[str] = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"{distribution}=="))


def _command(words: Sequence[str]) -> str:
    """The command line without `--json FILE`."""
    kept, skip = [], False
    for word in words[1:]:
        if not skip and word != "--json" and not word.startswith("--json="):
            kept.append(word)
        skip = word == "--json"
    return shlex.join(["python", f"benchmarks/{Path(words[0]).name}", *kept])


def _first(path: str, pattern: str) -> str | None:
    try:
        found = re.search(pattern, Path(path).read_text(), re.M)
    except OSError:
        return None
    return found[1].strip() if found else None
