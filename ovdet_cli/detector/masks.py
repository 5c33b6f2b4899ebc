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


def paste_mask_grown(probabilities_MM: np.ndarray, box_xyxy: np.ndarray, size_hw: tuple[int, int]) -> Mask:
    """The same by Detectron's first rule: a cell of zeros around, the box grown by it, then in whole pixels.

    box_xyxy: not clipped to the picture. Set where the probability is above one half. After tensorflow/tpu 7dc921f,
    models/official/detection/utils/mask_utils.py (Apache-2.0).
    """
    height, width = size_hw
    cells = len(probabilities_MM) + 2
    x1, y1, x2, y2 = (float(v) for v in box_xyxy)
    grown = cells / (cells - 2) / 2
    (left, right), (top, bottom) = (
        (int((a + b) / 2 - (b - a) * grown), int((a + b) / 2 + (b - a) * grown)) for a, b in ((x1, x2), (y1, y2))
    )
    wide, high = max(right - left + 1, 1), max(bottom - top + 1, 1)
    first_x, last_x = max(left, 0), max(min(left + wide, width), max(left, 0))
    first_y, last_y = max(top, 0), max(min(top + high, height), max(top, 0))
    if first_x >= last_x or first_y >= last_y:
        return Mask.from_piece(np.zeros((0, 0), bool), 0, 0, size_hw)
    rows = _resample_matrix(top, top + high, first_y, last_y, cells)
    columns = _resample_matrix(left, left + wide, first_x, last_x, cells)
    piece = rows @ np.pad(probabilities_MM, 1) @ columns.T > 0.5
    return Mask.from_piece(piece, first_x, first_y, size_hw)


def paste_masks(
    probabilities: np.ndarray, boxes_xyxy: np.ndarray, size_hw: tuple[int, int], rule: str = "detectron2"
) -> Sequence[Mask]:
    """`paste_mask`, or for the rule "detectron" `paste_mask_grown`, for float32 (N, M, M) in boxes (N, 4)."""
    paste = paste_mask_grown if rule == "detectron" else paste_mask
    return [paste(p, box, size_hw) for p, box in zip(probabilities, boxes_xyxy, strict=True)]
