"""CenterNet as a class-agnostic proposal generator (arXiv:2103.07461).

Follows xingyizhou/CenterNet2 8745e012 (Apache-2.0) in its proposal-only form: one tower for heat and box, no classes.
"""

# B pictures, P proposals, M cells of a level, K channels

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ovdet_cli.models.detic.config import CenterNetConfig
from ovdet_cli.models.ops.boxes import suppress

STRIDES = (8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Proposals:
    """Candidate regions of one picture, surest first.

    boxes_P4: float32 (P, 4), x1 y1 x2 y2 in network pixels, **not** clipped to the picture.
    scores_P: float32 (P,), square root of the heat.
    """

    boxes_P4: Tensor
    scores_P: Tensor


class CenterNetHead(nn.Module):
    """Pyramid maps (B, K, h, w) -> a heat logit (B, 1, h, w) and ltrb distances (B, 4, h, w) in strides, a level."""

    def __init__(self, channels: int, num_convs: int, num_levels: int = len(STRIDES)) -> None:
        super().__init__()
        tower: list[nn.Module] = []
        for _ in range(num_convs):
            tower += [nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(32, channels), nn.ReLU()]
        self.tower = nn.Sequential(*tower)
        self.heat = nn.Conv2d(channels, 1, 3, padding=1)
        self.ltrb = nn.Conv2d(channels, 4, 3, padding=1)
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(1)) for _ in range(num_levels))

    def forward(self, pyramid: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        heats, distances = [], []
        for features, scale in zip(pyramid, self.scales, strict=True):
            x = self.tower(features)
            heats.append(self.heat(x))
            distances.append((self.ltrb(x) * scale).relu())
        return heats, distances


def cell_centres(size_hw: tuple[int, int], stride: int, device: torch.device) -> Tensor:
    """Picture coordinates (x, y) of a map's cells, row by row: float32 (M, 2)."""
    h, w = size_hw
    y, x = torch.meshgrid(torch.arange(h, device=device), torch.arange(w, device=device), indexing="ij")
    return torch.stack((x, y), dim=-1).view(-1, 2).float() * stride + stride // 2


def _decode_level(heat_M: Tensor, ltrb_M4: Tensor, centres_M2: Tensor, config: CenterNetConfig) -> Proposals:
    """The cells of one level that are worth a proposal, as boxes."""
    rows = torch.nonzero(heat_M > config.heat_threshold).squeeze(1)
    if len(rows) > config.pre_nms_top:
        rows = rows[heat_M[rows].topk(config.pre_nms_top, sorted=False).indices]
    x, y = centres_M2[rows].unbind(-1)
    left, top, right, bottom = ltrb_M4[rows].unbind(-1)
    x1, y1 = x - left, y - top
    # The official code keeps degenerate boxes alive with a hundredth of a pixel.
    x2, y2 = torch.maximum(x + right, x1 + 0.01), torch.maximum(y + bottom, y1 + 0.01)
    return Proposals(torch.stack((x1, y1, x2, y2), dim=-1), heat_M[rows].sqrt())


def decode_proposals(heats: list[Tensor], distances: list[Tensor], config: CenterNetConfig) -> list[Proposals]:
    """Head outputs of all levels -> the proposals of each picture, surest first.

    Class-agnostic suppression over all levels, then the best `post_nms_top`; a tie at the last place keeps all of
    them, so there may be more.
    """
    levels = [
        (
            heat.float().sigmoid().flatten(1),
            distance.float().permute(0, 2, 3, 1).flatten(1, 2) * stride,
            cell_centres((heat.shape[2], heat.shape[3]), stride, heat.device),
        )
        for heat, distance, stride in zip(heats, distances, STRIDES[: len(heats)], strict=True)
    ]
    pictures = []
    for b in range(len(heats[0])):
        parts = [_decode_level(heat[b], ltrb[b], centres, config) for heat, ltrb, centres in levels]
        boxes = torch.cat([p.boxes_P4 for p in parts])
        scores = torch.cat([p.scores_P for p in parts])
        keep = suppress(boxes, scores, torch.zeros_like(scores, dtype=torch.long), config.nms_iou)
        if len(keep) > config.post_nms_top:
            keep = keep[scores[keep] >= scores[keep[config.post_nms_top - 1]]]
        pictures.append(Proposals(boxes[keep], scores[keep]))
    return pictures
