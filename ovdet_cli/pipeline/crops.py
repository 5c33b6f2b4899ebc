"""The pictures behind matches, on one sheet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ovdet_cli.media.again import read_again
from ovdet_cli.pipeline.query import FoundMatch
from ovdet_cli.render.contact_sheet import crop_tile, draw_sheet


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
