"""Street views of V-IRL, where a user has them: four perspective views out of a panorama.

V-IRL's folder holds, of every panorama, `<id>.jpg` (equirectangular: all around across, straight up
to straight down) and `<id>.metadata.json`, whose `rotation` says where north lies: the heading h is
at the share (h + rotation) / 360 of the width. The mapping of positions to panoramas is read by
`panoramas`. As there, a place is shown by the nearest panorama, and a view looks level and is 90
degrees wide. A picture has the layout of ours: front, right / behind, left.

Pictures are decoded by Pillow's JPEG library, whose pixels may differ by one from version to
version. An instance holds a panorama's id, its size in bytes and its rotation, not its pixels.
"""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.task import Image, Instance, TaskError, canonical_json
from genbench_tasks.navigation.panoramas import Geocode, missing_views, read_panoramas
from genbench_tasks.navigation.seen import with_picture
from genbench_tasks.navigation.virl import geocode_of, path_of
from genbench_tasks.recent_pictures import RecentPictures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Pixels

_FARTHEST = 50.0  # metres from a place to its panorama
_DEGREE = math.radians(1) * 6_371_000.0
_MOST_PIXELS = 2**27  # 16,384 x 8,192, the largest panoramas that there are
_SMALLEST = 256  # pixels across
_SHAPES = (1.5, 2.5)  # width to height; a whole sphere has 2, some files are padded
_MOST_METADATA = 2**20
_LISTED = 5


def with_panoramas(
    routes: Sequence[Instance], pixels: int, settings: Mapping[str, Any]
) -> list[Instance]:
    """Routes of real streets with the panorama of every step: `{id, bytes, rotation}`.

    Raises TaskError where the mapping or the folder is missing, where a place has no panorama
    near it, and where files of the folder are missing or no panoramas, the first ones named.
    """
    mapping = read_panoramas(
        path_of(settings.get("panoramas"), "panoramas", "V-IRL's mapping of positions to panoramas")
    )
    folder = views_folder(settings)
    places = _Places(mapping)
    found = [_of_route(route, places) for route in routes]
    needed = {mapping[place]: place for names in found for place in names}
    lacking = missing_views(folder, {place: name for name, place in needed.items()})
    if lacking:
        raise TaskError(
            f"the folder of street views {folder} lacks {len(lacking)} files that these routes "
            f"need, the first of them {', '.join(lacking[:_LISTED])}; "
            "`python -m genbench_tasks.navigation.panoramas MAPPING --views FOLDER` lists what a "
            "folder lacks"
        )
    records = {name: _record(folder, name) for name in sorted(needed)}
    return [
        with_picture(
            route,
            {"pixels": pixels, "panoramas": [records[mapping[place]] for place in names]},
        )
        for route, names in zip(routes, found, strict=True)
    ]


def views_folder(settings: Mapping[str, Any]) -> Path:
    """The folder of street views that the settings name. Raises TaskError."""
    return path_of(settings.get("street_views"), "street_views", "V-IRL's folder of street views")


def _of_route(route: Instance, places: _Places) -> list[Geocode]:
    """The position of the panorama of every step. Raises TaskError."""
    data = route.data["route"]
    found = []
    for number, step in enumerate(data["steps"]):
        wanted = geocode_of(data["origin"], step["at"])
        place, distance = places.nearest(wanted)
        if distance > _FARTHEST:
            raise TaskError(
                f"step {number} of the route {route.pair_id} is at {wanted[0]:.6f}, "
                f"{wanted[1]:.6f}, and the nearest panorama of the mapping {distance:.0f} m away "
                f"(at most {_FARTHEST:.0f}): is it the mapping of these routes?"
            )
        found.append(place)
    return found


class _Places:
    """The positions of a mapping, for the nearest of each."""

    def __init__(self, mapping: Mapping[Geocode, str]) -> None:
        import numpy as np

        self._listed = sorted(mapping)
        self._at = np.array(self._listed, float)

    def nearest(self, wanted: Geocode) -> tuple[Geocode, float]:
        """The nearest position, and how many metres it is away."""
        import numpy as np

        north = (self._at[:, 0] - wanted[0]) * _DEGREE
        east = (self._at[:, 1] - wanted[1]) * _DEGREE * math.cos(math.radians(wanted[0]))
        away = np.hypot(north, east)
        best = int(away.argmin())
        return self._listed[best], float(away[best])


def _record(folder: Path, name: str) -> dict[str, Any]:
    """What an instance holds of a panorama, its file looked at. Raises TaskError."""
    path = folder / f"{name}.jpg"
    with _reading(path) as picture:
        _check_shape(path, picture)
    return {"id": name, "bytes": path.stat().st_size, "rotation": _rotation(folder, name)}


