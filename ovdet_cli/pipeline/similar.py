"""Frames that differ too little from the last analysed one: their detections are taken over, and the network rests."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from ovdet_cli.errors import UsageError
from ovdet_cli.frame import Frame
from ovdet_cli.media.change import ChangeTest
from ovdet_cli.pipeline.stream import Begin, Step

Level = Literal["strict", "normal", "loose"]

LEVELS: dict[str, float] = {"strict": 2.5, "normal": 5.0, "loose": 10.0}
"""Grey levels (of 255) by which the mean of a tile of 1/80 of the longer side must differ, beyond the noise.

In a picture 1280 wide, an edge of 80 levels moves by a pixel for each 5."""


@dataclass(frozen=True)
class SkipSimilar:
    """When a frame counts as unchanged.

    level: how much may change. refresh_s: a frame is analysed at least this often, in seconds of the video.
    """

    level: Level = "normal"
    refresh_s: Fraction = Fraction(5)

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise UsageError(f"unknown level {self.level!r} of --skip-similar; known are {', '.join(LEVELS)}")
        if self.refresh_s <= 0:
            raise UsageError(f"--refresh must be more than 0 seconds, not {float(self.refresh_s):g}")


def mark_similar(steps: Generator[Step, None, None], settings: SkipSimilar) -> Generator[Step, None, None]:
    """Sets `is_reused` in sampled video frames that are as good as the last one without it; everything else passes.

    Each is compared with the last frame that is analysed, not with its neighbour, so that a slow change adds up.
    Pictures, and the first frame of every video, are always analysed.
    """
    test = ChangeTest(LEVELS[settings.level])
    analysed_s: Fraction | None = None
    with closing(steps):
        for step in steps:
            if isinstance(step, Begin):
                analysed_s = None
            if not isinstance(step, Frame) or not step.is_sampled or step.time_s is None:
                yield step
                continue
            small = test.reduce(step.image)
            is_due = analysed_s is None or step.time_s - analysed_s >= settings.refresh_s or step.is_cut
            if is_due or test.has_changed(small):
                test.remember(small)
                analysed_s = step.time_s
                yield step
            else:
                yield replace(step, is_reused=True)
