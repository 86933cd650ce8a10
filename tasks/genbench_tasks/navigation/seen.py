"""States that are shown: the setting of their pictures, and what of it stands in their data.

An instance's data stay JSON. A route holds `picture`: for a synthetic city the renderer's version,
the pixels a side of each view, and the skin; for real streets the pixels, and of every step its
panorama. A state holds its own. Its picture, 2 x 2 views (front, right / behind, left), is drawn
from its city, place, heading and `picture` alone, when it is read.

Settings of a task or of a split, beside those of `splits`:
  pixels        a side of each view
  skin          whose architecture and light a synthetic city has: null for its own, a skin of
                `views.SKINS`, another city by its name, or any: a skin of SKINS for every route
  street_views  of source virl: V-IRL's folder of panoramas, or ${VARIABLE}
  panoramas     of source virl: which panorama lies where, as `panoramas` reads it, or ${VARIABLE}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from genbench.task import (
    Image,
    Instance,
    Message,
    SplitSpec,
    TaskError,
    canonical_json,
    seeded,
)
from genbench_tasks.navigation import views
from genbench_tasks.navigation.views.looks import appearance_of
from genbench_tasks.recent_pictures import RecentPictures

PICTURE_SETTINGS = ("pixels", "skin", "street_views", "panoramas")
DEFAULT_PIXELS = 224
ANY_SKIN = "any"
_OF_THE_TASK = ("street_views", "panoramas")


def checked_picture(settings: Mapping[str, Any], split: SplitSpec | None) -> tuple[int, str | None]:
    """(pixels, skin) of a split of a task with these settings; without a split, of the task.

    Raises TaskError.
    """
    where = "settings" if split is None else f"split '{split.name}'"
    own: Mapping[str, Any] = {} if split is None else split.settings
    for key in _OF_THE_TASK:
        if key in own:
            raise TaskError(f"{where}: {key} is a setting of the task, not of one split")
    merged = {**settings, **own}
    for key in _OF_THE_TASK:
        if merged.get(key) is not None and merged.get("source") != "virl":
            raise TaskError(f"{where}: {key} is for real streets (source: virl); these are drawn")
    pixels, skin = merged.get("pixels", DEFAULT_PIXELS), merged.get("skin")
    if type(pixels) is not int or not views.SMALLEST <= pixels <= views.LARGEST:
        raise TaskError(
            f"{where}: pixels is {pixels!r}, not {views.SMALLEST} to {views.LARGEST} a side of "
            "each view"
        )
    if skin is None or skin == ANY_SKIN:
        return pixels, skin
    if merged.get("source") == "virl":
        raise TaskError(f"{where}: skin is {skin!r}, and real streets have their own looks alone")
    try:
        if not isinstance(skin, str):
            raise TaskError(f"{skin!r} is no name")
        appearance_of(skin)
    except TaskError as error:
        raise TaskError(
            f"{where}: skin: {error}; or `{ANY_SKIN}`, one of the named skins for every route"
        ) from None
    return pixels, skin


def pictured(route: Instance, pixels: int, skin: str | None) -> Instance:
    """A route of a synthetic city with what its pictures are drawn by.

    Which skin is drawn for a route depends on its pair alone: twins that have one have the same.
    """
    if skin == ANY_SKIN:
        skin = seeded("navigation skin", route.pair_id).choice(sorted(views.SKINS))
    return with_picture(route, {"renderer": views.VERSION, "pixels": pixels, "skin": skin})


def with_picture(instance: Instance, picture: Mapping[str, Any]) -> Instance:
    """The instance with `picture` in its data."""
    return replace(instance, data={**instance.data, "picture": dict(picture)})


def picture_at(route: Instance, number: int) -> dict[str, Any]:
    """The picture of a step of a route: what is the route's, or of its panoramas the step's."""
    picture = dict(route.data["picture"])
    panoramas = picture.pop("panoramas", None)
    return picture if panoramas is None else {**picture, "panorama": panoramas[number]}


def _grid(drawn: str) -> bytes:
    city, at, heading, picture = json.loads(drawn)
    return views.street_grid(city, at, heading, pixels=picture["pixels"], skin=picture["skin"])


_RECENT = RecentPictures(512 * 2**20, _grid, "GENBENCH_PICTURES")


def _file(drawn: str) -> bytes:
    return _RECENT.file(drawn)


def street_image(state: Mapping[str, Any]) -> Image:
    """The picture of a state in a synthetic city."""
    drawn = [state["city"], state["at"], state["heading"], state["picture"]]
    return Image(partial(_file, canonical_json(drawn)))


def shown(image: Image, text: str) -> Message:
    """The user message of a picture and a text."""
    return Message("user", (image, text))
