"""An F-VLM of random weights that runs the whole road in a fraction of a second."""

import torch

from ovdet_cli.models.fvlm.config import FvlmConfig
from ovdet_cli.models.fvlm.model import Fvlm, build_fvlm

TINY = FvlmConfig(
    "tiny",
    blocks=(1, 1, 1, 1),
    width=8,
    pool_heads=2,
    pool_bins=3,
    embedding=16,
    channels=16,
    hidden=24,
    pre_nms_top=60,
    num_proposals=40,
)


def build_tiny(seed: int = 0) -> Fvlm:
    """The model, whose objectness varies over the picture."""
    torch.manual_seed(seed)
    model = build_fvlm(TINY)
    with torch.no_grad():
        model.pool.positional_embedding.normal_()
        model.proposal_head.classes.weight.mul_(30)
    return model
