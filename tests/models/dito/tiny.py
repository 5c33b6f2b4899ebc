"""A DITO of random weights that runs the whole road in a fraction of a second."""

import torch

from ovdet_cli.models.dito.config import DitoConfig
from ovdet_cli.models.dito.model import Dito, build_dito

TINY = DitoConfig("tiny", 16, 2, 2, (1,), shift=1, windows=2, channels=16, hidden=24, pre_nms_top=60, num_proposals=40)


def build_tiny(seed: int = 0) -> Dito:
    """The model; its positions and its centerness vary over the picture."""
    torch.manual_seed(seed)
    model = build_dito(TINY)
    with torch.no_grad():
        for vit in (model.backbone, model.frozen):
            vit.positional_embedding.normal_()
        model.proposal_head.classes.weight.mul_(30)
        model.proposal_head.boxes.bias.fill_(0.6)
    return model
