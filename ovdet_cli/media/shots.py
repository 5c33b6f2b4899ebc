"""The shots of a video, and one frame of each: the sharpest a little after the cut.

A cut is a frame that is unlike the one before, while the frames around it are like each other. Two things look like it
and are none: a flash, after which the old picture comes back, and quick movement, in which every frame is unlike the
one before. Where a shot turns into another slowly (a fade, a dissolve, a long pan), no two neighbours differ; there a
new frame is taken once the view has become another than the one taken last, and rests.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

import cv2
import numpy as np

from ovdet_cli.frame import Failure, Frame

# Grey levels are out of 255, shares of the picture's colours out of 1. Chosen on the clips of benchmarks/frames, which
# tells how often a cut is missed or seen where there is none.
_CUT_LEVELS = 14.0
"""Neighbours of one shot differ by less, unless things move quickly; those of two shots seldom do."""
_CUT_RATIO = 3.0
"""So many times what the frames before it changed: quick movement is no cut."""
_OTHER_COLOURS = 0.6
"""This share of the colours is new: a cut, however quick the movement before it."""
_BACK_SHARE = 0.5
"""A flash has passed when the picture is this much nearer to the one before it than the flash was."""
_MOVING_SHARE = 0.5
"""Movement that has begun goes on: the frames after it change by this share of its first change, and more."""
_FLASH_S = Fraction(1, 4)
"""Photographic flashes and lightning last less."""
_SETTLE_S = Fraction(1, 2)
"""The frame of a shot is found within this time of its cut."""
_VIEW_LEVELS, _VIEW_COLOURS = 20.0, 0.35
"""A view is another one when it differs by both."""
_RESTING_LEVELS = 2.0
"""Neighbours differ by less while the view rests."""
_RESTLESS_S = 2
"""A view that never rests is not waited for any longer."""
_BLACK_LEVELS = 20.0
"""A picture darker than this, with nothing brighter in it, shows nothing."""
_MEMORY_FRAMES = 12
_MOST_WAITING = 48
_MOST_BYTES = 1 << 28


@dataclass(frozen=True, eq=False)
class Look:
    """What is remembered of a picture: itself in small, its colours, how sharp it is."""

    small: np.ndarray
    colours: np.ndarray
    sharpness: float
    is_black: bool

    @classmethod
    def of(cls, image: np.ndarray) -> "Look":
        """Of RGB uint8 (H, W, 3); a millisecond, of a picture of any size."""
        step = max(1, min(image.shape[:2]) // 144)
        thin = np.ascontiguousarray(image[::step, ::step])
        small = cv2.resize(thin, (32, 18), interpolation=cv2.INTER_AREA)
        coarse = small.astype(np.int64) >> 6  # 4 levels a channel
        codes = (coarse[..., 0] * 16 + coarse[..., 1] * 4 + coarse[..., 2]).ravel()
        colours = np.bincount(codes, minlength=64) / codes.size
        grey = cv2.cvtColor(thin, cv2.COLOR_RGB2GRAY)
        sharpness = float(cv2.Laplacian(grey, cv2.CV_32F).var())
        is_black = bool(np.percentile(small, 98) < _BLACK_LEVELS)
        return cls(small.astype(np.float32), colours, sharpness, is_black)

    def levels_to(self, other: "Look") -> float:
        """Mean difference of the two pictures, place by place, in grey levels."""
        return float(np.abs(self.small - other.small).mean())

    def colours_to(self, other: "Look") -> float:
        """Share of the colours that the other picture has not, in [0, 1]."""
        return float(np.abs(self.colours - other.colours).sum() / 2)


@dataclass
class CutFinder:
    """Tells, frame by frame, where a shot begins; it makes sure a moment later, when a flash would have passed."""

    _last: Look | None = None
    _changes: deque[float] = field(default_factory=lambda: deque(maxlen=_MEMORY_FRAMES))
    _suspect_s: Fraction | None = None
    _num_suspect: int = 0
    _before: Look | None = None
    _suspect_levels: float = 0.0
    _since: list[float] = field(default_factory=list)

    @property
    def is_waiting(self) -> bool:
        """Whether a cut is suspected and not yet sure."""
        return self._suspect_s is not None

    @property
    def has_rest(self) -> bool:
        """Whether the last few frames were all but still."""
        return len(self._changes) >= 3 and max(list(self._changes)[-3:]) < _RESTING_LEVELS

    def push(self, look: Look, time_s: Fraction) -> int | None:
        """Takes the next frame; where a cut is now sure, how many frames ago the new shot began (0: with this one)."""
        last, self._last = self._last, look
        if last is None:
            return None
        levels = look.levels_to(last)
        if self._suspect_s is None:
            usual = float(np.median(self._changes)) if self._changes else 0.0
            is_sudden = levels > max(_CUT_LEVELS, _CUT_RATIO * usual)
            if not is_sudden and not (levels > _CUT_LEVELS and look.colours_to(last) > _OTHER_COLOURS):
                self._changes.append(levels)
                return None
            self._suspect_s, self._num_suspect, self._before, self._suspect_levels = time_s, 0, last, levels
            self._since = []
            return None
        self._num_suspect += 1
        self._since.append(levels)
        assert self._before is not None
        if look.levels_to(self._before) < _BACK_SHARE * self._suspect_levels:
            self._suspect_s = None  # a flash: the old picture is back
            return None
        if time_s - self._suspect_s < _FLASH_S:
            return None
        self._suspect_s = None
        self._changes.clear()
        self._changes.extend(self._since)
        is_movement = float(np.median(self._since)) > _MOVING_SHARE * self._suspect_levels
        if is_movement and look.colours_to(self._before) < _OTHER_COLOURS:
            return None
        return self._num_suspect

    def finish(self) -> int | None:
        """At the end of the video: as `push`, for a cut that was still suspected."""
        return None if self._suspect_s is None else self._num_suspect


class _Picker:
    """Holds the frames of a shot's beginning until its frame is chosen."""

    def __init__(self, keep_all: bool) -> None:
        self._keep_all = keep_all
        self._finder = CutFinder()
        self._held: list[tuple[Frame, Look | None]] = []
        self._is_choosing = True
        self._began_s: Fraction | None = None
        self._is_cut = False
        self._taken: Look | None = None

    def push(self, frame: Frame) -> Iterator[Frame]:
        """The frames whose part is clear now."""
        look = Look.of(frame.image) if frame.is_sampled else None
        self._held.append((frame, look))
        if look is not None:
            time_s = frame.time_s or Fraction(0)
            if self._began_s is None:
                self._began_s = time_s
            if (ago := self._finder.push(look, time_s)) is not None:
                yield from self._cut(ago)
            elif not self._is_choosing and self._is_new_view(look, time_s):
                self._begin(len(self._held) - 1)
            is_settled = time_s - (self._began_s or 0) >= _SETTLE_S
            if self._is_choosing and is_settled and not self._finder.is_waiting:
                yield from self._choose(len(self._held))
        if not self._is_choosing and not self._finder.is_waiting:
            yield from self._pass(len(self._held))
        elif self._is_too_much():
            yield from self._choose(len(self._held)) if self._is_choosing else self._pass(len(self._held) // 2)

    def finish(self) -> Iterator[Frame]:
        """The rest."""
        if (ago := self._finder.finish()) is not None:
            yield from self._cut(ago)
        if self._is_choosing:
            yield from self._choose(len(self._held))
        yield from self._pass(len(self._held))

    def _cut(self, ago: int) -> Iterator[Frame]:
        """Ends the shot before the sampled frame `ago` back from the last one."""
        sampled = [place for place, (_, look) in enumerate(self._held) if look is not None]
        place = sampled[max(0, len(sampled) - 1 - ago)]
        yield from self._choose(place) if self._is_choosing else self._pass(place)
        self._begin(0)

    def _begin(self, place: int) -> None:
        """Begins to look for the frame of the shot whose first frame is held at `place`."""
        assert place == 0 or not self._is_choosing
        self._is_choosing = self._is_cut = True
        self._began_s = self._held[place][0].time_s if self._held else None

    def _is_new_view(self, look: Look, time_s: Fraction) -> bool:
        if self._taken is None or look.is_black or self._finder.is_waiting:
            return False
        if not self._finder.has_rest and time_s - (self._began_s or 0) < _RESTLESS_S:
            return False
        return look.levels_to(self._taken) > _VIEW_LEVELS and look.colours_to(self._taken) > _VIEW_COLOURS

    def _is_too_much(self) -> bool:
        is_large = len(self._held) * self._held[-1][0].image.nbytes > _MOST_BYTES if self._held else False
        return len(self._held) >= _MOST_WAITING or is_large

    def _choose(self, end: int) -> Iterator[Frame]:
        """Passes on the first `end` held frames, the best one of them as sampled."""
        looks = [(place, look) for place, (_, look) in enumerate(self._held[:end]) if look is not None]
        if looks:
            best, self._taken = max(looks, key=lambda pair: (not pair[1].is_black, pair[1].sharpness))
            self._is_choosing = False
            yield from self._pass(end, best)
        else:
            yield from self._pass(end)

    def _pass(self, end: int, sampled: int | None = None) -> Iterator[Frame]:
        passing, self._held = self._held[:end], self._held[end:]
        for place, (frame, _) in enumerate(passing):
            is_sampled = place == sampled
            if is_sampled or self._keep_all:
                is_cut, self._is_cut = self._is_cut, False
                yield replace(frame, is_sampled=is_sampled, is_cut=is_cut)


def one_a_shot(frames: Iterator[Frame | Failure], keep_all: bool) -> Iterator[Frame | Failure]:
    """Of the sampled frames of a video only one a shot stays sampled; at most half a second of frames is held.

    keep_all: the others pass too, with `is_sampled` False. The first one of a shot that passes has `is_cut`.
    """
    picker = _Picker(keep_all)
    for frame in frames:
        if isinstance(frame, Failure):
            yield from picker.finish()
            yield frame
            picker = _Picker(keep_all)
        else:
            yield from picker.push(frame)
    yield from picker.finish()
