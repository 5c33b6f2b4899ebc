"""Scored regions -> the detections of a picture."""

# R regions, C classes, M candidates (a region and a class), N detections

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ovdet_cli.models.ops.boxes import box_iou, suppress
from ovdet_cli.models.ops.suppression import suppress_each

_MANY = 50_000
"""Candidates from which `_suppress_shared` is faster, by far."""


@dataclass(frozen=True)
class ClassRules:
    """What a vocabulary says of single classes; NaN or a huge number where it says nothing.

    threshold_C: float32, in place of the common one. min_area_C: float32, square pixels of the picture.
    max_count_C: int64, detections a picture. is_negative_C: bool; where such a class scores at least as high as
    another, that one is no candidate, and itself it never is.
    """

    threshold_C: Tensor
    min_area_C: Tensor
    max_count_C: Tensor
    is_negative_C: Tensor

    NO_LIMIT = 2**62

    def to(self, device: torch.device) -> "ClassRules":
        """The same on a device."""
        parts = (self.threshold_C, self.min_area_C, self.max_count_C, self.is_negative_C)
        return ClassRules(*(part.to(device) for part in parts))

    def lowest(self, threshold: float) -> float:
        """The lowest score that any class can be kept with, where the common threshold is this."""
        return float(torch.where(self.threshold_C.isnan(), threshold, self.threshold_C).min())


Candidates = tuple[Tensor, Tensor, Tensor]
"""Region rows int64 (M,), class ids int64 (M,), scores float32 (M,)."""


def select_detections(
    boxes_R4: Tensor,
    scores_RC: Tensor,
    *,
    threshold: float,
    nms_iou: float,
    max_detections: int,
    one_class: bool,
    classes: ClassRules | None = None,
    areas_R: Tensor | None = None,
) -> Candidates:
    """(region rows, class ids, scores) of the detections, surest first, int64 (N,), int64 (N,), float32 (N,).

    detectron2's `fast_rcnn_inference`: regions that are not finite dropped, score > threshold, suppression within each
    class (none at nms_iou 1), the best `max_detections`. one_class: Detic's demo rule, a region keeps its best class
    only (exact ties all stay). classes: rules of single classes; areas_R: the boxes' square pixels in the picture, for
    these.
    """
    is_finite = are_finite(boxes_R4) & are_finite(scores_RC)
    found = find_candidates(scores_RC, is_finite, threshold, one_class=one_class, classes=classes, areas_R=areas_R)
    return keep_best(boxes_R4, found, nms_iou=nms_iou, max_detections=max_detections, classes=classes)


def are_finite(values_RC: Tensor) -> Tensor:
    """Rows (bool (R,)) without infinity or NaN: the extremes tell, ten times faster than a look at every number."""
    # `aminmax` is as slow as that look.
    return torch.isfinite(values_RC.amin(dim=1)) & torch.isfinite(values_RC.amax(dim=1))


def find_candidates(
    scores_RC: Tensor,
    is_allowed_R: Tensor,
    threshold: float,
    *,
    one_class: bool,
    classes: ClassRules | None = None,
    areas_R: Tensor | None = None,
) -> Candidates:
    """Every region and class that could be a detection, by region and then by class; see `select_detections`.

    Columns behind those that `classes` knows (rows of padding) follow the common rules.
    """
    cut: float | Tensor = threshold
    if classes is not None:
        cut = scores_RC.new_full((scores_RC.shape[1],), threshold)
        own = classes.threshold_C
        cut[: len(own)] = torch.where(own.isnan(), cut[: len(own)], own)
    candidates_RC = (scores_RC > cut) & is_allowed_R[:, None]
    if one_class:
        candidates_RC &= scores_RC == scores_RC.amax(dim=1, keepdim=True)
    if classes is not None:
        num = len(classes.threshold_C)
        if classes.is_negative_C.any():
            negative_R1 = scores_RC[:, :num][:, classes.is_negative_C].amax(dim=1, keepdim=True)
            candidates_RC &= scores_RC > negative_R1
            candidates_RC[:, :num] &= ~classes.is_negative_C
        if areas_R is not None and (classes.min_area_C > 0).any():
            candidates_RC[:, :num] &= areas_R[:, None] >= classes.min_area_C
    rows, class_ids = torch.nonzero(candidates_RC, as_tuple=True)
    return rows, class_ids, scores_RC[rows, class_ids]


def keep_best(
    boxes_R4: Tensor,
    candidates: Candidates,
    *,
    nms_iou: float,
    max_detections: int,
    classes: ClassRules | None = None,
) -> Candidates:
    """Suppression within each class (none at nms_iou 1), each class's most, then the best `max_detections`."""
    rows, class_ids, scores = candidates
    limits = None if classes is None or (classes.max_count_C == ClassRules.NO_LIMIT).all() else classes.max_count_C
    if nms_iou >= 1:  # a DETR's hundreds of thousands of candidates are never compared
        keep = scores.topk(len(scores) if limits is not None else min(max_detections, len(scores))).indices
    elif len(rows) < _MANY:
        keep = suppress(boxes_R4[rows], scores, class_ids, nms_iou)
    else:
        keep = _suppress_shared(boxes_R4, rows, class_ids, scores, nms_iou, max_detections, limits)
    if limits is not None:
        keep = keep[_rank_in_class(class_ids[keep]) < _limits_of(class_ids[keep], limits)]
    keep = keep[:max_detections]
    return rows[keep], class_ids[keep], scores[keep]


