"""kill -9 at random moments of a real model's generation loses nothing and changes nothing."""

import pytest
from killing import check_killed_runs, starting
from picture_task import picture_task


@pytest.fixture(scope="module")
def start():
    with starting() as run:
        yield run


def test_runs_killed_at_random_moments_end_with_the_bytes_of_one_that_was_not(
    start, tiny_llama, tmp_path
):
    arguments = {
        "model": str(tiny_llama),
        "task": "gp-ood-rule",
        "limit": 8,
        "verify_iters": 3,
        "max_new_tokens": 24,
        "batch_size": 4,
    }
    check_killed_runs(start, arguments, tmp_path, kills=20, most_turns=24, seed=20)


def test_so_do_runs_with_images(start, tiny_qwen_vl, tmp_path):
    arguments = {
        "model": str(tiny_qwen_vl),
        "task": picture_task(n=6, images=2, sizes=True),
        "verify_iters": 3,
        "max_new_tokens": 24,
        "batch_size": 4,
    }
    check_killed_runs(start, arguments, tmp_path, kills=4, most_turns=12, seed=3)
