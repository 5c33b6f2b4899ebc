"""CLIP's picture towers (arXiv:2103.00020), with open_clip's modules."""

# N pictures, D embedding width

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as V

from ovdet_cli.models.checkpoint import KeyMap, load_weights, read_checkpoint, write_safetensors
from ovdet_cli.models.text_encoders.clip import ARCHITECTURES

_HEAD_WIDTH = 64
_PATCHLESS_HEADS = 32  # the pooled map of a ResNet is so many times its stem wide
_LONGEST = 32  # a side, in shorter sides: the resize must not enlarge a line of pixels beyond all memory

KEY_MAP: KeyMap = (
    # How many batches each norm was trained on.
    (r".*\.num_batches_tracked", None),
    (r"visual\.(.*)", r"\1"),
    # The text tower and what compares the two.
    (r"(?:text\.)?(?:transformer\..*|token_embedding\..*|ln_final\..*|positional_embedding|text_projection)", None),
    (r"logit_scale|logit_bias", None),
    # Constants of OpenAI's own file.
    (r"input_resolution|context_length|vocab_size", None),
    (r"(text\.)?attn_mask", None),
)


class ClipImageEncoder:
    """Pictures -> unit vectors of one of CLIP's picture towers, which goes by its text tower's name in the zoo."""

    def __init__(self, tensors: Mapping[str, Tensor], origin: str, name: str = "clip-vit-b-32") -> None:
        config = open_clip.get_model_config(ARCHITECTURES[name])
        self.embedding = int(config["embed_dim"])
        self.side = int(config["vision_cfg"]["image_size"])
        self._tower = _build_tower(config["vision_cfg"], self.embedding).eval()
        load_weights(self._tower, tensors, KEY_MAP, origin)

    @classmethod
    def from_file(cls, path: Path, name: str = "clip-vit-b-32") -> "ClipImageEncoder":
        """The tower of a CLIP checkpoint: whole or picture tower alone, in open_clip's names."""
        return cls(read_checkpoint(path), str(path), name)

    @torch.inference_mode()
    def encode(self, pictures: Sequence[np.ndarray], batch: int = 32) -> Tensor:
        """Unit vectors float32 (N, D) of RGB uint8 pictures (H, W, 3), one or more, of any sizes."""
        rows = []
        for start in range(0, len(pictures), batch):
            inputs = [prepare(picture, self.side) for picture in pictures[start : start + batch]]
            rows.append(self._tower(torch.stack(inputs)))
        return F.normalize(torch.cat(rows).float(), dim=1)


def _build_tower(config: Mapping[str, Any], embedding: int) -> nn.Module:
    side, width, layers = config["image_size"], config["width"], config["layers"]
    if isinstance(layers, list):
        heads = width * _PATCHLESS_HEADS // _HEAD_WIDTH
        return ModifiedResNet(layers, output_dim=embedding, heads=heads, image_size=side, width=width)
    return VisionTransformer(
        image_size=side,
        patch_size=config["patch_size"],
        width=width,
        layers=layers,
        heads=width // _HEAD_WIDTH,
        mlp_ratio=4.0,
        output_dim=embedding,
        act_layer=QuickGELU,
    )


def prepare(picture: np.ndarray, side: int) -> Tensor:
    """CLIP's preprocessing of an RGB uint8 picture (H, W, 3): its middle square as float32 (3, side, side), normalised.

    The shorter side is resized to `side` by Pillow's bicubic filter, on bytes.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ValueError(f"a picture must be RGB uint8 (H, W, 3), not {picture.dtype} {list(picture.shape)}")
    longest = _LONGEST * min(picture.shape[:2])
    top, left = (max(length - longest, 0) // 2 for length in picture.shape[:2])
    image = V.to_pil_image(picture[top : top + longest, left : left + longest])
    square = V.center_crop(V.resize(image, side, InterpolationMode.BICUBIC), [side, side])
    return V.normalize(V.to_tensor(square), open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)


def convert_image_tower(source: Path, target: Path, name: str = "clip-vit-b-32") -> None:
    """Writes the picture tower alone of a CLIP checkpoint as safetensors, under the checkpoint's names; atomic."""
    encoder = ClipImageEncoder.from_file(source, name)
    state = {f"visual.{ours}": tensor.contiguous() for ours, tensor in encoder._tower.state_dict().items()}
    write_safetensors({name: tensor for name, tensor in state.items() if "num_batches_tracked" not in name}, target)
