"""Settings as titles and labels have them: words, and no Python."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import genbench
from genbench.report.loading import load_groups
from genbench.settings import setting_text, setting_texts


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("limit", 30, "limit 30"),
        ("limit", None, "limit none"),
        ("prompt", "reasoned", "prompt reasoned"),
        ("temperature", 0.7, "temperature 0.7"),
        ("stop", ["\n\n", "A"], r'stop ["\n\n", A]'),
        ("stop", (), "stop []"),
        ("model_args", {}, "model_args none"),
        ("model_args", {"revision": "main"}, "model_args revision main"),
        ("task_settings", {"pixels": 224}, "pixels 224"),
        (
            "task_settings",
            {"look": {"font": "mono", "noise": 1}, "skin": None, "sizes": True},
            "look.font mono, look.noise 1, skin none, sizes true",
        ),
        ("task_settings", {"require": [["face-10", 24]]}, "require [[face-10, 24]]"),
        ("task_settings", {}, "the task's own settings"),
        ("task_settings", None, "the task's own settings"),
    ],
)
def test_a_setting_is_told_in_words(name, value, text):
    assert setting_text(name, value) == text


SETTINGS = st.recursive(
    st.dictionaries(
        st.text("abc", min_size=1), st.none() | st.booleans() | st.integers() | st.text("xy z,")
    ),
    lambda inner: st.dictionaries(st.text("abc", min_size=1), inner | st.lists(st.integers())),
)


@given(SETTINGS)
def test_no_mapping_shows_its_braces_unless_it_is_empty(settings):
    told = setting_texts(settings)
    assert not re.search(r"\{[^}]|None|True|False|'", "".join(told))
    assert len(told) >= len(settings)


def test_runs_that_differ_in_task_settings_are_told_apart_by_them(tmp_path, command):
    task = "virl-ood-rule"
    for settings in (None, {"intersections": [3, 4]}):
        for kind in ("oracle", "random"):
            genbench.run(
                f"agent:{kind}", task, output=tmp_path, limit=4, task_settings=settings,
                verify_iters=1,
            )  # fmt: skip
    ways = ["the task's own settings", "intersections [3, 4]"]
    groups, _ = load_groups([tmp_path])
    assert sorted(group.title for group in groups) == sorted(f"{task} 1.0 ({way})" for way in ways)
    done = command("compare", tmp_path)
    assert done.returncode == 0, done.stderr
    for way in ways:
        assert f"{task} ({way}), base: agent:oracle" in done.stdout
    assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]
    done = command(
        "run", "--model", "agent:random", "--task", task, "--limit", 4, "--output", tmp_path,
        "--set", "intersections=[3, 4]", "--verify-iters", 1,
    )  # fmt: skip
    assert "VIter 1, intersections [3, 4], limit 4)" in done.stdout
