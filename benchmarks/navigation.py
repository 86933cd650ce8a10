"""How fast navigation's routes are made and instructed, its verifier judges, and a run goes.

    python benchmarks/navigation.py [--routes 1000]

CPU time of one process on one core. The targets: 1,000 routes, each in a city of its own, in 10 s;
50 ms a verdict for any megabyte. The steps of a run are played by the random agent: what remains
is the harness and the environment.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import genbench
from genbench.task import Instance, SplitSpec
from genbench_tasks.navigation.agents import HOSTILE as MALFORMED
from genbench_tasks.navigation.cities import FAMILIES
from genbench_tasks.navigation.environment import Navigation

MEGABYTE = 2**20
HOSTILE = (
    *MALFORMED,
    *(text * (MEGABYTE // len(text)) for text in ("{", '{"', '{"action": ', "forward(", "x\n")),
    '{"action": "stop()", "current observation": "' + "no intersection " * (MEGABYTE // 16) + '"}',
)


@contextmanager
def seconds() -> Iterator[list[float]]:
    """The CPU time of what is inside, as the one item of the list."""
    found = [0.0]
    begun = time.process_time()
    yield found
    found[0] = time.process_time() - begun


def routes(count: int) -> None:
    """Print what making and instructing that many routes takes."""
    for family in FAMILIES:
        settings = {"families": [family], "n": count}
        environment = Navigation(prompt="paper", feedback="outcome", settings=settings)
        with seconds() as taken:
            found = environment.instances(SplitSpec("id", "id", rule="absolute"))
            characters = sum(len(environment.messages(route)[0].text) for route in found)
        print(
            f"{family:<9} {len(found)} routes in as many cities, made and instructed: "
            f"{taken[0]:.1f} s ({characters // len(found)} characters a prompt)"
        )


def verdicts() -> None:
    """Print verdicts a second on right answers, and the worst time for hostile ones."""
    environment = Navigation(prompt="paper", feedback="outcome", settings={"n": 50})
    states: list[Instance] = [
        state
        for route in environment.instances(SplitSpec("ood", "ood", "rule", "relative"))
        for state in environment.states(route)
    ]
    answers = [(state, next(environment.solutions(state))) for state in states]
    with seconds() as taken:
        for state, answer in itertools.chain.from_iterable(itertools.repeat(answers, 5)):
            environment.verify(state, answer)
    print(f"verdicts on right answers: {5 * len(answers) / taken[0]:,.0f}/s")
    worst = 0.0
    for text in HOSTILE:
        with seconds() as taken:
            environment.verify(states[0], text)
        worst = max(worst, taken[0])
    print(f"worst of {len(HOSTILE)} hostile texts of up to 1 MiB: {1000 * worst:.1f} ms")


def run(limit: int) -> None:
    """Print the steps/s of a run."""
    task = genbench.load_task("virl-ood-rule", limit=limit)
    task.check_instances()
    with tempfile.TemporaryDirectory() as output:
        genbench.run("agent:random", "virl-ood-rule", limit=1, output=output)  # imports
        with seconds() as taken:
            results = genbench.run("agent:random", task, output=output)
    steps = sum(split.all_turns["turns"] for split in results.splits.values())
    print(
        f"a run of {steps} turns, judged, stored, scored: {taken[0]:.1f} s, "
        f"{steps / taken[0]:,.0f} turns/s ({1000 * taken[0] / steps:.2f} ms of harness a turn)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--routes", type=int, default=1000)
    arguments = parser.parse_args()
    routes(arguments.routes)
    verdicts()
    run(100)


if __name__ == "__main__":
    main()
