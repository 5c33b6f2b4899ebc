"""Frame: one decoded picture, where it came from, when it is shown; Failure: one that could not be decoded."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded picture.

    image: RGB uint8 (H, W, 3), upright.
    source: path relative to the input root, with `/`; several roots: it begins with the root's name.
    index: 0 for a picture, the 0-based place in presentation order for a video frame.
    time_s: presentation time (pts x time base, unshifted); None for a picture.
    is_sampled: False for a video frame that is only drawn and encoded, not analysed.
    is_reused: True for a sampled frame that differs too little from the last analysed one to be analysed again.
    is_cut: True where a shot begins: what was found before holds no longer.
    """

    image: np.ndarray
    source: str
    index: int = 0
    time_s: Fraction | None = None
    is_sampled: bool = True
    is_reused: bool = False
    is_cut: bool = False

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"a frame is RGB uint8 (H, W, 3), not {self.image.dtype} {self.image.shape}")

    @classmethod
    def without_pixels(cls, size_hw: tuple[int, int], source: str, index: int, time_s: Fraction | None) -> "Frame":
        """A frame whose picture is not at hand: black, and no memory is taken for it."""
        return cls(np.broadcast_to(np.zeros((), np.uint8), (*size_hw, 3)), source, index, time_s)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True)
class Failure:
    """A picture or frame that could not be decoded; it travels the same road as a Frame, so it is never lost."""

    source: str
    error: str
    index: int = 0
    time_s: Fraction | None = None


@dataclass(frozen=True)
class SourceInfo:
    """One input of a run: a picture file or a video file.

    name: what `Frame.source` says of its frames. path: the file itself.
    """

    name: str
    path: Path
    kind: Literal["image", "video"]
