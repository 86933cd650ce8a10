"""A route on the map of its city, beside its instructions."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbench.task import TaskError
from genbench_tasks.general_points.pictures.raster import UNIT, Contour, joined, paint
from genbench_tasks.general_points.pictures.shapes import disc, polygon, stroke
from genbench_tasks.navigation.cities import City, Point, city
from genbench_tasks.navigation.prompts import instruction_texts
from genbench_tasks.navigation.views.geometry import unit
from genbench_tasks.navigation.views.lettering import outlines, width_of, wrapped
from genbench_tasks.navigation.views.looks import Colour
from genbench_tasks.navigation.views.plan import Plan, plan
from genbench_tasks.navigation.views.signs import colours_of

Box = tuple[float, float, float, float]

_LAND, _HOUSE, _STREET, _CASING = (233, 230, 222), (213, 206, 196), (255, 255, 255), (196, 192, 184)
_INK, _FAINT, _ROUTE = (40, 42, 48), (120, 120, 124), (38, 110, 214)
ACTIONS: Mapping[str, Colour] = {
    "turn": (226, 122, 24), "forward": (38, 110, 214), "stop": (196, 36, 44),
}  # fmt: skip
_START = (24, 140, 76)
_AROUND = 45.0
"""Metres of city around the route."""
_PANEL = 460
"""Pixels of the instructions beside the map."""
_PAPER = (250, 249, 246)
_SMALLEST, _LEGEND = 8, 120
"""Pixels of the capitals of instructions, at least, and of the room for the legend."""


def route_map(
    route: Mapping[str, Any], *, pixels: int = 900, rule: str = "absolute", frames: str = "both"
) -> bytes:
    """The map of a route (JSON values, as an instance of a synthetic city holds it) as a PNG:
    streets and landmarks by name, junctions, the start with its heading, every numbered step, the
    goal; its instructions in the words of a rule at the right. `pixels` is the map's side. Raises
    TaskError for a route that has no synthetic city.
    """
    from PIL import Image

    if "city_fingerprint" not in route:
        raise TaskError(
            f"the route {route.get('city', '')} is not of a synthetic city: nothing is known of "
            "the streets beside it, so that there is no map"
        )
    town = city(route["city"])
    sheet = _Sheet(route, town, pixels)
    sheet.houses(plan(town.name))
    sheet.streets()
    sheet.walk()
    sheet.names()
    sheet.compass()
    sheet.instructions(instruction_texts(route["legs"], rule, frames))
    buffer = io.BytesIO()
    Image.fromarray(sheet.canvas).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


class _Sheet:
    """A map that is being drawn."""

    def __init__(self, route: Mapping[str, Any], town: City, pixels: int) -> None:
        self.route, self.town, self.pixels = route, town, pixels
        places = [step["at"] for step in route["steps"]]
        self.low = [min(place[axis] for place in places) - _AROUND for axis in (0, 1)]
        high = [max(place[axis] for place in places) + _AROUND for axis in (0, 1)]
        span = max(high[0] - self.low[0], high[1] - self.low[1])
        self.low = [(self.low[k] + high[k] - span) / 2 for k in (0, 1)]
        self.span = span
        self.scale = pixels / span
        self.canvas: NDArray[np.uint8] = np.full((pixels, pixels + _PANEL, 3), 255, dtype=np.uint8)
        self.map = self.canvas[:, :pixels]
        self.map[:] = _LAND
        self._taken: list[Box] = []

    def at(self, point: Sequence[float]) -> Point:
        """Where a point of the city is, in pixels."""
        return (
            (point[0] - self.low[0]) * self.scale,
            self.pixels - (point[1] - self.low[1]) * self.scale,
        )

    def _units(self, point: Sequence[float]) -> tuple[int, int]:
        x, y = self.at(point)
        return round(x * UNIT), round(y * UNIT)

    def _fill(self, contours: Sequence[Contour], colour: Colour) -> None:
        paint(self.map, joined(contours), colour)

    def houses(self, there: Plan) -> None:
        """The buildings; landmarks' houses in the colours of their signs."""
        middle = (self.low[0] + self.span / 2, self.low[1] + self.span / 2)
        for one in there.buildings(middle, 0.75 * self.span):
            colour = _HOUSE
            if one.mark:
                back, _ = colours_of(one.mark)
                colour = ((back[0] + 255) // 2, (back[1] + 255) // 2, (back[2] + 255) // 2)
            self._fill([polygon(*(self._units(corner) for corner in one.corners))], colour)

    def streets(self) -> None:
        """The streets, and their junctions as dots."""
        width = plan(self.town.name).width
        for half, colour in ((width.kerb + 1.2, _CASING), (width.kerb, _STREET)):
            for a, b in sorted(self.town.streets):
                ends = [self._units(self.town.junctions[end]) for end in (a, b)]
                self._fill(stroke(ends, round(2 * half * self.scale * UNIT)), colour)
        for point in self.town.junctions:
            self._fill([disc(*self._units(point), 3 * UNIT)], _FAINT)

    def walk(self) -> None:
        """The way, its steps by number, the start with its heading and the goal."""
        steps = self.route["steps"]
        way = [self._units(step["at"]) for step in steps]
        self._fill(stroke(way, 6 * UNIT), _ROUTE)
        for one, other in pairwise(way):  # no street is named across it
            for k in range(1, 12):
                px, py = ((a + (b - a) * k / 12) / UNIT for a, b in zip(one, other, strict=True))
                self._taken.append((px - 4, py - 4, px + 4, py + 4))
        x, y = way[0]
        east, north = unit(steps[0]["heading"])
        tip = (x + round(34 * UNIT * east), y - round(34 * UNIT * north))
        wings = [
            (
                round(tip[0] - 12 * UNIT * (east + s * north)),
                round(tip[1] + 12 * UNIT * (north - s * east)),
            )
            for s in (0.6, -0.6)
        ]  # fmt: skip
        self._fill(stroke([(x, y), tip], 4 * UNIT), _START)
        self._fill([polygon(tip, *wings)], _START)
        for number, (step, place) in enumerate(zip(steps, way, strict=True), 1):
            colour = _START if number == 1 else ACTIONS[step["action"]]
            radius = 15 if step["action"] == "stop" else 11
            self._fill([disc(*place, (radius + 2) * UNIT)], _STREET)
            self._fill([disc(*place, radius * UNIT)], colour)
            self.words(str(number), 9, (place[0] / UNIT, place[1] / UNIT + 4.5), _STREET)
            px, py = place[0] / UNIT, place[1] / UNIT
            self._taken.append((px - radius, py - radius, px + radius, py + radius))
        for words, place in (("start", way[0]), ("goal", way[-1])):
            self._label(words, 12, (place[0] / UNIT, place[1] / UNIT), _INK, 18, must=True)

    def names(self) -> None:
        """Landmarks, those that the route's observations list first, and streets."""
        listed = {name for step in self.route["steps"] for name, _ in step["landmarks"]}
        marks = sorted(self.town.landmarks, key=lambda mark: (mark.name not in listed, mark.name))
        for mark in marks:
            x, y = self.at(mark.at)
            if not (0 < x < self.pixels and 0 < y < self.pixels):
                continue
            back, _ = colours_of(mark.name)
            self._fill([disc(round(x * UNIT), round(y * UNIT), 5 * UNIT)], _INK)
            self._fill([disc(round(x * UNIT), round(y * UNIT), 4 * UNIT)], back)
            self._taken.append((x - 5, y - 5, x + 5, y + 5))
        for mark in marks:
            x, y = self.at(mark.at)
            if 0 < x < self.pixels and 0 < y < self.pixels:
                seen = mark.name in listed
                self._label(mark.name, 10 if seen else 8, (x, y), _INK if seen else _FAINT, 8,
                            must=seen)  # fmt: skip
        self._street_names()

    def _street_names(self) -> None:
        """Every street once, along its longest piece on the map that has room."""
        pieces: dict[str, list[tuple[float, Point, Point]]] = {}
        for (a, b), name in sorted(self.town.streets.items()):
            one, other = (self.at(self.town.junctions[end]) for end in (a, b))
            pieces.setdefault(name, []).append((-math.dist(one, other), one, other))
        for name, found in sorted(pieces.items()):
            for length, one, other in sorted(found):
                wide = width_of(name, 9)
                x, y = (one[0] + other[0]) / 2, (one[1] + other[1]) / 2
                if -length < wide + 24 or self._crowding(_around(x, y, wide, one, other)):
                    continue
                (x0, y0), (x1, y1) = sorted((one, other))
                heading = math.degrees(math.atan2(y1 - y0, x1 - x0))
                self.words(name, 9, (x, y + 4.5), (92, 92, 104), heading)
                self._taken.append(_around(x, y, wide, one, other))
                break

    def _crowding(self, box: Box) -> int:
        """How many things a box would cover; beyond the map's border is worse."""
        inside = (
            box[0] >= 2 and box[1] >= 2 and box[2] < self.pixels - 2 and box[3] < self.pixels - 2
        )
        return (0 if inside else 1000) + sum(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
            for other in self._taken
        )

    def _label(
        self, text: str, cap: int, at: Point, colour: Colour, away: float, *, must: bool
    ) -> None:
        """Write a name beside its place where there is room; what must be there, anywhere."""
        wide, (x, y) = width_of(text, cap), at
        tall = cap + 4
        middles = [
            (x + away + wide / 2, y), (x - away - wide / 2, y), (x, y - away - cap / 2),
            (x, y + away + cap / 2),
            (x + away + wide / 2, y + tall), (x - away - wide / 2, y + tall),
            (x + away + wide / 2, y - tall), (x - away - wide / 2, y - tall),
            (x, y - away - 1.6 * tall), (x, y + away + 1.6 * tall),
        ]  # fmt: skip
        boxes = [
            (p - wide / 2 - 2, q - tall / 2, p + wide / 2 + 2, q + tall / 2) for p, q in middles
        ]
        box = min(boxes, key=self._crowding)  # of equals the first
        if self._crowding(box) and not must:
            return
        self._taken.append(box)
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2 + cap / 2
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1), (1, -1), (-1, 1)):
            self.words(text, cap, (middle[0] + dx, middle[1] + dy), _STREET)
        self.words(text, cap, middle, colour)

    def words(self, text: str, cap: int, foot: Point, colour: Colour, degrees: float = 0.0) -> None:
        """A line whose letters stand on the middle of `foot`, turned clockwise about their own."""
        east, north = unit(degrees + 90)
        half = width_of(text, cap) * UNIT // 2
        x0, y0 = round(foot[0] * UNIT), round(foot[1] * UNIT)
        found = []
        for points in outlines(text, cap):
            x, y = points[:, 0] - half, points[:, 1] + cap * UNIT // 2
            found.append(
                np.stack(
                    [x * east + y * north + x0, y * east - x * north + y0 - cap * UNIT // 2], 1
                )
                .round()
                .astype(np.int64)
            )
        self._fill(found, colour)

    def compass(self) -> None:
        """North, and a scale."""
        x, y = 26 * UNIT, self.pixels * UNIT - 52 * UNIT
        tip = (x, y - 34 * UNIT)
        self._fill([polygon(tip, (x - 9 * UNIT, y), (x, y - 8 * UNIT), (x + 9 * UNIT, y))], _INK)
        self.words("N", 11, (26, self.pixels - 90), _INK)
        metres = 50 if self.span < 420 else 100
        left, foot = 18.0, self.pixels - 18.0
        right = left + metres * self.scale
        line = [(round(v * UNIT), round(foot * UNIT)) for v in (left, right)]
        self._fill(stroke(line, 4 * UNIT), _INK)
        self.words(f"{metres} m", 10, ((left + right) / 2, foot - 6), _INK)

    def instructions(self, texts: Sequence[str]) -> None:
        """The panel at the right: what the route is, and its instructions with their steps."""
        panel = self.canvas[:, self.pixels :]
        panel[:] = _PAPER
        route = self.route
        junctions = sum(step["intersection"] for step in route["steps"])
        y = self._written(f"{route['city']}, route {route['number']}", 15, 34, _INK)
        about = f"{len(route['steps'])} steps, {junctions} intersections"
        y = self._written(about, 11, y + 4, _FAINT) + 14
        lines = [(f"{number}. {text}", self._steps(number)) for number, text in enumerate(texts, 1)]
        # As large as the panel has room for; at their smallest they make it longer.
        cap = 11
        while cap > _SMALLEST and y + self._height(lines, cap) > self.pixels - _LEGEND:
            cap -= 1
        lacking = y + self._height(lines, cap) + _LEGEND - self.pixels
        if lacking > 0:
            below = np.full((lacking, *self.canvas.shape[1:]), 255, dtype=np.uint8)
            below[:, self.pixels :] = _PAPER
            self.canvas = np.concatenate([self.canvas, below])
        for text, steps in lines:
            y = self._written(text, cap, y, _INK)
            y = self._written(steps, cap - 1, y, _ROUTE, 26) + cap - 4
        self._legend(y + 10)

    def _steps(self, instruction: int) -> str:
        """The numbers of the steps that carry out an instruction."""
        numbers = [
            str(number)
            for number, step in enumerate(self.route["steps"], 1)
            if step["instruction"] == instruction
        ]
        return f"step{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}" if numbers else ""

    def _height(self, lines: Sequence[tuple[str, str]], cap: int) -> int:
        """How high instructions with their steps are, in capitals of that size."""
        return sum(
            len(wrapped(text, cap, _PANEL - 40)) * (cap + 8)
            + len(wrapped(steps, cap - 1, _PANEL - 66)) * (cap + 7)
            + cap - 4
            for text, steps in lines
        )  # fmt: skip

    def _written(self, text: str, cap: int, y: int, colour: Colour, indent: int = 0) -> int:
        """Write a paragraph into the panel; where the next line comes."""
        for one in wrapped(text, cap, _PANEL - 40 - indent):
            self._text(one, cap, (self.pixels + 20 + indent, y), colour)
            y += cap + 8
        return y

    def _text(self, text: str, cap: int, at: Point, colour: Colour) -> None:
        shift = (round(at[0] * UNIT), round(at[1] * UNIT))
        paint(self.canvas, joined([points + shift for points in outlines(text, cap)]), colour)

    def _legend(self, y: int) -> None:
        for words, colour in (("start", _START), *ACTIONS.items()):
            middle = (self.pixels + 30) * UNIT, (y - 5) * UNIT
            paint(self.canvas, joined([disc(*middle, 8 * UNIT)]), colour)
            self._text(words, 11, (self.pixels + 46, y), _INK)
            y += 24


def _around(x: float, y: float, wide: float, one: Point, other: Point) -> Box:
    """The box about a line of words that runs along a piece of street."""
    length = math.dist(one, other)
    half_x = abs(other[0] - one[0]) / length * wide / 2 + 6
    half_y = abs(other[1] - one[1]) / length * wide / 2 + 6
    return (x - half_x, y - half_y, x + half_x, y + half_y)
