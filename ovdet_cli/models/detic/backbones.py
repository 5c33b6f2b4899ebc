"""The backbones of Detic's CenterNet2 models: pictures (B, 3, H, W) -> maps at strides 8, 16, 32."""

from typing import Any

import timm
import torch
from timm.layers import freeze_batch_norm_2d
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn

from ovdet_cli.models.detic.config import BackboneConfig
from ovdet_cli.models.detic.swin import build_swin

_CONVNEXT_DROP_PATH = 0.2
"""Stochastic depth in training (arXiv:1603.09382): the last block's chance to be left out; the first one's is 0."""


def build_timm_resnet(config: BackboneConfig) -> nn.Module:
    """timm's ResNet up to layer2, layer3, layer4.

    Batch norm is frozen in all of Detic's configurations, in training too: statistics, scale and offset.
    """
    return freeze_batch_norm_2d(
        timm.create_model(config.variant, pretrained=False, features_only=True, out_indices=(2, 3, 4))
    )


class SampleVarianceNorm2d(nn.Module):
    """LayerNorm over the channels of a map (B, C, h, w) that divides by the sample variance, C - 1 instead of C.

    timm 0.5.4, which trained the published weights, did so wherever the map was not contiguous in memory: before
    every downsampling of ConvNeXt, but not in its stem. At C = 96 that is half a percent of every number.
    """

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=1, keepdim=True)
        x = (x - mean) * torch.rsqrt(variance + self.eps)
        return x * self.weight[:, None, None] + self.bias[:, None, None]


def build_timm_convnext(config: BackboneConfig) -> nn.Module:
    """timm's ConvNeXt with the norms of its 0.5.4: raw outputs of stages 1, 2, 3, without a norm on them."""
    model = timm.create_model(
        config.variant, pretrained=False, features_only=True, out_indices=(1, 2, 3), drop_path_rate=_CONVNEXT_DROP_PATH
    )
    for name, stage in model.named_children():
        if name.startswith("stages_") and isinstance(stage.downsample, nn.Sequential):
            norm = stage.downsample[0]
            assert isinstance(norm, nn.LayerNorm)
            stage.downsample[0] = SampleVarianceNorm2d(norm.normalized_shape[0], norm.eps)
    return model


class BasicResNet(nn.Module):
    """timm's ResNet of basic blocks with a deep stem, of any width and depth; its batch norms train.

    Channels-last within: on a CPU a network this narrow runs up to twice as fast that way.
    """

    def __init__(self, blocks: tuple[int, ...], channels: tuple[int, ...]) -> None:
        super().__init__()
        self.net = ResNet(
            BasicBlock,  # type: ignore[arg-type]  # timm annotates an instance
            blocks,
            channels=channels,
            stem_type="deep",
            stem_width=channels[0] // 2,
            num_classes=0,
            zero_init_last=False,  # with one block a stage there is nothing to pass by
        ).to(memory_format=torch.channels_last)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        net: Any = self.net
        x = pixels.contiguous(memory_format=torch.channels_last)
        x = net.layer1(net.maxpool(net.act1(net.bn1(net.conv1(x)))))
        maps = []
        for stage in (net.layer2, net.layer3, net.layer4):
            x = stage(x)
            maps.append(x)
        return maps


def build_basic_resnet(config: BackboneConfig) -> nn.Module:
    """A ResNet whose first stage is half as wide as the first map that the FPN takes."""
    blocks = tuple(int(count) for count in config.variant.split("-"))
    return BasicResNet(blocks, (config.channels[0] // 2, *config.channels))


_BUILDERS = {
    "swin": lambda config: build_swin(config.variant),
    "timm-resnet": build_timm_resnet,
    "timm-convnext": build_timm_convnext,
    "basic-resnet": build_basic_resnet,
}


def build_backbone(config: BackboneConfig) -> nn.Module:
    """The backbone that the configuration names, with random weights."""
    return _BUILDERS[config.kind](config)
