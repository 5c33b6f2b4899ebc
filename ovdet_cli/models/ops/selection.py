"""Scored regions -> the detections of a picture."""

# R regions, C classes, N detections

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from ovdet_cli.models.ops.boxes import suppress

_MANY = 50_000
"""Candidates from which `_suppress_shared` is faster, by far."""


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
    if nms_iou >= 1:  # a DETR's hundreds of thousands of candidates are never compared
        keep = scores.topk(min(max_detections, len(scores))).indices
    elif len(rows) < _MANY:
        keep = suppress(boxes_R4[rows], scores, class_ids, nms_iou)[:max_detections]
    else:
        keep = _suppress_shared(boxes_R4, rows, class_ids, scores, nms_iou, max_detections)
    return rows[keep], class_ids[keep], scores[keep]


def _suppress_shared(
    boxes_R4: Tensor, rows_M: Tensor, class_ids_M: Tensor, scores_M: Tensor, iou: float, count: int
) -> Tensor:
    """The same as suppression within each class and then the best `count`, for classes that share their boxes.

    Goes down the scores of all classes at once and stops at `count`: of a million candidates a few thousand are looked
    at, and overlaps are computed once for all classes.
    """
    overlaps_RR = (box_iou(boxes_R4.float(), boxes_R4.float()) > iou).cpu().numpy()
    order = scores_M.sort(descending=True, stable=True).indices.cpu().numpy()
    rows, class_ids = rows_M.cpu().numpy(), class_ids_M.cpu().numpy()
    gone: dict[int, np.ndarray] = {}
    kept: list[int] = []
    for place in order:
        row, class_id = int(rows[place]), int(class_ids[place])
        if class_id in gone and gone[class_id][row]:
            continue
        kept.append(int(place))
        if len(kept) == count:
            break
        gone[class_id] = overlaps_RR[row] | gone[class_id] if class_id in gone else overlaps_RR[row].copy()
    return torch.tensor(kept, dtype=torch.long, device=rows_M.device)
