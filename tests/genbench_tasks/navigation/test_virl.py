"""Routes and panoramas of V-IRL: the public files, and what is said of damaged ones."""

import copy
import io
import json
import os
import pickle

import pytest

import genbench
from genbench.errors import TaskError, UsageError
from genbench_tasks.navigation.panoramas import main, missing_views, read_panoramas
from genbench_tasks.navigation.prompts import instruction_texts
from genbench_tasks.navigation.virl import read_routes

TASK = "virl-nyc-ood-rule"


def place(name, latitude, longitude):
    return {"name": name, "geocode": [latitude, longitude], "region": "Nowhere"}


def block(number, landmarks, heading):
    return (
        f'{{\n"intersection_idx": "{number}",\n"landmarks": "{landmarks}",\n'
        f'"distance": "90 meters",\n"human_heading": "0",\n'
        f'"to_next_intersection_heading": "{heading}",\n}}\n'
    )


def made_up():
    """A route in the form of the files: north, then east, straight on, then south."""
    return {
        "start_place": place("Here", 10.0, 20.0),
        "dest_place": place("There", 10.0, 20.002),
        "route_results": {
            "geocode_list": [[10.001, 20.0], [10.001, 20.001], [10.001, 20.002], [10.0, 20.002]]
        },
        "init_heading": 90,
        "milestone_info": "\n".join(
            [
                block(1, "Ruby Bank is on your left", "0 (north)"),
                block(2, "No landmark nearby", "90 (east)"),
                block(3, "Opal Cafe is on your right front", "92 (east)"),
                block(4, "The destination There is on your left", "180 (south)"),
            ]
        ),
    }


def written(tmp_path, content):
    path = tmp_path / "route_infos.json"
    path.write_text(json.dumps(content))
    return path


def walked(path, monkeypatch, tmp_path):
    """The oracle's results on a route file."""
    monkeypatch.setenv("GENBENCH_VIRL_ROUTES", str(path))
    return genbench.run("agent:oracle", TASK, output=tmp_path / "runs")


def test_the_public_files_are_walked_to_the_end(virl_files, monkeypatch, tmp_path):
    for path in virl_files:
        results = walked(path, monkeypatch, tmp_path)
        for split in results.splits.values():
            assert split.success_rate.value == 1
            assert split.steps.kinds["turn"].accuracy.n >= 2


def test_instructions_follow_the_headings_and_not_the_files_text(virl_files):
    """The free text of the files says "make a sharp right turn" from 298 to 212 degrees, and
    "make a right turn" from 259 to 170: both are left."""
    for path in virl_files:
        raw = json.loads(path.read_text())
        assert "right turn" in raw["instruction"]
        ((_, route),) = read_routes(str(path))
        turns = instruction_texts(route["legs"], "relative", "both")[::2]
        assert all(" left to face " in text for text in turns)
    moma = next(path for path in virl_files if "moma" in path.name)
    ((_, route),) = read_routes(str(moma))
    assert instruction_texts(route["legs"], "absolute", "both") == [
        "First, turn left to face northwest.",
        "Move forward until you reach an intersection where Prince St is in front of you.",
        "Turn left to face southwest.",
        "Move forward until you reach an intersection where Aritzia is on your left front.",
        "Turn left to face southeast.",
        "Move forward until you reach your destination, where MoMA Design Store is on your left.",
    ]


def test_a_public_file_with_any_part_missing_is_named(virl_files, tmp_path):
    raw = json.loads(virl_files[0].read_text())
    for part in ("milestone_info", "route_results", "start_place"):
        damaged = {key: value for key, value in raw.items() if key != part}
        with pytest.raises(TaskError, match=f"route 0: {part} is missing"):
            list(read_routes(str(written(tmp_path, damaged))))
    cut = tmp_path / "cut.json"
    cut.write_text(virl_files[0].read_text()[:-100])
    with pytest.raises(TaskError, match=r"cut\.json is not JSON"):
        list(read_routes(str(cut)))


@pytest.mark.parametrize("wrap", [lambda route: route, lambda route: [route],
                                  lambda route: [[route], 17]])  # fmt: skip
