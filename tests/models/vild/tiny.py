"""A ViLD of random weights that runs the whole road in a fraction of a second."""

import torch

from ovdet_cli.models.vild.config import VildConfig
from ovdet_cli.models.vild.model import Vild, build_vild

TINY = VildConfig(
    blocks=(1, 1, 1, 1),
    has_image_tower=True,
    stem=8,
    channels=16,
    hidden=24,
    embedding=16,
    pre_nms_top=30,
    num_proposals=60,
)


def build_tiny(seed: int = 0) -> Vild:
    """The model, whose objectness varies over the picture."""
    torch.manual_seed(seed)
    model = build_vild(TINY)
    with torch.no_grad():
        model.background.normal_()
        model.proposal_head.classes.weight.mul_(30)
        model.boxes.weight.mul_(20)
    return model
