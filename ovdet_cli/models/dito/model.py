"""DITO (arXiv:2310.00161): ViT with shifted windows, centerness proposals, text classifier and frozen VLM's scores.

Follows google-research/google-research, fvlm (4c429948, 8d8a4f1b; Apache-2.0) at inference: the code, where the paper
differs (two ViTs instead of a distilled one; alpha and beta are exponents of the frozen ViT's probability). Not
verified, as they cannot be had: the published weights and the text tower. Knowing differences: boxes are x1 y1 x2 y2;
classes and rows of text come in from outside.
"""

# B pictures, R regions, D width of the text embeddings, C classes, N text rows, M cells

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovdet_cli.models.dito.config import DitoConfig
from ovdet_cli.models.dito.vit import VisionTransformer
from ovdet_cli.models.interface import OpenVocabularyDetector, Regions, TextRows
from ovdet_cli.models.ops.anchors import anchor_shapes, grid_anchors
from ovdet_cli.models.ops.plus_one_boxes import clip_to_canvas, decode_plus_one
from ovdet_cli.models.ops.pooling import sample_regions
from ovdet_cli.models.ops.proposals import keep_first_of_equals, pick_proposals
from ovdet_cli.models.ops.towers import MaskTower, Norms, ProposalTower, RegionTower, in_parts
from ovdet_cli.models.ops.vlm_scores import join_scores, row_logits

_FINEST = 2
_LEVELS = 4
_BOX_BINS, _MASK_BINS, _VLM_BINS = 7, 14, 14
_EPS = 1e-6


