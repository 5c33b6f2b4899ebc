"""ViLD and ViLD-ensemble (arXiv:2104.13921): Mask R-CNN whose region embeddings live in CLIP's space.

Follows tensorflow/tpu 7dc921f, models/official/detection/projects/vild (Apache-2.0) at inference. Not verified, as they
cannot be had: the published weights, `clip_synonym_prompt.npy`, and the SavedModel of the demo notebook. Knowing
differences: boxes are x1 y1 x2 y2; the classifier's columns come in as text embeddings (the checkpoint's own copy of
them is left aside); what TensorFlow's versions do differently, the suppression of inverted boxes, is not followed.
"""

# B pictures, R regions (always `num_proposals`), S towers, D embedding width, C classes, M cells x anchors

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovdet_cli.models.interface import OpenVocabularyDetector, Regions, TextRows
from ovdet_cli.models.ops.anchors import anchor_shapes, grid_anchors
from ovdet_cli.models.ops.phrases import best_phrases
from ovdet_cli.models.ops.plus_one_boxes import clip_to_canvas, decode_plus_one
from ovdet_cli.models.ops.pooling import sample_regions
from ovdet_cli.models.ops.proposals import pick_proposals, suppressing
from ovdet_cli.models.ops.resnet import ResNet
from ovdet_cli.models.ops.towers import BATCH_NORMS, MaskTower, NormedPyramid, ProposalTower, RegionTower, in_parts
from ovdet_cli.models.vild.config import VildConfig

_FINEST = 2
_LEVELS = 5
_BOX_BINS, _MASK_BINS = 7, 14
_RATIOS = (1.0, 0.5, 2.0)  # height / width


class ClipTower(nn.Module):
    """Pooled features -> hidden features (N, H) and unit embeddings in CLIP's space (N, D)."""

    def __init__(self, config: VildConfig) -> None:
        super().__init__()
        self.tower = RegionTower(config.channels, _BOX_BINS, config.hidden, 2, BATCH_NORMS)
        self.project = nn.Linear(config.hidden, config.embedding)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        hidden = in_parts(self.tower, pooled)
        return hidden, F.normalize(self.project(hidden).float(), dim=1)


