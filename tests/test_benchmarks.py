"""The scripts that measure: each says what it does, and the page has what the files say."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(FOLDER))

from suite import measuring, ways  # noqa: E402
from suite.measuring import Spent  # noqa: E402
from suite.records import Record, Table, Target  # noqa: E402

SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py"))
HEAVY = {"training.py"}  # imports TRL to begin with


def script(name, *words, check=True):
    return subprocess.run(
        [sys.executable, str(FOLDER / name), *words], capture_output=True, text=True, check=check
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name
        for name in SCRIPTS
    ],
)  # fmt: skip
def test_every_script_says_what_it_measures(name):
    shown = script(name, "--help").stdout
    assert shown.startswith("usage:")
    first = (FOLDER / name).read_text(encoding="utf-8").splitlines()[0].strip('"')
    assert " ".join(first.split()[:6]) in " ".join(shown.split())


@pytest.mark.parametrize(
    ("name", "module", "distribution"),
    [
        ("against_inspect.py", "inspect_ai", "inspect-ai"),
        ("against_reasoning_gym.py", "reasoning_gym", "reasoning-gym"),
    ],
)
def test_what_is_not_installed_is_named_with_its_version(name, module, distribution):
    if importlib.util.find_spec(module):
        pytest.skip(f"{distribution} is installed")
    done = script(name, check=False)
    (line,) = (FOLDER / "requirements.txt").read_text().split(f"{distribution}==")[1].split()[:1]
    assert done.returncode == 2
    assert done.stderr.strip().endswith(f"pip install {distribution}=={line}")
    assert len(done.stderr.splitlines()) == 1


def record(**changes):
    found = {
        "command": "python benchmarks/startup.py",
        "date": "2026-01-02",
        "machine": {"processor": "P", "cores": 2, "memory_gib": 8, "system": "Linux x86_64"},
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "seconds": 250.0,
        "tables": [
            Table("Start-up", ("command", "s"), ("", ".2f"), [["a --help", 0.126], ["b", None]])
        ],
        "targets": [
            Target("a --help", "< 0.3 s", "0.13 s", True),
            Target("b", ">= 1x", "0.5", False),
        ],
    }
    return Record(**{**found, **changes})


@pytest.fixture
def measured(tmp_path):
    """A folder of one measurement, and a page with the marks for it."""
    from dataclasses import asdict

    folder = tmp_path / "measured"
    folder.mkdir()
    (folder / "startup.json").write_text(json.dumps(asdict(record())), encoding="utf-8")
    page = tmp_path / "page.md"
    names = ("machine", "targets", "startup")
    marks = [f"<!-- measured: {name} -->\nold\n<!-- end: {name} -->" for name in names]
    page.write_text("# Page\n\n" + "\n\nwords\n\n".join(marks) + "\nlast\n", encoding="utf-8")
    return ["--measured", str(folder), "--page", str(page)], page


def test_the_tables_stand_between_their_marks(measured):
    words, page = measured
    script("table.py", *words)
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    assert text.startswith("# Page\n\n<!-- measured: machine -->\nMachine: P, 2 cores, 8 GiB")
    assert text.count("\n\nwords\n\n") == 2
    assert text.endswith("<!-- end: startup -->\nlast\n")
    assert "| command | s |\n| --- | ---: |\n| a --help | 0.13 |\n| b | - |" in text
    assert "`python benchmarks/startup.py` (2026-01-02, 4 min; Python 3.11.7, torch 2.13.0)" in text


def test_missed_targets_stand_first(measured):
    words, page = measured
    script("table.py", *words)
    text = page.read_text(encoding="utf-8")
    assert "1 of 2 targets are met" in text
    assert text.index("| **missed** | b | >= 1x | 0.5 | `startup` |") < text.index("| met |")


def test_check_tells_a_page_that_says_otherwise(measured):
    words, page = measured
    assert script("table.py", "--check", *words, check=False).returncode == 1
    script("table.py", *words)
    assert script("table.py", "--check", *words).returncode == 0
    page.write_text(page.read_text(encoding="utf-8").replace("0.13", "0.12"), encoding="utf-8")
    assert script("table.py", "--check", *words, check=False).returncode == 1


def test_a_page_without_the_marks_and_a_broken_file_are_named(measured):
    words, page = measured
    page.write_text("# Page\n", encoding="utf-8")
    done = script("table.py", *words, check=False)
    assert done.returncode == 1
    assert "needs the marks <!-- measured: startup -->" in done.stderr
    Path(words[1], "startup.json").write_text("{", encoding="utf-8")
    done = script("table.py", *words, check=False)
    assert "startup.json is no record of a benchmark" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_documented_tables_are_what_was_measured():
    script("table.py", "--check")


def test_a_record_is_read_as_it_was_written(tmp_path):
    from dataclasses import asdict

    path = tmp_path / "one.json"
    path.write_text(json.dumps(asdict(record())), encoding="utf-8")
    again = Record.read(path)
    assert again.targets == record().targets
    assert again.tables[0].markdown() == record().tables[0].markdown()


def test_a_ratio_is_the_median_of_the_turns_ratios():
    ours = [Spent(1.0, 1.0), Spent(2.0, 1.0), Spent(10.0, 1.0)]
    theirs = [Spent(2.0, 3.0), Spent(8.0, 3.0), Spent(10.0, 3.0)]
    found = measuring.ratio(theirs, ours)
    assert (found.value, found.low, found.high) == (2.0, 1.0, 4.0)
    assert measuring.ratio(theirs, ours, "cpu", scale=2.0).value == 6.0


def test_each_round_of_turns_begins_with_another_way():
    order = []
    ways_of = {name: lambda name=name: order.append(name) or Spent(1, 1) for name in "abc"}
    found = measuring.take_turns(ways_of, 3)
    assert "".join(order) == "abcbcacab"
    assert {name: len(costs) for name, costs in found.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_child_is_charged_with_its_own_memory_and_time():
    # In a process of its own: no child's peak is counted below that of its parent.
    code = """
import sys
from suite.measuring import child
for work in ("pass", "x = bytearray(400 * 2**20); sum(range(10**7))"):
    cost = child([sys.executable, "-c", work])
    print(cost.peak, cost.cpu)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FOLDER
    )
    small, large = (list(map(float, line.split())) for line in done.stdout.splitlines())
    assert small[0] < 200 < 400 <= large[0]
    assert large[1] > small[1] > 0


def test_a_child_that_fails_ends_the_measurement_with_its_words():
    with pytest.raises(SystemExit, match="no such thing"):
        measuring.child([sys.executable, "-c", "raise SystemExit('no such thing')"])
    with pytest.raises(SystemExit, match="ran longer than"):
        measuring.child([sys.executable, "-c", "import time; time.sleep(60)"], limit=0.2)


def test_calls_that_overlap_are_counted_once(monkeypatch):
    now = iter([10.0, 14.0, 20.0, 21.5])  # asked at the begin and the end of each stretch alone
    monkeypatch.setattr(ways.time, "perf_counter", lambda: next(now))
    clock = ways.Clock()
    with clock.running(), clock.running():
        pass
    assert clock.seconds == 4.0
    assert clock.around(max)(1, 2) == 2
    assert clock.seconds == 5.5
