"""Feature Pyramid Network (arXiv:1612.03144) P3-P5, with P6 and P7 from P5 as in CenterNet2."""

import torch.nn.functional as F
from torch import Tensor, nn


class FeaturePyramid(nn.Module):
    """Backbone maps at strides 8, 16, 32 -> P3 .. P5, P6 or P7 (strides 8 to 128), all of `channels` channels.

    No norm and no activation; P6 is taken from the output P5 (not from the backbone), P7 from ReLU of P6.
    """

    def __init__(self, in_channels: tuple[int, ...], channels: int, num_levels: int = 5) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.outputs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels)
        self.num_extra = num_levels - len(in_channels)
        if self.num_extra > 0:
            self.p6 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        if self.num_extra > 1:
            self.p7 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        summed = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        for i in range(len(summed) - 2, -1, -1):
            summed[i] = summed[i] + F.interpolate(summed[i + 1], scale_factor=2.0, mode="nearest")
        pyramid = [output(x) for output, x in zip(self.outputs, summed, strict=True)]
        if self.num_extra > 0:
            pyramid.append(self.p6(pyramid[-1]))
        if self.num_extra > 1:
            pyramid.append(self.p7(F.relu(pyramid[-1])))
        return pyramid
