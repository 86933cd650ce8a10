"""Street views of V-IRL: panoramas of our own making in the published form, and damaged ones."""

import io
import json
import math
import pickle

import numpy as np
import PIL.Image
import pytest
from test_virl import made_up, written

import genbench
from genbench.errors import TaskError
from genbench_tasks.navigation.headings import wrapped
from genbench_tasks.navigation.virl import geocode_of, read_routes

TASK = "virl-vl-nyc-ood-rule"
WIDE, HIGH = 720, 360
VARIABLES = ("GENBENCH_VIRL_ROUTES", "GENBENCH_VIRL_PANORAMAS", "GENBENCH_VIRL_VIEWS")


def panorama(rotation):
    """A sphere whose red is the compass heading (0 to 180 degrees and back) and whose green says
    east from west; blue is the height, 0 straight down."""
    heading = (np.arange(WIDE) + 0.5) / WIDE * 360 - rotation
    down = (np.arange(HIGH) + 0.5) / HIGH * 180
    sphere = np.zeros((HIGH, WIDE, 3), np.uint8)
    sphere[..., 0] = np.abs((heading + 180) % 360 - 180)
    sphere[..., 1] = np.where((heading % 360) < 180, 200, 40)
    sphere[..., 2] = (180 - down)[:, None]
    return PIL.Image.fromarray(sphere)


def heading_of(pixel):
    red, green = int(pixel[0]), int(pixel[1])
    return float(red if green > 120 else 360 - red)


@pytest.fixture
def places():
    """A panorama near every step of the route, some metres off, each with its own rotation."""

    def near(route):
        found = {}
        for number, step in enumerate(route["steps"]):
            latitude, longitude = geocode_of(route["origin"], step["at"])
            found[latitude + 2e-5, longitude - 1e-5] = f"pano_{number:02d}", 37.0 * number
        return found

    return near


@pytest.fixture
def streets(tmp_path, monkeypatch, places):
    """The route file, the mapping and the folder of views, as V-IRL's are; the variables name
    them."""
    routes = written(tmp_path, made_up())
    ((_, route),) = read_routes(str(routes))
    folder, mapping = tmp_path / "street_views", tmp_path / "gps_pano_mapping.pkl"
    folder.mkdir()
    found = places(route)
    for name, rotation in found.values():
        panorama(rotation).save(folder / f"{name}.jpg", quality=98, subsampling=0)
        (folder / f"{name}.metadata.json").write_text(json.dumps({"rotation": rotation}))
    mapping.write_bytes(pickle.dumps({place: name for place, (name, _) in found.items()}))
    for variable, path in zip(VARIABLES, (routes, mapping, folder), strict=True):
        monkeypatch.setenv(variable, str(path))
    return folder


def loaded(**more):
    task = genbench.load_task(TASK, settings={"pixels": 96, **more})
    task.check_instances()
    return task


def states_of(task, split="id"):
    (route,) = task.splits[split].instances()
    return task.environment.states(route)


def views_of(task, state):
    """The four views as arrays, by name."""
    image = task.messages(state)[0].images[0]
    grid = np.asarray(PIL.Image.open(io.BytesIO(image.data)))
    pixels = len(grid) // 2
    names = (("front", "right"), ("behind", "left"))
    return {
        name: grid[pixels * row :, pixels * column :][:pixels, :pixels]
        for row, pair in enumerate(names)
        for column, name in enumerate(pair)
    }


def test_every_view_looks_where_the_walker_does(streets):
    task = loaded()
    for state in states_of(task):
        views = views_of(task, state)
        for name, turned in (("front", 0), ("right", 90), ("behind", 180), ("left", 270)):
            middle = views[name][48, 47:49].mean(axis=0)
            wanted = wrapped(state.data["heading"] + turned)
            off = abs((heading_of(middle) - wanted + 180) % 360 - 180)
            # Where east meets west the colours are mixed.
            assert off < 5 or min(wanted % 180, 180 - wanted % 180) < 5, (name, state.id)


def test_a_view_is_level_and_90_degrees_wide(streets):
    task = loaded()
    states = states_of(task)
    for view in (views_of(task, state)["front"] for state in states):
        heights = view[:, 48, 2].astype(int)
        assert abs(heights[48] - 90) < 4  # the horizon
        assert abs(heights[0] - 135) < 4
        assert abs(heights[-1] - 45) < 4
    state = next(one for one in states if 60 < one.data["heading"] % 180 < 120)
    view = views_of(task, state)["front"]
    reds = [heading_of(view[48, column]) for column in (0, 95)]
    assert abs((reds[1] - reds[0]) % 360 - 90) < 4


def test_the_nearest_panorama_is_shown_with_its_own_rotation(streets):
    task = loaded()
    for number, state in enumerate(states_of(task)):
        found = state.data["picture"]["panorama"]
        assert found["id"] == f"pano_{number:02d}"
        assert found["rotation"] == 37.0 * number
        assert found["bytes"] == (streets / f"{found['id']}.jpg").stat().st_size


def test_the_agents_walk_real_streets(streets, tmp_path):
    for kind in ("oracle", "visual-memoriser"):
        results = genbench.run(
            f"agent:{kind}", TASK, output=tmp_path / kind, task_settings={"pixels": 96}
        )
        for split in results.splits.values():
            assert split.success_rate.value == 1


