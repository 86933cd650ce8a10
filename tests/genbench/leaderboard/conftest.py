"""A small repository of boards and published runs, made once and copied for each test."""

import shutil
from pathlib import Path

import pytest
from small_board import (
    CROWD,
    HOSTILE,
    HOSTILE_RESPONSE,
    OTHER_TASK,
    ROWS,
    TASK,
    agent,
    forge,
    imported,
    write_board,
)

from genbench.leaderboard.building import build
from genbench.leaderboard.definition import load_boards
from genbench.leaderboard.publishing import add


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Runs that a test may read but not change: two equal models, a better, a hostile, an agent."""
    output = tmp_path_factory.mktemp("runs")
    return {
        "good": imported(output / "good", "org/good", (1.0, 0.95), 1),
        "middle": imported(output / "middle", "org/middle", (0.6, 0.45), 2),
        "equal": imported(output / "equal", "org/equal", (0.6, 0.45), 3),
        "hostile": imported(output / "hostile", HOSTILE, (0.1, 0.05), 4),
        "oracle": agent(output / "oracle"),
    }


@pytest.fixture(scope="session")
def published_once(runs, tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    write_board(root / "leaderboards")
    boards = load_boards(root / "leaderboards")
    for run in runs.values():
        add(run, root / "results", boards)
    build(root / "leaderboards", root / "results")
    return root


@pytest.fixture
def repository(published_once, tmp_path):
    """A copy with `leaderboards/` and `results/`, to be changed."""
    return Path(shutil.copytree(published_once, tmp_path / "repository"))


@pytest.fixture
def places(repository):
    """The options that name the folders of the repository."""
    return ["--results", repository / "results", "--boards", repository / "leaderboards"]


@pytest.fixture(scope="session")
def crowded(tmp_path_factory):
    """A board of two tasks, of nine and of four ranked rows and two references each; rows of two
    versions of genbench, and names and responses that are attacks."""
    root = tmp_path_factory.mktemp("crowded")
    write_board(
        root / "leaderboards",
        "crowd",
        title="Many <b>models</b> & two tasks",
        description="<img src=x onerror=document.title='owned'> stays text.",
        tasks=[TASK, OTHER_TASK],
    )
    boards = load_boards(root / "leaderboards")
    for task in (TASK, OTHER_TASK):
        runs = [
            imported(
                root / "runs" / task / str(number), name, success, number, task=task,
                wrong=HOSTILE_RESPONSE,
            )
            for number, (name, success) in enumerate(list(CROWD.items())[: ROWS[task]])
        ]  # fmt: skip
        runs += [agent(root / "runs" / task / kind, kind, task) for kind in ("oracle", "random")]
        published = [add(run, root / "results", boards).published for run in runs]
        version = published[1].results.genbench_version
        forge(published[1].folder, "results.json", f'"{version}"', '"0.0.9"')
    build(root / "leaderboards", root / "results", site=root / "site")
    return root
