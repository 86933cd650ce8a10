"""Every figure of a report: name, heading, what it shows, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from matplotlib.figure import Figure

from genbench.report.figures.attempts import draw_attempts
from genbench.report.figures.behaviour import draw_outcomes, draw_stickiness
from genbench.report.figures.distance import draw_distance
from genbench.report.figures.gaps import draw_gaps, draw_id_vs_ood
from genbench.report.figures.readings import draw_readings
from genbench.report.figures.scaling import draw_scaling
from genbench.report.figures.shares import draw_comprehension, draw_steps
from genbench.report.figures.style import DARK, LIGHT, Theme, save, styled
from genbench.report.loading import Group


@dataclass(frozen=True)
class Kind:
    """One figure; `draw` gives None where a group has nothing for it, and `absent` says why."""

    name: str
    heading: str
    caption: str
    draw: Callable[[Group, Theme], Figure | None]
    absent: str = ""


SCALING = "scaling"
KINDS = (
    Kind(
        SCALING,
        "Success against training compute",
        "ID and OOD success of every checkpoint with a training record against its FLOPs. A "
        "method that memorises rises on ID and falls on OOD. Slopes, where they are stated, are "
        "those of the table of training compute.",
        draw_scaling,
        "fewer than two checkpoints carry a training record with FLOPs",
    ),
    Kind(
        "id-vs-ood",
        "In against out of distribution",
        "Each checkpoint's success on the OOD split against its success on ID; on the dashed "
        "diagonal there is no gap.",
        draw_id_vs_ood,
    ),
    Kind(
        "gaps",
        "Generalization gap",
        "ID minus OOD success, on paired instances where the task pairs them; where it has control "
        "splits, also the part that comes of other numbers and the part that comes of reading the "
        "rule.",
        draw_gaps,
    ),
    Kind(
        "distance",
        "Distance from ID",
        "Success and perception at every level of a shift that the task grades.",
        draw_distance,
        "the task grades no shift",
    ),
    Kind(
        "viter",
        "Verification iterations",
        "Success within k attempts, each after the verifier's feedback.",
        draw_attempts,
        "every run had a single attempt",
    ),
    Kind(
        "steps",
        "Accuracy by step",
        "The share of steps that were right at the first attempt, all together and by kind of "
        "step, with the chance level of each split.",
        draw_steps,
        "an episode of this task is one step",
    ),
    Kind(
        "stickiness",
        "Rule stickiness",
        "The share of first OOD responses that are right under the training rule, and how the "
        "symbols that the two rules read differently were read.",
        draw_stickiness,
    ),
    Kind(
        "readings",
        "Rule readings",
        "Which value each symbol was given on the OOD splits.",
        draw_readings,
        "no response exposes a reading",
    ),
    Kind(
        "comprehension",
        "Comprehension",
        "Did it see the problem, read the rule, reason; and success where it saw and read.",
        draw_comprehension,
        "no response exposes a check",
    ),
    Kind(
        "outcomes",
        "Error taxonomy",
        "What became of every first response.",
        draw_outcomes,
    ),
)


@dataclass(frozen=True)
class Rendered:
    """A drawn figure: PNG and SVG on light paper, SVG on dark paper, its size in inches."""

    kind: Kind
    png: bytes
    svg: bytes
    dark_svg: bytes
    size: tuple[float, float]


@dataclass(frozen=True)
class Absent:
    """A figure that a group has no data for."""

    kind: Kind
    reason: str


def render(group: Group) -> Iterator[Rendered | Absent]:
    """Every figure of a group."""
    for kind in KINDS:
        with styled(LIGHT):
            figure = kind.draw(group, LIGHT)
            if figure is None:
                yield Absent(kind, kind.absent or _no_stickiness(group))
                continue
            png, svg = save(figure, "png"), save(figure, "svg")
            width, height = figure.get_size_inches()
        with styled(DARK):
            dark = kind.draw(group, DARK)
            assert dark is not None  # whether there is a figure does not depend on its colours
            dark_svg = save(dark, "svg")
        yield Rendered(kind, png, svg, dark_svg, (float(width), float(height)))


def _no_stickiness(group: Group) -> str:
    reasons = {found.stickiness_reason for run in group.runs for found in run.ood.values()}
    return "; ".join(sorted(reason for reason in reasons if reason)) or "it is not defined here"
