"""The pictures behind records: one frame of a source, read again."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from ovdet_cli.frame import Frame, SourceInfo
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.sources import open_source
from ovdet_cli.pipeline.query import FoundMatch
from ovdet_cli.render.contact_sheet import crop_tile, draw_sheet

_BEFORE = Fraction(1, 1000)  # seconds: an index holds times rounded to a float


def read_again(source: SourceInfo, index: int, time_s: float | None) -> np.ndarray | None:
    """RGB uint8 (H, W, 3) of that frame; None where the file is gone or cannot be read."""
    if not source.path.is_file():
        return None
    first = next(open_source(source).frames(), None)
    if not isinstance(first, Frame) or first.index == index or time_s is None or first.time_s is None:
        return first.image if isinstance(first, Frame) and first.index == index else None
    # A sampling counts from the first frame.
    start_s = max(Fraction(time_s) - first.time_s - _BEFORE, Fraction(0))
    for step in open_source(source, Sampling(start_s=start_s)).frames():
        if isinstance(step, Frame) and step.index == index:
            return step.image
        if step.index > index:
            break
    return None


def contact_sheet(matches: Sequence[FoundMatch]) -> tuple[np.ndarray, int]:
    """The sheet of the matches in order, RGB uint8 (H, W, 3), and how many of their pictures could not be read."""
    tiles, missing = [], 0
    seen: dict[tuple[Path, int], np.ndarray | None] = {}
    for match in matches:
        frame = match.frame
        place = (frame.source.path, frame.index)
        if place not in seen:
            seen = {place: read_again(frame.source, frame.index, frame.time_s)}  # one picture at a time in memory
        image = seen[place]
        missing += image is None
        where = f"{Path(frame.source.name).name} {match.place}".strip()
        tiles.append(crop_tile(image, match.box_xyxy, match.label, (f"{match.label} {match.score:.2f}", where)))
    return draw_sheet(tiles), missing
