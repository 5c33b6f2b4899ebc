"""detectron2's ResNet (arXiv:1512.03385) with frozen batch norm, as its C4 and Deformable DETR configurations use it.

Follows facebookresearch/detectron2 02b5c4e2 (Apache-2.0); names are the official ones.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = (3, 4, 6, 3)
"""Bottlenecks of res2 .. res5 in a ResNet-50."""


class ConvNorm(nn.Conv2d):
    """A convolution without bias, then its batch norm."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(in_channels, channels, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut, whose stride sits in the first or in the second of them."""

    def __init__(self, in_channels: int, width: int, stride: int, stride_in_1x1: bool) -> None:
        super().__init__()
        channels = 4 * width
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        self.shortcut = ConvNorm(in_channels, channels, 1, stride) if in_channels != channels else None
        self.conv1 = ConvNorm(in_channels, width, 1, first)
        self.conv2 = ConvNorm(width, width, 3, second)
        self.conv3 = ConvNorm(width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))) + shortcut)


def build_stage(in_channels: int, width: int, blocks: int, stride: int, stride_in_1x1: bool) -> nn.Sequential:
    """One stage of bottlenecks; the first of them has the stride."""
    return nn.Sequential(
        *(
            Bottleneck(in_channels if i == 0 else 4 * width, width, stride if i == 0 else 1, stride_in_1x1)
            for i in range(blocks)
        )
    )


class ResNet(nn.Module):
    """Pictures (B, 3, H, W) -> the maps of res2, res3, ... at strides 4, 8, ...; as many stages as `blocks` has.

    stem: channels of the stem, from which all widths follow.
    """

    def __init__(self, blocks: Sequence[int], stride_in_1x1: bool, stem: int = 64) -> None:
        super().__init__()
        self.stem = nn.ModuleDict({"conv1": ConvNorm(3, stem, 7, 2)})
        in_channels = stem
        for i, count in enumerate(blocks):
            width = stem * 2**i
            self.add_module(f"res{i + 2}", build_stage(in_channels, width, count, 1 if i == 0 else 2, stride_in_1x1))
            in_channels = 4 * width
        self.num_stages = len(blocks)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x = F.max_pool2d(F.relu(self.stem["conv1"](pixels)), 3, 2, 1)
        maps = []
        for i in range(self.num_stages):
            x = self.get_submodule(f"res{i + 2}")(x)
            maps.append(x)
        return maps
