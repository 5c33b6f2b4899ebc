"""Trails and the ruler: where they are drawn, and that nothing else changes."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ovdet_cli.detections import Detections
from ovdet_cli.frame import Frame, SourceInfo
from ovdet_cli.render import annotate
from ovdet_cli.render.annotate import VideoSink
from ovdet_cli.render.colours import track_colour
from ovdet_cli.render.draw import DrawStyle
from ovdet_cli.render.ruler import Ruler
from ovdet_cli.render.trails import Trails

SIZE = (360, 640)
LABELS = ["cat", "dog"]


def frame(index: int, size_hw: tuple[int, int] = SIZE, *, is_cut: bool = False) -> Frame:
    return Frame(np.full((*size_hw, 3), 128, np.uint8), "a.mp4", index, Fraction(index, 25), is_cut=is_cut)


def at(x: float, y: float, track_id: int = 3) -> Detections:
    box = np.array([[x - 10, y - 10, x + 10, y + 10]], np.float32)
    return Detections(box, np.array([0.9], np.float32), np.array([0]), None, np.array([track_id]))


def drawn(trails: Trails, index: int) -> np.ndarray:
    canvas = frame(index).image.copy()
    trails.draw(canvas, Fraction(index, 25))
    return canvas


def test_a_trail_runs_along_the_centres_and_fades() -> None:
    trails = Trails(LABELS, DrawStyle(trails_s=2))
    for i in range(50):
        trails.follow(frame(i), at(100 + 8 * i, 200))
    canvas = drawn(trails, 49)
    colour = np.array(track_colour(3), int)
    strength = np.abs(canvas[200].astype(int) - 128).sum(axis=1)
    assert strength[110:490].all() and not strength[:95].any() and not strength[500:].any()
    assert strength[480] > strength[300] > strength[150]
    np.testing.assert_allclose(canvas[200, 480], 128 + (colour - 128) * 0.83125, atol=3)
    assert (canvas[:190] == 128).all() and (canvas[210:] == 128).all()


def test_old_points_go_and_a_thing_at_rest_or_without_an_id_has_no_trail() -> None:
    trails = Trails(LABELS, DrawStyle(trails_s=1))
    for i in range(20):
        trails.follow(frame(i), at(100 + 8 * i, 100))
    for i in range(20, 60):
        trails.follow(frame(i), at(300, 300, track_id=7 if i < 40 else -1))
    assert (drawn(trails, 59) == 128).all()
    trails.follow(frame(60), Detections.empty())
    assert (drawn(trails, 60) == 128).all()


def test_a_new_shot_begins_without_trails() -> None:
    trails = Trails(LABELS, DrawStyle(trails_s=2))
    for i in range(10):
        trails.follow(frame(i), at(100 + 20 * i, 100))
    trails.follow(frame(10, is_cut=True), at(500, 300))
    assert (drawn(trails, 10) == 128).all()


def test_a_trail_that_leaves_the_picture_is_cut_off() -> None:
    trails = Trails(LABELS, DrawStyle(trails_s=2))
    for i in range(10):
        trails.follow(frame(i), at(-2000 + 500 * i, -900 + 200 * i))
    assert (drawn(trails, 9) != 128).any()


def test_the_ruler_shows_what_was_found_so_far() -> None:
    ruler = Ruler(LABELS, DrawStyle(), Fraction(10), Fraction(4))
    for i in range(100):
        canvas = frame(i).image.copy()
        ruler.draw(canvas, 10 + Fraction(i, 25), at(300, 300) if 25 <= i < 50 else Detections.empty())
        assert (canvas[:300] == 128).all()
        coloured = np.flatnonzero((canvas == track_colour(3)).all(axis=2).any(axis=0))
        if i < 25:
            assert not len(coloured)
    assert 120 < coloured[0] < coloured[-1] < 420
    middle = (coloured[0] + coloured[-1]) / 2
    bar = np.flatnonzero((canvas == 165).all(axis=2).sum(axis=0) > 3)
    assert bar[-1] > coloured[-1] > middle > bar[0]
    assert coloured[-1] - coloured[0] == pytest.approx(0.25 * (bar[-1] - bar[0]), rel=0.1)


@pytest.mark.parametrize("size_hw", [(1, 1), (7, 2000), (20, 30), (121, 91), (49, 301), (720, 1280)])
@pytest.mark.parametrize("length_s", [None, Fraction(0), Fraction(1, 10), Fraction(7200)])
def test_the_ruler_on_pictures_of_any_size(size_hw: tuple[int, int], length_s: Fraction | None) -> None:
    ruler = Ruler(LABELS, DrawStyle(), Fraction(-1, 25), length_s)
    for i in (-1, 0, 5, 400):
        ruler.draw(frame(0, size_hw).image.copy(), Fraction(i, 25), at(3, 3))


def test_a_video_has_both_and_a_picture_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Writer:
        frames: list[np.ndarray] = []  # noqa: RUF012
        notes: list[str] = []  # noqa: RUF012

        def __init__(self, path: Path, source: Path, **settings: object) -> None: ...

        def write(self, image: np.ndarray, time_s: Fraction) -> None:
            self.frames.append(image)

        def close(self, **settings: object) -> None: ...

    monkeypatch.setattr(annotate, "VideoWriter", Writer)
    monkeypatch.setattr(annotate, "length_s", lambda source: Fraction(8, 25))
    style = DrawStyle(boxes=False, labels=False, trails_s=2, has_ruler=True)
    for _ in range(2):  # nothing of the first video is left in the second
        Writer.frames.clear()
        with VideoSink(tmp_path, LABELS, style, False) as sink:
            sink.begin(SourceInfo("a.mp4", tmp_path / "a.mp4", "video"))
            for i in range(8):
                sink.write(frame(i), at(100 + 40 * i, 100))
            sink.end(SourceInfo("a.mp4", tmp_path / "a.mp4", "video"))
        assert (Writer.frames[0][100] == 128).all() and (Writer.frames[7][100, 120:360] != 128).any(axis=1).all()
        assert all((image[-10] != 128).any() for image in Writer.frames)
