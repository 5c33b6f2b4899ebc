"""Outlines to bitmaps, for the masks of many regions at once.

The rule is that of pycocotools 2.0 (`rleFrPoly`; BSD), which made the official targets, so that they agree to the
cell: outlines are walked on a grid five times finer, in whole steps along each edge's longer side; where a walk
enters a new fine column, and that column is the middle one of a cell, the column of cells flips from there down.
"""

# K outlines, E edges, D dots walked, S cells along a mask's side

from collections.abc import Sequence

import numpy as np

from ovdet_cli.training.samples import Polygons

_FINE = 5
# detectron2's least height and width of a box when outlines are scaled to it, in pixels.
_LEAST_SIDE = 0.1


def rasterise_in_boxes(polygons: Sequence[Polygons], index: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
    """Bitmaps (N, S, S) of object `index[n]` within `boxes[n]` (float64 x1 y1 x2 y2), all outlines of it together."""
    masks = np.zeros((len(index), size, size), dtype=bool)
    rings = [np.asarray(ring, dtype=np.float64).reshape(-1, 2) for outlines in polygons for ring in outlines]
    per_object = np.array([len(outlines) for outlines in polygons], dtype=np.int64)
    owner, place = _spread(per_object[index]) if len(index) else (index, index)
    if not len(owner):
        return masks
    ring_K = (np.cumsum(per_object) - per_object)[index][owner] + place
    lengths = np.array([len(ring) for ring in rings])
    outline_V, vertex = _spread(lengths[ring_K])
    first = np.cumsum(lengths) - lengths
    points = np.concatenate(rings)[first[ring_K][outline_V] + vertex]
    box = boxes[owner][outline_V]
    scale = size / np.maximum(box[:, 2:] - box[:, :2], _LEAST_SIDE)
    bitmaps = _fill((points - box[:, :2]) * scale, lengths[ring_K], size)
    np.logical_or.at(masks, owner, bitmaps)
    return masks


def _spread(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[2, 0, 3] -> the row of each item, 0 0 2 2 2, and its place in that row, 0 1 0 1 2."""
    rows = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return rows, np.arange(len(rows)) - starts[rows]


def _fill(points: np.ndarray, lengths: np.ndarray, size: int) -> np.ndarray:
    """Bitmaps (K, S, S) of closed outlines: points (V, 2) in cells, `lengths` of them to each outline."""
    fine = (_FINE * points + 0.5).astype(np.int64)
    ends = np.cumsum(lengths)
    following = np.arange(1, len(fine) + 1)
    following[ends[lengths > 0] - 1] = (ends - lengths)[lengths > 0]
    outline_D, x, y = _walk(fine, fine[following], np.repeat(np.arange(len(lengths)), lengths))

    enters = np.flatnonzero((x[1:] != x[:-1]) & (outline_D[1:] == outline_D[:-1])) + 1
    column = np.where(x[enters] < x[enters - 1], x[enters], x[enters] - 1)
    row = np.minimum(y[enters], y[enters - 1])
    column_cells = (column + 0.5) / _FINE - 0.5
    row_cells = np.ceil(np.clip((row + 0.5) / _FINE - 0.5, 0, size)).astype(np.int64)
    hits = (np.floor(column_cells) == column_cells) & (column_cells >= 0) & (column_cells <= size - 1)
    # Counted down the columns one after another; a flip at the foot of one column is one at the head of the next.
    place = column_cells[hits].astype(np.int64) * size + row_cells[hits]
    length = size * size + 1
    flips = np.bincount(outline_D[enters][hits] * length + place, minlength=len(lengths) * length)
    inside = np.cumsum(flips.reshape(len(lengths), length), axis=1)[:, :-1] % 2 == 1
    return inside.reshape(len(lengths), size, size).transpose(0, 2, 1)


def _walk(start: np.ndarray, end: np.ndarray, outline_E: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The dots of all edges in order: their outline, x and y; whole numbers, cut towards zero as C does."""
    span = np.abs(end - start)
    is_wide = span[:, 0] >= span[:, 1]
    steps = span.max(axis=1)
    edge, step = _spread(steps + 1)
    long_axis = np.where(is_wide, 0, 1)
    rows = np.arange(len(start))
    # Each edge is walked from its lesser end, whichever way it runs, so that both ways meet the same dots.
    is_backward = start[rows, long_axis] > end[rows, long_axis]
    low = np.where(is_backward[:, None], end, start)
    high = np.where(is_backward[:, None], start, end)
    slope = (high - low)[rows, 1 - long_axis] / np.maximum(steps, 1)
    step = np.where(is_backward[edge], steps[edge] - step, step)
    along = low[rows, long_axis][edge] + step
    across = (low[rows, 1 - long_axis][edge] + slope[edge] * step + 0.5).astype(np.int64)
    wide = is_wide[edge]
    return outline_E[edge], np.where(wide, along, across), np.where(wide, across, along)
