"""Backbones that timm builds: what Detic's training does to them."""

import torch
from timm.layers import DropPath
from torch import nn

from ovdet_cli.models.detic.backbones import build_backbone
from ovdet_cli.models.detic.config import CONVNEXT_T, R18, BackboneConfig


def test_convnext_drops_blocks_in_training_up_to_a_fifth() -> None:
    backbone = build_backbone(CONVNEXT_T.backbone)
    rates = [m.drop_prob for m in backbone.modules() if isinstance(m, DropPath)]
    assert len(rates) == 17  # of 18 blocks; the first one always stays
    assert rates == sorted(rates)
    assert round(rates[-1], 6) == 0.2
    assert not any("drop" in name for name in backbone.state_dict())


def test_batch_norms_of_timm_are_frozen_and_those_of_the_small_one_train() -> None:
    frozen = build_backbone(R18.backbone).train()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in frozen.modules())
    small = build_backbone(BackboneConfig("basic-resnet", "1-1-1-1", (16, 24, 32))).train()
    before = small.net.bn1.running_mean.clone()
    maps = small(torch.randn(2, 3, 64, 64))
    assert [tuple(m.shape) for m in maps] == [(2, 16, 8, 8), (2, 24, 4, 4), (2, 32, 2, 2)]
    assert not torch.equal(small.net.bn1.running_mean, before)
