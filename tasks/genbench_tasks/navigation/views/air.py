"""Light, sky and weather of a look."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genbench.task import seeded
from genbench_tasks.navigation.cities import Point
from genbench_tasks.navigation.views.camera import Cameras, Floats
from genbench_tasks.navigation.views.geometry import unit
from genbench_tasks.navigation.views.looks import Colour, Look
from genbench_tasks.navigation.views.masonry import grain, mixed

ROUND = 1024
"""Columns of a sky, all the way round."""
_RISE = 72
"""Rows of a sky for a slope of 1."""
_ROWS = 150


@dataclass(frozen=True)
class Hour:
    """Light in thousandths by channel: what comes from everywhere and from the sun; the sun's
    slope above the horizon in hundredths; what the sky's colour turns to, above and low down, and
    by how much (hundredths)."""

    ambient: Colour
    sun: Colour
    slope: int
    zenith: tuple[Colour, int]
    low: tuple[Colour, int]


HOURS = {
    "morning": Hour(
        (640, 650, 690), (430, 380, 300), 45, ((120, 170, 220), 20), ((255, 236, 205), 55)
    ),
    "noon": Hour(
        (690, 700, 720), (380, 370, 350), 160, ((70, 140, 220), 30), ((235, 243, 250), 55)
    ),
    "evening": Hour(
        (600, 560, 560), (520, 380, 220), 26, ((130, 130, 180), 35), ((255, 190, 120), 70)
    ),
    "dusk": Hour((400, 390, 480), (230, 120, 90), 9, ((48, 52, 104), 70), ((232, 128, 110), 75)),
    "night": Hour((235, 245, 320), (20, 24, 34), 60, ((8, 10, 26), 85), ((40, 46, 82), 85)),
}


@dataclass(frozen=True)
class Weather:
    """`fog` is the distance in metres at which half is lost; `sun` hundredths of it that come
    through; `cloud` of the sky that is covered; `grey` how far colours of the sky are dulled."""

    fog: float
    sun: int
    cloud: int
    grey: int


WEATHER = {
    "clear": Weather(2500.0, 100, 22, 0),
    "hazy": Weather(190.0, 70, 12, 30),
    "overcast": Weather(700.0, 18, 96, 70),
    "rain": Weather(170.0, 8, 98, 85),
    "snow": Weather(120.0, 12, 96, 75),
    "fog": Weather(34.0, 6, 0, 90),
}


@dataclass(frozen=True)
class Air:
    """`ambient` and `sun` multiply colours; `toward` is where the sun is, `slope` its height."""

    ambient: Floats
    sun: Floats
    toward: Point
    slope: float
    haze: Colour
    fog: float

    def fogged(self, colours: Floats, depth: Floats) -> Floats:
        """Colours as seen from that far away."""
        share = (depth / (depth + np.float32(self.fog)))[:, None]
        found: Floats = colours + (np.array(self.haze, dtype=np.float32) - colours) * share
        return found


@lru_cache(maxsize=32)
def air(look: Look) -> Air:
    """The air of a look."""
    hour, weather = HOURS[look.light], WEATHER[look.weather]
    # What clouds take from the sun they scatter: light from everywhere.
    scattered = np.array(hour.sun, dtype=np.float32) * np.float32((100 - weather.sun) * 55 / 100)
    ambient = (np.array(hour.ambient, dtype=np.float32) + scattered / np.float32(100)) / (
        np.float32(1000)
    )
    sun = np.array(hour.sun, dtype=np.float32) * np.float32(weather.sun) / np.float32(100000)
    _, low = _sky_ends(look)
    return Air(
        ambient.astype(np.float32),
        sun.astype(np.float32),
        unit(look.sun),
        hour.slope / 100,
        low,
        weather.fog,
    )


def _sky_ends(look: Look) -> tuple[Colour, Colour]:
    """The colours of the sky above and at the horizon."""
    hour, weather = HOURS[look.light], WEATHER[look.weather]
    zenith = mixed(look.sky, *hour.zenith)
    low = mixed(mixed(look.sky, (255, 255, 255), 30), *hour.low)
    bright = sum(hour.ambient) // 3
    grey = (bright * 296 // 1000, bright * 302 // 1000, bright * 312 // 1000)
    return mixed(zenith, grey, weather.grey), mixed(low, grey, weather.grey)


@lru_cache(maxsize=16)
def sky(look: Look) -> NDArray[np.uint8]:
    """The sky all round, shape (rows, ROUND, 3): its lowest row first, north in column 0."""
    zenith, low = (np.array(one, dtype=np.int64) for one in _sky_ends(look))
    weather, hour = WEATHER[look.weather], HOURS[look.light]
    rise = np.arange(_ROWS, dtype=np.int64)[:, None, None]
    # Colours change fastest near the horizon.
    share = 1000 * rise // (rise + 38)
    canvas = low + (zenith - low) * share // 1000
    canvas = np.broadcast_to(canvas, (_ROWS, ROUND, 3)).copy()
    _glow(canvas, look, hour, weather)
    _clouds(canvas, look, weather)
    if look.light == "night" and weather.cloud < 50:
        stars = (grain(_ROWS, ROUND, 29) == 0) & (grain(_ROWS, ROUND, 31) < 70)
        canvas[stars & (np.arange(_ROWS)[:, None] > 12)] = (214, 220, 240)
    _skyline(canvas, look, low)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _glow(canvas: NDArray[np.int64], look: Look, hour: Hour, weather: Weather) -> None:
    """The sun, or the moon, and the light around it."""
    column = np.arange(ROUND) - look.sun * ROUND // 360
    aside = (column + ROUND // 2) % ROUND - ROUND // 2
    up = np.arange(_ROWS)[:, None] - hour.slope * _RISE // 100
    # A column is 0.35 degrees, and a row 0.8 at the horizon.
    squares = aside[None, :] ** 2 + (2 * up) ** 2
    tone = (250, 246, 235) if look.light in ("noon", "night") else (255, 214, 150)
    glow = (weather.sun * 26000 // 100) // (squares + 420)
    if look.light == "night":
        glow = glow // 4
    glow = np.minimum(glow, 60)[:, :, None]
    canvas += (np.array(tone) - canvas) * glow // 100
    if weather.sun >= 60:
        canvas[squares < (60 if look.light == "night" else 110)] = (255, 250, 232)


def _clouds(canvas: NDArray[np.int64], look: Look, weather: Weather) -> None:
    """Value noise of three sizes, stretched flat; it joins at the north."""
    noise = np.zeros((_ROWS, ROUND), dtype=np.int64)
    for number, (wide, tall, weight) in enumerate(((128, 40, 5), (64, 20, 3), (32, 10, 2))):
        lattice = grain(_ROWS // tall + 2, ROUND // wide, 41 + number + look.sun)
        lattice = np.concatenate([lattice, lattice[:, :1]], axis=1)
        x, y = np.arange(ROUND), np.arange(_ROWS)
        fx, fy = _eased(x % wide, wide)[None, :], _eased(y % tall, tall)[:, None]
        x, y = x // wide, y // tall
        upper = lattice[y][:, x] * (256 - fx) + lattice[y][:, x + 1] * fx
        lower = lattice[y + 1][:, x] * (256 - fx) + lattice[y + 1][:, x + 1] * fx
        noise += weight * ((upper * (256 - fy) + lower * fy) >> 16)
    noise //= 10
    bar = 205 - 165 * weather.cloud // 100
    share = np.clip((noise - bar) * 4, 0, 100)
    share = share * np.minimum(np.arange(_ROWS)[:, None] * 6, 100) // 100
    hour = HOURS[look.light]
    bright = np.array(hour.ambient) + np.array(hour.sun) * weather.sun // 130
    body = np.minimum(bright * 290 // 1000, 255)
    dark = (np.clip(noise - bar, 0, 90) * 26 // 90)[:, :, None]
    tone = body * (100 - dark) // 100
    canvas += (tone - canvas) * share[:, :, None] * 70 // 10000


def _eased(step: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """0..256 over a cell, slow at both ends."""
    t = 256 * step // size
    return t * t * (768 - 2 * t) >> 16


def _skyline(canvas: NDArray[np.int64], look: Look, low: NDArray[np.int64]) -> None:
    """What stands beyond the streets that are drawn."""
    stream = seeded("navigation skyline", look.architecture, look.sun, *look.storeys)
    tall = look.storeys[1]
    wall = np.array(look.walls) * np.array(HOURS[look.light].ambient) // 1000
    tone = low + (wall - low) * (34 if WEATHER[look.weather].fog > 400 else 14) // 100
    column = 0
    while column < ROUND:
        wide = stream.randint(6, 22)
        height = stream.randint(2, 3 + tall)
        canvas[:height, column : column + wide] = tone + stream.randint(-6, 6)
        column += wide


def sky_colours(look: Look, views: Cameras, y: NDArray[np.intp], x: NDArray[np.intp]) -> Floats:
    """The sky at pixels above the horizon (x counts through all four views)."""
    spread = np.sqrt(views.east * views.east + views.north * views.north)
    slope = (np.float32(views.horizon) - y.astype(np.float32)) / np.float32(views.focal) / spread[x]
    row = np.minimum((slope * _RISE).astype(np.int64), _ROWS - 1)
    found: Floats = sky(look)[row, views.azimuth[x]].astype(np.float32)
    return found


def fall(canvas: NDArray[np.uint8], look: Look, views: Cameras, seed: int) -> None:
    """Rain or snow before the camera, over the whole of all views."""
    pixels = views.pixels
    if look.weather not in ("rain", "snow"):
        return
    stream = seeded("navigation weather", look.weather, seed)
    height, width = canvas.shape[:2]
    scale = max(1, pixels // 160)
    if look.weather == "snow":
        for _ in range(340):
            x, y, size = (
                stream.randrange(width),
                stream.randrange(height),
                stream.choice((1, 1, 1, 2)),
            )
            part = canvas[y : y + size * scale, x : x + size * scale]
            part[:] = (part.astype(np.uint16) + 3 * 250) // 4
    else:
        for _ in range(300):
            x, y = stream.randrange(width), stream.randrange(height)
            length = stream.randint(5, 11) * scale
            part = canvas[y : y + length, x : x + 1]
            part[:] = (3 * part.astype(np.uint16) + 215) // 4
