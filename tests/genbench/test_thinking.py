"""Thinking blocks: what of a response is judged."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genbench.thinking import is_thinking, visible_text

# Fragments of tags, so that near misses are common; whole tags are put in by the tests.
plain = st.text(st.sampled_from(list("<>/thinkTHINK \n{}=1")), max_size=30).filter(
    lambda text: "<think>" not in text and "</think>" not in text
)
visible = st.lists(plain, min_size=1, max_size=6)


def joined(pieces, blocks):
    """Visible pieces with blocks between them, and the visible part alone."""
    whole = pieces[0]
    for block, piece in zip(blocks, pieces[1:], strict=False):
        whole += f"<think>{block}</think>{piece}"
    return whole


@given(st.data())
def test_strip_takes_every_block_out_and_nothing_else(data):
    pieces = data.draw(visible)
    blocks = data.draw(st.lists(plain, min_size=len(pieces) - 1, max_size=len(pieces) - 1))
    text = joined(pieces, blocks)
    found = visible_text(text, "strip")
    if len(pieces) == 1:
        assert found == text
    else:
        assert found == "".join(pieces).strip("\n")


@given(visible, plain)
def test_a_block_that_never_closes_hides_all_that_follows(pieces, rest):
    before = joined(pieces, ["x"] * len(pieces))
    assert visible_text(f"{before}<think>{rest}", "strip") == "".join(pieces).strip("\n")


@given(plain, plain)
def test_a_block_that_the_prompt_opened_ends_with_its_tag(thought, answer):
    assert visible_text(f"{thought}</think>{answer}", "strip") == answer.strip("\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a</think>b<think>c</think>d", "bd"),
        ("<think>a</think>b<think>c", "b"),
        ("<think>\n\n</think>\n\nthe answer", "the answer"),
        ("</think>the answer", "the answer"),
        ("<think>", ""),
        ("<THINK>loud</THINK>", "<THINK>loud</THINK>"),
    ],
)
def test_the_visible_part_of_a_response(text, expected):
    assert visible_text(text, "strip") == expected


@given(st.text())
def test_keep_is_the_identity(text):
    assert visible_text(f"{text}<think>{text}</think>{text}", "keep") == (
        f"{text}<think>{text}</think>{text}"
    )


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", "\n", "<th", "ink>"]), max_size=30))
def test_any_order_of_tags_gives_a_text_that_was_there(parts):
    text = "".join(parts)
    found = visible_text(text, "strip")
    letters = iter(text)
    assert all(letter in letters for letter in found)  # a subsequence
    assert found == visible_text(text, "strip")


@given(st.text())
def test_a_text_without_tags_is_left_as_it_is(text):
    if "<think>" not in text and "</think>" not in text:
        assert visible_text(text, "strip") == text


@pytest.mark.parametrize("unit", ["<think>", "</think>", "<think>a</think>b", "<think", "<", "\n"])
def test_the_time_is_linear_in_the_length(unit):
    def seconds(count):
        text = unit * count
        best = float("inf")
        for _ in range(3):
            started = time.perf_counter()
            visible_text(text, "strip")
            best = min(best, time.perf_counter() - started)
        return best

    # 16 times the text: 256 times the time where it is quadratic.
    assert seconds(160_000) < 60 * seconds(10_000) + 0.05


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("", False, False),
        ("", True, True),
        ("a thought", True, True),
        ("an answer", False, False),
        ("<think>a thought", False, True),
        ("<think>a thought</think>", False, False),
        ("a thought</think>", True, False),
        ("a thought</think> no <think> more", True, True),
        ("<think>a</think><think>b</think>", False, False),
    ],
)
def test_a_response_is_thinking_from_an_opening_to_its_close(text, opened, expected):
    assert is_thinking(text, opened) is expected
