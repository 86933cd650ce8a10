"""The look of the figures: colours, type, and layouts whose texts cannot collide.

Sizes are in inches and points. Every text is measured before it is placed, so that a long name
makes room for itself or is cut, and never runs into its neighbour.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter

from genbench.report.text import shorten

SMALL, NORMAL, TITLE = 7.0, 8.0, 9.5
_DPI = 200
_LONGEST_LABEL = 40
_FONT = "DejaVu Sans"  # comes with matplotlib: the same widths on every machine


@dataclass(frozen=True)
class Theme:
    """Colours on light or on dark paper; the hues are Okabe and Ito's (2008), told apart under
    every common colour blindness."""

    name: str
    paper: str
    ink: str
    muted: str
    grid: str
    id: str
    ood: tuple[str, ...]
    control: str
    parts: tuple[str, str]
    methods: Mapping[str, str]
    outcomes: tuple[str, ...]
    correct: str
    truncated: str
    shades: str

    def split(self, name: str, ood_splits: Sequence[str]) -> str:
        """The colour of a split, the same in every figure."""
        if name == "id":
            return self.id
        if name in ood_splits:
            return self.ood[list(ood_splits).index(name) % len(self.ood)]
        return self.control


LIGHT = Theme(
    name="light", paper="#ffffff", ink="#1c1c1c", muted="#646464", grid="#e4e4e4",
    id="#0072b2", ood=("#d55e00", "#b0558a", "#00835f", "#a87800", "#4f6d8f"), control="#8a8a8a",
    parts=("#7a7a7a", "#d55e00"),
    methods={"base": "#6e6e6e", "sft": "#9c2f5f", "rl": "#00755a"},
    outcomes=("#e69f00", "#d55e00", "#cc79a7", "#56b4e9", "#b4b4b4", "#7d7d7d", "#f0e442"),
    correct="#0072b2", truncated="#3a3a3a", shades="Blues",
)  # fmt: skip
DARK = Theme(
    name="dark", paper="#17191c", ink="#ececec", muted="#a3a6aa", grid="#33373c",
    id="#5eb8ee", ood=("#ff8f4d", "#e0a0c6", "#3fcba3", "#e3bb4d", "#a9c0da"), control="#8f8f8f",
    parts=("#a5a5a5", "#ff8f4d"),
    methods={"base": "#a8a8a8", "sft": "#ea86b0", "rl": "#35c79c"},
    outcomes=("#e69f00", "#e0661a", "#cc79a7", "#56b4e9", "#8c8c8c", "#5f5f5f", "#f0e442"),
    correct="#3f97d3", truncated="#d8d8d8", shades="Blues_r",
)  # fmt: skip


@contextmanager
def styled(theme: Theme) -> Iterator[None]:
    """matplotlib's settings while a figure is drawn and saved.

    Names are never read as formulas, and SVG ids do not depend on the clock.
    """
    settings: Any = {
        "font.family": _FONT,
        "font.size": NORMAL,
        "text.parse_math": False,
        "text.color": theme.ink,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.ink,
        "axes.linewidth": 0.6,
        "axes.facecolor": theme.paper,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": NORMAL,
        "axes.labelsize": NORMAL,
        "axes.axisbelow": True,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "grid.color": theme.grid,
        "grid.linewidth": 0.6,
        "figure.facecolor": theme.paper,
        "savefig.facecolor": theme.paper,
        "svg.fonttype": "path",
        "svg.hashsalt": "genbench",
    }
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        # A name may hold a character that the font lacks: a box stands for it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        matplotlib.rcParams.update(settings)
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure without pyplot, which would keep state between reports."""
    figure = Figure(figsize=(width, height), dpi=_DPI)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, kind: str) -> bytes:
    """The figure as `png` or `svg`, without a date or the name of a program."""
    buffer = io.BytesIO()
    unset: dict[str, Any] = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    figure.savefig(buffer, format=kind, dpi=_DPI, metadata=unset)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _measuring_canvas() -> FigureCanvasAgg:
    return FigureCanvasAgg(Figure(figsize=(1, 1), dpi=_DPI))


@lru_cache(maxsize=8192)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """The width of a line in inches: the larger of its pixels' (PNG) and its outlines' (SVG, wider
    by up to 3%, for they are not hinted)."""
    font = FontProperties(family=_FONT, size=size, weight=weight)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas: Any = _measuring_canvas()
        renderer = canvas.get_renderer()
        drawn, _, _ = renderer.get_text_width_height_descent(text, font, False)
        outlined, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    return max(float(drawn) / _DPI, float(outlined) / 72)


def widest(texts: Sequence[str], size: float) -> float:
    """The width of the widest line in inches."""
    return max((text_width(text, size) for text in texts), default=0.0)


