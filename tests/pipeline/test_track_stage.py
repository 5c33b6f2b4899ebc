"""The stage between detection and writing: one tracker a video, weak detections, frames between samples."""

from collections.abc import Generator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ovdet_cli.detections import Detections, Mask
from ovdet_cli.errors import UsageError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.models.ops.selection import ClassRules
from ovdet_cli.pipeline.stream import Begin, End, Found, Result
from ovdet_cli.pipeline.track_stage import Tracking, plan_tracking, track_frames
from ovdet_cli.tracking.settings import TrackSettings

CLIP = SourceInfo("clip.mp4", Path("clip.mp4"), "video")
PICTURE = SourceInfo("a.png", Path("a.png"), "image")
SIZE_HW = (100, 200)


def found(*rows: tuple[float, float, int], masks: bool = False) -> Detections:
    """Detections of (x, score, class): squares of 40 pixels with a mask of the left half."""
    boxes = np.array([(x, 20, x + 40, 60) for x, *_ in rows], np.float32).reshape(-1, 4)
    pieces = [Mask.from_piece(np.ones((40, 20), bool), int(x), 20, SIZE_HW) for x, *_ in rows] if masks else None
    scores, class_ids = (np.array([row[k] for row in rows], t) for k, t in ((1, np.float32), (2, np.int64)))
    return Detections(boxes, scores, class_ids, pieces)


def frame(index: int, *, is_sampled: bool = True) -> Frame:
    return replace(Frame.without_pixels(SIZE_HW, CLIP.name, index, Fraction(index, 30)), is_sampled=is_sampled)


def tracking(record: float = 0.5, high: float = 0.5, **options: object) -> Tracking:
    thresholds = np.full(3, high, np.float32), np.full(3, record, np.float32)
    return Tracking(TrackSettings(high=high, low=high / 2), record, *thresholds, **options)  # type: ignore[arg-type]


def through(steps: list[Result], how: Tracking) -> list[Result]:
    def stream() -> Generator[Result, None, None]:
        yield from steps

    return list(track_frames(stream(), how))


def detections_of(results: list[Result]) -> list[Detections]:
    return [result.detections for result in results if isinstance(result, Found)]


def test_each_video_starts_anew_and_pictures_pass_untouched() -> None:
    picture = Found(Frame.without_pixels(SIZE_HW, "a.png", 0, None), found((0, 0.9, 0)))
    video: list[Result] = [Begin(CLIP), *(Found(frame(i), found((50, 0.9, 0))) for i in range(3)), End(CLIP)]
    steps: list[Result] = [Begin(PICTURE), picture, End(PICTURE), *video, Failure("b.mp4", "broken"), *video]
    results = through(steps, tracking())
    assert results[1] is picture
    assert [type(one) for one in results] == [type(one) for one in steps]
    assert [d.track_ids.tolist() for d in detections_of(results)[1:] if d.track_ids is not None] == [[1]] * 6


def test_no_object_goes_on_across_a_cut_and_no_id_comes_twice() -> None:
    def shot(begin: int, cut_at: int | None = None) -> list[Result]:
        frames = [frame(i) for i in range(begin, begin + 5)]
        return [Found(replace(one, is_cut=one.index == cut_at), found((50, 0.9, 0), (120, 0.8, 1))) for one in frames]

    ids = [d.track_ids for d in detections_of(through([Begin(CLIP), *shot(0), *shot(5, cut_at=5)], tracking()))]
    assert [i.tolist() for i in ids if i is not None] == [[1, 2]] * 5 + [[3, 4]] * 5
    # The cut may fall onto a frame that is only drawn: what was found before it is not drawn onto it.
    drawn = Found(replace(frame(5, is_sampled=False), is_cut=True), Detections.empty())
    got = detections_of(through([Begin(CLIP), *shot(0), drawn, Found(frame(6), found((50, 0.9, 0)))], tracking()))
    assert len(got[5]) == 0
    assert got[6].track_ids is not None and got[6].track_ids.tolist() == [3]


