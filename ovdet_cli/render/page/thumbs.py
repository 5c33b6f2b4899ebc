"""Small pictures for the page, as many as its size allows."""

import base64
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ovdet_cli.errors import InputError
from ovdet_cli.frame import SourceInfo
from ovdet_cli.media.again import read_frames
from ovdet_cli.media.images import read_image

LONG_SIDE = 288
"""Pixels: two columns of a phone, at twice its density."""
_QUALITY = 68
_AT_ONCE = 64


@dataclass(frozen=True)
class Wanted:
    """A frame whose picture the page would like. time_s: None for a picture."""

    frame_id: int
    path: Path
    index: int
    time_s: float | None


def make_thumbs(wanted: Sequence[Wanted], most_bytes: int) -> dict[int, str]:
    """frame_id -> JPEG in base64, of frames that can be read; the first ones, until they take `most_bytes` together."""
    thumbs: dict[int, str] = {}
    used = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(wanted), _AT_ONCE):
            for made in pool.map(_of_file, _by_file(wanted[start : start + _AT_ONCE])):
                for frame_id, data in made:
                    if used + len(data) > most_bytes:
                        return thumbs
                    thumbs[frame_id] = data
                    used += len(data)
    return thumbs


def _by_file(wanted: Sequence[Wanted]) -> list[list[Wanted]]:
    files: defaultdict[tuple[Path, bool], list[Wanted]] = defaultdict(list)
    for one in wanted:
        files[one.path, one.time_s is None].append(one)
    return list(files.values())


def _of_file(wanted: Sequence[Wanted]) -> list[tuple[int, str]]:
    by_index = {one.index: one.frame_id for one in wanted}
    return [(by_index[index], _encoded(image)) for index, image in _read(wanted) if index in by_index]


def _read(wanted: Sequence[Wanted]) -> Iterator[tuple[int, np.ndarray]]:
    path = wanted[0].path
    if wanted[0].time_s is not None:
        yield from read_frames(SourceInfo(path.name, path, "video"), [(one.index, one.time_s) for one in wanted])
        return
    try:
        yield 0, read_image(path)
    except InputError:  # it could be read when it was detected: it has gone, or is another one now
        return


def _encoded(image: np.ndarray) -> str:
    height, width = image.shape[:2]
    scale = LONG_SIDE / max(height, width)
    if scale < 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(
        ".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    )
    return base64.b64encode(data.tobytes()).decode("ascii")
