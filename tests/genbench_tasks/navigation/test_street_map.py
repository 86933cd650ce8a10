"""Maps of routes, and the command that draws a route."""

import io
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from genbench.task import TaskError
from genbench_tasks.navigation.cities import FAMILIES, city_names
from genbench_tasks.navigation.prompts import instruction_texts
from genbench_tasks.navigation.routes import route
from genbench_tasks.navigation.views import maps
from genbench_tasks.navigation.views.__main__ import main
from genbench_tasks.navigation.views.lettering import line, width_of, wrapped
from genbench_tasks.navigation.views.maps import ACTIONS, route_map
from genbench_tasks.navigation.views.sheets import drawn_steps, route_sheet

PIXELS = 600


def drawn(found, **settings):
    image = Image.open(io.BytesIO(route_map(found, pixels=PIXELS, **settings)))
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def place(found, at):
    """Where a point of a route is on its map: the route in the middle, north above, 45 m around."""
    points = np.array([step["at"] for step in found["steps"]])
    low, high = points.min(axis=0) - 45, points.max(axis=0) + 45
    span = (high - low).max()
    low = (low + high - span) / 2
    x, y = (np.array(at) - low) / span * PIXELS
    return round(x), round(PIXELS - y)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_step_is_on_the_map_where_it_is_and_in_the_colour_of_its_action(family):
    found = route(next(city_names(family, "train", 5)), 0).json()
    canvas = drawn(found)
    assert canvas.shape[0] >= PIXELS  # longer where the instructions need it
    places = [place(found, step["at"]) for step in found["steps"]]
    for number, (step, (x, y)) in enumerate(zip(found["steps"], places, strict=True)):
        colour = (24, 140, 76) if number == 0 else ACTIONS[step["action"]]
        disc = canvas[y - 8 : y + 9, x - 8 : x + 9]
        covered = any(abs(x - u) + abs(y - v) < 30 for u, v in places[number + 1 :])
        share = (np.abs(disc - np.array(colour)).sum(axis=2) < 12).mean()
        assert share > (0.15 if covered else 0.45), number


def test_the_same_route_gives_the_same_map_and_another_rule_other_words():
    found = route(next(city_names("radial", "train", 5)), 0).json()
    one, again = drawn(found), drawn(found)
    other = drawn(found, rule="relative", frames="matching")
    assert (one == again).all()
    assert (one[:, :PIXELS] == other[:, :PIXELS]).all()
    assert (one[:, PIXELS:] != other[:, PIXELS:]).any()


def test_the_longest_instructions_have_room(monkeypatch):
    """Nothing is written below the panel's end."""
    walks = [
        route(name, 0, 12, 12).json()
        for name in islice(city_names("organic", "train", 5), 6)
    ]  # fmt: skip
    found = max(walks, key=lambda walk: len(walk["legs"]))
    lowest = []
    text = maps._Sheet._text

    def noted(sheet, words, cap, at, colour):
        lowest.append(at[1])
        text(sheet, words, cap, at, colour)

    monkeypatch.setattr(maps._Sheet, "_text", noted)
    height = len(drawn(found))
    assert height > PIXELS  # they do not fit beside the map
    assert len(lowest) > len(instruction_texts(found["legs"], "absolute", "both"))
    assert max(lowest) < height


def test_words_are_wrapped_within_their_room_and_none_is_lost():
    words = "Move forward until you reach an intersection where Ruby Bank is on your right behind."
    lines = wrapped(words, 11, 200)
    assert " ".join(lines) == words
    assert len(lines) > 1
    assert all(width_of(one, 11) <= 200 for one in lines)


def test_a_line_has_the_height_and_width_that_it_says():
    mask = line("Harbor Gym", 20)
    assert mask.shape[1] == width_of("Harbor Gym", 20)
    rows = np.flatnonzero(mask[:, :14].any(axis=1))  # the H
    assert rows[0] == 1
    assert abs(len(rows) - 20) <= 1


def test_a_route_without_a_city_has_no_map():
    found = {"city": "nyc", "number": 3, "legs": [], "steps": []}
    with pytest.raises(TaskError, match="nyc is not of a synthetic city"):
        route_map(found)


def test_a_sheet_shows_the_steps_that_are_asked_for():
    found = route("organic-000024", 0).json()
    sheet = route_sheet(found, drawn_steps(found, [1, 2, 3], pixels=96), columns=2)
    cell = sheet.shape[1] // 2 - 5
    assert cell == 192
    assert (sheet[-192:, 202:] == 255).all()  # the fourth place is empty
    assert not (sheet[-192:, :192] == 255).all()


def test_the_command_draws_a_route(tmp_path, capsys):
    folder = tmp_path / "new" / "folder"
    chosen = ["--city", "grid-000012", "--pixels", "96", "--skin", "timber-snow"]
    assert main([*chosen, "--output", str(folder)]) == 0
    steps = route("grid-000012", 0).json()["steps"]
    wanted = {f"step-{number:02d}.png" for number in range(1, len(steps) + 1)}
    assert {path.name for path in folder.iterdir()} == {"map.png", "sheet.png", *wanted}
    assert Image.open(folder / "step-01.png").size == (192, 192)
    assert "map.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--city", "grid-12"], "there is no city 'grid-12'"),
        (["--city", "grid-000012", "--skin", "timber-snwo"], "did you mean 'timber-snow'?"),
        (["--city", "grid-000012", "--pixels", "9"], "9 pixels"),
    ],
)
def test_the_command_says_what_is_wrong_before_it_draws(arguments, said, tmp_path, capsys):
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_names_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--city", "grid-000012", "--output", str(tmp_path / "file" / "x")]) == 2
    assert "cannot be written" in capsys.readouterr().err
