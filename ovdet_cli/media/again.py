"""Frames of a source read once more, by the index and time that records hold."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from ovdet_cli.frame import Frame, SourceInfo
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.sources import open_source

_BEFORE = Fraction(1, 1000)  # seconds: records hold times rounded to a float
_NEAR_S = 3  # decoding on is quicker than to seek, which decodes from the keyframe before


def read_again(source: SourceInfo, index: int, time_s: float | None) -> np.ndarray | None:
    """RGB uint8 (H, W, 3) of that frame; None where the file is gone or cannot be read."""
    return next((image for _, image in read_frames(source, [(index, time_s)])), None)


def read_frames(source: SourceInfo, wanted: Sequence[tuple[int, float | None]]) -> Iterator[tuple[int, np.ndarray]]:
    """(index, RGB uint8 (H, W, 3)) of those frames of a source that can be read, in the order of the video.

    wanted: index and time of each; pictures have index 0 and no time.
    """
    if not source.path.is_file():
        return
    first = next(open_source(source).frames(), None)
    if not isinstance(first, Frame):
        return
    ahead = sorted(wanted, key=lambda place: place[0])
    if ahead and first.index == ahead[0][0]:
        yield first.index, first.image
        ahead = ahead[1:]
    while ahead and first.time_s is not None and ahead[0][1] is not None:
        # A sampling counts from the first frame.
        start_s = max(Fraction(ahead[0][1]) - first.time_s - _BEFORE, Fraction(0))
        left = len(ahead)
        for step in open_source(source, Sampling(start_s=start_s)).frames():
            while ahead and step.index > ahead[0][0]:  # its frame is gone or broken
                ahead = ahead[1:]
            if ahead and step.index == ahead[0][0]:
                if isinstance(step, Frame):
                    yield step.index, step.image
                ahead = ahead[1:]
            if not ahead or ahead[0][1] is None or step.time_s is None or ahead[0][1] > float(step.time_s) + _NEAR_S:
                break
        else:
            return
        if len(ahead) == left:  # there is no frame at that time
            ahead = ahead[1:]
