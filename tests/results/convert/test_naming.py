from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.results.convert.naming import Names, picture_name, safe_parts
from ovdet_cli.results.record import frame_record, parse_record, readable
from tests.wild_records import blank_frame, texts, two_finds, video_frame


def record_of(source, frame=None):
    frame = replace(blank_frame() if frame is None else frame, source=source)
    return parse_record(frame_record(frame, two_finds(), ["cat", "dog"]))


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("a.jpg", ["a.jpg"]),
        ("kitchen/a b ü.jpg", ["kitchen", "a b ü.jpg"]),
        ("../../a.jpg", ["%2E%2E", "%2E%2E", "a.jpg"]),
        ("/etc/a.jpg", ["etc", "a.jpg"]),
        ("..\\a.jpg", ["..%5Ca.jpg"]),
        ("C:/a.jpg", ["C%3A", "a.jpg"]),
        ("a\n\0.jpg", ["a%0A%00.jpg"]),
        ("", ["%"]),
        ("//", ["%"]),
        ("100%.jpg", ["100%.jpg"]),
    ],
)
def test_parts_are_names_of_files(source, parts):
    assert safe_parts(source) == parts


def test_a_name_that_is_too_long_keeps_its_suffix_and_stays_unlike_others():
    one, other = safe_parts("x" * 300 + "1.jpg"), safe_parts("x" * 300 + "2.jpg")
    assert one != other
    assert one[0].endswith(".jpg")
    assert len(one[0].encode()) < 200
    assert len("/".join(safe_parts("long/" * 1000 + "a.jpg"))) < 300


@given(st.lists(texts | st.sampled_from(["a.jpg", "a.png", "a", "a.txt", "a.txt/b", "A.jpg"]), max_size=8))
def test_every_picture_has_a_file_of_its_own(sources):
    names = Names()
    places = [names.place(record_of(readable(source)), ".txt") for source in sources]
    assert len({str(place).casefold() for place in places}) == len(places)
    folders = {str(parent) for place in places for parent in place.parents}
    for place in places:
        assert not place.is_absolute()
        assert not {".", ".."} & set(place.parts)
        assert str(place) not in folders


def test_the_second_of_one_stem_keeps_its_suffix():
    names = Names()
    sources = ["a.jpg", "a.png", "a.png", "b/a.jpg"]
    assert [str(names.place(record_of(source), ".txt")) for source in sources] == [
        *("a.txt", "a.png.txt", "a.png-2.txt", "b/a.txt")
    ]


def test_frames_of_a_video_are_in_a_folder_of_its_name():
    record = record_of("day/clip.mp4", video_frame(123))
    assert Names().place(record, ".xml") == PurePosixPath("day/clip.mp4/000123.xml")
    assert picture_name(record) == "day/clip.mp4/000123.jpg"
    assert picture_name(record_of("a.png")) == "a.png"


def test_videos_keep_their_whole_name():
    names = Names()
    assert [str(names.place_video(source, ".txt")) for source in ("a.mp4", "a.mov", "A.mp4")] == [
        *("a.mp4.txt", "a.mov.txt", "A.mp4-2.txt")
    ]
