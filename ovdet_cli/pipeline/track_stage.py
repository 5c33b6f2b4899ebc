"""Tracking as a stage of a run: between detection and writing, one tracker a video.

The detector runs at half the threshold, so that weak detections can prolong tracks (ByteTrack). Score and label of a
detection with a track are then the track's (smoothed, voted); the records hold what is above the record threshold by
that score, whoever found it. So a weak detection is recorded, and drawn, where it is part of a track that is strong.
Nothing is rewritten: a frame's labels are those voted when it was written.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from ovdet_cli.detections import Detections, Mask
from ovdet_cli.detector.detector import Detector
from ovdet_cli.detector.words import Words
from ovdet_cli.frame import Frame
from ovdet_cli.pipeline.stream import Begin, Found, Result
from ovdet_cli.tracking.settings import TrackSettings
from ovdet_cli.tracking.tracker import Tracker

_WEAK_SHARE = 0.5
"""Of the threshold: from there on detections take part."""


@dataclass(frozen=True, eq=False)
class Tracking:
    """How a run tracks.

    record_threshold: the records' own; the detector's is lower. high_C, recorded_C: float32 (C,), the scores above
    which a class is strong, and recorded. moves: whether boxes go on by the motion model in frames not analysed.
    """

    settings: TrackSettings
    record_threshold: float
    high_C: np.ndarray
    recorded_C: np.ndarray
    moves: bool = True


def plan_tracking(
    detector: Detector, words: Words, threshold: float, lost_s: float = TrackSettings.lost_s
) -> tuple[Tracking, Words]:
    """How to track with these words; lowers the detector's threshold, and that of the words that come back.

    threshold: above it detections are drawn, and begin tracks. UsageError: the time is negative.
    """
    settings = TrackSettings(lost_s=lost_s, high=threshold, low=_WEAK_SHARE * threshold)
    recorded = np.full(len(words.names), detector.rules.threshold, np.float32)
    if words.classes is not None:
        own = words.classes.threshold_C.cpu().numpy()
        recorded = np.where(np.isnan(own), recorded, own)
    high = np.full(len(words.names), threshold, np.float32)
    if words.thresholds_C is not None:
        high = np.where(np.isnan(words.thresholds_C), high, words.thresholds_C)
    tracking = Tracking(settings, detector.rules.threshold, high, recorded)
    lowered = min(detector.rules.threshold, settings.low)
    detector.rules = replace(detector.rules, threshold=lowered)
    return tracking, words.recorded_above(lowered)


def track_frames(results: Generator[Result, None, None], tracking: Tracking) -> Generator[Result, None, None]:
    """Puts track ids to what was found in video frames; pictures and everything else pass."""
    tracker, last = Tracker(tracking.settings), Detections.empty()
    with closing(results):  # an error here ends the stage before this one too
        for result in results:
            if isinstance(result, Begin):
                tracker, last = Tracker(tracking.settings), Detections.empty()
            if not isinstance(result, Found) or result.frame.time_s is None:
                yield result
                continue
            if result.frame.is_cut:
                tracker.cut()
                last = Detections.empty()
            if result.frame.is_sampled:
                last = _tracked(tracker, result.detections, float(result.frame.time_s), tracking)
                yield replace(result, detections=last)
            else:
                held = _moved(tracker, last, result.frame) if tracking.moves else last
                yield replace(result, detections=held)


def _tracked(tracker: Tracker, found: Detections, time_s: float, tracking: Tracking) -> Detections:
    """What the records hold of an analysed frame."""
    is_high = found.scores > tracking.high_C[found.class_ids]
    result = tracker.update(found, time_s, is_high).result
    return result.select(result.scores > tracking.recorded_C[result.class_ids])


def _moved(tracker: Tracker, last: Detections, frame: Frame) -> Detections:
    """The last detections where they are by now; what has left the picture is gone."""
    if frame.time_s is None or not len(last):
        return last
    height, width = frame.size_hw
    boxes = tracker.moved(last, float(frame.time_s))
    shifts = (boxes[:, :2] + boxes[:, 2:] - last.boxes_xyxy[:, :2] - last.boxes_xyxy[:, 2:]) / 2
    clipped = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)
    is_inside = (clipped[:, 2:] - clipped[:, :2] >= 1).all(axis=1) | (boxes == last.boxes_xyxy).all(axis=1)
    masks = last.masks
    if masks is not None:
        pixels = np.rint(shifts).astype(np.int64).tolist()
        rows = zip(masks, last.boxes_xyxy, pixels, is_inside, strict=True)
        masks = [_shifted(mask, box, dx, dy) if kept else mask for mask, box, (dx, dy), kept in rows]
    return replace(last, boxes_xyxy=clipped, masks=masks).select(is_inside)


def _shifted(mask: Mask, box: np.ndarray, dx: int, dy: int) -> Mask:
    """The mask with the part inside its box moved by whole pixels; what leaves the picture is cut."""
    if not dx and not dy:
        return mask
    height, width = mask.size_hw
    left, top = (max(0, int(np.floor(v)) - 1) for v in box[:2])
    right, bottom = min(width, int(np.ceil(box[2])) + 1), min(height, int(np.ceil(box[3])) + 1)
    left, top = max(left, -dx), max(top, -dy)
    right, bottom = min(right, width - dx), min(bottom, height - dy)
    if right <= left or bottom <= top:
        return Mask.from_piece(np.zeros((0, 0), bool), 0, 0, mask.size_hw)
    return Mask.from_piece(mask.crop(left, top, right, bottom), left + dx, top + dy, mask.size_hw)
