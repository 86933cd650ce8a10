"""A board takes the task as its file has it, unless it names other settings of the task."""

import small_board

import genbench
from genbench.leaderboard.definition import load_boards
from genbench.leaderboard.eligibility import refusals


def test_a_run_on_other_problems_of_the_task_is_no_row(tmp_path):
    small_board.write_board(tmp_path)
    (board,) = load_boards(tmp_path, ())
    for settings, refused in (({}, []), ({"part": "dev"}, ["the setting task_settings is"])):
        results = genbench.run(
            "agent:oracle", small_board.TASK, output=tmp_path / "runs", verify_iters=1,
            limit=small_board.LIMIT, task_settings=settings,
        )  # fmt: skip
        found = refusals(board, results, "rescored")
        assert [one[: len(start)] for one, start in zip(found, refused, strict=True)] == refused


def test_a_board_may_ask_for_settings_of_the_task(tmp_path):
    eligibility = {
        "settings": {
            **small_board.BOARD["eligibility"]["settings"],
            "task_settings": {"part": "dev"},
        }
    }
    small_board.write_board(tmp_path, eligibility=eligibility)
    (board,) = load_boards(tmp_path, ())
    for settings, taken in (({"part": "dev"}, True), ({}, False)):
        results = genbench.run(
            "agent:oracle", small_board.TASK, output=tmp_path / "runs", verify_iters=1,
            limit=small_board.LIMIT, task_settings=settings,
        )  # fmt: skip
        assert (refusals(board, results, "rescored") == []) is taken
