"""torchvision's kernels, imported when the first is called: it brings torch's compiler along, 1.5 s of every start.

A query of stored regions comes through without them.
"""

# N, M boxes, K channels, P bins a side

from torch import Tensor


def nms(boxes_N4: Tensor, scores_N: Tensor, iou: float) -> Tensor:
    """Rows that survive non-maximum suppression, surest first."""
    from torchvision.ops import nms as kernel

    return kernel(boxes_N4, scores_N, iou)


def batched_nms(boxes_N4: Tensor, scores_N: Tensor, class_ids_N: Tensor, iou: float) -> Tensor:
    """The same within each class."""
    from torchvision.ops import batched_nms as kernel

    return kernel(boxes_N4, scores_N, class_ids_N, iou)


def box_iou(boxes_N4: Tensor, others_M4: Tensor) -> Tensor:
    """Intersection over union (N, M) of boxes as x1 y1 x2 y2."""
    from torchvision.ops import box_iou as kernel

    return kernel(boxes_N4, others_M4)


def roi_align(
    features: Tensor, rois_N5: Tensor, bins: int, *, spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Tensor:
    """Features of each region (N, K, P, P); see torchvision."""
    from torchvision.ops import roi_align as kernel

    return kernel(features, rois_N5, bins, spatial_scale=spatial_scale, sampling_ratio=sampling_ratio, aligned=aligned)
