"""Draws the figure of docs/vision.md: one checkpoint against the level of every graded shift.

`python benchmarks/visual_distance.py RUNS FILE.png`, with the finished runs of
`gp-vl-ood-visual-graded` below RUNS, a run a protocol.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from genbench.report.figures.distance import draw_distance, graded
from genbench.report.figures.style import LIGHT, save, styled
from genbench.report.loading import Group, load_groups


def draw(runs: Path, file: Path) -> None:
    """Every graded run is a panel, named by its protocol."""
    groups, _ = load_groups([runs])
    panels = [
        replace(run, label=str(run.settings.protocol))
        for group in groups
        for run in group.runs
        if graded(run)
    ]
    panels.sort(key=lambda run: graded(run)[-1].success_rate.value or 0.0)
    with styled(LIGHT):
        figure = draw_distance(Group("graded", "graded", tuple(panels), ()), LIGHT)
        if figure is None:
            raise SystemExit(f"no graded run below {runs}")
        file.write_bytes(save(figure, "png"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, metavar="RUNS")
    parser.add_argument("file", type=Path, metavar="FILE.png")
    given = parser.parse_args()
    draw(given.runs, given.file)


if __name__ == "__main__":
    main()
