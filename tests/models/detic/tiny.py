"""A Detic of random weights that runs the whole road in a fraction of a second."""

import torch

from ovdet_cli.models.detic.c4 import DeticC4, build_c4
from ovdet_cli.models.detic.config import BackboneConfig, C4Config, CenterNetConfig, DeformableDetrConfig, DeticConfig
from ovdet_cli.models.detic.deformable_detr import DeformableDetr, build_deformable_detr
from ovdet_cli.models.detic.model import Detic, build_detic

TINY = DeticConfig(
    BackboneConfig("timm-resnet", "resnet18", (128, 256, 512)),
    proposals=CenterNetConfig(num_convs=1, pre_nms_top=60, post_nms_top=40),
    pyramid_channels=64,  # two a group: torch refuses to norm a map of 1x1 with one
    hidden=48,
    embedding=16,
    mask_convs=1,
)


def build_tiny(seed: int = 0) -> Detic:
    """The model, whose heat varies over the picture and whose boxes are some cells wide."""
    torch.manual_seed(seed)
    model = build_detic(TINY)
    with torch.no_grad():
        model.proposal_head.heat.weight.mul_(30)
        model.proposal_head.ltrb.bias.fill_(1.5)
        for stage in model.stages:
            stage.deltas[2].weight.mul_(20)
    return model


TINY_C4 = C4Config(
    blocks=(1, 1, 1), region_blocks=1, stem=8, pre_nms_top=200, post_nms_top=40, box_pool=6, embedding=16
)


def build_tiny_c4(seed: int = 0) -> DeticC4:
    """The model, whose objectness varies over the picture."""
    torch.manual_seed(seed)
    model = build_c4(TINY_C4)
    with torch.no_grad():
        model.proposal_head.objectness.weight.mul_(30)
        model.region_head.deltas[2].weight.mul_(20)
    return model


TINY_DETR = DeformableDetrConfig(
    blocks=(1, 1, 1, 1),
    stem=8,
    width=16,
    num_groups=4,
    num_heads=2,
    num_points=2,
    num_layers=2,
    hidden=24,
    num_queries=20,
    num_classes=5,
)


def build_tiny_detr(seed: int = 0) -> DeformableDetr:
    """The model; its queries differ from each other."""
    torch.manual_seed(seed)
    return build_deformable_detr(TINY_DETR)
