"""Which frames of a video are analysed."""

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from ovdet_cli.errors import UsageError

_TIME = re.compile(r"(?:(?:(\d{1,9}):)?(\d{1,9}):)?(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})", re.ASCII)


def parse_time(text: str) -> Fraction:
    """Seconds of "90.5", "1:30.5" or "01:02:03", exactly.

    Raises:
        UsageError: it is none of these, or minutes or seconds after a colon reach 60.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"cannot read the time {text!r}; write seconds (90.5), M:SS (1:30.5) or H:MM:SS (1:02:03)")
    hours, minutes, seconds = match.groups()
    whole_seconds = Fraction(seconds)
    if (minutes is not None and whole_seconds >= 60) or (hours is not None and int(minutes) >= 60):
        raise UsageError(f"cannot read the time {text!r}: minutes and seconds after a colon end at 59")
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + whole_seconds


@dataclass(frozen=True)
class Sampling:
    """Which part of a video is read, and which of its frames are analysed. Times are seconds from its first frame."""

    every: int = 1
    """Every Nth frame, counted from the first one in range."""
    fps: Fraction | None = None
    """Instead: the first frame at or after each tick of 1/fps, counted from the first frame in range."""
    start_s: Fraction | None = None
    """The range begins with the first frame at or after this."""
    end_s: Fraction | None = None
    """The range ends before the first frame at or after this."""
    keyframes: bool = False
    """Only the frames that the file stores whole are counted, and where nothing is drawn, only they are decoded."""
    scenes: bool = False
    """Of the frames that the rest chooses, one a shot."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise UsageError(f"every Nth frame needs N of 1 or more, not {self.every}")
        if self.fps is not None and self.fps <= 0:
            raise UsageError(f"frames a second must be more than 0, not {_decimal(self.fps)}")
        if self.fps is not None and self.every != 1:
            raise UsageError("every Nth frame and frames a second exclude each other; give one of them")
        if self.start_s is not None and self.start_s < 0:
            raise UsageError(f"the start must not be negative, not {_decimal(self.start_s)} s")
        if self.end_s is not None and self.end_s <= (self.start_s or 0):
            raise UsageError(
                f"the end ({_decimal(self.end_s)} s) must be after the start ({_decimal(self.start_s or 0)} s)"
            )
        if self.keyframes and self.scenes:
            raise UsageError(
                "keyframes and a frame per shot exclude each other: keyframes lie too far apart to tell a cut from a "
                "movement; give one of them"
            )


class Sampler:
    """Carries out a Sampling over the frames in range, in order: is this one analysed?"""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._count = 0
        self._first_s = Fraction(0)
        self._tick = 0

    def takes(self, time_s: Fraction, *, is_keyframe: bool = True) -> bool:
        """Whether the next frame, shown at `time_s`, is analysed. Call once a frame."""
        if self._sampling.keyframes and not is_keyframe:
            return False
        place, self._count = self._count, self._count + 1
        fps = self._sampling.fps
        if fps is None:
            return place % self._sampling.every == 0
        if place == 0:
            self._first_s = time_s
        elapsed_ticks = (time_s - self._first_s) * fps
        if elapsed_ticks < self._tick:
            return False
        self._tick = math.floor(elapsed_ticks) + 1
        return True


def _decimal(seconds: Fraction | int) -> str:
    return f"{float(seconds):g}"