def _rotation(folder: Path, name: str) -> float:
    """The rotation of a panorama. Raises TaskError."""
    path = folder / f"{name}.metadata.json"
    try:
        if path.stat().st_size > _MOST_METADATA:
            raise TaskError(f"{path} has more than {_MOST_METADATA} bytes: no metadata")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise TaskError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise TaskError(f"{path} is not JSON: {error}") from None
    rotation = content.get("rotation") if isinstance(content, Mapping) else None
    if isinstance(rotation, bool) or not isinstance(rotation, int | float):
        rotation = math.nan
    if not abs(rotation) <= 3600:
        raise TaskError(f"{path}: it holds no `rotation`, the degrees to north")
    return float(rotation)


@contextmanager
def _reading(path: Path) -> Iterator[Pixels]:
    """A picture, opened and not yet decoded. Whatever Pillow raises is a TaskError."""
    import PIL.Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(path, formats=["JPEG", "PNG"]) as picture:
                yield picture
    except TaskError:
        raise
    except OSError as error:
        raise TaskError(f"the panorama {path} cannot be read: {error}") from None
    except Exception as error:  # damaged files raise almost anything
        raise TaskError(
            f"the panorama {path} cannot be read: {type(error).__name__}: {error}"
        ) from None


def _check_shape(path: Path, picture: Pixels) -> None:
    """Raise TaskError for what is no panorama, or too large a one, by its header."""
    width, height = picture.size
    if width * height > _MOST_PIXELS:
        raise TaskError(
            f"the panorama {path} has {width:,} x {height:,} pixels, more than any has "
            f"({_MOST_PIXELS:,} in all)"
        )
    if width < _SMALLEST or not _SHAPES[0] * height <= width <= _SHAPES[1] * height:
        raise TaskError(
            f"{path} has {width:,} x {height:,} pixels: a panorama is about twice as wide as high, "
            f"and {_SMALLEST} pixels wide or more"
        )


# -- pictures -------------------------------------------------------------------------------------


def real_image(state: Mapping[str, Any], settings: Mapping[str, Any]) -> Image:
    """The picture of a state on a real route."""
    drawn = [str(views_folder(settings)), state["heading"], state["picture"]]
    return Image(partial(_file, canonical_json(drawn)))


def _grid(drawn: str) -> bytes:
    """The 2 x 2 views as PNG. Raises TaskError."""
    import numpy as np
    import PIL.Image

    folder, heading, picture = json.loads(drawn)
    pixels, panorama = picture["pixels"], picture["panorama"]
    sphere = _decoded(Path(folder) / f"{panorama['id']}.jpg", panorama["bytes"], pixels)
    views = [
        _view(sphere, heading + turned + panorama["rotation"], pixels)
        for turned in (0, 90, 180, 270)
    ]
    front, right, behind, left = views
    rows = [np.concatenate(pair, axis=1) for pair in ((front, right), (behind, left))]
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.concatenate(rows)).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


_RECENT = RecentPictures(256 * 2**20, _grid, "GENBENCH_PICTURES")


def _file(drawn: str) -> bytes:
    return _RECENT.file(drawn)


def _decoded(path: Path, size: int, pixels: int) -> NDArray[np.uint8]:
    """A panorama [height, width, 3], no finer than its views need. Raises TaskError."""
    import numpy as np

    with _reading(path) as picture:
        _check_shape(path, picture)
        if path.stat().st_size != size:
            raise TaskError(
                f"the panorama {path} is not the one that the task was made with: it has "
                f"{path.stat().st_size} bytes, and had {size}"
            )
        picture.draft("RGB", (8 * pixels, 4 * pixels))  # of JPEG: a fraction is decoded
        return np.asarray(picture.convert("RGB"))


def _view(sphere: NDArray[np.uint8], heading: float, pixels: int) -> NDArray[np.uint8]:
    """A level view of 90 degrees [pixels, pixels, 3]; bilinear between the sphere's pixels."""
    import numpy as np

    height, width = sphere.shape[:2]
    across, down = _rays(pixels)
    column = ((across + heading) % 360 / 360 * width) % width
    row = np.clip((down + 90) / 180 * height - 0.5, 0, height - 1)
    column = column - 0.5
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    aside, below = (column - left)[..., None], (row - top)[..., None]
    right, bottom = (left + 1) % width, np.minimum(top + 1, height - 1)
    left = left % width
    upper = sphere[top, left] * (1 - aside) + sphere[top, right] * aside
    lower = sphere[bottom, left] * (1 - aside) + sphere[bottom, right] * aside
    found: NDArray[np.uint8] = np.rint(upper * (1 - below) + lower * below).astype(np.uint8)
    return found


@lru_cache(maxsize=4)
def _rays(pixels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of every pixel of a view: the degrees to the right of its middle, and below the horizon."""
    import numpy as np

    plane = (np.arange(pixels) + 0.5) / pixels * 2 - 1
    x, y = np.meshgrid(plane, plane)
    across = np.degrees(np.arctan2(x, 1.0))
    return across, np.degrees(np.arctan2(y, np.hypot(x, 1.0)))
