"""Detic with CenterNet2 heads (arXiv:2201.02605).

Follows facebookresearch/Detic 436cda2a (Apache-2.0), CenterNet2 8745e012 and detectron2 02b5c4e2 at inference.
Knowing differences: the classifier's columns are no part of the module (they come in as text embeddings, so that
regions and words are two halves), and the background column, which inference never reads, is left out.
"""

# R regions, S cascade stages, D embedding width, C classes, B pictures

from typing import Any, cast

import torch
from torch import Tensor, nn

from ovdet_cli.models.detic.cascade import CascadeStage, MaskHead, Number, zero_shot_scores
from ovdet_cli.models.detic.centernet import CenterNetHead, Proposals, decode_proposals
from ovdet_cli.models.detic.config import DeticConfig
from ovdet_cli.models.detic.pyramid import FeaturePyramid
from ovdet_cli.models.interface import OpenVocabularyDetector, Regions, TextRows
from ovdet_cli.models.ops.boxes import clip_boxes, decode_deltas
from ovdet_cli.models.ops.pooling import pool_regions
from ovdet_cli.models.ops.screening import is_worth_it, may_reach, table_of


class Detic(OpenVocabularyDetector):
    """Pictures -> regions with features; features x texts -> scores; boxes -> masks."""

    CLASSIFIER = (r"calibration", r"stages\.\d\.logit_(scale|bias)")

    def __init__(
        self,
        config: DeticConfig,
        backbone: nn.Module,
        neck: FeaturePyramid,
        proposal_head: CenterNetHead,
        stages: list[CascadeStage],
        mask_head: MaskHead,
    ) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.neck = neck
        self.proposal_head = proposal_head
        self.stages = nn.ModuleList(stages)
        self.mask_head = mask_head
        self.calibration: Tensor | None
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]) if config.learned_scale else None)

    def extract(self, pixels: Tensor) -> list[Tensor]:
        """Normalised, padded pictures (B, 3, H, W) -> P3 .. P7, or as many levels as there are."""
        return self.neck(self.backbone(pixels))

    def propose(self, pyramid: list[Tensor], sizes_hw: list[tuple[int, int]]) -> list[Regions]:
        """P3 .. P7 -> refined regions of each picture; sizes_hw are the pictures' unpadded sizes."""
        heats, distances = self.proposal_head(pyramid)
        return self.refine(pyramid, decode_proposals(heats, distances, self.config.proposals), sizes_hw)

    def refine(
        self, pyramid: list[Tensor], proposals: list[Proposals], sizes_hw: list[tuple[int, int]]
    ) -> list[Regions]:
        """Proposals -> regions: every stage pools anew, describes the region for the classifier, and moves its box.

        The first stage pools from the proposals as they are, beyond the picture's border too; the later ones from
        boxes clipped to it. No box is dropped on the way.
        """
        boxes = [p.boxes_P4 for p in proposals]
        counts = [len(b) for b in boxes]
        features = []
        for stage, weights in zip(self.stages, self.config.delta_weights, strict=True):
            embeddings, deltas = stage(self.pool(pyramid, boxes, self.config.box_pool))
            features.append(embeddings)
            moved = decode_deltas(deltas, torch.cat(boxes), weights).split(counts)
            boxes = [clip_boxes(b, size) for b, size in zip(moved, sizes_hw, strict=True)]
        features_RSD = torch.stack(features, dim=1).split(counts)
        return [Regions(b, p.scores_P, f) for b, p, f in zip(boxes, proposals, features_RSD, strict=True)]

    def pool(self, pyramid: list[Tensor], boxes: list[Tensor], bins: int) -> Tensor:
        """Pooled features (N, K, bins, bins) of all pictures' boxes, one picture after another."""
        levels = pyramid[: self.config.roi_levels]
        return pool_regions(levels, boxes, bins, canonical=self.config.roi_canonical)

    def class_scales(self) -> list[tuple[Number, Number]]:
        """(factor on the cosine, offset of the logit) of each stage's classifier."""
        fixed: tuple[Number, Number] = (self.config.temperature, 0.0)
        stages = cast("list[CascadeStage]", list(self.stages))
        return [fixed if (learned := stage.learned_scale()) is None else learned for stage in stages]

    def classify(
        self,
        regions: Regions,
        texts: Tensor,
        is_novel_C: Tensor | None = None,
        rows: TextRows | None = None,
        class_of_P: Tensor | None = None,
    ) -> Tensor:
        """Scores (R, C): square root of (class probability x proposal score), the latter itself a root of the heat."""
        scores_RC = zero_shot_scores(regions.features_RSD, texts, self.class_scales(), class_of_P)
        return self._calibrate(scores_RC.mul_(regions.objectness_R[:, None]).sqrt_())

    def best_scores(self, objectness_R: Tensor) -> Tensor:
        """Scores (R,) if the class were certain."""
        return self._calibrate(objectness_R.sqrt())

    def may_reach(self, regions: Regions, texts: Tensor, least: float) -> Tensor | None:
        """By the mean of the stages' highest class probabilities, though they may be of different classes."""
        if not is_worth_it(regions.features_RSD, texts.shape[-2]):
            return None
        factors, offsets = torch.tensor([(float(a), float(b)) for a, b in self.class_scales()]).unbind(dim=1)
        if (factors < 0).any():
            return None

        def reaches(rows: Tensor, products_RS: Tensor) -> Tensor:
            # A little more: the scores themselves are rounded otherwise.
            probabilities_R = torch.sigmoid(products_RS * factors + offsets + 1e-4).mean(dim=1)
            return self._calibrate((probabilities_R * regions.objectness_R[rows]).sqrt()) > least

        return may_reach(regions.features_RSD, table_of(texts), reaches)

    def _calibrate(self, scores: Tensor) -> Tensor:
        """In place."""
        if self.calibration is None:
            return scores
        slope, offset = self.calibration
        return scores.logit_(eps=1e-6).mul_(slope).add_(offset).sigmoid_()

    def predict_masks(self, pyramid: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Boxes in network pixels, a tensor a picture -> mask probabilities (N, 28, 28) inside them."""
        pooled = self.pool(pyramid, boxes, self.config.mask_pool)
        return list(self.mask_head(pooled).split([len(b) for b in boxes]))


def build_detic(config: DeticConfig) -> Detic:
    """A Detic model of random weights, in evaluation mode."""
    from ovdet_cli.models.detic.backbones import build_backbone  # timm takes a second, which a query does not wait for

    return Detic(
        config,
        backbone=build_backbone(config.backbone),
        neck=FeaturePyramid(config.backbone.channels, config.pyramid_channels, config.num_levels),
        proposal_head=CenterNetHead(config.pyramid_channels, config.proposals.num_convs, config.num_levels),
        stages=_build_stages(config),
        mask_head=MaskHead(config.pyramid_channels, config.mask_channels, config.mask_convs),
    ).eval()


def build_detic_classifier(config: DeticConfig) -> Detic:
    """The same without the parts that see a picture: `classify` and what belongs to it work."""
    nothing: Any = nn.Identity()
    return Detic(
        config, backbone=nothing, neck=nothing, proposal_head=nothing, stages=_build_stages(config), mask_head=nothing
    ).eval()


def _build_stages(config: DeticConfig) -> list[CascadeStage]:
    pooled = config.pyramid_channels * config.box_pool**2
    scale = config.temperature if config.learned_scale else None
    return [CascadeStage(pooled, config.hidden, config.embedding, scale) for _ in config.delta_weights]