class MapNorm(nn.LayerNorm):
    """LayerNorm over the channels of a map (B, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


LAYER_NORMS = Norms(MapNorm, lambda width: nn.LayerNorm(width, eps=_EPS))


class SimplePyramid(nn.Module):
    """One map at stride 16 -> P2 .. P5 (arXiv:2203.16527)."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.enlarge_2 = nn.ModuleList(
            (
                nn.ConvTranspose2d(width, width // 2, 2, stride=2, bias=False),
                MapNorm(width // 2),
                nn.ConvTranspose2d(width // 2, width // 4, 2, stride=2, bias=False),
            )
        )
        self.enlarge_3 = nn.ConvTranspose2d(width, width // 2, 2, stride=2, bias=False)
        self.laterals = nn.ModuleList(
            nn.Conv2d(c, channels, 1, bias=False) for c in (width // 4, width // 2, width, width)
        )
        self.outputs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(_LEVELS))
        self.norms = nn.ModuleList(nn.ModuleList(MapNorm(channels) for _ in range(2)) for _ in range(_LEVELS))

    def forward(self, x: Tensor) -> list[Tensor]:
        first, norm, second = self.enlarge_2
        maps = [second(F.gelu(norm(first(x)))), self.enlarge_3(x), x, F.max_pool2d(x, 2)]
        levels = []
        for level, lateral, output, norms in zip(maps, self.laterals, self.outputs, self.norms, strict=True):
            before, after = norms.children()
            levels.append(after(output(before(lateral(level)))))
        return levels


class NormedLinear(nn.Linear):
    """A dense layer without bias, of input scaled to the length 20 and columns of unit length."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(20 * _unit(x, -1), _unit(self.weight, 1))


class NormedConv2d(nn.Conv2d):
    """A convolution of the same kind: each place of the input, and each tap of each output's kernel."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(20 * _unit(x, 1), _unit(self.weight, 1), self.bias)


def _unit(x: Tensor, dim: int) -> Tensor:
    return x / (x.square().sum(dim, keepdim=True) + 1e-12).sqrt()


class Dito(OpenVocabularyDetector):
    """Pictures -> regions with an embedding of either ViT; embeddings x texts -> scores; boxes -> masks."""

    CLASSIFIER = ("temperature",)

    def __init__(self, config: DitoConfig) -> None:
        super().__init__()
        self.config = config

        def vit(global_layers: tuple[int, ...]) -> VisionTransformer:
            return VisionTransformer(
                config.width,
                config.layers,
                config.heads,
                global_layers=global_layers,
                patch=config.patch,
                positions=config.positions,
                windows=config.windows,
                shift=config.shift,
            )

        self.backbone = vit(config.global_layers)
        self.frozen = vit((config.layers - 1,))
        self.neck = SimplePyramid(config.width, config.channels)
        self.proposal_head = ProposalTower(config.channels, _LEVELS, 1, LAYER_NORMS)
        self.tower = RegionTower(config.channels, _BOX_BINS, config.hidden, 1, LAYER_NORMS)
        self.project = NormedLinear(config.hidden, config.width)
        self.boxes = nn.Linear(config.hidden, 4)
        self.temperature = nn.Parameter(torch.ones(1))
        self.mask_head = MaskTower(config.channels, LAYER_NORMS, NormedConv2d)

    def extract(self, pixels: Tensor) -> list[Tensor]:
        """Pictures on their canvas (B, 3, H, W) -> P2 .. P5, and behind them the frozen ViT's map at stride 16."""
        return [*self.neck(self.backbone(pixels)), self.frozen(pixels)]

    def propose(self, pyramid: list[Tensor], sizes_hw: list[tuple[int, int]]) -> list[Regions]:
        """P2 .. P5 and the frozen map -> regions of each picture; boxes may reach beyond it, not beyond the canvas."""
        return [
            self.refine([level[b : b + 1] for level in pyramid], *found)
            for b, found in enumerate(self.find_proposals(pyramid))
        ]

    def find_proposals(self, pyramid: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Boxes (R, 4) and centerness (R,) of each picture, surest first."""
        canvas_hw = _canvas_of(pyramid)
        levels = []
        for number, (level, (logits_BM, codes_BM4)) in enumerate(
            zip(pyramid[:_LEVELS], self.proposal_head(pyramid[:_LEVELS]), strict=True), start=_FINEST
        ):
            side = 8.0 * 2**number
            shapes = anchor_shapes((side,), (1.0,)).to(level.device)
            anchors_M4 = grid_anchors(shapes, (level.shape[2], level.shape[3]), 2**number, offset=0.5)
            centres_M2 = (anchors_M4[:, :2] + anchors_M4[:, 2:]) / 2
            # Distances to left, right, top and bottom, in anchors' sides.
            left, right, top, bottom = (codes_BM4.float() * side).unbind(-1)
            x, y = centres_M2.unbind(-1)
            boxes_BM4 = torch.stack((x - left, y - top, x + right, y + bottom), dim=-1)
            levels.append((clip_to_canvas(boxes_BM4, canvas_hw), logits_BM.float().sigmoid()))
        return [
            pick_proposals(
                [(boxes[b], scores[b]) for boxes, scores in levels],
                keep_first_of_equals,
                pre_nms_top=self.config.pre_nms_top,
                count=self.config.num_proposals,
            )
            for b in range(len(pyramid[0]))
        ]

    def refine(self, pyramid: list[Tensor], boxes_R4: Tensor, centerness_R: Tensor) -> Regions:
        """One picture's proposals -> regions."""
        canvas_hw = _canvas_of(pyramid)
        hidden = in_parts(self.tower, sample_regions(pyramid[:_LEVELS], [boxes_R4], _BOX_BINS, _FINEST))
        embeddings = F.normalize(self.project(hidden).float(), dim=1)
        moved = decode_plus_one(self.boxes(hidden).float(), boxes_R4, self.config.delta_weights)
        centres, halves = (boxes_R4[:, :2] + boxes_R4[:, 2:]) / 2, (boxes_R4[:, 2:] - boxes_R4[:, :2]) / 2
        shrunk = torch.cat(
            (centres - self.config.region_shrink * halves, centres + self.config.region_shrink * halves), dim=1
        )
        crops = sample_regions(pyramid[_LEVELS:], [clip_to_canvas(shrunk, canvas_hw)], _VLM_BINS, finest=4)
        vlm = F.normalize(crops.mean(dim=(2, 3)), dim=1)
        return Regions(clip_to_canvas(moved, canvas_hw), centerness_R, torch.stack((embeddings, vlm), dim=1))

    def classify(
        self,
        regions: Regions,
        texts: Tensor,
        is_novel_C: Tensor | None = None,
        rows: TextRows | None = None,
        class_of_P: Tensor | None = None,
    ) -> Tensor:
        """Scores (R, C + padding rows): centerness^3 x the detector's and the frozen ViT's probabilities, joined."""
        own = texts.view(-1, *texts.shape[-2:]).expand(2, -1, -1)
        detector_RN = row_logits(regions.features_RSD[:, 0], own[0], rows, 0.01 * self.temperature, class_of_P)
        vlm_RN = row_logits(regions.features_RSD[:, 1], own[1], rows, 0.01, class_of_P)
        num_classes = own.shape[1] if class_of_P is None else int(class_of_P[-1]) + 1
        weights = (self.config.base_weight, self.config.novel_weight)
        joined = join_scores(detector_RN, vlm_RN, is_novel_C, num_classes, weights, has_background=rows is not None)
        return joined * regions.objectness_R[:, None].pow(self.config.objectness_power)

    def best_scores(self, objectness_R: Tensor) -> Tensor:
        """Scores (R,) if the class were certain."""
        return objectness_R.pow(self.config.objectness_power)

    def predict_masks(self, pyramid: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Boxes on the canvas, a tensor a picture -> mask probabilities (N, 28, 28) inside them."""
        pooled = sample_regions(pyramid[:_LEVELS], boxes, _MASK_BINS, _FINEST)
        return list(in_parts(self.mask_head, pooled).sigmoid().split([len(b) for b in boxes]))


def _canvas_of(pyramid: list[Tensor]) -> tuple[int, int]:
    """Sides of the network's input."""
    return pyramid[0].shape[2] * 2**_FINEST, pyramid[0].shape[3] * 2**_FINEST


def build_dito(config: DitoConfig) -> Dito:
    """A model of random weights, in evaluation mode."""
    return Dito(config).eval()
