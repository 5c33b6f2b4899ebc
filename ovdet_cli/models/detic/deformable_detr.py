"""Detic with Deformable DETR (arXiv:2201.02605, section 5.6; arXiv:2010.04159): two stages, refined boxes.

Follows facebookresearch/Detic 436cda2a and fundamentalvision/Deformable-DETR 11169a60 (both Apache-2.0) at inference.
Its classifier is a linear layer with 1203 LVIS classes, not text: a closed vocabulary. Knowing differences: pictures
of a batch have one size, so nothing is masked; only the last decoder layer's classes are computed.
"""

# B pictures, Q queries, T cells of all levels, L levels, D width, C classes

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovdet_cli.models.detic.config import DeformableDetrConfig
from ovdet_cli.models.interface import OpenVocabularyDetector, Regions, TextRows
from ovdet_cli.models.ops.deformable_attention import DeformableAttention
from ovdet_cli.models.ops.resnet import ResNet

_TEMPERATURE = 10_000.0


def sine_embedding(values: Tensor, width: int) -> Tensor:
    """Angles (..., n) -> (..., n * width): sine and cosine in turn, at falling frequencies."""
    steps = torch.arange(width, dtype=torch.float32, device=values.device)
    periods = _TEMPERATURE ** (2 * torch.div(steps, 2, rounding_mode="floor") / width)
    angles = values[..., None] / periods
    return torch.stack((angles[..., 0::2].sin(), angles[..., 1::2].cos()), dim=-1).flatten(-3)


def position_embedding(grid_hw: tuple[int, int], width: int, device: torch.device) -> Tensor:
    """Where each cell of a map lies, (h w, width): y in the first half of the channels, x in the second."""
    y, x = ((torch.arange(n, dtype=torch.float32, device=device) + 0.5) / (n + 1e-6) * 2 * math.pi for n in grid_hw)
    return sine_embedding(torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1), width // 2).flatten(0, 1)


