"""Frames that take over detections: small changes are seen, noise is not, slow ones add up."""

from collections.abc import Generator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from ovdet_cli.detections import Detections
from ovdet_cli.errors import UsageError
from ovdet_cli.frame import Frame, SourceInfo
from ovdet_cli.pipeline.similar import LEVELS, SkipSimilar, mark_similar
from ovdet_cli.pipeline.stream import Begin, End, Found, Step, detect_frames
from ovdet_cli.results.record import frame_record

CLIP = SourceInfo("a.mp4", Path("a.mp4"), "video")
GROUND = cv2.resize(np.random.default_rng(0).integers(30, 220, (12, 20, 3), dtype=np.uint8), (640, 384))


def noisy(picture: np.ndarray, seed: int, sigma: float = 5.0) -> np.ndarray:
    return np.clip(picture + np.random.default_rng(seed).normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def with_box(x: int, y: int = 100, side: int = 12, shade: int = 255) -> np.ndarray:
    picture = GROUND.copy()
    picture[y : y + side, x : x + side] = shade
    return picture


def frames(pictures: Sequence[np.ndarray], per_second: int = 10) -> Generator[Step, None, None]:
    yield Begin(CLIP)
    for i, picture in enumerate(pictures):
        yield Frame(picture, "a.mp4", i, Fraction(i, per_second))
    yield End(CLIP)


def analysed(steps: Generator[Step, None, None], settings: SkipSimilar | None = None) -> list[int]:
    marked = mark_similar(steps, settings or SkipSimilar())
    return [step.index for step in marked if isinstance(step, Frame) and not step.is_reused]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("sigma", [0.0, 4.0, 12.0])
def test_noise_is_no_change(level: str, sigma: float) -> None:
    pictures = [noisy(GROUND, seed, sigma) for seed in range(20)]
    assert analysed(frames(pictures), SkipSimilar(level)) == [0]  # type: ignore[arg-type]


@pytest.mark.parametrize("sigma", [0.0, 4.0, 8.0])
def test_a_small_thing_is_seen_wherever_it_appears(sigma: float) -> None:
    for x in range(100, 120, 3):
        pictures = [noisy(picture, seed, sigma) for seed, picture in enumerate([GROUND] * 3 + [with_box(x)] * 3)]
        assert analysed(frames(pictures)) == [0, 3]


def test_a_slow_change_adds_up() -> None:
    pictures = [with_box(100, shade=i) for i in range(120, 200)]
    found = analysed(frames(pictures, 100))
    assert 2 < len(found) < 40


def test_a_move_of_a_pixel_is_seen_by_the_strict_level_alone() -> None:
    flat = np.full_like(GROUND, 100)
    pictures = [flat.copy(), flat.copy()]
    pictures[0][100:160, 100:160] = pictures[1][100:160, 101:161] = 140
    assert analysed(frames(pictures), SkipSimilar("strict")) == [0, 1]
    assert analysed(frames(pictures), SkipSimilar("loose", Fraction(60))) == [0]


def test_dimming_of_a_little_is_no_change_and_of_much_is() -> None:
    darker = [np.clip(GROUND.astype(int) - less, 0, 255).astype(np.uint8) for less in (0, 2, 4, 12)]
    assert analysed(frames(darker)) == [0, 3]


def test_it_is_refreshed_and_begins_anew_with_every_video() -> None:
    steps = [*frames([GROUND] * 30), *frames([GROUND] * 3)]
    assert analysed((step for step in steps), SkipSimilar(refresh_s=Fraction(1))) == [0, 10, 20, 0]


def test_unsampled_frames_and_pictures_are_left_alone() -> None:
    picture = SourceInfo("a.png", Path("a.png"), "image")
    steps: list[Step] = [
        Begin(picture), Frame(GROUND, "a.png"), End(picture), Begin(CLIP), Frame(GROUND, "a.mp4", 0, Fraction(0)),
        Frame(255 - GROUND, "a.mp4", 1, Fraction(1, 10), is_sampled=False), Frame(GROUND, "a.mp4", 2, Fraction(1, 5)),
    ]  # fmt: skip
    marked = list(mark_similar((step for step in steps), SkipSimilar()))
    assert [step.is_reused for step in marked if isinstance(step, Frame)] == [False, False, False, True]


def test_another_size_is_a_change_and_small_pictures_do() -> None:
    pictures = [GROUND, np.ascontiguousarray(GROUND[:-50]), GROUND[:1, :1].copy(), GROUND[:1, :1].copy()]
    assert analysed(frames(pictures)) == [0, 1, 2]


def test_settings_are_checked() -> None:
    with pytest.raises(UsageError, match="level"):
        SkipSimilar("lax")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="refresh"):
        SkipSimilar(refresh_s=Fraction(0))


class CountingDetector:
    """Finds one box, of a class that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def analyse(self, images: Sequence[np.ndarray], words: object, keep: object) -> list[tuple[Detections, None]]:
        results = []
        for _ in images:
            box, one = np.array([[0, 0, 1, 1]], np.float32), np.ones(1, np.float32)
            results.append((Detections(box, one, np.array([self.calls], np.int64)), None))
            self.calls += 1
        return results


@pytest.mark.parametrize("batch", [1, 4])
def test_reused_frames_hold_the_detections_before_them(batch: int) -> None:
    detector = CountingDetector()
    steps = mark_similar(frames([GROUND] * 3 + [with_box(50)] * 3), SkipSimilar())
    found = [r for r in detect_frames(steps, detector, None, batch) if isinstance(r, Found)]  # type: ignore[arg-type]
    assert [result.detections.class_ids.tolist() for result in found] == [[0]] * 3 + [[1]] * 3
    assert detector.calls == 2
    records = [frame_record(result.frame, result.detections, ["a", "b"]) for result in found]
    assert [record.get("reused") for record in records] == [None, True, True, None, True, True]


def test_a_cut_ends_what_was_found() -> None:
    steps = list(frames([GROUND] * 2))
    shot = Frame(GROUND, "a.mp4", 2, Fraction(1), is_sampled=False, is_cut=True)
    results = detect_frames((step for step in [*steps[:-1], shot]), CountingDetector(), None, 1)  # type: ignore[arg-type]
    assert [len(result.detections) for result in results if isinstance(result, Found)] == [1, 1, 0]
