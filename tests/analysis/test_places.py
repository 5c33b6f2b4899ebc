from pathlib import Path

import pytest

from ovdet_cli.analysis.places import Places


def test_a_file_lies_below_the_root_or_elsewhere(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.jpg").write_bytes(b"")
    places = Places.of_run({"inputs": {"root": str(tmp_path), "elsewhere": {"c.jpg": "/else/c.jpg"}}})
    assert places.find("a/b.jpg") == places.existing("a/b.jpg") == tmp_path / "a" / "b.jpg"
    assert places.find("c.jpg") == Path("/else/c.jpg")
    assert places.existing("c.jpg") is None
    assert places.existing("a") is None


def test_files_that_have_moved_lie_below_the_new_root(tmp_path):
    places = Places.of_run({"inputs": {"root": "/old", "elsewhere": {"c.jpg": "/else/c.jpg"}}}, tmp_path)
    assert places.find("c.jpg") == tmp_path / "c.jpg"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b", "a\0b", ".."])
def test_no_name_leads_out_of_the_root(tmp_path, name):
    assert Places(tmp_path / "deep").find(name) is None


@pytest.mark.parametrize("name", ["x" * 300, "\ud800", "", "."])
def test_a_name_that_no_file_can_have_is_not_there(tmp_path, name):
    assert Places(tmp_path).existing(name) is None
    assert Places(elsewhere={name: "a\0b"}).existing(name) is None


@pytest.mark.parametrize("info", [{}, {"inputs": None}, {"inputs": []}, {"inputs": {"root": 5, "elsewhere": ["x"]}}])
def test_where_nothing_tells_there_is_no_place(info):
    assert Places.of_run(info).find("a.jpg") is None
