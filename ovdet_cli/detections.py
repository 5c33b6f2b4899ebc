"""Detections: what was found in one frame, as numpy arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Mask:
    """A binary mask as run lengths: small however large the picture, and what COCO's RLE is made of.

    size_hw: height and width of the picture.
    runs: int64 (R,), lengths of alternating runs in column-major order, the first one of zeros (may be 0).
    """

    size_hw: tuple[int, int]
    runs: np.ndarray

    @classmethod
    def from_piece(cls, piece: np.ndarray, left: int, top: int, size_hw: tuple[int, int]) -> "Mask":
        """The mask that is `piece` (bool (h, w)) with its upper left corner at (left, top), and zero elsewhere."""
        height, width = size_hw
        h, w = piece.shape
        if left < 0 or top < 0 or left + w > width or top + h > height:
            raise ValueError(f"a piece of {h}x{w} at ({left}, {top}) leaves the picture of {height}x{width}")
        # Changes along each column, a zero assumed above and below; in the flat order of the whole picture a run
        # may cross a column's end only where the piece has the picture's height, and there the two changes cancel.
        padded = np.zeros((w, h + 2), dtype=np.int8)
        padded[:, 1:-1] = piece.T
        columns, rows = np.nonzero(np.diff(padded, axis=1))
        edges = (left + columns) * height + top + rows
        if h == height and len(edges):
            is_twin = np.zeros(len(edges), dtype=bool)
            same = edges[1:] == edges[:-1]
            is_twin[1:] |= same
            is_twin[:-1] |= same
            edges = edges[~is_twin]
        if len(edges) and edges[-1] == height * width:
            edges = edges[:-1]  # the end of the picture ends the last run anyway
        return cls(size_hw, np.diff(edges, prepend=0, append=height * width).astype(np.int64))

    def crop(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        """The part of the mask in columns left..right and rows top..bottom (ends excluded), bool (h, w)."""
        height, width = self.size_hw
        if not (0 <= left <= right <= width and 0 <= top <= bottom <= height):
            raise ValueError(f"({left}, {top}, {right}, {bottom}) leaves the picture of {height}x{width}")
        begin, stop = left * height, right * height
        ends = np.cumsum(self.runs)
        first, last = np.searchsorted(ends, begin, "right"), np.searchsorted(ends, stop, "left") + 1
        ends = np.clip(ends[first:last], begin, stop)
        lengths = ends.copy()
        lengths[1:] -= ends[:-1]
        lengths[:1] -= begin
        is_set = np.zeros(len(lengths), dtype=bool)
        is_set[1 - first % 2 :: 2] = True  # odd runs are of ones
        flat = np.repeat(is_set, lengths)
        return flat.reshape(right - left, height)[:, top:bottom].T

    def bitmap(self) -> np.ndarray:
        """The whole mask, bool (H, W)."""
        return self.crop(0, 0, self.size_hw[1], self.size_hw[0])

    @property
    def area(self) -> int:
        """Number of pixels set."""
        return int(self.runs[1::2].sum())


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one frame, surest first.

    boxes_xyxy: float32 (N, 4), x1 y1 x2 y2 in pixels of the upright original, inside the picture.
    scores: float32 (N,), in [0, 1].
    class_ids: int64 (N,), rows of the vocabulary.
    masks: one Mask a detection, or None where masks were not asked for.
    track_ids: int64 (N,), the object in its video, -1 where it has none (yet); None where nothing is tracked.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    masks: Sequence[Mask] | None = None
    track_ids: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.scores)
        wanted = {"boxes_xyxy": ((n, 4), "float32"), "scores": ((n,), "float32"), "class_ids": ((n,), "int64")}
        if self.track_ids is not None:
            wanted["track_ids"] = ((n,), "int64")
        for name, (shape, dtype) in wanted.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(f"{name} must be {dtype} {shape}, not {array.dtype} {array.shape}")
        if self.masks is not None and len(self.masks) != n:
            raise ValueError(f"{len(self.masks)} masks for {n} detections")

    @classmethod
    def empty(cls) -> "Detections":
        """No detection at all."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, keep: np.ndarray) -> "Detections":
        """The detections that `keep` (bool (N,) or indices) names, in its order."""
        rows = np.flatnonzero(keep) if keep.dtype == bool else keep
        masks = None if self.masks is None else [self.masks[int(i)] for i in rows]
        track_ids = None if self.track_ids is None else self.track_ids[rows]
        return Detections(self.boxes_xyxy[rows], self.scores[rows], self.class_ids[rows], masks, track_ids)

    def above(self, threshold: float) -> "Detections":
        """The detections with score > threshold (strict, as in Detic's official code)."""
        return self.select(self.scores > np.float32(threshold))

    def __iter__(self) -> Iterator[tuple[np.ndarray, float, int, Mask | None]]:
        masks = self.masks if self.masks is not None else [None] * len(self)
        yield from zip(self.boxes_xyxy, self.scores.tolist(), self.class_ids.tolist(), masks, strict=True)
