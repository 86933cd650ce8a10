"""GeneralPoints' verifier and generator against those of reasoning-gym's like problems.

    pip install -r benchmarks/requirements.txt
    python benchmarks/against_reasoning_gym.py [--seconds 1]

The problems are reasoning-gym's own: `puzzle24` (four numbers from 1 to 10 that make 24) and
`countdown` (here four numbers up to 100 that make a target of three digits). Both judge the same
texts; CPU time on one core, in turns. Hostile answers are judged in processes of their own with
ten seconds and 4 GiB each; reasoning-gym hands an answer to sympy's `parse_expr`, which evaluates
it as Python.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from suite.measuring import progress
from suite.records import Record, Recorder, Table, need
from verifier import TARGET_RATE, reasoning

from genbench.task import Instance, SplitSpec
from genbench_tasks.general_points.cards import RULES
from genbench_tasks.general_points.environment import GeneralPoints
from genbench_tasks.general_points.solver import solutions

PROBLEMS = 200
TURNS = 3
RULE = "face-10"
ENVIRONMENT = GeneralPoints(prompt="paper", feedback="outcome", settings={})
SYSTEMS = ("genbench", "reasoning-gym")
PATIENCE, MEMORY = 10.0, 4 * 2**30

#: what is judged of a hand of 2, 3, 4, 6 that is to make 24; MARKER becomes a path
HOSTILE = {
    "four other numbers that make 24: `6*4*1*1`": "6*4*1*1",
    "four other numbers that make 24.5: `5*5-1/2`": "5*5-1/2",
    "a command: `__import__('os').system(...)`": "__import__('os').system('touch MARKER')",
    "a tower of powers: `9**9**9**9`": "9**9**9**9",
    "a large factorial: `factorial(10**8)`": "factorial(10**8)",
    "a sum of 500,000 ones": "1+" * 500_000 + "1",
    "a million opening brackets": "(" * 1_000_000,
}


@dataclass(frozen=True)
class Problem:
    """One problem, as both know it."""

    entry: dict[str, Any]
    instance: Instance


Answers = list[tuple[Problem, str]]


def dataset(name: str, size: int = PROBLEMS) -> Any:
    """reasoning-gym's data set."""
    import reasoning_gym

    more = {"min_numbers": 4, "max_numbers": 4} if name == "countdown" else {}
    return reasoning_gym.create_dataset(name, seed=0, size=size, **more)


def instance_of(numbers: Sequence[int], target: int) -> Instance:
    """The problem as GeneralPoints has it: cards with these numbers."""
    cards = ["A" if number == 1 else str(number) for number in numbers]
    data = {"cards": cards, "rule": RULE, "values": dict(RULES[RULE]), "target": target}
    return Instance("-".join(cards), "", "", data)


def problems(name: str, data: Any) -> list[Problem]:
    """The data set's problems."""
    return [
        Problem(
            entry, instance_of(entry["metadata"]["numbers"], entry["metadata"].get("target", 24))
        )
        for entry in (data[number] for number in range(PROBLEMS))
    ]


def kinds(found: Sequence[Problem]) -> dict[str, Answers]:
    """Answers of each kind."""
    stream = Random(0)
    right = []
    for problem in found:
        data = problem.instance.data
        numbers = [1 if card == "A" else int(card) for card in data["cards"]]
        right.append(next(solutions(numbers, data["target"])).formula)
    swap = str.maketrans("+-*", "-+/")
    thought = [reasoning(stream) for _ in found]
    asked = [next(iter(ENVIRONMENT.solutions(problem.instance))) for problem in found]
    texts = {
        "right: a formula": right,
        "wrong: other signs": [text.translate(swap) for text in right],
        "wrong: the formula of another problem": [*right[1:], right[0]],
        "no formula: 60 characters": [text[:60] for text in thought],
        "no formula: 1,500 characters of thinking": thought,
        "right: as genbench asks, after that thinking": [
            first + last for first, last in zip(thought, asked, strict=True)
        ],
    }
    return {kind: list(zip(found, given, strict=True)) for kind, given in texts.items()}


