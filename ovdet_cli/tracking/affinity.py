"""How well detections fit tracks: overlap of boxes, and what their classes say."""

# T tracks, N detections, K classes

from collections.abc import Mapping, Sequence

import numpy as np

from ovdet_cli.tracking.motion import Motion
from ovdet_cli.tracking.settings import TrackSettings

_MOST_REACH = 1.0
"""Sizes that a box is grown by at most: further off, an object is more likely another one."""


def overlaps(boxes_A4: np.ndarray, boxes_B4: np.ndarray, grown_A2: np.ndarray | None = None) -> np.ndarray:
    """IoU of boxes x1 y1 x2 y2, float64 (A, B). grown_A2: pixels that both boxes of a pair gain on each side."""
    a, b = boxes_A4.astype(np.float64), boxes_B4.astype(np.float64)
    by = np.zeros((len(a), 2)) if grown_A2 is None else grown_A2
    shared = areas_a = areas_b = np.ones((1, 1))
    for k in range(2):
        start, end, more = a[:, k, None], a[:, k + 2, None], 2 * by[:, k, None]
        shared = shared * np.maximum(np.minimum(end, b[:, k + 2]) - np.maximum(start, b[:, k]) + more, 0)
        areas_a = areas_a * (end - start + more)
        areas_b = areas_b * (b[:, k + 2] - b[:, k] + more)
    union = areas_a + areas_b - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)


def affinities(
    motion: Motion,
    votes: Sequence[Mapping[int, float]],
    boxes_N4: np.ndarray,
    class_ids_N: np.ndarray,
    settings: TrackSettings,
) -> np.ndarray:
    """How well each detection fits each track, float64 (T, N), at most 1; -inf: it is surely another thing.

    The overlap is that of boxes grown by how far off the motion model may be (as C-BIoU grows them by a constant,
    arXiv:2211.14317), so that fast objects and long steps leave no object without an overlap. A class that the track
    was seldom called costs up to `class_penalty`; one that it never was, where the track is sure of another, is out,
    unless the boxes are nearly the same.
    """
    boxes_T4 = motion.boxes_xyxy
    grown = np.minimum(motion.reach, _MOST_REACH * motion.sizes)
    fits = overlaps(boxes_T4, boxes_N4, grown)
    is_hidden = motion.hidden.any(axis=1)
    if is_hidden.any():
        rest = overlaps(motion.visible_xyxy[is_hidden], boxes_N4, grown[is_hidden])
        fits[is_hidden] = np.maximum(fits[is_hidden], rest)
    known, places_N = np.unique(class_ids_N, return_inverse=True)
    votes_TK = np.array([[own.get(k, 0.0) for k in known.tolist()] for own in votes]).reshape(len(votes), len(known))
    totals_T1 = np.array([sum(own.values()) for own in votes]).reshape(-1, 1)
    shares_TN = (votes_TK / np.maximum(totals_T1, 1e-9))[:, places_N]
    fits = fits - settings.class_penalty * (1 - shares_TN)
    is_other = (shares_TN == 0) & (totals_T1 >= settings.sure_votes)
    if is_other.any():
        fits[is_other & (overlaps(boxes_T4, boxes_N4) < settings.same_box)] = -np.inf
    return fits