def test_weak_detections_of_strong_tracks_are_recorded_and_no_others() -> None:
    # Object 1 fades for a moment; something weak stands beside it all the time.
    scores = [0.4 if i in (15, 16) else 0.9 for i in range(30)]
    steps: list[Result] = [Begin(CLIP)]
    steps += [Found(frame(i), found((20 + i, score, 0), (150, 0.4, 1))) for i, score in enumerate(scores)]
    got = detections_of(through(steps, tracking()))
    assert [d.track_ids.tolist() for d in got if d.track_ids is not None] == [[1]] * 30
    assert all(d.scores[0] > 0.5 for d in got)
    weaker = detections_of(through(steps, tracking(record=0.3)))
    assert [d.track_ids.tolist() for d in weaker if d.track_ids is not None] == [[1, -1]] * 30


def test_a_track_that_stays_weak_fades_out_of_the_records() -> None:
    steps: list[Result] = [Begin(CLIP), *(Found(frame(i), found((50, 0.9 if i < 10 else 0.3, 0))) for i in range(60))]
    counts = [len(d) for d in detections_of(through(steps, tracking()))]
    assert counts[:12] == [1] * 12
    assert counts[-1] == 0
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("masks", [False, True])
def test_boxes_and_masks_move_between_samples_and_leave_the_picture(masks: bool) -> None:
    steps: list[Result] = [Begin(CLIP)]
    for i in range(31):
        is_sampled = i % 3 == 0
        held = found((20 + 4 * (i - i % 3), 0.9, 0), masks=masks)
        steps.append(Found(frame(i, is_sampled=is_sampled), held))
    got = detections_of(through(steps, tracking()))
    for i in range(12, 30):
        np.testing.assert_allclose(got[i].boxes_xyxy[0, 0], 20 + 4 * i, atol=2.5)
        assert got[i].track_ids is not None and got[i].track_ids.tolist() == [1]
        assert (got[i].boxes_xyxy[:, 2] <= SIZE_HW[1]).all()
        if masks:
            assert got[i].masks is not None
            columns = np.flatnonzero(got[i].masks[0].bitmap().any(axis=0))
            assert abs(columns[0] - got[i].boxes_xyxy[0, 0]) <= 1
            assert len(columns) == 20
    still = detections_of(through(steps, tracking(moves=False)))
    np.testing.assert_array_equal(still[13].boxes_xyxy, still[12].boxes_xyxy)
    gone = [*steps, *(Found(frame(31 + i, is_sampled=False), found()) for i in range(40))]
    assert len(detections_of(through(gone, tracking()))[-1]) == 0


def test_the_detector_is_lowered_and_the_records_are_not() -> None:
    rules = ClassRules(
        torch.tensor([float("nan"), 0.8, 0.1]),
        torch.zeros(3),
        torch.full((3,), ClassRules.NO_LIMIT),
        torch.zeros(3) > 0,
    )

    def lowered_above(threshold: float) -> SimpleNamespace:
        return SimpleNamespace(lowered=threshold)

    words = SimpleNamespace(
        names=["a", "b", "c"],
        classes=rules,
        thresholds_C=np.array([np.nan, 0.8, 0.1], np.float32),
        recorded_above=lowered_above,
    )

    @staticmethod
    def detector(threshold: float) -> SimpleNamespace:
        from ovdet_cli.models.spec import Rules

        return SimpleNamespace(rules=Rules(threshold, 0.5, 100, False))

    one = detector(0.5)
    how, ready = plan_tracking(one, words, 0.5, 2.0)  # type: ignore[arg-type]
    assert (one.rules.threshold, ready.lowered) == (0.25, 0.25)  # type: ignore[attr-defined]
    assert (how.record_threshold, how.settings.lost_s, how.settings.high, how.settings.low) == (0.5, 2, 0.5, 0.25)
    np.testing.assert_allclose(how.high_C, [0.5, 0.8, 0.1])
    np.testing.assert_allclose(how.recorded_C, [0.5, 0.8, 0.1])
    low = detector(0.1)
    how, _ = plan_tracking(low, words, 0.5)  # type: ignore[arg-type]
    assert (low.rules.threshold, how.record_threshold) == (0.1, 0.1)
    with pytest.raises(UsageError, match="cannot be lost"):
        plan_tracking(detector(0.5), words, 0.5, -1)  # type: ignore[arg-type]
