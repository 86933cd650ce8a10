"""How a city looks: its own appearance, another city's, or a named skin.

A look changes nothing that a walker must know: streets, landmarks and routes stay where they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genbench.task import TaskError, closest
from genbench_tasks.navigation.cities import FAMILIES, city

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Look:
    """`storeys` are the fewest and the most of a building; `sun` is the heading it stands at."""

    architecture: str
    storeys: tuple[int, int]
    light: str
    sun: int
    weather: str
    ground: Colour
    walls: Colour
    accent: Colour
    sky: Colour


#: Named skins: cities that no name of ours has, each of its own architecture, palette and weather.
SKINS: Mapping[str, Mapping[str, Any]] = {
    name: {
        "architecture": architecture,
        "storeys": storeys,
        "light": light,
        "sun": sun,
        "weather": weather,
        "palette": dict(zip(("ground", "walls", "accent", "sky"), palette, strict=True)),
    }
    for name, architecture, storeys, light, sun, weather, palette in (
        ("adobe-noon", "adobe", [1, 3], "noon", 200, "clear",
         ("#a58863", "#c98d5f", "#2f7f86", "#6fb1e6")),
        ("brownstone-autumn", "brownstone", [3, 5], "evening", 250, "overcast",
         ("#57524c", "#7d4f3c", "#c77a2c", "#b9b4b0")),
        ("concrete-rain", "concrete slab", [5, 9], "morning", 110, "rain",
         ("#54575a", "#9c9d98", "#b5533c", "#98a4ad")),
        ("glass-night", "glass tower", [6, 12], "night", 90, "clear",
         ("#3d4046", "#55677a", "#e0564f", "#101a33")),
        ("limestone-morning", "limestone", [4, 6], "morning", 100, "hazy",
         ("#77726a", "#dccfb4", "#35577a", "#bcd3ea")),
        ("neon-night", "tile front", [4, 8], "night", 300, "rain",
         ("#35363c", "#6d6a78", "#e8408c", "#141022")),
        ("nouveau-dusk", "art nouveau", [3, 5], "dusk", 280, "clear",
         ("#5c5a60", "#c9a98c", "#3f7d6a", "#c78fa0")),
        ("pastel-harbor", "clapboard", [2, 3], "noon", 160, "clear",
         ("#7c7f80", "#e3b7a7", "#3e8aa8", "#8cc7ec")),
        ("rubble-fog", "rubble stone", [2, 4], "morning", 90, "fog",
         ("#6a6862", "#a59c8b", "#6a3d35", "#c3c9cc")),
        ("timber-snow", "half-timbered", [2, 4], "noon", 190, "snow",
         ("#73706c", "#efe4cf", "#8a2f2a", "#c6d0da")),
        ("whitewash-sun", "whitewashed", [1, 3], "noon", 180, "clear",
         ("#b6a78f", "#f6f2e8", "#1f62b0", "#3f97e0")),
    )
}  # fmt: skip

_CITY_LIKE = re.compile(rf"({'|'.join(FAMILIES)})-[0-9]{{6}}")


def look_of(city_name: str, skin: str | None) -> Look:
    """The look of a city, by a skin where one is given. Raises TaskError."""
    return _look(city(city_name).appearance if skin is None else appearance_of(skin))


def appearance_of(skin: str) -> Mapping[str, Any]:
    """What a skin puts on a city: a named one, or the appearance of the city of that name. Raises
    TaskError."""
    if skin in SKINS:
        return SKINS[skin]
    if _CITY_LIKE.fullmatch(skin):
        return city(skin).appearance
    raise TaskError(
        f"there is no skin '{skin}'; a skin is another city's name, such as radial-000042, or a "
        f"named one: {closest(skin, SKINS)}"
    )


def _look(appearance: Mapping[str, Any]) -> Look:
    colours = {
        name: (int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16))
        for name, text in appearance["palette"].items()
    }
    least, most = appearance["storeys"]
    return Look(
        architecture=appearance["architecture"],
        storeys=(least, most),
        light=appearance["light"],
        sun=appearance["sun"],
        weather=appearance["weather"],
        **colours,
    )
