"""Pyramid and heads that ViLD, F-VLM and DITO share: convolutions followed by a norm, fully connected layers too.

After tensorflow/tpu 7dc921f, models/official/detection/modeling (Apache-2.0), from which the other two come.
"""

# B pictures, N regions, K channels, M cells x anchors, P bins a side

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovdet_cli.models.ops.anchors import per_anchor
from ovdet_cli.models.ops.resnet import pad_as_tf


@dataclass(frozen=True)
class Norms:
    """What follows a layer: `maps` after a convolution, `rows` after a fully connected layer; channels -> module."""

    maps: Callable[[int], nn.Module]
    rows: Callable[[int], nn.Module]


BATCH_NORMS = Norms(partial(nn.BatchNorm2d, eps=1e-4), partial(nn.BatchNorm1d, eps=1e-4))


class NormedPyramid(nn.Module):
    """Maps C2 .. C5 -> P2 .. P6, each with a norm at its end.

    P6 comes from P5 before its norm, by a convolution padded as TensorFlow does.
    """

    def __init__(self, in_channels: list[int], channels: int, norms: Norms, bias: bool) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1, bias=bias) for c in in_channels)
        self.outputs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1, bias=bias) for _ in in_channels)
        self.p6 = nn.Conv2d(channels, channels, 3, stride=2, bias=bias)
        self.norms = nn.ModuleList(norms.maps(channels) for _ in range(len(in_channels) + 1))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        levels = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        for i in range(len(levels) - 1, 0, -1):
            levels[i - 1] = levels[i - 1] + F.interpolate(levels[i], scale_factor=2.0, mode="nearest")
        levels = [output(x) for output, x in zip(self.outputs, levels, strict=True)]
        levels.append(self.p6(pad_as_tf(levels[-1])))
        return [norm(x) for norm, x in zip(self.norms, levels, strict=True)]


class ProposalTower(nn.Module):
    """Each level (B, K, h, w) -> objectness logits (B, M), box codes (B, M, 4): convolutions shared, norms its own."""

    def __init__(self, channels: int, num_levels: int, num_anchors: int, norms: Norms) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.norms = nn.ModuleList(nn.ModuleList(norms.maps(channels) for _ in self.convs) for _ in range(num_levels))
        self.classes = nn.Conv2d(channels, num_anchors, 1)
        self.boxes = nn.Conv2d(channels, 4 * num_anchors, 1)

    def forward(self, pyramid: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        found = []
        for x, norms in zip(pyramid, self.norms, strict=True):
            for conv, norm in zip(self.convs, norms.children(), strict=True):
                x = F.relu(norm(conv(x)))
            found.append((per_anchor(self.classes(x), 1).squeeze(-1), per_anchor(self.boxes(x), 4)))
        return found


class RegionTower(nn.Module):
    """Pooled features (N, K, P, P) -> hidden features (N, H): convolutions, then fully connected layers."""

    def __init__(self, channels: int, bins: int, hidden: int, num_dense: int, norms: Norms, num_convs: int = 4) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(num_convs))
        self.conv_norms = nn.ModuleList(norms.maps(channels) for _ in range(num_convs))
        widths = [channels * bins * bins] + [hidden] * num_dense
        self.dense = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.dense_norms = nn.ModuleList(norms.rows(hidden) for _ in range(num_dense))

    def forward(self, pooled: Tensor) -> Tensor:
        x = pooled
        for conv, norm in zip(self.convs, self.conv_norms, strict=True):
            x = F.relu(norm(conv(x)))
        x = x.flatten(1)
        for dense, norm in zip(self.dense, self.dense_norms, strict=True):
            x = F.relu(norm(dense(x)))
        return x


class MaskTower(nn.Module):
    """Pooled features (N, K, P, P) -> class-agnostic mask logits (N, 2P, 2P)."""

    def __init__(
        self, channels: int, norms: Norms, conv: Callable[..., nn.Conv2d] = nn.Conv2d, num_convs: int = 4
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv(channels, channels, 3, padding=1) for _ in range(num_convs))
        self.norms = nn.ModuleList(norms.maps(channels) for _ in range(num_convs + 1))
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.predictor = conv(channels, 1, 1)

    def forward(self, pooled: Tensor) -> Tensor:
        x = pooled
        for conv, norm in zip(self.convs, self.norms, strict=False):
            x = F.relu(norm(conv(x)))
        return self.predictor(F.relu(self.norms[-1](self.upsample(x)))).float().squeeze(1)


def in_parts(module: Callable[[Tensor], Tensor], rows: Tensor, at_once: int = 256) -> Tensor:
    """What a module gives for many rows, some at a time: hundreds of pooled regions are gigabytes within it."""
    return torch.cat([module(part) for part in rows.split(at_once)])