def judges(data: Any) -> dict[str, Callable[[Problem, str], bool]]:
    """By system: whether an answer is right."""
    return {
        "genbench": lambda problem, text: ENVIRONMENT.verify(problem.instance, text).correct,
        "reasoning-gym": lambda problem, text: data.score_answer(text, problem.entry) == 1.0,
    }


def rate(judge: Callable[[Problem, str], bool], answers: Answers, seconds: float) -> float:
    """Judgements a second of CPU time."""
    count, start = 0, time.process_time()
    while True:
        for problem, text in answers:
            judge(problem, text)
            count += 1
            if not count % 50 and time.process_time() - start > seconds:
                return count / (time.process_time() - start)


def verifiers(seconds: float, record: Record) -> None:
    """The table of rates, and of what each judges right."""
    rows: list[list[Any]] = []
    for name in ("puzzle24", "countdown"):
        data = dataset(name)
        judge = judges(data)
        for kind, answers in kinds(problems(name, data)).items():
            progress(f"{name}, {kind}")
            speeds: dict[str, list[float]] = {system: [] for system in SYSTEMS}
            for _ in range(TURNS):
                for system in SYSTEMS:
                    speeds[system].append(rate(judge[system], answers, seconds))
            middle = {system: statistics.median(values) for system, values in speeds.items()}
            right = {
                system: sum(judge[system](*one) for one in answers) / len(answers)
                for system in SYSTEMS
            }
            ratio = middle["genbench"] / middle["reasoning-gym"]
            rows.append([name, kind, *middle.values(), ratio, *right.values()])
    progress("")
    record.add(
        Table(
            "Judging the same answers to the same problems",
            (
                "problems", "answer", "genbench, verdicts/s", "reasoning-gym, scores/s", "ratio",
                "judged right by genbench", "by reasoning-gym",
            ),
            ("", "", ",.0f", ",.0f", ".1f", ".0%", ".0%"),
            rows,
            f"{PROBLEMS} problems of each; per second of CPU time, medians of {TURNS} turns. A "
            "verdict of genbench has the outcome, the fields, the checks and the feedback as well; "
            "a score is one number. genbench looks for the answer in any text, reasoning-gym "
            "reads the whole text as an expression.",
        )
    )  # fmt: skip
    slowest = min(rows, key=lambda row: row[4])
    record.aim(
        "verdicts/s against reasoning-gym's scores/s, the least ratio of all kinds of answers",
        ">= 1x", f"{slowest[4]:.1f} ({slowest[0]}, {slowest[1]})", slowest[4] >= 1,
    )  # fmt: skip
    least = min(rows, key=lambda row: row[2])
    record.aim(
        "verdicts/s, the least of all kinds of answers",
        f">= {TARGET_RATE:,}", f"{least[2]:,.0f} ({least[0]}, {least[1]})", least[2] >= TARGET_RATE,
    )  # fmt: skip


def generated(system: str, name: str, number: int) -> Iterator[tuple[str, str]]:
    """So many problems made: what is asked, and an answer."""
    if system == "genbench":
        settings = {"sampling": "paper", "n": number, "seed": 0}
        environment = GeneralPoints(prompt="paper", feedback="outcome", settings=settings)
        for instance in environment.instances(SplitSpec("id", "id", rule=RULE)):
            yield environment.messages(instance)[0].text, next(environment.solutions(instance))
    else:
        data = dataset(name, number)
        for place in range(number):
            yield data[place]["question"], data[place]["answer"]


