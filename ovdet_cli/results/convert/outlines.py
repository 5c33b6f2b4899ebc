"""Masks as one closed outline along the edges of their pixels, and back without loss.

A mask may have several parts, and holes. Formats that know one polygon an object get all rings in one: from the first
corner a straight line to each further ring, around it and the same line back. Under the even-odd rule those lines
cancel, so `fill` gives the very pixels again.
"""

# N corners, E edges

from collections.abc import Sequence
from typing import Any

import numpy as np

from ovdet_cli.detections import Mask


def outline(mask: Mask) -> np.ndarray:
    """The outline, float64 (N, 2) of x, y in pixels; (0, 2) of a mask without a pixel."""
    rings = outline_rings(mask)
    if not rings:
        return np.zeros((0, 2))
    first = rings[0]
    pieces = [first]
    for ring in rings[1:]:
        pieces += [first[:1], ring, ring[:1]]
    return np.concatenate(pieces)


def outline_rings(mask: Mask) -> list[np.ndarray]:
    """The rings of a mask, outer ones and holes, each float64 (N, 2); the even-odd rule tells which is which."""
    bounds = mask_bounds(mask)
    if bounds is None:
        return []
    left, top, right, bottom = bounds
    padded = np.pad(mask.crop(left, top, right, bottom), 1).astype(np.int8)
    # A corner of pixels is one of the outline where one or three of its four pixels are set, or two across.
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    is_across = (a == d) & (b == c) & (a != b)
    times = ((a + b + c + d) % 2).astype(np.int64) + 2 * is_across
    ys, xs = np.nonzero(times)
    repeat = times[ys, xs]
    xs, ys = np.repeat(xs, repeat), np.repeat(ys, repeat)
    count = len(xs)
    # Edges run between neighbours of a row, and of a column: the first with the second, the third with the fourth.
    along_x, along_y = np.empty(count, np.int64), np.empty(count, np.int64)
    for partner, order in ((along_x, np.lexsort((xs, ys))), (along_y, np.lexsort((ys, xs)))):
        partner[order[::2]], partner[order[1::2]] = order[1::2], order[::2]
    return [np.stack([xs[ring] + left, ys[ring] + top], axis=1).astype(np.float64) for ring in _rings(along_x, along_y)]


def _rings(along_x: np.ndarray, along_y: np.ndarray) -> list[list[int]]:
    """Corners in the order of a walk that turns at each."""
    steps = (along_x.tolist(), along_y.tolist())
    is_seen = [False] * len(along_x)
    rings = []
    for start in range(len(is_seen)):
        ring: list[int] = []
        corner, turn = start, 0
        while not is_seen[corner]:
            is_seen[corner] = True
            ring.append(corner)
            corner, turn = steps[turn][corner], 1 - turn
        if ring:
            rings.append(ring)
    return rings


def mask_bounds(mask: Mask) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the mask's pixels, ends excluded; None where there are none."""
    height, _ = mask.size_hw
    ends = np.cumsum(mask.runs)
    begins, stops = ends[:-1:2], ends[1::2]
    begins = begins[: len(stops)]
    is_set = stops > begins
    begins, stops = begins[is_set], stops[is_set]
    if not len(begins):
        return None
    first, last = begins // height, (stops - 1) // height
    is_wide = (last > first).any()  # a run over a column's end touches top and bottom
    top = 0 if is_wide else int((begins % height).min())
    bottom = height if is_wide else int(((stops - 1) % height).max()) + 1
    return int(first.min()), top, int(last.max()) + 1, bottom


def fill(ring: Sequence[Any] | np.ndarray, size_hw: tuple[int, int]) -> Mask:
    """The mask of the pixels whose centres lie in a closed outline (N, 2) of x, y, by the even-odd rule."""
    height, width = size_hw
    points = np.asarray(ring, np.float64).reshape(-1, 2)
    following = np.roll(points, -1, axis=0)
    is_back = points[:, 0] > following[:, 0]
    low = np.where(is_back[:, None], following, points)
    high = np.where(is_back[:, None], points, following)
    # Columns whose middle the edge passes, its left end included and its right one not.
    begin = np.clip(np.ceil(low[:, 0] - 0.5), 0, width).astype(np.int64)
    stop = np.clip(np.ceil(high[:, 0] - 0.5), 0, width).astype(np.int64)
    lengths = np.maximum(stop - begin, 0)
    edge = np.repeat(np.arange(len(points)), lengths)
    column = np.arange(len(edge)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + begin[edge]
    run = high[edge] - low[edge]
    y = low[edge, 1] + (column + 0.5 - low[edge, 0]) * (run[:, 1] / np.where(run[:, 0] == 0, 1, run[:, 0]))
    row = np.clip(np.ceil(y - 0.5), 0, height).astype(np.int64)
    flips, times = np.unique(column * height + row, return_counts=True)
    flips = flips[times % 2 == 1]
    flips = flips[flips < height * width]
    return Mask(size_hw, np.diff(flips, prepend=0, append=height * width).astype(np.int64))


def union(masks: Sequence[Mask]) -> Mask:
    """The pixels of any of some masks of one size."""
    if len(masks) == 1:
        return masks[0]
    bitmap = np.logical_or.reduce([mask.bitmap() for mask in masks])
    return Mask.from_piece(bitmap, 0, 0, bitmap.shape)
