"""Mask probabilities inside boxes -> masks of the picture."""

# M cells a side

from collections.abc import Sequence

import numpy as np

from ovdet_cli.detections import Mask


def _resample_matrix(start: float, end: float, first: int, last: int, cells: int) -> np.ndarray:
    """float32 (last - first, cells): bilinear weights of the cells of an interval at the centres of pixels.

    The interval from `start` to `end` holds `cells` equal cells; a value is known at each cell's centre and zero
    beyond, as with torch's grid_sample (align_corners False, zeros).
    """
    centres = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
    place = (centres - np.float32(start)) / np.float32(end - start) * cells - np.float32(0.5)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(cells, dtype=np.float32)))


def paste_mask(probabilities_MM: np.ndarray, box_xyxy: np.ndarray, size_hw: tuple[int, int]) -> Mask:
    """The mask of one detection in the picture: bilinear, set where the probability is at least one half.

    detectron2's rule for a picture on the CPU: the box's own region and one pixel around it, zero elsewhere.
    """
    height, width = size_hw
    x1, y1, x2, y2 = (float(v) for v in box_xyxy)
    left, top = max(int(np.floor(x1)) - 1, 0), max(int(np.floor(y1)) - 1, 0)
    right, bottom = min(int(np.ceil(x2)) + 1, width), min(int(np.ceil(y2)) + 1, height)
    cells = len(probabilities_MM)
    rows = _resample_matrix(y1, y2, top, bottom, cells)
    columns = _resample_matrix(x1, x2, left, right, cells)
    piece = rows @ probabilities_MM @ columns.T >= 0.5
    return Mask.from_piece(piece, left, top, size_hw)


def paste_masks(probabilities: np.ndarray, boxes_xyxy: np.ndarray, size_hw: tuple[int, int]) -> Sequence[Mask]:
    """`paste_mask` for float32 (N, M, M) in boxes (N, 4) of picture pixels."""
    return [paste_mask(p, box, size_hw) for p, box in zip(probabilities, boxes_xyxy, strict=True)]
