"""A folder of output takes the place of what an earlier build wrote, whole, and of nothing else."""

import json
import os
import re

import pytest

from genbench.errors import StoreError, UsageError
from genbench.report.folder import OutputKind, written_whole

KIND = OutputKind("album", "--to", "album.json", re.compile(r"index|pages/[a-z/.]+"))


def write(folder, names, text="new"):
    with written_whole(folder, KIND) as draft:
        for name in names:
            path = draft.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return draft.files


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_second_build_replaces_the_first_and_leaves_the_rest(tmp_path):
    place = tmp_path / "deep" / "album"
    assert write(place, ["index", "pages/a", "pages/b/c"]) == ("index", "pages/a", "pages/b/c")
    (place / "mine").write_text("mine")
    write(place, ["index", "pages/d"], "second")
    found = content(place)
    assert json.loads(found.pop("album.json")) == {"files": ["index", "pages/d"]}
    assert found == {"index": "second", "pages/d": "second", "mine": "mine"}
    assert not (place / "pages" / "b").exists()
    assert [path.name for path in place.parent.iterdir()] == ["album"]


def test_a_body_that_raises_changes_nothing(tmp_path):
    place = tmp_path / "album"
    write(place, ["index"])
    before = content(tmp_path)

    def half():
        with written_whole(place, KIND) as draft:
            (draft.path / "index").write_text("half")
            raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        half()
    assert content(tmp_path) == before


def test_a_build_that_is_cut_off_while_it_moves_is_mended_by_the_next(tmp_path, monkeypatch):
    place = tmp_path / "album"
    write(place, ["index", "pages/old"])
    real = os.replace

    def failing(source, target):
        if str(target).endswith("pages/z"):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr("genbench.report.folder.os.replace", failing)
    with pytest.raises(StoreError, match="No space left on device; choose another --to"):
        write(place, ["index", "pages/y", "pages/z"])
    monkeypatch.undo()
    write(place, ["index"])
    assert set(content(tmp_path)) == {"album/index", "album/album.json"}


def listed(place, *names):
    place.mkdir(exist_ok=True)
    (place / "album.json").write_text(json.dumps({"files": names}))


def a_folder_where_a_file_goes(place):
    listed(place, "pages/a")
    (place / "pages" / "a" / "b").mkdir(parents=True)
    return "pages/a is in the way"


def a_file_of_ones_own(place):
    listed(place)
    (place / "pages").mkdir()
    (place / "pages" / "a").write_text("mine")
    return "pages/a is in the way, and no album wrote it"


def a_linked_folder(place):
    listed(place, "pages/a")
    (place.parent / "elsewhere").mkdir()
    (place / "pages").symlink_to(place.parent / "elsewhere")
    return "pages is in the way"


def a_linked_file(place):
    listed(place, "index")
    (place.parent / "elsewhere").write_text("mine")
    (place / "index").symlink_to(place.parent / "elsewhere")
    return "index is in the way"


def a_file_where_a_folder_goes(place):
    listed(place, "pages")
    (place / "pages").write_text("x")
    return "pages is in the way"


def a_file_in_its_place(place):
    place.write_text("x")
    return "is a file"


def other_files(place):
    place.mkdir()
    (place / "thesis.tex").write_text("years of work")
    return "holds other files"


def a_broken_list(place):
    place.mkdir()
    (place / "album.json").write_text("[")
    return "does not list the files of a album"


@pytest.mark.parametrize(
    "obstacle",
    [
        a_folder_where_a_file_goes, a_file_of_ones_own, a_linked_folder, a_linked_file,
        a_file_where_a_folder_goes, a_file_in_its_place, other_files, a_broken_list,
    ],
)  # fmt: skip
def test_what_no_build_wrote_is_never_written_over(tmp_path, obstacle):
    place = tmp_path / "album"
    message = obstacle(place)
    before = content(tmp_path)
    with pytest.raises(UsageError, match=re.escape(message)):
        write(place, ["index", "pages/a"])
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["../victim", "pages/../../victim", "{}", "other"])
def test_a_list_cannot_name_files_outside(tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_text("keep")
    listed(tmp_path / "album", name.format(victim))
    (tmp_path / "album" / "other").write_text("keep")
    write(tmp_path / "album", ["index"])
    assert victim.read_text() == "keep"
    assert (tmp_path / "album" / "other").read_text() == "keep"
