"""Region pooling from a feature pyramid: every region from the level that fits its size."""

# N regions, L levels, K channels, P bins a side

import torch
from torch import Tensor

from ovdet_cli.models.ops.kernels import roi_align

_CANONICAL_LEVEL = 4


def assign_levels(boxes_N4: Tensor, finest: int, coarsest: int, canonical: float = 224.0) -> Tensor:
    """Pyramid level (finest..coarsest) of each box.

    FPN (arXiv:1612.03144), eq. 1: k = floor(k0 + log2(sqrt(w h) / canonical)), with k0 = 4; the 1e-8 is detectron2's.
    """
    areas = (boxes_N4[:, 2] - boxes_N4[:, 0]) * (boxes_N4[:, 3] - boxes_N4[:, 1])
    levels = torch.floor(_CANONICAL_LEVEL + torch.log2(areas.sqrt() / canonical + 1e-8))
    return levels.nan_to_num(_CANONICAL_LEVEL).clamp(finest, coarsest).long()


def sample_regions(
    pyramid: list[Tensor], boxes: list[Tensor], bins: int, finest: int = 2, canonical: float = 224.0
) -> Tensor:
    """Like `pool_regions`, with one sample in the middle of each bin and no half-pixel shift.

    After tensorflow/tpu 7dc921f, models/official/detection/ops/spatial_transform_ops.py (Apache-2.0). A box has no
    least size there; torchvision leaves it its own only when it is told that boxes are shifted, so that is taken back.
    """
    boxes_N4 = torch.cat(boxes)
    picture_N1 = _picture_column(boxes)
    levels_N = assign_levels(boxes_N4, finest, finest + len(pyramid) - 1, canonical)
    pooled = pyramid[0].new_zeros(len(boxes_N4), pyramid[0].shape[1], bins, bins)
    for i, features in enumerate(pyramid):
        rows = torch.nonzero(levels_N == finest + i).squeeze(1)
        if len(rows):
            stride = 2.0 ** (finest + i)
            rois_N5 = torch.cat((picture_N1[rows], boxes_N4[rows] + 0.5 * stride), dim=1).to(features.dtype)
            pooled[rows] = roi_align(
                features, rois_N5, bins, spatial_scale=1.0 / stride, sampling_ratio=1, aligned=True
            )
    return pooled


def _picture_column(boxes: list[Tensor]) -> Tensor:
    """Which picture each of all boxes belongs to, (N, 1)."""
    device = boxes[0].device
    counts = torch.tensor([len(b) for b in boxes], device=device)
    return torch.repeat_interleave(torch.arange(len(boxes), device=device), counts).to(boxes[0].dtype)[:, None]


def pool_regions(
    pyramid: list[Tensor], boxes: list[Tensor], bins: int, finest: int = 3, canonical: float = 224.0
) -> Tensor:
    """Pooled features (N, K, P, P) of the regions of all pictures, one picture after another.

    pyramid: maps (B, K, h, w) at strides 2^finest, 2^(finest + 1), ...; boxes: (n, 4) in network pixels, a tensor a
    picture; canonical: side of the box that belongs to level 4. ROIAlign with half-pixel alignment and as many samples
    a bin as it has pixels (detectron2's ROIAlignV2).
    """
    boxes_N4 = torch.cat(boxes)
    rois_N5 = torch.cat((_picture_column(boxes), boxes_N4), dim=1).to(pyramid[0].dtype)
    levels_N = assign_levels(boxes_N4, finest, finest + len(pyramid) - 1, canonical)
    pooled = pyramid[0].new_zeros(len(boxes_N4), pyramid[0].shape[1], bins, bins)
    for i, features in enumerate(pyramid):
        rows = torch.nonzero(levels_N == finest + i).squeeze(1)
        if len(rows):
            pooled[rows] = roi_align(
                features, rois_N5[rows], bins, spatial_scale=2.0 ** -(finest + i), sampling_ratio=0, aligned=True
            )
    return pooled
