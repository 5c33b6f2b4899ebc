"""The ruler along the bottom of a video: the time, and where something was found so far."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import cv2
import numpy as np

from ovdet_cli.detections import Detections
from ovdet_cli.render.draw import DrawStyle, text_size
from ovdet_cli.render.text import line_height, text_tile

_GROUND = 0.42  # what is left of the picture under the ruler
_EMPTY, _PAST = 90, 165  # greys of the bar: to come, and shown
_LEAST_MARK = 2  # pixels: one frame in an hour is still seen


class Ruler:
    """Of one video.

    begin_s: the time of the first frame shown. length_s: how long the video is; None: unknown, and there is no bar.
    """

    def __init__(self, labels: Sequence[str], style: DrawStyle, begin_s: Fraction, length_s: Fraction | None) -> None:
        self._labels = labels
        self._style = style
        self._begin_s = begin_s
        self._length_s = length_s if length_s and length_s > 0 else None
        self._bar = np.zeros((0, 3), np.uint8)
        self._reached = 0

    def draw(self, canvas: np.ndarray, time_s: Fraction, detections: Detections) -> None:
        """Draws it in place onto the frame shown at `time_s`, and takes note of what was found there."""
        height, width = canvas.shape[:2]
        size = text_size((height, width))
        tall, pad = line_height(size) + size // 2, size // 2
        if tall > height // 2 or width < 8 * size:
            return  # a thumbnail has no room for it
        strip = canvas[height - tall :]
        strip[...] = cv2.convertScaleAbs(strip, alpha=_GROUND)
        text = _clock(time_s)
        ink = _line_of(text, size)
        y = (tall - ink.shape[0]) // 2
        shown = strip[y : y + ink.shape[0], pad : pad + ink.shape[1]]
        np.maximum(shown, ink[:, : shown.shape[1], None], out=shown)
        if self._length_s is None:
            return
        # Room for the widest time, so that the bar stands still.
        left = pad + _line_of(_clock(self._begin_s + self._length_s), size).shape[1] + size
        right = width - pad
        if right - left < 4 * size:
            return
        self._mark(time_s, detections, right - left)
        thick = max(2, size // 3)
        y = (tall - thick) // 2
        strip[y : y + thick, left:right] = self._bar
        now = left + min(self._column(time_s), right - left - 1)
        half = max(1, size // 10)
        strip[y - thick : y + 2 * thick, max(left, now - half) : min(right, now + half)] = 255

    def _column(self, time_s: Fraction) -> int:
        assert self._length_s is not None
        share = float((time_s - self._begin_s) / self._length_s)
        return int(min(max(share, 0), 1) * len(self._bar))

    def _mark(self, time_s: Fraction, detections: Detections, length: int) -> None:
        if len(self._bar) != length:
            self._bar, self._reached = np.full((length, 3), _EMPTY, np.uint8), 0
        column = min(self._column(time_s), length - 1)
        if column >= self._reached:
            self._bar[self._reached : column + 1] = _PAST
        if len(detections):
            best = int(detections.scores.argmax())
            id_ = -1 if detections.track_ids is None else int(detections.track_ids[best])
            colour = self._style.colour_of(self._labels[int(detections.class_ids[best])], id_)
            self._bar[min(self._reached, column) : column + _LEAST_MARK] = colour
        self._reached = max(self._reached, column + 1)


def _clock(time_s: Fraction) -> str:
    """Hours where there are some, minutes, seconds and hundredths."""
    hundredths = int(abs(time_s) * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 100:02d}.{rest % 100:02d}"
    sign = "-" if time_s < 0 else ""
    return f"{sign}{hours}:{minutes:02d}:{seconds}" if hours else f"{sign}{minutes}:{seconds}"


def _line_of(text: str, size: int) -> np.ndarray:
    """The ink of a time, uint8 (h, w), sign by sign: a new line of text for every frame would be drawn anew."""
    return np.concatenate([_sign(sign, size) for sign in text], axis=1)


@lru_cache(maxsize=256)
def _sign(sign: str, size: int) -> np.ndarray:
    return text_tile(sign, size)
