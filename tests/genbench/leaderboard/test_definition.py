"""A board's file: every fault has its place, and the closest name."""

import pytest
from small_board import BOARD, write_board

from genbench.errors import GenbenchError
from genbench.leaderboard.definition import load_board, load_boards


def changed(**changes):
    return {**BOARD, **changes}


def ranked(metric, **eligibility):
    return {"rank_by": {"metric": metric}} | ({"eligibility": eligibility} if eligibility else {})


def column(metric):
    return {"columns": [{"label": "x", "metric": metric}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colums": []}, "colums: there is no such key; did you mean 'columns'?"),
        ({"rank_by": {"metrc": "x"}}, "rank_by.metrc: there is no such key"),
        ({"columns": []}, "columns: Tuple should have at least 1 item"),
        ({"columns": [{"label": "x", "metric": "y", "formt": "percent"}]}, "columns.0.formt"),
        ({"eligibility": {"teir": "rescored"}}, "eligibility.teir: there is no such key; did you"),
        ({"eligibility": {"tier": "gold"}}, "eligibility.tier: Input should be 'rescored' or"),
        (
            {"eligibility": {"settings": {"verify_iter": 5}}},
            "eligibility.settings.verify_iter: no such setting; did you mean 'verify_iters'?",
        ),
        ({"eligibility": {"settings": {"seed": []}}}, "settings.seed: an empty list allows no run"),
        (
            {"eligibility": {"settings": {"protocol": "paird"}}},
            "has no protocol 'paird'; did you mean 'paired'?",
        ),
        ({"tasks": ["gp-odd-rule"]}, "tasks.0: there is no task 'gp-odd-rule'; did you mean 'gp-"),
        ({"tasks": ["./mine.yaml"]}, "tasks.0: a board's tasks are installed ones"),
        (
            ranked("splits.odd.success_rate"),
            "rank_by.metric: 'splits.odd.success_rate': splits has",
        ),
        (ranked("splits.ood.chance"), "'splits.ood.chance' cannot rank"),
        (ranked("splits.ood.success_at.0"), "cannot rank"),
        (ranked("generalization.ood.gap", tier="rescored"), "must fix protocol and limit"),
        (
            ranked("generalization.ood.gap", settings={"protocol": "paper", "limit": None}),
            "is not paired",
        ),
        (column("splits.ood.succes_rate"), "has no 'succes_rate'; did you mean 'success_rate'?"),
        (column("splitz.ood.success_rate"), "results has no 'splitz'; did you mean 'splits'?"),
        (column("splits.ood"), "'splits.ood' is a group of values"),
        (column("generalization.id.gap"), "generalization has no 'id'"),
        (
            ranked("generalization.ood.gap", settings={"protocol": "paired", "limit": [40, None]}),
            "each to one value",
        ),
        (
            ranked("splits.ood.success_at.3", settings={"verify_iters": 1}),
            "needs 3 attempts; eligibility.settings.verify_iters gives at most 1",
        ),
        ({"tasks": ["gp-ood-rule", "gp-ood-rule"]}, "tasks.1: gp-ood-rule is listed twice"),
        (
            {"columns": [*BOARD["columns"], {"label": "OOD", "metric": "splits.id.chance"}]},
            "columns.5.label: 'OOD' is the name of a column of columns.0",
        ),
        (
            {"columns": [*BOARD["columns"], {"label": "gap p", "metric": "splits.id.chance"}]},
            "columns.5.label: 'gap p' is the name of a column of columns.1",
        ),
        (
            {"columns": [{"label": "rank", "metric": "splits.id.chance"}]},
            "columns.0.label: 'rank' is the name of a column of every board",
        ),
        (
            {"columns": [*BOARD["columns"], {"label": "x", "metric": "splits.ood.success_rate"}]},
            "columns.5.metric: columns.0 shows 'splits.ood.success_rate' already",
        ),
        (column("model.name.first"), "model.name is one value and has nothing below it"),
    ],
)
def test_a_wrong_board_is_refused_with_the_place(tmp_path, changes, message):
    path = write_board(tmp_path, **changes)
    with pytest.raises(GenbenchError, match=r"small\.yaml is wrong: ") as refused:
        load_board(path)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "cannot be read"),
        ("- a", "holds no mapping"),
        ("", "holds no mapping"),
        ("title: a\ntasks: [b]\ntasks: [c]\n", "the key 'tasks' stands twice"),
        ("[a]: b", "cannot be read"),
        ("? {a: b}\n: c", "cannot be read"),
        ("a: &x [*x]", "wrong"),
    ],
)
def test_what_is_no_mapping_is_no_board(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(GenbenchError, match=message):
        load_board(path)


def test_a_board_has_a_name_that_a_file_and_a_link_can_have(tmp_path):
    path = write_board(tmp_path, "My Board")
    with pytest.raises(GenbenchError, match="a board's name has a-z, 0-9 and - only"):
        load_board(path)


def test_a_board_has_a_name_and_a_title_of_its_own(tmp_path):
    write_board(tmp_path, "one", title="A small board")
    write_board(tmp_path, "two", title=" a  small BOARD")
    with pytest.raises(GenbenchError, match=r"one\.yaml and .*two\.yaml have one title"):
        load_boards(tmp_path, ["one"])
    (tmp_path / "two.yaml").rename(tmp_path / "one.yml")
    with pytest.raises(GenbenchError, match=r"one\.yml: a board's file ends in \.yaml"):
        load_boards(tmp_path)
    (tmp_path / "one.yml").rename(tmp_path / "readme.yaml")
    with pytest.raises(GenbenchError, match="the name readme is the index's"):
        load_boards(tmp_path)


def test_an_unknown_board_is_named_with_the_closest(tmp_path):
    write_board(tmp_path)
    with pytest.raises(GenbenchError, match="did you mean 'small'"):
        load_boards(tmp_path, ["smal"])
    with pytest.raises(GenbenchError, match="no folder of boards"):
        load_boards(tmp_path / "none")


def test_a_gap_may_rank_where_pairs_are_fixed(tmp_path):
    settings = {"protocol": "paired", "limit": 40}
    path = write_board(tmp_path, **ranked("generalization.ood.gap.value", settings=settings))
    assert load_board(path).ranked.is_gap
