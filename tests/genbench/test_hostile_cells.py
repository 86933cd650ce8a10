"""CSV of strangers' names: no cell of report, board or comparison is run as a formula."""

import csv
import io
import json

import pytest

import genbench
from genbench.importing import import_responses
from genbench.labels import inert
from genbench.leaderboard.formats import cell
from genbench.report.loading import load_groups
from genbench.report.tables import headline_csv, headline_rows

FORMULAS = ['=HYPERLINK("https://evil.example")', "+1+1", "-1+1", "@SUM(A1)", "\uff1d1+1"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Imported runs of two instances, a name each."""
    output, found = tmp_path_factory.mktemp("runs"), []
    task = genbench.load_task("gp-ood-rule", limit=2)
    instances = [one for split in task.splits.values() for one in split.instances()]
    for number, name in enumerate(FORMULAS):
        path = output / f"{number}.jsonl"
        rows = [{"instance_id": one.id, "response": f"no {number}"} for one in instances]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found.append(import_responses(path, task, output / str(number), model=name)[0].folder.path)
    return found


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_report_board_and_comparison_quote_the_same_names(runs, tmp_path, command):
    path = tmp_path / "c.csv"
    done = command("compare", *runs, "--csv", path)
    assert done.returncode == 0, done.stderr
    compared = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    groups, _ = load_groups(runs)
    reported = list(csv.DictReader(io.StringIO(headline_csv(headline_rows(groups)))))
    names = {f"'{name}" for name in FORMULAS}
    assert {row["checkpoint"] for row in compared} | {compared[0]["base"]} == names
    assert {row["model"] for row in reported} == names
    assert {cell(name) for name in FORMULAS} == names
    for text in (text for row in (*compared, *reported) for text in row.values()):
        assert inert(text) == text or is_number(text)


def test_a_number_is_no_formula():
    assert inert(-1.5) == -1.5
    assert inert("\t=1") == "'\t=1"
