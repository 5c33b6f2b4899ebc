"""Boxes whose sides are counted in whole pixels, x2 - x1 + 1, as TensorFlow's TPU detection code and F-VLM have them.

After tensorflow/tpu 7dc921f, models/official/detection/utils/box_utils.py (Apache-2.0); here x comes before y.
"""

# N boxes

import math

import torch
from torch import Tensor

_MAX_LOG_SCALE = math.log(1000.0 / 16)


def decode_plus_one(
    codes_N4: Tensor, boxes_N4: Tensor, weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
) -> Tensor:
    """Boxes moved by codes (dy, dx, dh, dw), each divided by its weight first."""
    x1, y1, x2, y2 = boxes_N4.unbind(-1)
    widths, heights = x2 - x1 + 1, y2 - y1 + 1
    dy, dx, dh, dw = (codes_N4[..., i] / weights[i] for i in range(4))
    centre_x, centre_y = dx * widths + (x1 + 0.5 * widths), dy * heights + (y1 + 0.5 * heights)
    new_widths = dw.clamp(max=_MAX_LOG_SCALE).exp() * widths
    new_heights = dh.clamp(max=_MAX_LOG_SCALE).exp() * heights
    left, top = centre_x - 0.5 * new_widths, centre_y - 0.5 * new_heights
    return torch.stack((left, top, left + new_widths - 1, top + new_heights - 1), dim=-1)


def clip_to_canvas(boxes_N4: Tensor, canvas_hw: tuple[int, int]) -> Tensor:
    """Boxes cut to the first and last pixel of the canvas; the picture may end before that."""
    height, width = canvas_hw
    limits = boxes_N4.new_tensor([width - 1, height - 1, width - 1, height - 1])
    return torch.minimum(boxes_N4.clamp(min=0), limits)


def best_rows(scores_N: Tensor, count: int) -> Tensor:
    """Rows of the highest scores, falling; of equal ones the first comes first, as in TensorFlow's top_k."""
    return scores_N.sort(descending=True, stable=True).indices[:count]
