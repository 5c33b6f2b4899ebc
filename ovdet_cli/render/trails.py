"""Trails: where tracked objects came from, as lines behind them that fade with time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np

from ovdet_cli.detections import Detections
from ovdet_cli.frame import Frame
from ovdet_cli.render.colours import Colour
from ovdet_cli.render.draw import DrawStyle, line_width

_BANDS = 4  # steps of fading
_MOST_POINTS = 24
_OPACITY = 0.95  # of the newest
_FRACTION_BITS = 3  # OpenCV draws at eighths of a pixel, so that a slow trail does not jump
_LEAST_STEP = 0.002  # of the picture's longer side: closer points are one, and a thing at rest has no trail
_FAR = 30_000  # pixels: OpenCV's fixed point ends somewhere


@dataclass(eq=False)
class _Way:
    """Of one object. points: float64 (P, 3), time, x and y; the first `count` are used, the oldest first."""

    colour: Colour
    points: np.ndarray = field(default_factory=lambda: np.empty((_MOST_POINTS + 3, 3)))
    count: int = 0

    def add(self, time_s: float, x: float, y: float, step_s: float) -> None:
        """One point more, in place of the last one where that is younger than `step_s` behind the one before."""
        points, count = self.points, self.count
        if count > 1 and points[count - 1, 0] - points[count - 2, 0] < step_s:
            count -= 1
        elif count == len(points):
            self.drop(1)
            count = self.count
        points[count] = time_s, x, y
        self.count = count + 1

    def drop(self, number: int) -> None:
        """Forgets the oldest points."""
        self.points[: self.count - number] = self.points[number : self.count].copy()
        self.count -= number


class Trails:
    """The ways of the tracked objects of one video over its last seconds."""

    def __init__(self, labels: Sequence[str], style: DrawStyle) -> None:
        self._labels = labels
        self._style = style
        self._step_s = style.trails_s / _MOST_POINTS
        self._ways: dict[int, _Way] = {}

    def follow(self, frame: Frame, detections: Detections) -> None:
        """Takes note of where the objects are in a frame."""
        if frame.time_s is None or detections.track_ids is None:
            return
        if frame.is_cut:
            self._ways = {}
        now_s, least = float(frame.time_s), _LEAST_STEP * max(frame.size_hw)
        boxes = np.clip(np.nan_to_num(detections.boxes_xyxy), -_FAR, _FAR)
        centres = ((boxes[:, :2] + boxes[:, 2:]) / 2).tolist()
        for (x, y), class_id, id_ in zip(
            centres, detections.class_ids.tolist(), detections.track_ids.tolist(), strict=True
        ):
            if id_ < 0:
                continue
            way = self._ways.get(id_)
            if way is None:
                way = self._ways[id_] = _Way(self._style.colour_of(self._labels[class_id], id_))
            if way.count:
                _, last_x, last_y = way.points[way.count - 1].tolist()
                if abs(last_x - x) < least and abs(last_y - y) < least:
                    continue
            way.add(now_s, x, y, self._step_s)

    def draw(self, canvas: np.ndarray, now_s: Fraction) -> None:
        """Draws them in place.

        A line is mixed with what lies under it on average, band by band: that looks like a line which lets the picture
        through, and costs a fifth of blending.
        """
        self._forget(float(now_s) - self._style.trails_s)
        ways = [way for way in self._ways.values() if way.count > 1]
        if not ways:
            return
        height, width = canvas.shape[:2]
        thickness = line_width((height, width)) + 1
        points = np.concatenate([way.points[: way.count] for way in ways])
        ages = (float(now_s) - points[:, 0]) / self._style.trails_s
        bands = np.clip((ages * _BANDS).astype(np.int64), 0, _BANDS - 1)
        owners = np.repeat(np.arange(len(ways)), [way.count for way in ways])
        starts = np.flatnonzero(np.diff(owners * _BANDS - bands, prepend=-_BANDS))
        under = canvas[
            np.clip(points[:, 2], 0, height - 1).astype(np.int64), np.clip(points[:, 1], 0, width - 1).astype(np.int64)
        ]
        lengths = np.diff(starts, append=len(points))
        grounds = np.add.reduceat(under.astype(np.float64), starts, axis=0) / lengths[:, None]
        shares = (_OPACITY * (1 - (bands[starts] + 0.5) / _BANDS))[:, None]
        colours = np.array([way.colour for way in ways])[owners[starts]]
        mixed = np.rint(shares * colours + (1 - shares) * grounds).tolist()
        places = np.rint(points[:, 1:] * (1 << _FRACTION_BITS)).astype(np.int32)
        last_of = np.cumsum([way.count for way in ways]).tolist()
        for start, length, colour, owner in zip(
            starts.tolist(), lengths.tolist(), mixed, owners[starts].tolist(), strict=True
        ):
            line = places[start : min(start + length + 1, last_of[owner])]  # on to the next band: no gap between them
            if len(line) > 1:
                cv2.polylines(canvas, [line], False, colour, thickness, cv2.LINE_AA, _FRACTION_BITS)

    def _forget(self, gone_s: float) -> None:
        for id_, way in list(self._ways.items()):
            number = int(way.points[: way.count, 0].searchsorted(gone_s))
            if number == way.count:
                del self._ways[id_]
            elif number:
                way.drop(number)
