"""Suppression in many pictures at once: where each has few candidates, the calls cost more than the work."""

# M candidates (a box and a class), K pairs of them

import numpy as np
import torch
from torch import Tensor

MOST_A_PICTURE = 1000
"""Beyond so many boxes torchvision keeps classes apart in another way, which is not what stands here."""
_MOST_PAIRS = 4_000_000


def suppress_each(
    boxes_M4: Tensor, scores_M: Tensor, class_ids_M: Tensor, pictures_M: Tensor, iou: float
) -> Tensor | None:
    """Rows that survive suppression within each class of each picture: picture by picture, the surest first.

    pictures_M: the number of each candidate's picture, ascending, from 0. The same rows as `suppress` gives of each
    picture alone; None where it must be asked (many candidates, or not on the CPU).
    """
    if boxes_M4.device.type != "cpu":
        return None
    boxes, scores = boxes_M4.float().numpy(), scores_M.float().numpy()
    class_ids, pictures = class_ids_M.numpy(), pictures_M.numpy()
    if not len(scores):
        return torch.zeros(0, dtype=torch.long)
    if np.bincount(pictures).max() > MOST_A_PICTURE:
        return None
    down = np.lexsort((-scores, pictures))
    # Classes side by side, each one's candidates from the surest down.
    order = down[np.lexsort((class_ids[down], pictures[down]))]
    pairs = _pairs(pictures[order], class_ids[order])
    if pairs is None:
        return None
    first, second = pairs
    if not len(first):
        return torch.from_numpy(down)
    overlaps = _overlaps(_apart(boxes, class_ids, pictures)[order], first, second) > iou
    is_kept = np.empty(len(order), bool)
    is_kept[order] = _survivors(len(order), first[overlaps], second[overlaps])
    return torch.from_numpy(down[is_kept[down]])


def _pairs(pictures_M: np.ndarray, class_ids_M: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Every two candidates of one class in one picture, the former first; None: too many. Both keys are sorted."""
    is_new = (np.diff(pictures_M, prepend=-1) != 0) | (np.diff(class_ids_M, prepend=-1) != 0)
    begins = np.flatnonzero(is_new)
    sizes = np.diff(begins, append=len(pictures_M))
    # How many stand behind each in its group.
    behind = np.repeat(begins + sizes, sizes) - np.arange(len(pictures_M)) - 1
    num_pairs = int(behind.sum())
    if num_pairs > _MOST_PAIRS:
        return None
    first = np.repeat(np.arange(len(pictures_M)), behind)
    step = np.arange(num_pairs) - np.repeat(np.cumsum(behind) - behind, behind)
    return first, first + 1 + step


def _apart(boxes_M4: np.ndarray, class_ids_M: np.ndarray, pictures_M: np.ndarray) -> np.ndarray:
    """Boxes moved by their class, as torchvision moves them: its rounding decides some overlaps."""
    begins = np.flatnonzero(np.diff(pictures_M, prepend=-1))
    furthest = np.maximum.reduceat(boxes_M4.max(axis=1), begins) + np.float32(1)
    sizes = np.diff(begins, append=len(pictures_M))
    moves: np.ndarray = class_ids_M.astype(np.float32) * np.repeat(furthest, sizes)
    return boxes_M4 + moves[:, None]


def _overlaps(boxes_M4: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union (float64 (K,)) of pairs, computed in float32 as torchvision's kernel does."""
    areas = (boxes_M4[:, 2] - boxes_M4[:, 0]) * (boxes_M4[:, 3] - boxes_M4[:, 1])
    a, b = boxes_M4[first], boxes_M4[second]
    sides = (np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])).clip(min=0)
    inner = sides[:, 0] * sides[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):  # empty boxes overlap nothing
        overlaps: np.ndarray = inner / (areas[first] + areas[second] - inner)
    return overlaps.astype(np.float64)


def _survivors(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which of so many (bool (M,)) stay, where the first of a pair suppresses the second if it stays itself.

    Everything stays at first; each round is right for one more of a chain, so that the last one changes nothing.
    """
    is_kept = np.ones(count, bool)
    while True:
        before = is_kept
        is_kept = np.ones(count, bool)
        is_kept[second[before[first]]] = False
        if (is_kept == before).all():
            return is_kept
