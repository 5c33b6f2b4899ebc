"""A ViLD of random weights that runs the whole road in a fraction of a second."""

import re

import torch

from ovdet_cli.models.vild.config import VildConfig
from ovdet_cli.models.vild.keys import key_map
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


_TO_FILE = {
    "dense": lambda t: t.T,
    "vector": lambda t: t[:, None],
    "conv": lambda t: t.permute(2, 3, 1, 0),
    "deconv": lambda t: t.permute(2, 3, 1, 0),
    "dense of map": lambda t: t.unflatten(1, (-1, 7, 7)).permute(2, 3, 1, 0).reshape(-1, t.shape[0]),
}


def as_published(model: Vild, num_columns: int = 7) -> dict[str, torch.Tensor]:
    """The model's tensors under TensorFlow's names and in its layouts, as a published checkpoint has them."""
    state, tensors = model.state_dict(), {}
    for pattern, target, *layout in key_map(model.config):
        if target is not None:
            name = re.sub(r"\(\?:[^)]*\)\?", "", pattern).replace(r"\d+", "50").replace("\\", "")
            tensor = state[target]
            tensors[name] = (_TO_FILE[layout[0]](tensor) if layout else tensor).contiguous()
    columns = torch.randn(model.config.embedding, num_columns, generator=torch.Generator().manual_seed(1))
    tensors["frcnn_layer_0/fast_rcnn_head/class-predict/kernel"] = columns
    tensors["global_step"] = torch.tensor(180_000)
    return tensors
