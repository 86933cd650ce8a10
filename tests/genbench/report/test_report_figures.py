"""Figures: no text runs into another, equal runs give equal bytes, numbers are those of runs."""

import hashlib
import shutil
import subprocess
import sys
from itertools import combinations, pairwise
from unittest.mock import patch

import numpy as np
import pytest
import report_runs
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text

from genbench.report.curves import training_series
from genbench.report.figures import KINDS, Rendered, render
from genbench.report.figures.scaling import compute_label, compute_ticks
from genbench.report.figures.style import DARK, LIGHT, spread, styled
from genbench.report.loading import load_groups

LONG = "a-very-long-organisation/" + "checkpoint-" * 6


def texts_of(figure):
    """(text, box) of every text that is drawn; ticks beyond the axis are not."""
    drawn, draw = [], Text.draw

    def recorded(self, renderer, *arguments, **named):
        drawn.append(self)
        return draw(self, renderer, *arguments, **named)

    renderer = figure.canvas.get_renderer()
    with patch.object(Text, "draw", recorded):
        figure.draw(renderer)
    return [
        (item.get_text(), Text.get_window_extent(item, renderer))
        for item in drawn
        if item.get_visible() and item.get_text().strip()
    ]


def assert_clear(figure):
    """No two texts overlap, and none leaves the figure."""
    texts = texts_of(figure)
    width, height = figure.get_size_inches() * figure.dpi
    for text, box in texts:
        assert min(box.x0, box.y0) > -1, text
        assert max(box.x1 - width, box.y1 - height) < 1, text
    for (one, first), (other, second) in combinations(texts, 2):
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        down = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert across <= 1 or down <= 1, f"'{one}' runs into '{other}'"


def drawn(group, theme=LIGHT):
    for kind in KINDS:
        with styled(theme):
            figure = kind.draw(group, theme)
            if figure is not None:
                yield kind.name, figure


def group_of(folder):
    ((group,), _) = load_groups([folder])
    return group


@pytest.fixture(scope="module")
def two(sources, tmp_path_factory):
    output = tmp_path_factory.mktemp("two")
    for kind in ("memoriser", "random"):
        shutil.copytree(sources[0][kind], output / kind)
    return group_of(output)


def test_texts_are_clear_of_one_another_with_two_and_with_twelve_checkpoints(two, twelve):
    for group, theme in ((two, LIGHT), (two, DARK), (group_of(twelve), LIGHT)):
        names = []
        for name, figure in drawn(group, theme):
            with styled(theme):
                assert_clear(figure)
            names.append(name)
        assert len(names) >= 7


def test_texts_are_clear_with_many_ood_splits_and_long_hostile_names(sources, tmp_path):
    report_runs.agent_run(tmp_path, "memoriser", "gp-ood-rule-family", limit=8)
    family = group_of(tmp_path)
    rows = [(i, a, text) for (_, i, a), text in sources[1]["random"].items()]
    for name in (LONG + "1", LONG + "2", "$\\frac{1}{0}$ <b>\u6a21\u578b</b>"):
        report_runs.imported_run(tmp_path / "long", name, rows, limit=24, verify_iters=3)
    for group in (family, group_of(tmp_path / "long")):
        for _, figure in drawn(group):
            with styled(LIGHT):
                assert_clear(figure)


def test_a_name_is_never_read_as_a_formula(sources, tmp_path):
    rows = [(i, a, text) for (_, i, a), text in sources[1]["random"].items()]
    report_runs.imported_run(tmp_path, "$\\bad{$", rows, limit=24, verify_iters=3)
    shown = {text for _, figure in drawn(group_of(tmp_path)) for text, _ in texts_of(figure)}
    assert "$\\bad{$" in shown