def fitted(text: str, width: float, size: float, weight: str = "normal") -> str:
    """The text cut to `width` inches, its end kept."""
    if text_width(text, size, weight) <= width:
        return text
    low, high = 2, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(shorten(text, middle), size, weight) <= width:
            low = middle
        else:
            high = middle - 1
    return shorten(text, low)


def short_labels(labels: Sequence[str]) -> list[str]:
    """Labels for figures: cut where that leaves them different, numbered where not."""
    cut = [shorten(label, _LONGEST_LABEL) for label in labels]
    return [
        label if cut.count(label) == 1 else f"{index}: {shorten(label, _LONGEST_LABEL - 5)}"
        for index, label in enumerate(cut, start=1)
    ]


def wrapped(text: str, width: float, size: float) -> list[str]:
    """The text in lines of at most `width` inches, broken at spaces."""
    lines: list[str] = []
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(joined, size) <= width:
            lines[-1] = joined
        else:
            lines.append(fitted(word, width, size))
    return lines


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places as near to `wanted` as can be (least squares), in their order, `gap` apart, and
    within [low, high] where they fit.

    Isotonic regression by pooling adjacent violators, on the places less the gaps before them.
    """
    order = sorted(range(len(wanted)), key=lambda index: (wanted[index], index))
    blocks: list[tuple[float, int]] = []  # sum and count
    for rank, index in enumerate(order):
        total, count = wanted[index] - rank * gap, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            before = blocks.pop()
            total, count = total + before[0], count + before[1]
        blocks.append((total, count))
    room = max(high - (len(wanted) - 1) * gap, low)
    levels = [min(max(total / count, low), room) for total, count in blocks for _ in range(count)]
    places = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        places[index] = levels[rank] + rank * gap
    return places


def title(figure: Figure, heading: str, note: str, theme: Theme) -> float:
    """Heading and note at the top left; returns the inches that they take."""
    width, height = figure.get_size_inches()
    lines = wrapped(note, _note_width(width), SMALL)
    shown = fitted(heading, width - 0.2, TITLE, "bold")
    figure.text(0.1 / width, 1 - 0.10 / height, shown, size=TITLE, weight="bold", va="top")
    for number, line in enumerate(lines):
        place = 1 - (0.32 + 0.145 * number) / height
        figure.text(0.1 / width, place, line, size=SMALL, color=theme.muted, va="top")
    return title_height(note, width)


def title_height(note: str, width: float) -> float:
    """The inches that `title` takes in a figure of this width."""
    return 0.40 + 0.145 * len(wrapped(note, _note_width(width), SMALL))


def _note_width(width: float) -> float:
    return 0.95 * (width - 0.2)  # an SVG sets text up to 4% wider than the pixels measured


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches from the lower left corner."""
    whole, tall = figure.get_size_inches()
    return figure.add_axes((left / whole, bottom / tall, width / whole, height / tall))


def percent_axis(axes: Axes, which: str, *, signed: bool = False) -> None:
    """Ticks of shares as percent, or signed, as percentage points."""

    def shown(value: float, _: int) -> str:
        number = round(100 * value, 6) + 0.0
        return (f"{number:+g}" if number else "0") if signed else f"{number:g}%"

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(shown))
    axes.grid(True, axis="x" if which == "x" else "y")


@dataclass(frozen=True)
class Key:
    """An entry of a legend: colour and name."""

    colour: str
    name: str


def key_line(figure: Figure, keys: Sequence[Key], left: float, top: float, theme: Theme) -> None:
    """Swatches with their names, `top` inches below the figure's upper edge; wraps."""
    width, height = figure.get_size_inches()
    for key, (line, offset) in zip(keys, _key_places(keys, width - left - 0.1), strict=True):
        x, y = left + offset, height - top - 0.16 * line
        figure.add_artist(
            Rectangle(
                (x / width, (y - 0.10) / height), 0.10 / width, 0.10 / height,
                facecolor=key.colour, transform=figure.transFigure,
            )
        )  # fmt: skip
        figure.text(
            (x + 0.15) / width, (y - 0.05) / height, key.name, size=SMALL, va="center_baseline",
            color=theme.ink,
        )  # fmt: skip


def key_lines(keys: Sequence[Key], width: float) -> int:
    """How many lines `key_line` takes within `width` inches."""
    return 1 + max((line for line, _ in _key_places(keys, width)), default=0)


def _key_places(keys: Sequence[Key], width: float) -> list[tuple[int, float]]:
    places: list[tuple[int, float]] = []
    line, offset = 0, 0.0
    for key in keys:
        taken = 0.15 + text_width(key.name, SMALL) + 0.18
        if offset and offset + taken > width:
            line, offset = line + 1, 0.0
        places.append((line, offset))
        offset += taken
    return places
