"""Episodes of many steps in a report: accuracy by kind of step, in a figure and in the tables."""

import csv
import io
import json
import re

import pytest
import report_runs

from genbench.leaderboard.values import check_path, value_at
from genbench.report import conversations
from genbench.report.build import build_report
from genbench.report.figures import KINDS, Absent, Rendered, render
from genbench.report.figures.style import LIGHT, styled
from genbench.report.loading import load_groups

TASK, N = "virl-ood-rule", 8


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    output = tmp_path_factory.mktemp("walks")
    for kind in ("memoriser", "random"):
        report_runs.agent_run(output, kind, TASK, limit=N)
    return output


@pytest.fixture(scope="module")
def group(walks):
    ((found,), _) = load_groups([walks])
    return found


def steps_of(run, split):
    return run.results.splits[split].steps


def test_the_figure_has_a_panel_a_kind_with_the_rates_and_chances_of_the_runs(group):
    (kind,) = [kind for kind in KINDS if kind.name == "steps"]
    with styled(LIGHT):
        figure = kind.draw(group, LIGHT)
    texts = [text.get_text() for one in figure.axes for text in one.texts]
    assert [text for text in texts if not text.startswith("n ")] == [
        "all steps", "turn", "forward", "stop",
    ]  # fmt: skip
    for axes, name in zip(figure.axes, (None, "turn", "forward", "stop"), strict=True):
        asked = [
            steps_of(run, split) if name is None else steps_of(run, split).kinds[name]
            for run in group.runs
            for split in ("id", "ood")
        ]
        points = [line for line in axes.get_lines() if line.get_marker() == "o"]
        assert [line.get_xdata()[0] for line in points] == [one.accuracy.value for one in asked]
        upright = [
            line.get_xdata()[0]
            for line in axes.get_lines()
            if len(line.get_xdata()) == 2 and line.get_ydata()[0] != line.get_ydata()[1]
        ]
        assert upright == [one.chance for one in asked]


def test_a_memoriser_turns_wrong_and_walks_right(group):
    (run,) = [run for run in group.runs if run.label == "agent:memoriser"]
    kinds = steps_of(run, "ood").kinds
    assert {kind: found.accuracy.value for kind, found in kinds.items()} == {
        "turn": 0.0, "forward": 1.0, "stop": 1.0,
    }  # fmt: skip


def test_the_tables_and_the_page_have_the_steps(walks, group, tmp_path):
    report = build_report([walks], tmp_path / "out")
    assert "Accuracy by step" in report.page.read_text()
    assert (report.folder / "figures" / TASK / "steps.png").is_file()

    def table(name):
        text = (report.folder / "tables" / name).read_text()
        return list(csv.DictReader(io.StringIO(text)))

    rates = {(row["checkpoint"], row["split"], row["measure"]): row for row in table("rates.csv")}
    gaps = {row["checkpoint"]: row for row in table("headline.csv")}
    for run in group.runs:
        for split in ("id", "ood"):
            steps = steps_of(run, split)
            row = rates[run.label, split, "steps_turn"]
            assert float(row["value"]) == steps.kinds["turn"].accuracy.value
            assert float(row["chance"]) == steps.kinds["turn"].chance
            every = rates[run.label, split, "steps_every_attempt"]
            assert float(every["value"]) == steps.every_attempt.value
        found = run.ood["ood"].steps
        assert float(gaps[run.label]["step_gap"]) == found.gap.value
        assert float(gaps[run.label]["step_gap_turn"]) == found.kinds["turn"].value
        assert float(gaps[run.label]["step_gap_mde"]) == found.mde.value


def test_a_task_of_one_step_has_no_such_figure(sources):
    ((group,), _) = load_groups([sources[0]["random"]])
    found = {one.kind.name: one for one in render(group)}
    assert isinstance(found["steps"], Absent)
    assert isinstance(found["comprehension"], Rendered)


def test_a_board_can_have_a_column_of_a_kind_of_step(group):
    path = "splits.ood.steps.kinds.turn.accuracy.value"
    check_path(path, {"splits": ("id", "ood")})
    shown = [value_at(run.results, path).value for run in group.runs]
    assert shown == [steps_of(run, "ood").kinds["turn"].accuracy.value for run in group.runs]


def index_of(report):
    """The columns of the list of episodes, as the page has them."""
    page = report.page.read_text()
    (text,) = re.findall(
        r'<script type="application/json" id="report-data">(.*?)</script>', page, re.S
    )
    return json.loads(text)["index"]


def test_an_episode_without_a_retry_was_solved_at_the_first_attempt(walks, tmp_path):
    index = index_of(build_report([walks], tmp_path / "out"))
    steps = [
        (turns, retries, solved)
        for turns, retries, solved in zip(
            index["turns"], index["retries"], index["solved"], strict=True
        )
    ]
    assert len(steps) == 2 * 2 * N
    solved = [one for one in steps if one[2]]
    assert len(solved) == N  # the memoriser on ID
    assert all(turns > 4 and retries == 0 for turns, retries, _ in solved)
    assert all(retries > 0 for _, retries, is_solved in steps if not is_solved)


def test_pictures_are_those_of_the_first_episodes_of_each_split(tmp_path, monkeypatch):
    monkeypatch.setattr(conversations, "MOST_PICTURES", 5)
    small = {"pixels": 96, "intersections": [3, 3]}
    report_runs.agent_run(
        tmp_path / "runs", "oracle", "virl-vl-ood-rule", limit=3, task_settings=small
    )
    report = build_report([tmp_path / "runs"], tmp_path / "out")
    page = report.page.read_text()
    shown, left_out = page.count('"image":"data:image'), page.count("[a picture, left out of")
    ((group,), _) = load_groups([tmp_path / "runs"])
    asked = [steps_of(group.runs[0], split).accuracy.n for split in ("id", "ood")]
    assert shown + left_out == sum(asked)
    # An episode is shown with all of its pictures or with none.
    assert 2 * 5 <= shown < sum(asked)
    assert left_out > 0
