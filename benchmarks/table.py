"""Makes the tables of docs/benchmarks.md from what the scripts measured.

    python benchmarks/table.py                          # from benchmarks/measured/*.json
    python benchmarks/table.py --run [NAME ...]         # measure first (all, or those named)
    python benchmarks/table.py --run --quick --measured DIR --page FILE.md
    python benchmarks/table.py --check                  # exit 1 where the page says otherwise

The page has a pair of marks for each file, `<!-- measured: NAME -->` and `<!-- end: NAME -->`; what
stands between them is written here. `targets` and `machine` are made of all files.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from suite.records import FOLDER, REQUIREMENTS, Record, Table, installed

#: by name of the file: the script, its arguments, and those of `--quick`
PLAN: Mapping[str, tuple[str, Sequence[str], Sequence[str]]] = {
    "throughput": (
        "throughput.py", ("--repeats", "5"),
        ("--sizes", "1", "--pairs", "8", "--repeats", "1", "--cli-pairs", "2"),
    ),
    "against_inspect": (
        "against_inspect.py", (), ("--sizes", "1", "--pairs", "8", "--repeats", "1"),
    ),
    "startup": ("startup.py", (), ("--repeats", "1")),
    "memory": ("memory.py", (), ("--sizes", "1", "--pairs", "4")),
    "against_reasoning_gym": ("against_reasoning_gym.py", (), ("--seconds", "0.1")),
    "verifier": ("verifier.py", (), ("--seconds", "0.1")),
    "many_episodes": ("many_episodes.py", (), ("100000",)),
    "many_attempts": (
        "many_episodes.py", ("100000", "--shape", "run", "--verify-iters", "5"),
        ("100000", "--shape", "run", "--verify-iters", "5"),
    ),
}  # fmt: skip
_MODULES = {"against_inspect": "inspect_ai", "against_reasoning_gym": "reasoning_gym"}


def measure(names: Sequence[str], measured: Path, quick: bool) -> None:
    """Run the scripts one after another; each one writes its file."""
    missing = [name for name in names if not installed(_MODULES.get(name, "genbench"))]
    if missing:
        print(
            f"{', '.join(missing)} compares with what is not installed here: "
            f"pip install -r {FOLDER.name}/{REQUIREMENTS.name}, or name the others after --run",
            file=sys.stderr,
        )
        raise SystemExit(2)
    for name in names:
        script, full, short = PLAN[name]
        words = [sys.executable, str(FOLDER / script), *(short if quick else full)]
        print(f"\n== {name}: {script} {' '.join(words[2:])}", flush=True)
        began = time.perf_counter()
        done = subprocess.run([*words, "--json", str(measured / f"{name}.json")], check=False)
        if done.returncode:
            raise SystemExit(done.returncode)
        print(f"== {name}: {time.perf_counter() - began:.0f} s", flush=True)


def section(record: Record) -> str:
    """What stands on the page for one file."""
    versions = ", ".join(
        f"{name} {version}" for name, version in record.versions.items() if name != "python"
    )
    load = "" if record.load is None else f", load {record.load:g} at the start"
    about = (
        f"`{record.command}` ({record.date}, {_duration(record.seconds)}{load}; "
        f"Python {record.versions.get('python', '?')}, {versions})"
    )
    return "\n\n".join([about, *(table.markdown() for table in record.tables)])


def targets(records: Mapping[str, Record]) -> str:
    """The targets of all files, those that were missed first."""
    found = [(target, name) for name, record in records.items() for target in record.targets]
    found.sort(key=lambda one: one[0].met)
    missed = sum(not target.met for target, _ in found)
    table = Table(
        f"{len(found) - missed} of {len(found)} targets are met",
        ("", "target", "wanted", "found", "measured by"),
        ("", "", "", "", ""),
        [
            ["met" if one.met else "**missed**", one.claim, one.wanted, one.found, f"`{name}`"]
            for one, name in found
        ],
    )
    return table.markdown()


def machines(records: Mapping[str, Record]) -> str:
    """Where it was measured."""
    found: dict[str, list[str]] = {}
    for name, record in records.items():
        one = record.machine
        text = f"{one['processor']}, {one['cores']} cores, {one['memory_gib']} GiB, {one['system']}"
        found.setdefault(text, []).append(name)
    if len(found) == 1:
        return f"Machine: {next(iter(found))}. One core and one thread are used."
    return "\n".join(f"- {', '.join(names)}: {text}" for text, names in found.items())


def filled(page: str, parts: Mapping[str, str], where: Path) -> str:
    """The page with its parts in place. Exits where marks are missing."""
    for name, text in parts.items():
        begin, end = f"<!-- measured: {name} -->", f"<!-- end: {name} -->"
        if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
            raise SystemExit(f"{where} needs the marks {begin} and {end}, in this order, once each")
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}"
    return page


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", nargs="*", choices=PLAN, metavar="NAME", help=", ".join(PLAN))
    parser.add_argument("--quick", action="store_true", help="few prompts, one turn: a trial")
    parser.add_argument("--measured", type=Path, default=FOLDER / "measured", metavar="DIR")
    parser.add_argument(
        "--page", type=Path, default=FOLDER.parent / "docs" / "benchmarks.md", metavar="FILE"
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    given = parser.parse_args()
    if given.quick and given.run is None:
        parser.error("--quick says how to --run")
    if given.quick and any(
        getattr(given, name) == parser.get_default(name) for name in ("measured", "page")
    ):
        parser.error("--quick is a trial: give --measured DIR and --page, a copy of the page")
    if not given.page.is_file():
        parser.error(f"--page {given.page}: there is no such page")
    if given.run is not None:
        measure(given.run or list(PLAN), given.measured, given.quick)
    files = sorted(given.measured.glob("*.json"), key=lambda path: _place(path.stem))
    if not files:
        raise SystemExit(
            f"{given.measured} holds no measurements: python benchmarks/table.py --run"
        )
    records = {path.stem: Record.read(path) for path in files}
    parts = {name: section(record) for name, record in records.items()}
    parts |= {"targets": targets(records), "machine": machines(records)}
    old = given.page.read_text(encoding="utf-8")
    new = filled(old, parts, given.page)
    if given.check:
        print(f"{given.page} is {'as' if new == old else 'not what'} the measurements say")
        raise SystemExit(int(new != old))
    given.page.write_text(new, encoding="utf-8")
    print(f"{given.page}: the tables of {', '.join(records)}")


def _place(name: str) -> int:
    return list(PLAN).index(name) if name in PLAN else len(PLAN)


if __name__ == "__main__":
    main()
