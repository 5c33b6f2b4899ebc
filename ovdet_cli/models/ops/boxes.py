"""Boxes as x1 y1 x2 y2 tensors: clipping, decoding of deltas, suppression."""

# N boxes

import math

import torch
from torch import Tensor

from ovdet_cli.models.ops.kernels import batched_nms, box_iou

__all__ = ["box_iou", "clip_boxes", "decode_deltas", "suppress"]

# detectron2's limit: a delta never enlarges a box more than 1000/16 times.
_MAX_LOG_SCALE = math.log(1000.0 / 16)


def clip_boxes(boxes_N4: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Boxes cut to a picture of `size_hw`."""
    height, width = size_hw
    x1, y1, x2, y2 = boxes_N4.unbind(-1)
    return torch.stack((x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)), dim=-1)


def decode_deltas(deltas_N4: Tensor, boxes_N4: Tensor, weights: tuple[float, float, float, float]) -> Tensor:
    """Boxes moved by deltas (dx, dy, dw, dh): centre in units of the box's size, size in logarithms.

    Faster R-CNN (arXiv:1506.01497), eq. 2, with every delta divided by its weight first.
    """
    x1, y1, x2, y2 = boxes_N4.unbind(-1)
    widths, heights = x2 - x1, y2 - y1
    dx, dy, dw, dh = (deltas_N4[:, i] / weights[i] for i in range(4))
    centre_x = dx * widths + (x1 + 0.5 * widths)
    centre_y = dy * heights + (y1 + 0.5 * heights)
    new_widths = dw.clamp(max=_MAX_LOG_SCALE).exp() * widths
    new_heights = dh.clamp(max=_MAX_LOG_SCALE).exp() * heights
    return torch.stack(
        (
            centre_x - 0.5 * new_widths,
            centre_y - 0.5 * new_heights,
            centre_x + 0.5 * new_widths,
            centre_y + 0.5 * new_heights,
        ),
        dim=-1,
    )


def suppress(boxes_N4: Tensor, scores_N: Tensor, class_ids_N: Tensor, iou: float) -> Tensor:
    """Rows that survive non-maximum suppression within each class, surest first.

    torchvision's function decides by the number of boxes how it keeps classes apart, and one of its two ways
    loses some precision; the official code calls this very function, so that choice is kept. MPS has no kernel
    that can be trusted with it, so there it runs on the CPU.
    """
    if boxes_N4.device.type == "mps":
        return suppress(boxes_N4.cpu(), scores_N.cpu(), class_ids_N.cpu(), iou).to(boxes_N4.device)
    return batched_nms(boxes_N4.float(), scores_N.float(), class_ids_N, iou)