def keep_best_each(
    boxes_R4: Tensor,
    candidates: Candidates,
    pictures_M: Tensor,
    *,
    nms_iou: float,
    max_detections: int,
    classes: ClassRules | None = None,
) -> tuple[Candidates, Tensor] | None:
    """`keep_best` for many pictures at once: their candidates, picture by picture, and the number of each's picture.

    pictures_M: the number of each candidate's picture, ascending. None where pictures must be looked at one by one.
    """
    rows, class_ids, scores = candidates
    if nms_iou >= 1:
        return None
    keep = suppress_each(boxes_R4[rows], scores, class_ids, pictures_M, nms_iou)
    if keep is None:
        return None
    if classes is not None and (classes.max_count_C != ClassRules.NO_LIMIT).any():
        of_class = pictures_M[keep] * (class_ids.max() + 1) + class_ids[keep] if len(keep) else keep
        keep = keep[_rank_in_class(of_class) < _limits_of(class_ids[keep], classes.max_count_C)]
    keep = keep[_rank_in_class(pictures_M[keep]) < max_detections]
    return (rows[keep], class_ids[keep], scores[keep]), pictures_M[keep]


def keep_allowed(candidates: Candidates, threshold: float, classes: ClassRules, areas_N: Tensor) -> Candidates:
    """Those of regions that have one class each, surest first, which the rules of their classes allow."""
    rows, class_ids, scores = candidates
    own = classes.threshold_C[class_ids]
    is_sure = scores > torch.where(own.isnan(), threshold, own)
    kept = is_sure & ~classes.is_negative_C[class_ids] & (areas_N >= classes.min_area_C[class_ids])
    rows, class_ids, scores = rows[kept], class_ids[kept], scores[kept]
    few = _rank_in_class(class_ids) < classes.max_count_C[class_ids]
    return rows[few], class_ids[few], scores[few]


def _limits_of(class_ids_N: Tensor, limits_C: Tensor) -> Tensor:
    """Each detection's limit of its class; rows of padding have none."""
    padded = torch.cat((limits_C, limits_C.new_full((1,), ClassRules.NO_LIMIT)))
    return padded[class_ids_N.clamp(max=len(limits_C))]


def _rank_in_class(class_ids_N: Tensor) -> Tensor:
    """How many of the same class stand before each."""
    order = class_ids_N.sort(stable=True).indices
    _, counts = torch.unique_consecutive(class_ids_N[order], return_counts=True)
    firsts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order), device=order.device) - firsts
    return ranks


def _suppress_shared(
    boxes_R4: Tensor,
    rows_M: Tensor,
    class_ids_M: Tensor,
    scores_M: Tensor,
    iou: float,
    count: int,
    limits_C: Tensor | None = None,
) -> Tensor:
    """The same as suppression within each class and then the best `count`, for classes that share their boxes.

    Goes down the scores of all classes at once and stops at `count`: of a million candidates a few thousand are looked
    at, and overlaps are computed once for all classes.
    """
    overlaps_RR = (box_iou(boxes_R4.float(), boxes_R4.float()) > iou).cpu().numpy()
    limits = None if limits_C is None else limits_C.tolist()
    rows, class_ids = rows_M.cpu().numpy(), class_ids_M.cpu().numpy()
    gone: dict[int, np.ndarray] = {}
    taken: dict[int, int] = {}
    kept: list[int] = []
    for place in _down(scores_M):
        row, class_id = int(rows[place]), int(class_ids[place])
        if class_id in gone and gone[class_id][row]:
            continue
        if limits is not None and class_id < len(limits):
            if taken.get(class_id, 0) >= limits[class_id]:
                continue
            taken[class_id] = taken.get(class_id, 0) + 1
        kept.append(place)
        if len(kept) == count:
            break
        gone[class_id] = overlaps_RR[row] | gone[class_id] if class_id in gone else overlaps_RR[row].copy()
    return torch.tensor(kept, dtype=torch.long, device=rows_M.device)


def _down(scores_M: Tensor) -> Iterator[int]:
    """Places from the highest score to the lowest, earlier ones first among equals; sorted piece by piece.

    Seldom more than the first piece is looked at, and to sort twenty million takes seconds.
    """
    left = torch.arange(len(scores_M), device=scores_M.device)
    size = max(_MANY, 1)
    while len(left):
        if len(left) > size:
            least = scores_M[left].topk(size).values[-1]
            is_high = scores_M[left] >= least
            piece, left = left[is_high], left[~is_high]
        else:
            piece, left = left, left[:0]
        yield from piece[scores_M[piece].sort(descending=True, stable=True).indices].tolist()
        size *= 4
