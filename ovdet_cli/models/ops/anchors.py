"""Region proposal networks (arXiv:1506.01497): anchors on a grid, and scored boxes on them -> proposals."""

# A anchors a cell, M cells x anchors, N boxes

import torch
from torch import Tensor


def anchor_shapes(sizes: tuple[float, ...], ratios: tuple[float, ...]) -> Tensor:
    """Width and height of a cell's anchors (A, 2), size after size: of the area size², height / width = ratio."""
    shapes = [((size * size / ratio) ** 0.5, ratio) for size in sizes for ratio in ratios]
    return torch.tensor([(width, ratio * width) for width, ratio in shapes])


def grid_anchors(shapes_A2: Tensor, grid_hw: tuple[int, int], stride: int, offset: float) -> Tensor:
    """Anchors (h w A, 4), x1 y1 x2 y2, cell by cell in rows; offset: of centres from a cell's corner, in strides."""
    h, w = grid_hw
    y, x = ((torch.arange(n, device=shapes_A2.device).float() + offset) * stride for n in (h, w))
    y, x = torch.meshgrid(y, x, indexing="ij")
    centres = torch.stack((x, y), dim=-1).view(-1, 1, 2)
    return torch.cat((centres - shapes_A2 / 2, centres + shapes_A2 / 2), dim=-1).view(-1, 4)


def per_anchor(maps: Tensor, values: int) -> Tensor:
    """A head's maps (B, A * values, h, w) -> (B, h w A, values), in the order of `grid_anchors`."""
    batch, channels, h, w = maps.shape
    return maps.view(batch, channels // values, values, h, w).permute(0, 3, 4, 1, 2).reshape(batch, -1, values)
