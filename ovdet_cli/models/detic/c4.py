"""Detic's detector of the open-vocabulary COCO benchmark (arXiv:2201.02605): Faster R-CNN in the C4 layout.

Follows facebookresearch/Detic 436cda2a (Apache-2.0) and detectron2 02b5c4e2 at inference. Knowing differences: the
classifier's columns come in as text embeddings, without the background's, so that a user's words work as well (the
official demo cannot set them in this model); there is no mask head.
"""

# B pictures, N regions of all pictures, R of one, A anchors a cell, M cells x anchors

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovdet_cli.models.detic.cascade import zero_shot_scores
from ovdet_cli.models.detic.config import C4Config
from ovdet_cli.models.interface import OpenVocabularyDetector, Regions, TextRows
from ovdet_cli.models.ops.anchors import anchor_shapes, grid_anchors, per_anchor
from ovdet_cli.models.ops.boxes import clip_boxes, decode_deltas, suppress
from ovdet_cli.models.ops.pooling import pool_regions
from ovdet_cli.models.ops.resnet import ResNet, build_stage

_STRIDE = 16
_AT_ONCE = 128
"""Regions that go through res5 together: all 1000 would take gigabytes."""


class ProposalHead(nn.Module):
    """A map (B, K, h, w) -> objectness logits (B, M) and box deltas (B, M, 4), cell by cell."""

    def __init__(self, channels: int, num_anchors: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, num_anchors, 1)
        self.deltas = nn.Conv2d(channels, 4 * num_anchors, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.conv(features))
        return per_anchor(self.objectness(x), 1).squeeze(-1), per_anchor(self.deltas(x), 4)


class RegionHead(nn.Module):
    """Pooled features (N, K, P, P) -> unit embeddings (N, D) and box deltas (N, 4), by way of res5."""

    def __init__(self, in_channels: int, width: int, blocks: int, embedding: int) -> None:
        super().__init__()
        channels = 4 * width
        self.res5 = build_stage(in_channels, width, blocks, 2, stride_in_1x1=True)
        self.project = nn.Linear(channels, embedding)
        self.deltas = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, 4))

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        x = self.res5(pooled).mean(dim=(2, 3))
        return F.normalize(self.project(x).float(), dim=1), self.deltas(x).float()


class DeticC4(OpenVocabularyDetector):
    """Pictures -> regions with one set of features; features x texts -> scores."""

    def __init__(self, config: C4Config) -> None:
        super().__init__()
        self.config = config
        channels = 4 * config.stem * 2 ** (len(config.blocks) - 1)
        self.backbone = ResNet(config.blocks, stride_in_1x1=True, stem=config.stem)
        self.register_buffer(
            "anchor_shapes", anchor_shapes(config.anchor_sizes, config.anchor_ratios), persistent=False
        )
        self.anchor_shapes: Tensor
        self.proposal_head = ProposalHead(channels, len(self.anchor_shapes))
        self.region_head = RegionHead(channels, channels // 2, config.region_blocks, config.embedding)

    def extract(self, pixels: Tensor) -> list[Tensor]:
        """Normalised pictures (B, 3, H, W) -> res4 alone."""
        return self.backbone(pixels)[-1:]

    def propose(self, pyramid: list[Tensor], sizes_hw: list[tuple[int, int]]) -> list[Regions]:
        """res4 -> refined regions of each picture."""
        logits_BM, deltas_BM4 = self.proposal_head(pyramid[0])
        grid_hw = (pyramid[0].shape[2], pyramid[0].shape[3])
        anchors_M4 = grid_anchors(self.anchor_shapes, grid_hw, _STRIDE, offset=0.0)
        found = [
            self._select(logits_M, deltas_M4, anchors_M4, size)
            for logits_M, deltas_M4, size in zip(logits_BM, deltas_BM4, sizes_hw, strict=True)
        ]
        return self.refine(pyramid, found, sizes_hw)

    def _select(
        self, logits_M: Tensor, deltas_M4: Tensor, anchors_M4: Tensor, size_hw: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """A picture's proposals, clipped, and their objectness logits, surest first."""
        logits, rows = logits_M.float().topk(min(self.config.pre_nms_top, len(logits_M)))
        boxes = decode_deltas(deltas_M4[rows].float(), anchors_M4[rows], (1.0, 1.0, 1.0, 1.0))
        is_finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(logits)
        boxes = clip_boxes(boxes, size_hw)
        kept = is_finite & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, logits = boxes[kept], logits[kept]
        rows = suppress(boxes, logits, torch.zeros_like(logits, dtype=torch.long), self.config.nms_iou)
        rows = rows[: self.config.post_nms_top]
        return boxes[rows], logits[rows]

    def refine(
        self, pyramid: list[Tensor], proposals: list[tuple[Tensor, Tensor]], sizes_hw: list[tuple[int, int]]
    ) -> list[Regions]:
        """Proposals (boxes and logits of each picture) -> regions."""
        regions = []
        for b, ((boxes_R4, logits_R), size) in enumerate(zip(proposals, sizes_hw, strict=True)):
            features_RD, deltas_R4 = self._describe(pyramid[0][b : b + 1], boxes_R4)
            moved_R4 = clip_boxes(decode_deltas(deltas_R4, boxes_R4, self.config.delta_weights), size)
            regions.append(Regions(moved_R4, logits_R.sigmoid(), features_RD[:, None]))
        return regions

    def _describe(self, features: Tensor, boxes_R4: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings and deltas of one picture's boxes, some at a time."""
        bins = self.config.box_pool
        parts: Iterable[Tensor] = boxes_R4.split(_AT_ONCE)
        found = [self.region_head(pool_regions([features], [boxes], bins, finest=4)) for boxes in parts]
        embeddings, deltas = zip(*found, strict=True)
        return torch.cat(embeddings), torch.cat(deltas)

    def classify(
        self,
        regions: Regions,
        texts: Tensor,
        is_novel_C: Tensor | None = None,
        rows: TextRows | None = None,
        class_of_P: Tensor | None = None,
    ) -> Tensor:
        """Scores (R, C): the class's probability alone; objectness has no part in them."""
        return zero_shot_scores(regions.features_RSD, texts, [(self.config.temperature, 0.0)], class_of_P)

    def predict_masks(self, pyramid: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Never asked for: the zoo says that this model has no masks."""
        raise NotImplementedError("this model has no mask head")


def build_c4(config: C4Config) -> DeticC4:
    """A model of random weights, in evaluation mode."""
    return DeticC4(config).eval()