def test_all_three_forms_of_a_file_are_read(wrap, tmp_path):
    ((_, route),) = read_routes(str(written(tmp_path, wrap(made_up()))))
    assert [step["action"] for step in route["steps"] if step["action"] != "forward"] == [
        "turn", "turn", "turn", "stop",
    ]  # fmt: skip
    assert instruction_texts(route["legs"], "relative", "matching") == [
        "First, turn left.",
        "Move forward until you reach an intersection where Ruby Bank is on your left.",
        "Turn right.",
        "Move forward until you reach an intersection where Opal Cafe is on your right front.",
        "Turn right.",
        "Move forward until you reach your destination, where There is on your left.",
    ]


def test_an_intersection_where_the_route_goes_straight_on_is_passed(tmp_path):
    ((_, route),) = read_routes(str(written(tmp_path, made_up())))
    passed = [step for step in route["steps"] if step["intersection"] and step["action"] != "turn"]
    assert [(step["action"], step["instruction"]) for step in passed] == [("forward", 4)]


def test_the_oracle_walks_a_made_up_file(monkeypatch, tmp_path):
    results = walked(written(tmp_path, [[made_up()], 1]), monkeypatch, tmp_path)
    assert {split.success_rate.value for split in results.splits.values()} == {1}


def test_a_heading_that_cannot_be_said_is_drawn_anew_and_the_same_each_time(tmp_path):
    for given in (0, 180, 10):  # straight on, behind, straight on
        route = {**made_up(), "init_heading": given}
        path = str(written(tmp_path, route))
        ((_, one),), ((_, again),) = read_routes(path), read_routes(path)
        assert one == again
        assert one["legs"][0]["relative"] in ("left", "right", "slightly left", "slightly right")
    ((_, kept),) = read_routes(str(written(tmp_path, made_up())))
    assert kept["steps"][0]["heading"] == 90


def test_a_route_with_a_turn_that_has_no_word_is_left_out(tmp_path):
    back = made_up()
    back["milestone_info"] = back["milestone_info"].replace("180 (south)", "272 (west)")
    back["route_results"]["geocode_list"][3] = [10.001, 20.0]
    found = list(read_routes(str(written(tmp_path, [[made_up(), back], 2]))))
    assert len(found) == 1
    with pytest.raises(TaskError, match="none of its 1 routes"):
        list(read_routes(str(written(tmp_path, back))))


DAMAGES = {
    "start_place is missing": lambda raw: raw.pop("start_place"),
    "route_results is missing": lambda raw: raw.update(route_results=None),
    "geocode_list is missing": lambda raw: raw["route_results"].update(geocode_list=[]),
    r"geocode_list\[1\] is \[1\]": lambda raw: raw["route_results"]["geocode_list"].insert(1, [1]),
    r"geocode_list\[0\] is \[99": (
        lambda raw: raw["route_results"].update(geocode_list=[[99, 20]] * 4)
    ),
    "milestone_info is missing": lambda raw: raw.update(milestone_info=""),
    "holds no block": lambda raw: raw.update(milestone_info="turn left"),
    "has 3 blocks": lambda raw: (
        raw["route_results"]["geocode_list"].append([10.0, 20.003])
        or raw.update(milestone_info=raw["milestone_info"].split("\n\n", 1)[1])
    ),
    "milestone 1: landmarks is missing": lambda raw: raw.update(
        milestone_info=raw["milestone_info"].replace('"landmarks"', '"landmark"', 1)
    ),
    "not like '298": lambda raw: raw.update(
        milestone_info=raw["milestone_info"].replace("0 (north)", "north")
    ),
    "0 degrees are north, and the file says east": lambda raw: raw.update(
        milestone_info=raw["milestone_info"].replace("0 (north)", "0 (east)", 1)
    ),
    "does not fit together": lambda raw: raw.update(
        milestone_info=raw["milestone_info"].replace("0 (north)", "180 (south)", 1)
    ),
    "init_heading is": lambda raw: raw.update(init_heading="north"),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_a_damaged_route_is_named_with_its_place(message, tmp_path):
    raw = copy.deepcopy(made_up())
    DAMAGES[message](raw)
    with pytest.raises(TaskError, match=message) as caught:
        list(read_routes(str(written(tmp_path, [[made_up(), raw], 2]))))
    assert "route 1" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("3", "holds no routes"),
        ("[]", "holds no routes"),
        ("[[], 0]", "holds no routes"),
        ("[[3], 1]", "route 0 is int"),
    ],
)
def test_a_file_that_holds_no_routes_is_named(content, message, tmp_path):
    path = tmp_path / "route_infos.json"
    path.write_text(content)
    with pytest.raises(TaskError, match=message):
        list(read_routes(str(path)))


