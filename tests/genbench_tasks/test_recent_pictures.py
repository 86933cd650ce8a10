"""Pictures that are kept: so many bytes in memory, whole files on disk, none that is damaged."""

import pytest

from genbench_tasks.recent_pictures import RecentPictures

PNG = b"\x89PNG\r\n\x1a\n" + bytes(80) + b"IEND\xaeB`\x82"


@pytest.fixture
def drawn():
    return []


@pytest.fixture
def draw(drawn):
    def made(text):
        drawn.append(text)
        return PNG

    return made


def test_so_many_bytes_of_pictures_are_kept_and_no_more(draw, drawn):
    recent = RecentPictures(int(2.5 * len(PNG)), draw)
    for name in ("a", "b", "a", "c", "a", "b"):  # b is the oldest when c comes
        assert recent.file(name) == PNG
    assert drawn == ["a", "b", "c", "b"]
    assert recent._size == 2 * len(PNG)
    large = RecentPictures(len(PNG) - 1, draw)
    assert large.file("a") == PNG
    assert large._size == 0


def test_files_on_disk_are_drawn_once_and_damaged_ones_again(draw, drawn, tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_PICTURES", str(tmp_path / "kept"))

    def another_process():
        return RecentPictures(10_000, draw, "SOME_PICTURES")

    assert another_process().file("a") == PNG
    assert another_process().file("a") == PNG
    assert drawn == ["a"]
    (file,) = (tmp_path / "kept").rglob("*.png")
    file.write_bytes(PNG[:-20])  # as a full disk leaves it
    assert another_process().file("a") == PNG
    assert drawn == ["a", "a"]
    assert file.read_bytes() == PNG


def test_a_folder_that_cannot_be_written_costs_time_alone(draw, drawn, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SOME_PICTURES", str(tmp_path / "file"))
    for _ in range(2):
        assert RecentPictures(10_000, draw, "SOME_PICTURES").file("a") == PNG
    assert drawn == ["a", "a"]
