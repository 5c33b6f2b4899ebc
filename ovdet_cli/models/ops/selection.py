"""Scored regions -> the detections of a picture."""

# R regions, C classes, N detections

import torch
from torch import Tensor

from ovdet_cli.models.ops.boxes import suppress


def select_detections(
    boxes_R4: Tensor, scores_RC: Tensor, *, threshold: float, nms_iou: float, max_detections: int, one_class: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """(region rows, class ids, scores) of the detections, surest first, int64 (N,), int64 (N,), float32 (N,).

    detectron2's `fast_rcnn_inference`: regions that are not finite dropped, score > threshold, suppression within each
    class (none at nms_iou 1), the best `max_detections`. one_class: Detic's demo rule, a region keeps its best class
    only (exact ties all stay).
    """
    is_finite = torch.isfinite(boxes_R4).all(dim=1) & torch.isfinite(scores_RC).all(dim=1)
    candidates_RC = (scores_RC > threshold) & is_finite[:, None]
    if one_class:
        candidates_RC &= scores_RC == scores_RC.amax(dim=1, keepdim=True)
    rows, class_ids = torch.nonzero(candidates_RC, as_tuple=True)
    scores = scores_RC[rows, class_ids]
    if nms_iou < 1:
        keep = suppress(boxes_R4[rows], scores, class_ids, nms_iou)[:max_detections]
    else:  # nothing is suppressed, and a DETR's hundreds of thousands of candidates are never compared
        keep = scores.topk(min(max_detections, len(scores))).indices
    return rows[keep], class_ids[keep], scores[keep]
