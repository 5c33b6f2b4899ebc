"""Scored boxes of all levels -> a picture's proposals, as TensorFlow's TPU detection code and F-VLM pick them."""

# M boxes of a level, R proposals

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ovdet_cli.models.ops.boxes import suppress
from ovdet_cli.models.ops.plus_one_boxes import best_rows

Thin = Callable[[Tensor, Tensor], Tensor]
"""Boxes (M, 4) and scores (M,), falling -> the rows that stay, falling too."""


def suppressing(iou: float) -> Thin:
    """Class-agnostic suppression; boxes of zeros count as gone already."""

    def thin(boxes_M4: Tensor, scores_M: Tensor) -> Tensor:
        rows = torch.nonzero((boxes_M4 != 0).any(dim=1)).squeeze(1)
        return rows[suppress(boxes_M4[rows], scores_M[rows], torch.zeros_like(rows), iou)]

    return thin


def keep_first_of_equals(boxes_M4: Tensor, scores_M: Tensor) -> Tensor:
    """What a suppression at the overlap 1 leaves: of equal boxes the first.

    Boxes without area overlap nothing, not even their like, and boxes of zeros are gone already.
    """
    _, group_M = torch.unique(boxes_M4, dim=0, return_inverse=True)
    order_M = torch.arange(len(boxes_M4), device=boxes_M4.device)
    first_M = torch.full_like(order_M, len(boxes_M4)).scatter_reduce(0, group_M, order_M, "amin")
    has_area = (boxes_M4[:, 2] > boxes_M4[:, 0]) & (boxes_M4[:, 3] > boxes_M4[:, 1])
    is_kept = (first_M[group_M] == order_M) | ~has_area
    return torch.nonzero(is_kept & (boxes_M4 > 0).any(dim=1)).squeeze(1)


def pick_proposals(
    levels: Sequence[tuple[Tensor, Tensor]], thin: Thin, *, pre_nms_top: int, count: int
) -> tuple[Tensor, Tensor]:
    """The best of each level, thinned out, and of these the best `count`: boxes (R, 4), scores (R,), falling."""
    found = []
    for boxes_M4, scores_M in levels:
        rows = best_rows(scores_M, pre_nms_top)
        rows = rows[thin(boxes_M4[rows], scores_M[rows])][:count]
        found.append((boxes_M4[rows], scores_M[rows]))
    boxes, scores = (torch.cat(parts) for parts in zip(*found, strict=True))
    rows = best_rows(scores, count)
    return boxes[rows], scores[rows]
