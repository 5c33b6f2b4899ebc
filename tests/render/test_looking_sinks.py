"""Crops, stills and clips: which files a run of frames gives, and what the tables say of them."""

import csv
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.detections import Detections
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media.cut import Cut
from ovdet_cli.media.images import read_image
from ovdet_cli.render import clips
from ovdet_cli.render.clips import ClipsSink
from ovdet_cli.render.crops_sink import CropsSink
from ovdet_cli.render.draw import DrawStyle, draw_detections
from ovdet_cli.render.stills import StillsSink
from ovdet_cli.render.tables import file_name
from tests.media.clips import make_clip

LABELS = ["cat", "a/b: c", "dog"]
STYLE = DrawStyle()


def frame(index: int = 0, source: str = "in/a.mp4", fps: int = 25, *, is_reused: bool = False) -> Frame:
    cells = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)  # noise would be a poor JPEG
    image = np.kron(cells, np.ones((16, 16, 1), np.uint8))[:90, :121]
    time_s = Fraction(index, fps) if source.endswith("mp4") else None
    return Frame(image, source, index, time_s, is_reused=is_reused)


def found(*things: tuple[int, float, int | None]) -> Detections:
    """Class, score and track id of each."""
    n = len(things)
    boxes = np.array([(10 + 5 * i, 20, 40 + 5 * i, 60) for i in range(n)], np.float32).reshape(n, 4)
    ids = [id_ for _, _, id_ in things]
    tracks = None if None in ids or not ids else np.array(ids, np.int64)
    scores, classes = (np.array([thing[k] for thing in things]) for k in (1, 0))
    return Detections(boxes, scores.astype(np.float32), classes.astype(np.int64), None, tracks)


def source(name: str = "in/a.mp4", path: Path = Path("a.mp4")) -> SourceInfo:
    return SourceInfo(name, path, "video" if name.endswith("mp4") else "image")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.suffix != ".csv")


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_any_text_is_a_file_name_of_its_own(one: str, two: str) -> None:
    for text in (one, two):
        name = file_name(text)
        assert 0 < len(name.encode()) < 200 and not set(name) & set('/\\:*?"<>|\0') and name.strip(". ") == name
    assert (file_name(one) == file_name(two)) == (one == two)


def test_names_that_are_fine_stay() -> None:
    assert [file_name(text) for text in ("traffic light", "猫", "a.mp4")] == ["traffic light", "猫", "a.mp4"]
    assert file_name("con") != "con" and file_name("..") not in ("..", "")


def test_every_detection_is_cut_out(tmp_path: Path) -> None:
    with CropsSink(tmp_path, LABELS, STYLE, 0.1, best_of_track=True) as sink:
        sink.begin(source("b.png"))
        sink.write(frame(source="b.png"), found((0, 0.9, None), (1, 0.8, None)))
        sink.end(source("b.png"))
        sink.begin(source())
        sink.write(frame(7), found((0, 0.7, None)))
        sink.write(frame(8, is_reused=True), found((0, 0.7, None)))
        sink.skip(Failure("in/a.mp4", "broken", 9))
        sink.end(source())
    table = rows(tmp_path / "crops.csv")
    assert [row["file"] for row in table] == [
        "crops/cat/b.png-0-0.jpg",
        f"crops/{file_name('a/b: c')}/b.png-0-1.jpg",
        f"crops/cat/{file_name('in/a.mp4')}-000007-0.jpg",
    ]
    assert files(tmp_path) == sorted(row["file"] for row in table)
    assert [row["label"] for row in table] == ["cat", "a/b: c", "cat"]
    assert (table[2]["time_s"], table[2]["score"], table[2]["x1"], table[2]["track_id"]) == ("0.28", "0.7", "10.0", "")
    crop = read_image(tmp_path / table[0]["file"])
    assert crop.shape == (48, 38, 3)  # a box of 30x40 and 4 pixels around it
    assert np.abs(crop.astype(int) - frame().image[16:64, 6:44]).mean() < 10


def test_of_a_track_the_surest_crop_is_kept(tmp_path: Path) -> None:
    with CropsSink(tmp_path, LABELS, STYLE, 0.0, best_of_track=True) as sink:
        sink.begin(source())
        for i, score in enumerate((0.5, 0.9, 0.6)):
            sink.write(frame(i), found((0, score, 4), (2, 0.5, -1)))
        for i in range(100, 200):
            sink.write(frame(i), found((2, 0.3 + i / 1000, 5)))
        assert files(tmp_path) == [f"crops/cat/{file_name('in/a.mp4')}-000001-0.jpg"]  # out of sight: out of memory
        sink.write(frame(200), found((2, 0.95, 4)))  # it is back, called otherwise
        sink.end(source())
    assert [(row["track_id"], row["index"], row["label"]) for row in rows(tmp_path / "crops.csv")] == [
        ("4", "200", "dog"),
        ("5", "199", "dog"),
    ]
    assert files(tmp_path) == sorted(row["file"] for row in rows(tmp_path / "crops.csv"))
    with CropsSink(tmp_path / "all", LABELS, STYLE, 0.0, best_of_track=False) as sink:
        sink.begin(source())
        for i in range(3):
            sink.write(frame(i), found((0, 0.5, 4), (2, 0.5, -1)))
    assert len(files(tmp_path / "all")) == 6