def test_the_public_files_are_shown_and_walked(virl_files, places, tmp_path, monkeypatch):
    for path in virl_files:
        ((_, route),) = read_routes(str(path))
        folder = tmp_path / path.stem
        folder.mkdir()
        found = places(route)
        for name, rotation in found.values():
            panorama(rotation).save(folder / f"{name}.jpg", quality=98, subsampling=0)
            (folder / f"{name}.metadata.json").write_text(json.dumps({"rotation": rotation}))
        mapping = tmp_path / f"{path.stem}.json"
        entries = [[*place, name] for place, (name, _) in found.items()]
        mapping.write_text(json.dumps({"panoramas": entries}))
        for variable, one in zip(VARIABLES, (path, mapping, folder), strict=True):
            monkeypatch.setenv(variable, str(one))
        task = loaded()
        for state in states_of(task, "ood"):
            front = views_of(task, state)["front"][48, 47:49].mean(axis=0)
            off = (heading_of(front) - state.data["heading"] + 180) % 360 - 180
            assert abs(off) < 5
        results = genbench.run("agent:oracle", TASK, output=tmp_path / f"{path.stem}-runs")
        assert results.splits["ood"].success_rate.value == 1


# -- what is missing ------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_that_is_not_set_is_named(streets, monkeypatch, variable):
    monkeypatch.delenv(variable)
    with pytest.raises(TaskError, match=f"{variable} is not set; it holds the path of"):
        loaded()


@pytest.mark.parametrize("variable", VARIABLES[1:])
def test_a_path_where_nothing_is_is_named(streets, monkeypatch, tmp_path, variable):
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    with pytest.raises(TaskError, match="nowhere"):
        loaded()


def test_missing_views_are_named_before_a_model_loads(streets, command, tmp_path):
    (streets / "pano_01.jpg").unlink()
    (streets / "pano_03.metadata.json").unlink()
    done = command("run", "--model", tmp_path / "no-model", "--task", TASK, "--output", tmp_path)
    assert done.returncode == 2
    assert "lacks 2 files" in done.stderr
    assert "pano_01.jpg, pano_03.metadata.json" in done.stderr
    assert "no-model" not in done.stderr


def test_a_mapping_of_another_town_is_refused(streets, monkeypatch, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"panoramas": [[48.85, 2.35, "pano_00"]]}))
    monkeypatch.setenv("GENBENCH_VIRL_PANORAMAS", str(other))
    with pytest.raises(TaskError, match=r"step 0 of the route virl-.* is it the mapping of these"):
        loaded()


@pytest.mark.parametrize(
    "metadata", ["", "[]", "{}", '{"rotation": "12"}', '{"rotation": NaN}', '{"rotation": true}',
                 "[" * 100_000, '{"rotation": 1e999}'],
)  # fmt: skip
def test_metadata_without_a_rotation_are_refused(streets, metadata):
    (streets / "pano_02.metadata.json").write_text(metadata)
    with pytest.raises(TaskError, match=r"pano_02\.metadata\.json"):
        loaded()


# -- hostile pictures -----------------------------------------------------------------------------


def png(width, height):
    """The head of a PNG that says it has so many pixels."""
    import struct
    import zlib

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data
            + struct.pack(">I", zlib.crc32(kind + data))
        )  # fmt: skip

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be read"),
        (b"\xff\xd8\xff\xe0 no picture", "cannot be read"),
        (b"GIF89a" + bytes(100), "cannot be read"),
        (png(40_000, 20_000), r"40,000 x 20,000 pixels|bomb"),
        (png(60_000, 30), "60,000 x 30 pixels: a panorama is about twice as wide"),
        (png(64, 32), "64 x 32 pixels"),
        (png(2_000_000_000, 1_000_000_000), "pano_02"),
    ],
)
def test_what_is_no_panorama_is_refused_by_its_head(streets, content, told):
    (streets / "pano_02.jpg").write_bytes(content)
    with pytest.raises(TaskError, match=told) as raised:
        loaded()
    assert "pano_02.jpg" in str(raised.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_panorama_is_refused_where_it_is_shown(streets, kind):
    buffer = io.BytesIO()
    panorama(0).save(buffer, kind)
    (streets / "pano_00.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    task = loaded()
    image = task.messages(states_of(task)[0])[0].images[0]
    with pytest.raises(TaskError, match=r"the panorama .*pano_00\.jpg cannot be read: .*truncated"):
        _ = image.data


def test_a_panorama_that_was_exchanged_is_refused(streets):
    task = loaded()
    (first, *_) = states_of(task)
    (streets / "pano_00.jpg").write_bytes((streets / "pano_01.jpg").read_bytes() + b"\0" * 7)
    with pytest.raises(TaskError, match="is not the one that the task was made with"):
        _ = task.messages(first)[0].images[0].data


def test_another_folder_with_the_same_panoramas_is_the_same_task(streets, monkeypatch, tmp_path):
    before = loaded().fingerprint
    moved = streets.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("GENBENCH_VIRL_VIEWS", str(moved))
    assert loaded().fingerprint == before
    file = moved / "pano_00.metadata.json"
    file.write_text(json.dumps({"rotation": math.pi}))
    assert loaded().fingerprint != before