def generators(record: Record) -> None:
    """The table of instances made, each in a process of its own."""
    rows: list[list[Any]] = []
    for system, name, number in (
        ("genbench", "hands of a deck that make 24", 500),
        ("genbench", "hands of a deck that make 24", 5_000),
        ("reasoning-gym", "puzzle24", 200),
        ("reasoning-gym", "countdown", 500),
    ):
        progress(f"{number} of {system}, {name}")
        words = [sys.executable, __file__, "--make", system, name, str(number)]
        found = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
        rows.append([system, name, number, number / float(found)])
    progress("")
    most = max(row[3] for row in rows if row[0] == "reasoning-gym")
    record.add(
        Table(
            "Making problems, with prompt and one solution",
            ("by", "problems", "number", "a second", "times reasoning-gym's best"),
            ("", "", ",d", ",.0f", ".1f"),
            [[*row, row[3] / most] for row in rows],
            "Each in a fresh process, so that nothing is remembered from before; per second of CPU "
            "time. genbench deals hands and keeps the solvable ones; it remembers what numbers it "
            "has seen. reasoning-gym draws expressions until one has the target.",
        )
    )  # fmt: skip
    ours = rows[0][3] / most
    record.aim("problems made a second against reasoning-gym's", ">= 1x", f"{ours:.1f}", ours >= 1)


def hostile(record: Record) -> None:
    """The table of hostile answers."""
    rows = []
    for name in HOSTILE:
        progress(f"hostile: {name}")
        rows.append([name, *(survived(system, name) for system in SYSTEMS)])
    progress("")
    record.add(
        Table(
            "Answers that are not what was asked, to a hand of 2, 3, 4, 6 that is to make 24",
            ("answer", "genbench", "reasoning-gym, puzzle24"),
            ("", "", ""),
            rows,
            f"Each in a process of its own, killed after {PATIENCE:g} s, with 4 GiB of memory.",
        )
    )
    bad = [row[0] for row in rows if not str(row[1]).startswith("refused")]
    record.aim(
        "hostile answers refused by genbench within 50 ms", f"{len(rows)} of {len(rows)}",
        f"{len(rows) - len(bad)} of {len(rows)}", not bad,
    )  # fmt: skip


def survived(system: str, name: str) -> str:
    """In words, what an answer does to a judge."""
    with tempfile.TemporaryDirectory() as place:
        marker = Path(place) / "marker"
        words = [sys.executable, __file__, "--judge", system, name, str(marker)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE + 30)
        except subprocess.TimeoutExpired:
            return f"still running after {PATIENCE:g} s: killed"
        if marker.exists():
            return "**the command was run**"
    if done.returncode:
        if done.returncode in (-24, -9):  # SIGXCPU of the limit, or what follows it
            return f"still running after {PATIENCE:g} s: killed"
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return f"the process died ({done.returncode}: {last[:60]})"
    found = json.loads(done.stdout)
    time_taken = f"{1000 * found['seconds']:.1f} ms"
    if found["right"]:
        return f"**judged right**, {time_taken}"
    slow = "" if found["seconds"] < 0.05 else "slowly "
    return f"{slow}refused, {time_taken}"


def judge_hostile(system: str, name: str, marker: str) -> None:
    """In the child: judge one answer under the limits; JSON on stdout."""
    instance = instance_of((2, 3, 4, 6), 24)
    numbers = [2, 3, 4, 6]
    problem = Problem({"metadata": {"numbers": numbers, "target": 24}}, instance)
    judge = judges(dataset("puzzle24", 1) if system == "reasoning-gym" else None)[system]
    judge(problem, "2+3+4+6")  # loads what it needs
    seconds = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime + PATIENCE) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    text = HOSTILE[name].replace("MARKER", marker)
    began = time.process_time()
    right = judge(problem, text)
    print(json.dumps({"right": right, "seconds": time.process_time() - began}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU time of a turn")
    parser.add_argument("--judge", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--make", nargs=3, help=argparse.SUPPRESS)
    recorder = Recorder(parser)
    given = parser.parse_args()
    need("reasoning_gym", "reasoning-gym")
    if given.judge:
        judge_hostile(*given.judge)
        return
    if given.make:
        system, name, number = given.make
        if system == "reasoning-gym":
            dataset(name, 1)  # its import is not counted
        began = time.process_time()
        for _ in generated(system, name, int(number)):
            pass
        print(time.process_time() - began)
        return
    verifiers(given.seconds, recorder.record)
    generators(recorder.record)
    hostile(recorder.record)
    recorder.save(given.json)


if __name__ == "__main__":
    main()
