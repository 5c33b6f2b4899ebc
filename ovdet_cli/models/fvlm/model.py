"""F-VLM (arXiv:2209.15639): Mask R-CNN's heads on CLIP's frozen ResNet, whose own pooling scores regions as well.

Follows google-research/google-research, fvlm (4c429948; Apache-2.0) at inference. Not verified, as they cannot be had:
the published weights. Knowing differences: boxes are x1 y1 x2 y2; classes and rows of text come in from outside.
"""

# B pictures, R regions, D embedding width, C classes

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovdet_cli.models.fvlm.clip_resnet import AttentionPool, ClipResNet
from ovdet_cli.models.fvlm.config import FvlmConfig
from ovdet_cli.models.interface import OpenVocabularyDetector, Regions, TextRows
from ovdet_cli.models.ops.anchors import anchor_shapes, grid_anchors
from ovdet_cli.models.ops.plus_one_boxes import clip_to_canvas, decode_plus_one
from ovdet_cli.models.ops.pooling import sample_regions
from ovdet_cli.models.ops.proposals import pick_proposals, suppressing
from ovdet_cli.models.ops.towers import BATCH_NORMS, MaskTower, NormedPyramid, ProposalTower, RegionTower, in_parts
from ovdet_cli.models.ops.vlm_scores import join_scores, row_logits

_FINEST = 2
_LEVELS = 5
_BOX_BINS, _MASK_BINS = 7, 14
_RATIOS = (1.0, 0.5, 2.0)  # height / width


class Fvlm(OpenVocabularyDetector):
    """Pictures -> regions with the heads' and CLIP's embedding; embeddings x texts -> scores; boxes -> masks."""

    CLASSIFIER = ("temperature",)

    def __init__(self, config: FvlmConfig) -> None:
        super().__init__()
        self.config = config
        channels = [4 * config.width * 2**i for i in range(4)]
        self.backbone = ClipResNet(config.blocks, config.width)
        self.pool = AttentionPool(channels[-1], config.pool_bins, config.pool_heads, config.embedding)
        self.neck = NormedPyramid(channels, config.channels, BATCH_NORMS, bias=False)
        self.proposal_head = ProposalTower(config.channels, _LEVELS, len(_RATIOS), BATCH_NORMS)
        self.tower = RegionTower(config.channels, _BOX_BINS, config.hidden, 1, BATCH_NORMS)
        self.project = nn.Linear(config.hidden, config.embedding, bias=False)
        self.boxes = nn.Linear(config.hidden, 4)
        self.temperature = nn.Parameter(torch.ones(1))
        self.mask_head = MaskTower(config.channels, BATCH_NORMS)

    def extract(self, pixels: Tensor) -> list[Tensor]:
        """Normalised pictures on their canvas (B, 3, H, W) -> P2 .. P6, and behind them CLIP's own last map."""
        maps = self.backbone(pixels)
        return [*self.neck(maps), maps[-1]]

    def propose(self, pyramid: list[Tensor], sizes_hw: list[tuple[int, int]]) -> list[Regions]:
        """P2 .. P6 and CLIP's map -> regions of each picture; boxes may reach beyond it, not beyond the canvas."""
        return [
            self.refine([level[b : b + 1] for level in pyramid], *found)
            for b, found in enumerate(self.find_proposals(pyramid))
        ]

    def find_proposals(self, pyramid: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Boxes (R, 4) and objectness (R,) of each picture, surest first."""
        levels = []
        for number, (level, (logits_BM, codes_BM4)) in enumerate(
            zip(pyramid[:_LEVELS], self.proposal_head(pyramid[:_LEVELS]), strict=True), start=_FINEST
        ):
            shapes = anchor_shapes((8.0 * 2**number,), _RATIOS).to(level.device)
            anchors_M4 = grid_anchors(shapes, (level.shape[2], level.shape[3]), 2**number, offset=0.5)
            boxes_BM4 = clip_to_canvas(decode_plus_one(codes_BM4.float(), anchors_M4), _canvas_of(pyramid))
            levels.append((boxes_BM4, logits_BM.float().sigmoid()))
        return [
            pick_proposals(
                [(boxes[b], scores[b]) for boxes, scores in levels],
                suppressing(self.config.proposal_iou),
                pre_nms_top=self.config.pre_nms_top,
                count=self.config.num_proposals,
            )
            for b in range(len(pyramid[0]))
        ]

    def refine(self, pyramid: list[Tensor], boxes_R4: Tensor, objectness_R: Tensor) -> Regions:
        """One picture's proposals -> regions."""
        hidden = in_parts(self.tower, sample_regions(pyramid[:_LEVELS], [boxes_R4], _BOX_BINS, _FINEST))
        embeddings = F.normalize(self.project(hidden).float(), dim=1)
        crops = sample_regions(pyramid[_LEVELS:], [boxes_R4], self.config.pool_bins, finest=5)
        vlm = F.normalize(in_parts(self.pool, crops, at_once=64).float(), dim=1)
        moved = decode_plus_one(self.boxes(hidden).float(), boxes_R4, self.config.delta_weights)
        return Regions(clip_to_canvas(moved, _canvas_of(pyramid)), objectness_R, torch.stack((embeddings, vlm), dim=1))

    def classify(
        self,
        regions: Regions,
        texts: Tensor,
        is_novel_C: Tensor | None = None,
        rows: TextRows | None = None,
        class_of_P: Tensor | None = None,
    ) -> Tensor:
        """Scores (R, C + padding rows): the heads' and CLIP's probabilities, joined; objectness has no part in them."""
        own = texts.view(-1, *texts.shape[-2:]).expand(2, -1, -1)
        detector_RN = row_logits(regions.features_RSD[:, 0], own[0], rows, 0.01 * self.temperature, class_of_P)
        vlm_RN = row_logits(regions.features_RSD[:, 1], own[1], rows, 0.01, class_of_P)
        num_classes = own.shape[1] if class_of_P is None else int(class_of_P[-1]) + 1
        weights = (self.config.base_weight, self.config.novel_weight)
        return join_scores(detector_RN, vlm_RN, is_novel_C, num_classes, weights, has_background=rows is not None)

    def predict_masks(self, pyramid: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Boxes on the canvas, a tensor a picture -> mask probabilities (N, 28, 28) inside them."""
        pooled = sample_regions(pyramid[:_LEVELS], boxes, _MASK_BINS, _FINEST)
        return list(in_parts(self.mask_head, pooled).sigmoid().split([len(b) for b in boxes]))


def _canvas_of(pyramid: list[Tensor]) -> tuple[int, int]:
    """Sides of the network's input."""
    return pyramid[0].shape[2] * 2**_FINEST, pyramid[0].shape[3] * 2**_FINEST


def build_fvlm(config: FvlmConfig) -> Fvlm:
    """A model of random weights, in evaluation mode."""
    return Fvlm(config).eval()