def cell_centres(grids_hw: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
    """Centres of all levels' cells as fractions of the picture, (T, 2): x, y."""
    levels = []
    for h, w in grids_hw:
        y, x = ((torch.arange(n, dtype=torch.float32, device=device) + 0.5) / n for n in (h, w))
        y, x = torch.meshgrid(y, x, indexing="ij")
        levels.append(torch.stack((x, y), dim=-1).flatten(0, 1))
    return torch.cat(levels)


def inverse_sigmoid(fractions: Tensor) -> Tensor:
    """Logits, of fractions at least 1e-5 away from 0 and 1."""
    fractions = fractions.clamp(0, 1)
    return torch.log(fractions.clamp(min=1e-5) / (1 - fractions).clamp(min=1e-5))


class BoxNetwork(nn.Module):
    """Three layers: queries (..., D) -> four numbers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList((nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 4)))

    def forward(self, x: Tensor) -> Tensor:
        first, second, last = self.layers
        return last(F.relu(second(F.relu(first(x)))))


class EncoderLayer(nn.Module):
    """Cells look at cells of all levels."""

    def __init__(self, config: DeformableDetrConfig) -> None:
        super().__init__()
        width = config.width
        self.self_attn = DeformableAttention(width, config.num_levels, config.num_heads, config.num_points)
        self.norm1 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, config.hidden)
        self.linear2 = nn.Linear(config.hidden, width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, positions: Tensor, references: Tensor, grids_hw: Sequence[tuple[int, int]]) -> Tensor:
        x = self.norm1(x + self.self_attn(x + positions, references, x, grids_hw))
        return self.norm2(x + self.linear2(F.relu(self.linear1(x))))


class DecoderLayer(nn.Module):
    """Queries look at each other, then at the cells around their boxes."""

    def __init__(self, config: DeformableDetrConfig) -> None:
        super().__init__()
        width = config.width
        self.cross_attn = DeformableAttention(width, config.num_levels, config.num_heads, config.num_points)
        self.norm1 = nn.LayerNorm(width)
        self.self_attn = nn.MultiheadAttention(width, config.num_heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, config.hidden)
        self.linear2 = nn.Linear(config.hidden, width)
        self.norm3 = nn.LayerNorm(width)

    def forward(
        self, x: Tensor, positions: Tensor, boxes: Tensor, memory: Tensor, grids_hw: Sequence[tuple[int, int]]
    ) -> Tensor:
        placed = x + positions
        x = self.norm2(x + self.self_attn(placed, placed, x, need_weights=False)[0])
        x = self.norm1(x + self.cross_attn(x + positions, boxes, memory, grids_hw))
        return self.norm3(x + self.linear2(F.relu(self.linear1(x))))


class DeformableDetr(OpenVocabularyDetector):
    """Pictures -> queries with boxes; queries x the checkpoint's own columns -> scores."""

    def __init__(self, config: DeformableDetrConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        channels = [4 * config.stem * 2**i for i in (1, 2, 3)]
        self.backbone = ResNet(config.blocks, stride_in_1x1=False, stem=config.stem)
        convs = [nn.Conv2d(c, width, 1) for c in channels] + [nn.Conv2d(channels[-1], width, 3, stride=2, padding=1)]
        self.projections = nn.ModuleList(nn.Sequential(conv, nn.GroupNorm(config.num_groups, width)) for conv in convs)
        self.level_embed = nn.Parameter(torch.zeros(config.num_levels, width))
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_layers))
        # The last of each judges the cells themselves, before the decoder.
        self.boxes = nn.ModuleList(BoxNetwork(width) for _ in range(config.num_layers + 1))
        self.cell_classes = nn.Linear(width, config.num_classes)
        self.cell_project = nn.Linear(width, width)
        self.cell_norm = nn.LayerNorm(width)
        self.query_project = nn.Linear(2 * width, 2 * width)
        self.query_norm = nn.LayerNorm(2 * width)

    def extract(self, pixels: Tensor) -> list[Tensor]:
        """Normalised pictures (B, 3, H, W) -> projected levels at strides 8, 16, 32, 64."""
        maps = self.backbone(pixels)[1:]
        return [project(x) for project, x in zip(self.projections, [*maps, maps[-1]], strict=True)]

    def propose(self, pyramid: list[Tensor], sizes_hw: list[tuple[int, int]]) -> list[Regions]:
        """Projected levels -> the boxes that queries end at; features are the queries with a one behind them."""
        grids_hw = [(level.shape[2], level.shape[3]) for level in pyramid]
        memory = self.encode(pyramid)
        queries, positions, boxes = self.start_queries(memory, grids_hw)
        for layer, network in zip(self.decoder, self.boxes, strict=False):
            queries = layer(queries, positions, boxes, memory, grids_hw)
            boxes = (network(queries) + inverse_sigmoid(boxes)).sigmoid()
        features = F.pad(queries, (0, 1), value=1.0)[:, :, None]
        return [
            Regions(_corners(b, size), b.new_ones(len(b)), f)
            for b, f, size in zip(boxes, features, sizes_hw, strict=True)
        ]

    def encode(self, pyramid: list[Tensor]) -> Tensor:
        """Projected levels -> the cells of all of them, (B, T, D)."""
        device, width = pyramid[0].device, self.config.width
        grids_hw = [(level.shape[2], level.shape[3]) for level in pyramid]
        positions = torch.cat(
            [position_embedding(g, width, device) + e for g, e in zip(grids_hw, self.level_embed, strict=True)]
        )
        x = torch.cat([level.flatten(2).transpose(1, 2) for level in pyramid], dim=1)
        references = cell_centres(grids_hw, device).expand(len(x), -1, -1)
        for layer in self.encoder:
            x = layer(x, positions, references, grids_hw)
        return x

    def start_queries(self, memory: Tensor, grids_hw: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Content (B, Q, D), position (B, Q, D) and box (B, Q, 4) of the cells that become queries.

        Every cell proposes a box around itself; those with the highest logit of the first class are taken.
        """
        centres = cell_centres(grids_hw, memory.device)
        sides = [0.05 * 2.0**number for number, (h, w) in enumerate(grids_hw) for _ in range(h * w)]
        sides_T2 = torch.tensor(sides, device=memory.device)[:, None].expand(-1, 2)
        proposed = torch.cat((centres, sides_T2), dim=1)
        is_inside = ((proposed > 0.01) & (proposed < 0.99)).all(dim=1)
        logits_T4 = torch.log(proposed / (1 - proposed)).masked_fill(~is_inside[:, None], float("inf"))
        cells = self.cell_norm(self.cell_project(memory * is_inside[:, None]))
        surest = F.linear(cells, self.cell_classes.weight[:1], self.cell_classes.bias[:1]).squeeze(-1)
        rows = surest.topk(min(self.config.num_queries, surest.shape[1]), dim=1).indices
        boxes = (self.boxes[-1](cells) + logits_T4).gather(1, rows[..., None].expand(-1, -1, 4)).sigmoid()
        embedded = sine_embedding(boxes * 2 * math.pi, self.config.width // 2)
        positions, queries = self.query_norm(self.query_project(embedded)).chunk(2, dim=-1)
        return queries, positions, boxes

    def classify(
        self,
        regions: Regions,
        texts: Tensor,
        is_novel_C: Tensor | None = None,
        rows: TextRows | None = None,
        class_of_P: Tensor | None = None,
    ) -> Tensor:
        """Scores (R, C) by the checkpoint's own columns (1, C, D + 1), see `keys.own_detr_columns`."""
        return (regions.features_RSD[:, 0] @ texts.view(-1, texts.shape[-1]).T).sigmoid_()

    def predict_masks(self, pyramid: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Never asked for: the zoo says that this model has no masks."""
        raise NotImplementedError("this model has no mask head")


def _corners(boxes_Q4: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Centre and size as fractions -> x1 y1 x2 y2 in network pixels, inside the picture."""
    h, w = size_hw
    centres, halves = boxes_Q4[:, :2], boxes_Q4[:, 2:] / 2
    corners = torch.cat((centres - halves, centres + halves), dim=1).clamp(0, 1)
    return corners * corners.new_tensor([w, h, w, h])


def build_deformable_detr(config: DeformableDetrConfig) -> DeformableDetr:
    """A model of random weights, in evaluation mode."""
    return DeformableDetr(config).eval()
