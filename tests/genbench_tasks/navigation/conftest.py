"""Tasks and states that the tests of navigation share."""

import os
from pathlib import Path

import pytest

import genbench

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def rule_task():
    """The rule task, 30 routes a split."""
    return genbench.load_task("virl-ood-rule", limit=30)


@pytest.fixture(scope="session")
def states(rule_task):
    """Every state of the rule task, by split."""
    environment = rule_task.environment
    return {
        name: [state for route in split.instances() for state in environment.states(route)]
        for name, split in rule_task.splits.items()
    }


@pytest.fixture(scope="session")
def of_kind(states, rule_task):
    """`of_kind("ood", "turn")`: the first such state that has a landmark in view."""

    def find(split, kind):
        return next(
            state
            for state in states[split]
            if rule_task.environment.step_kind(state) == kind and state.data["landmarks"]
        )

    return find


@pytest.fixture(scope="session")
def virl_files():
    """Route files of the public V-IRL repository, which is not ours to distribute."""
    folder = os.environ.get("GENBENCH_VIRL_DATA")
    found = Path(folder) if folder else ROOT.parent / "shared" / "data" / "virl"
    files = sorted(found.glob("route_infos*.json"))
    if not files:
        pytest.skip(f"no route files of V-IRL in {found}; GENBENCH_VIRL_DATA names their folder")
    return files