def stills_of(folder: Path, seen: list[tuple[int, dict[int, float]]], fps: int = 25) -> list[tuple[str, str]]:
    with StillsSink(folder, LABELS, STYLE) as sink:
        sink.begin(source())
        for index, scores in seen:
            sink.write(frame(index, fps=fps), found(*((class_id, score, None) for class_id, score in scores.items())))
        sink.end(source())
    return [(row["index"], row["labels"]) for row in rows(folder / "stills.csv")]


def test_a_thing_that_stays_gives_one_still_of_its_surest_frame(tmp_path: Path) -> None:
    seen = [(i, {} if i % 3 == 2 else {0: 0.9 if i == 30 else 0.5}) for i in range(100)]
    assert stills_of(tmp_path, seen) == [("30", "cat")]
    (row,) = rows(tmp_path / "stills.csv")
    assert row["file"] == "stills/in/a.mp4-000030.jpg" and (row["from_s"], row["until_s"]) == ("0.0", "3.96")
    drawn = draw_detections(frame(30).image, found((0, 0.9, None)), LABELS, STYLE)
    assert np.abs(read_image(tmp_path / row["file"]).astype(int) - drawn).mean() < 10


def test_something_new_begins_an_episode_and_something_gone_does_not(tmp_path: Path) -> None:
    seen = [(i, {0: 0.5} | ({2: 0.6} if 40 <= i < 45 or i >= 90 else {})) for i in range(120)]
    assert stills_of(tmp_path, seen) == [("0", "cat"), ("40", "cat; dog"), ("90", "cat; dog")]


def test_after_a_gap_the_same_thing_is_new(tmp_path: Path) -> None:
    seen = [(i, {0: 0.5} if i < 10 or i > 60 else {}) for i in range(90)]
    assert [index for index, _ in stills_of(tmp_path, seen)] == ["0", "61"]
    # Frames that lie far apart are no gap by themselves.
    sparse = [(i, {} if i == 3 else {0: 0.5}) for i in range(8)]
    assert len(stills_of(tmp_path / "sparse", [(10 * i, s) for i, s in sparse], fps=1)) == 1


def test_an_interruption_keeps_the_still_under_way_and_pictures_give_none(tmp_path: Path) -> None:
    sink = StillsSink(tmp_path, LABELS, STYLE)
    sink.begin(source("b.png"))
    sink.write(frame(source="b.png"), found((0, 0.9, None)))
    sink.end(source("b.png"))
    sink.begin(source())
    sink.write(frame(3), found((0, 0.9, None)))
    sink.close()
    assert [row["index"] for row in rows(tmp_path / "stills.csv")] == ["3"]


def hits(folder: Path, path: Path, indices: set[int], padding_s: float = 0.2, last: int = 250) -> list[dict[str, str]]:
    with ClipsSink(folder, LABELS, STYLE, Fraction(padding_s).limit_denominator(100)) as sink:
        info = source("in/" + path.name, path)
        sink.begin(info)
        for i in range(last):
            sink.write(frame(i, info.name), found((0, 0.9, None), (2, 0.8, None)) if i in indices else found())
        sink.end(info)
    return rows(folder / "clips.csv")


def test_parts_with_findings_become_clips(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", ticks=range(0, 250 * 3600, 3600), options={"g": "25"}, audio="aac")
    one, two = hits(tmp_path / "run", path, {60, 61, 80, 200})
    assert (one["file"], two["file"]) == ("clips/in/a-0001.mp4", "clips/in/a-0002.mp4")
    assert files(tmp_path / "run") == [one["file"], two["file"]]
    assert (one["first_s"], one["last_s"], one["labels"], one["detections"], one["is_copy"]) == (
        "2.4", "3.2", "cat; dog", "6", "True",
    )  # fmt: skip
    assert 1 <= float(one["from_s"]) <= 2.2 and 3.4 <= float(one["until_s"]) < 3.6
    assert not hits(tmp_path / "none", path, set())


def test_what_cannot_be_copied_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(tmp_path / "a.mp4", ticks=range(0, 250 * 3600, 3600), options={"g": "25"})
    monkeypatch.setattr(clips, "cut_video", lambda *_: Cut(uncopied=[0]))
    (row,) = hits(tmp_path / "run", path, {100})
    assert (row["is_copy"], row["from_s"], row["until_s"]) == ("False", "3.8", "4.2")


def test_a_video_that_is_gone_is_noted(tmp_path: Path) -> None:
    assert hits(tmp_path / "run", tmp_path / "gone.mp4", {1}) == []
