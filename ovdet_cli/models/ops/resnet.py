"""ResNet (arXiv:1512.03385) of bottlenecks with batch norm, in the variants that the published detectors have.

Stage and layer names are detectron2's (02b5c4e2, Apache-2.0).
"""

from collections.abc import Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn


class ConvNorm(nn.Conv2d):
    """A convolution without bias, then its batch norm."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int = 1, eps: float = 1e-5) -> None:
        super().__init__(in_channels, channels, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut, whose stride sits in the first or in the second of them."""

    def __init__(
        self, in_channels: int, width: int, stride: int, *, stride_in_1x1: bool, projects: bool, eps: float = 1e-5
    ) -> None:
        super().__init__()
        channels = 4 * width
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        self.shortcut = ConvNorm(in_channels, channels, 1, stride, eps) if projects else None
        self.conv1 = ConvNorm(in_channels, width, 1, first, eps)
        self.conv2 = ConvNorm(width, width, 3, second, eps)
        self.conv3 = ConvNorm(width, channels, 1, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))) + shortcut)


def build_stage(
    in_channels: int, width: int, blocks: int, stride: int, *, stride_in_1x1: bool, eps: float = 1e-5
) -> nn.Sequential:
    """One stage of bottlenecks; the first of them has the stride and a projection in its shortcut."""
    block = partial(Bottleneck, stride_in_1x1=stride_in_1x1, eps=eps)
    first = block(in_channels, width, stride, projects=True)
    return nn.Sequential(first, *(block(4 * width, width, 1, projects=False) for _ in range(blocks - 1)))


class ResNet(nn.Module):
    """Pictures (B, 3, H, W) -> the maps of res2, res3, ... at strides 4, 8, ...; as many stages as `blocks` has.

    stride_in_1x1: as in MSRA's weights; else in the 3x3 ("v1.5"). stem: channels of the stem, from which all widths
    follow. pads_as_tf: TensorFlow's SAME for the max pool, which pads an even map after its end only.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        *,
        stride_in_1x1: bool,
        stem: int = 64,
        eps: float = 1e-5,
        pads_as_tf: bool = False,
    ) -> None:
        super().__init__()
        self.stem = nn.ModuleDict({"conv1": ConvNorm(3, stem, 7, 2, eps)})
        in_channels = stem
        for i, count in enumerate(blocks):
            width, stride = stem * 2**i, 1 if i == 0 else 2
            stage = build_stage(in_channels, width, count, stride, stride_in_1x1=stride_in_1x1, eps=eps)
            self.add_module(f"res{i + 2}", stage)
            in_channels = 4 * width
        self.num_stages = len(blocks)
        self.pads_as_tf = pads_as_tf

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x = F.relu(self.stem["conv1"](pixels))
        # What follows a ReLU may be padded with zeros in place of minus infinity.
        x = F.max_pool2d(pad_as_tf(x), 3, 2) if self.pads_as_tf else F.max_pool2d(x, 3, 2, 1)
        maps = []
        for i in range(self.num_stages):
            x = self.get_submodule(f"res{i + 2}")(x)
            maps.append(x)
        return maps


def pad_as_tf(x: Tensor, kernel: int = 3, stride: int = 2) -> Tensor:
    """TensorFlow's SAME padding with zeros: what is left of it beyond an even part goes behind the end."""
    missing = [max(((-(-n // stride)) - 1) * stride + kernel - n, 0) for n in x.shape[-2:]]
    (top, left), (height, width) = (n // 2 for n in missing), missing
    return F.pad(x, (left, width - left, top, height - top))
