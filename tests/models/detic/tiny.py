"""A Detic of random weights that runs the whole road in a fraction of a second."""

import torch

from ovdet_cli.models.detic.config import BackboneConfig, CenterNetConfig, DeticConfig
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