def test_figures_have_equal_bytes_in_another_process_and_no_date_and_no_script(two):
    script = (
        "import sys, hashlib; from pathlib import Path\n"
        "from genbench.report.loading import load_groups\n"
        "from genbench.report.figures import render, Rendered\n"
        "((group,), _) = load_groups([Path(sys.argv[1])])\n"
        "for one in render(group):\n"
        "    if isinstance(one, Rendered):\n"
        "        print(hashlib.sha256(one.png + one.svg + one.dark_svg).hexdigest())\n"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", script, two.runs[0].folder.parent],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    found = [one for one in render(two) if isinstance(one, Rendered)]
    assert len(found) >= 7
    digests = [hashlib.sha256(one.png + one.svg + one.dark_svg).hexdigest() for one in found]
    assert digests == elsewhere
    for one in found:
        assert one.png.startswith(b"\x89PNG")
        assert b"tIME" not in one.png
        for svg in (one.svg.decode(), one.dark_svg.decode()):
            assert "dc:date" not in svg
            assert "<script" not in svg


def test_scaling_points_are_the_runs_own_rates_against_their_flops(twelve):
    group = group_of(twelve)
    series = {one.name: one for one in training_series(group)}
    assert set(series) == {"base", "SFT", "RL"}
    (figure,) = [figure for name, figure in drawn(group) if name == "scaling"]
    axes = figure.axes
    assert [ax.get_title(loc="left") for ax in axes] == ["ID", "OOD"]
    for ax, split in zip(axes, ("id", "ood"), strict=True):
        curves = [line for line in ax.get_lines() if line.get_marker() in ("s", "o")]
        for line, name in zip(curves, ("SFT", "RL"), strict=True):
            rates = [run.results.splits[split].success_rate.value for run in series[name].runs]
            assert list(line.get_ydata()) == rates
            assert list(line.get_xdata()) == list(series[name].flops)


def test_a_checkpoint_without_flops_is_on_no_curve(two):
    assert training_series(two) == []
    assert "scaling" not in [name for name, _ in drawn(two)]


def test_two_seeds_of_a_method_are_two_named_series(sources, tmp_path):
    rows = [(i, a, text) for (_, i, a), text in sources[1]["random"].items()]
    for seed in (0, 1):
        for step in (1, 2):
            report_runs.imported_run(
                tmp_path, f"rl-{seed}-{step}", rows, limit=24, verify_iters=3,
                training={"method": "rl", "recipe": "r", "seed": seed, "flops": 1e12 * step},
            )  # fmt: skip
    found = training_series(group_of(tmp_path))
    assert {one.name for one in found} == {"RL, seed 0", "RL, seed 1"}
    assert all(len(one.runs) == 2 for one in found)


places = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@given(places)
def test_spread_keeps_the_order_and_the_distance_within_the_range(wanted):
    found = spread(wanted, 0.05, 0.0, 1.0)
    ranked = [found[i] for i in sorted(range(len(wanted)), key=lambda i: (wanted[i], i))]
    assert all(b - a >= 0.05 - 1e-9 for a, b in pairwise(ranked))
    assert ranked[0] >= -1e-9
    assert ranked[-1] <= 1 + 1e-9


@given(st.lists(st.floats(0.1, 0.9), min_size=1, max_size=6))
def test_spread_leaves_alone_what_is_apart_already(wanted):
    wanted = sorted(wanted)
    if all(b - a > 0.05 for a, b in pairwise(wanted)):
        assert np.allclose(spread(wanted, 0.05, 0.0, 1.0), wanted)


@given(st.floats(3, 28), st.floats(0.1, 12))
def test_compute_ticks_are_few_and_within_the_axis(low, span):
    found = compute_ticks(low, low + span)
    assert 1 <= len(found) <= 5
    assert all(low - 1e-6 <= np.log10(tick) <= low + span + 1e-6 for tick in found)


def test_compute_labels_are_written_out():
    assert compute_label(2e13) == "2·10¹³"
    assert compute_label(1e15) == "10¹⁵"


def test_every_figure_is_documented():
    assert all(kind.heading and kind.caption.endswith(".") for kind in KINDS)