def test_a_missing_file_or_setting_is_named(monkeypatch, tmp_path):
    with pytest.raises(TaskError, match="cannot be read: No such file"):
        list(read_routes(str(tmp_path / "no.json")))
    with pytest.raises(TaskError, match="route_infos is missing"):
        list(read_routes(None))
    monkeypatch.delenv("GENBENCH_VIRL_ROUTES", raising=False)
    task = genbench.load_task(TASK)  # named before anything is read
    with pytest.raises(TaskError, match="GENBENCH_VIRL_ROUTES is not set"):
        task.splits["id"].instances()


def test_real_routes_have_no_map_to_leave_them_on(tmp_path):
    with pytest.raises((TaskError, UsageError), match="hold routes and no map"):
        genbench.load_task(TASK, settings={"episodes": "free"})


# -- panoramas ----------------------------------------------------------------------------------

MAPPING = {(40.72, -73.99): "CAoSLEFGMVFp", (37.78, -122.4): "x_1-2"}


def pickled(tmp_path, value):
    path = tmp_path / "gps_pano_mapping.pkl"
    path.write_bytes(pickle.dumps(value))
    return path


def test_a_pickle_is_read_and_converted_once(tmp_path, capsys):
    path, output = pickled(tmp_path, MAPPING), tmp_path / "panoramas.json"
    assert read_panoramas(path) == MAPPING
    assert main([str(path), str(output)]) == 0
    assert capsys.readouterr().out == "2 panoramas\n"
    assert read_panoramas(output) == MAPPING


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return (os.mkdir, (str(self.folder),))


def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path, capsys):
    folder = tmp_path / "it ran"
    path = pickled(tmp_path, {(1.0, 2.0): Bomb(folder)})
    with pytest.raises(TaskError, match=r"is refused: it would load posix\.mkdir"):
        read_panoramas(path)
    assert main([str(path)]) == 2
    assert "would load" in capsys.readouterr().err
    assert not folder.exists()
    pickle.loads(path.read_bytes())  # noqa: S301  a reader of everything does run it
    assert folder.exists()


@pytest.mark.parametrize(
    "value",
    [
        {}, [], 3, {"a": "b"}, {(1.0,): "b"}, {(1.0, 2.0): 3}, {(91.0, 2.0): "b"},
        {(1.0, 2.0): "../../etc/passwd"}, {(1.0, 2.0): ""}, {(True, 2.0): "b"},
        {(float("nan"), 2.0): "b"}, [(1.0, 2.0, "b")], [[1.0, 2.0]],
    ],
)  # fmt: skip
def test_a_pickle_of_other_things_is_no_mapping(value, tmp_path):
    with pytest.raises(TaskError, match=r"gps_pano_mapping\.pkl"):
        read_panoramas(pickled(tmp_path, value))


def test_a_damaged_pickle_is_named(tmp_path):
    whole = io.BytesIO()
    pickle.dump(MAPPING, whole)
    path = tmp_path / "mapping.pkl"
    for content in (whole.getvalue()[:-5], b"\x80\x04\xff\xff", b"", b"cos\nsystem\n(S'x'\ntR."):
        path.write_bytes(content)
        with pytest.raises(TaskError, match=r"mapping\.pkl"):
            read_panoramas(path)
    with pytest.raises(TaskError, match="cannot be read"):
        read_panoramas(tmp_path / "no.pkl")


def test_missing_street_views_are_named(tmp_path, capsys):
    path, views = pickled(tmp_path, MAPPING), tmp_path / "street_views"
    with pytest.raises(TaskError, match="there is no folder of street views"):
        missing_views(views, MAPPING)
    views.mkdir()
    for name in ("CAoSLEFGMVFp.jpg", "CAoSLEFGMVFp.metadata.json", "x_1-2.jpg"):
        (views / name).touch()
    assert missing_views(views, MAPPING) == ["x_1-2.metadata.json"]
    assert main([str(path), "--views", str(views)]) == 2
    assert "lacks 1 files, such as x_1-2.metadata.json" in capsys.readouterr().err
    (views / "x_1-2.metadata.json").touch()
    assert main([str(path), "--views", str(views)]) == 0