class Vild(OpenVocabularyDetector):
    """Pictures -> regions with one or two embeddings; embeddings x texts -> scores; boxes -> masks."""

    CLASSIFIER = ("background",)

    def __init__(self, config: VildConfig) -> None:
        super().__init__()
        self.config = config
        channels = [4 * config.stem * 2**i for i in range(4)]
        self.backbone = ResNet(config.blocks, stride_in_1x1=False, stem=config.stem, eps=1e-4, pads_as_tf=True)
        self.neck = NormedPyramid(channels, config.channels, BATCH_NORMS, bias=True)
        self.proposal_head = ProposalTower(config.channels, _LEVELS, len(_RATIOS), BATCH_NORMS)
        self.text_tower = ClipTower(config)
        self.image_tower = ClipTower(config) if config.has_image_tower else None
        self.boxes = nn.Linear(config.hidden, 4)
        self.background = nn.Parameter(torch.zeros(config.embedding))
        self.mask_head = MaskTower(config.channels, BATCH_NORMS)

    def extract(self, pixels: Tensor) -> list[Tensor]:
        """Normalised pictures on their canvas (B, 3, H, W) -> P2 .. P6."""
        return self.neck(self.backbone(pixels))

    def propose(self, pyramid: list[Tensor], sizes_hw: list[tuple[int, int]]) -> list[Regions]:
        """P2 .. P6 -> regions of each picture; boxes may reach beyond the picture, never beyond the canvas."""
        return [
            self.refine([level[b : b + 1] for level in pyramid], *found)
            for b, found in enumerate(self.find_proposals(pyramid))
        ]

    def find_proposals(self, pyramid: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Boxes (R, 4) and objectness (R,) of each picture, surest first; what is missing are zeros of score -1."""
        canvas_hw = _canvas_of(pyramid)
        levels = []
        for number, (level, (logits_BM, codes_BM4)) in enumerate(
            zip(pyramid, self.proposal_head(pyramid), strict=True), start=_FINEST
        ):
            shapes = anchor_shapes((8.0 * 2**number,), _RATIOS).to(level.device)
            anchors_M4 = grid_anchors(shapes, (level.shape[2], level.shape[3]), 2**number, offset=0.5)
            boxes_BM4 = clip_to_canvas(decode_plus_one(codes_BM4.float(), anchors_M4), canvas_hw)
            levels.append((boxes_BM4, logits_BM.float().sigmoid()))
        found = []
        for b in range(len(pyramid[0])):
            boxes_R4, scores_R = pick_proposals(
                [(boxes[b], scores[b]) for boxes, scores in levels],
                suppressing(self.config.proposal_iou),
                pre_nms_top=self.config.pre_nms_top,
                count=self.config.num_proposals,
            )
            missing = self.config.num_proposals - len(boxes_R4)
            found.append((F.pad(boxes_R4, (0, 0, 0, missing)), F.pad(scores_R, (0, missing), value=-1.0)))
        return found

    def refine(self, pyramid: list[Tensor], boxes_R4: Tensor, objectness_R: Tensor) -> Regions:
        """One picture's proposals -> regions; empty proposals pass through the heads like any other."""
        pooled = sample_regions(pyramid, [boxes_R4], _BOX_BINS, _FINEST)
        hidden, embeddings = self.text_tower(pooled)
        codes = self.boxes(hidden).float()
        features = [embeddings] if self.image_tower is None else [embeddings, self.image_tower(pooled)[1]]
        moved = decode_plus_one(codes, boxes_R4, self.config.delta_weights)
        return Regions(
            clip_to_canvas(moved, _canvas_of(pyramid)), objectness_R.clamp(min=0), torch.stack(features, dim=1)
        )

    def classify(
        self,
        regions: Regions,
        texts: Tensor,
        is_novel_C: Tensor | None = None,
        rows: TextRows | None = None,
        class_of_P: Tensor | None = None,
    ) -> Tensor:
        """Scores (R, C): the text tower's probabilities beside the learned background; with an image tower, joined.

        ViLD-ensemble (section 3.4): the geometric mean of both towers' probabilities, the text tower's weighing 2/3
        for base and 1/3 for novel classes, the image tower's (whose softmax knows no background) the rest.
        """
        texts = F.normalize(texts, dim=-1)
        background_1D = F.normalize(self.background, dim=0)[None]
        # Both towers have the same texts; a checkpoint's own are there once.
        own = texts.view(-1, *texts.shape[-2:]).expand(regions.features_RSD.shape[1], -1, -1)
        sure_RP = regions.features_RSD[:, 0] @ own[0].T
        cosines = torch.cat((regions.features_RSD[:, 0] @ background_1D.T, best_phrases(sure_RP, class_of_P)), dim=1)
        text_RC = (self.config.temperature * cosines).softmax(dim=1)[:, 1:]
        if self.image_tower is None:
            return text_RC
        image_RP = self.config.temperature * regions.features_RSD[:, 1] @ own[1].T
        image_RC = best_phrases(image_RP, class_of_P).softmax(dim=1)
        is_novel_C = texts.new_zeros(text_RC.shape[1]).bool() if is_novel_C is None else is_novel_C
        return (text_RC * image_RC * torch.where(is_novel_C, image_RC, text_RC)).pow_(1.0 / 3)

    def predict_masks(self, pyramid: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Boxes on the canvas, a tensor a picture -> mask probabilities (N, 28, 28) inside them."""
        pooled = sample_regions(pyramid, boxes, _MASK_BINS, _FINEST)
        return list(in_parts(self.mask_head, pooled).sigmoid().split([len(b) for b in boxes]))


def _canvas_of(pyramid: list[Tensor]) -> tuple[int, int]:
    """Sides of the network's input."""
    return pyramid[0].shape[2] * 2**_FINEST, pyramid[0].shape[3] * 2**_FINEST


def build_vild(config: VildConfig) -> Vild:
    """A model of random weights, in evaluation mode."""
    return Vild(config).eval()
