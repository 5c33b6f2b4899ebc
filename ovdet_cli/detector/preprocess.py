"""Carries out a model's preprocessing, and brings boxes back to picture pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ovdet_cli.models.zoo import Preprocess


def resized_size(size_hw: tuple[int, int], short_side: int, max_size: int) -> tuple[int, int]:
    """Height and width after the resize: shorter side to `short_side`, longer side at most `max_size`.

    Computed and rounded as detectron2's ResizeShortestEdge does; a side never falls under one pixel.
    """
    height, width = size_hw
    scale = short_side / min(height, width)
    new_height, new_width = (
        (float(short_side), scale * width) if height < width else (scale * height, float(short_side))
    )
    if max(new_height, new_width) > max_size:
        shrink = max_size / max(new_height, new_width)
        new_height, new_width = new_height * shrink, new_width * shrink
    return max(int(new_height + 0.5), 1), max(int(new_width + 0.5), 1)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture as the network takes it.

    resized: uint8 RGB (h, w, 3). size_hw: (h, w). original_hw: the picture's size. padded_hw: sides after padding.
    """

    resized: np.ndarray
    size_hw: tuple[int, int]
    original_hw: tuple[int, int]
    padded_hw: tuple[int, int]

    def to_original(self, boxes_N4: Tensor) -> Tensor:
        """Boxes in network pixels -> in pixels of the picture, clipped to it."""
        (h, w), (height, width) = self.size_hw, self.original_hw
        scale = boxes_N4.new_tensor([width / w, height / h, width / w, height / h])
        limit = boxes_N4.new_tensor([width, height, width, height])
        return torch.minimum((boxes_N4 * scale).clamp(min=0), limit)


class Preprocessor:
    """Resize (Pillow's bilinear, on bytes), normalise, pad with zeros."""

    def __init__(self, spec: Preprocess) -> None:
        self.spec = spec

    def prepare(self, image: np.ndarray) -> Prepared:
        """An RGB uint8 picture (H, W, 3), resized; Pillow's filter is the official one and no other equals it."""
        original_hw = (image.shape[0], image.shape[1])
        h, w = resized_size(original_hw, self.spec.short_side, self.spec.max_size)
        resized = np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((w, h), Image.Resampling.BILINEAR))
        d = self.spec.divisor
        return Prepared(resized, (h, w), original_hw, (h + -h % d, w + -w % d))

    def stack(self, pictures: Sequence[Prepared], device: torch.device) -> Tensor:
        """Pictures of one padded size -> the network's input, float32 (B, 3, h, w)."""
        height, width = pictures[0].padded_hw
        mean = torch.tensor(self.spec.mean_rgb, device=device)[:, None, None]
        std = torch.tensor(self.spec.std_rgb, device=device)[:, None, None]
        batch = torch.zeros(len(pictures), 3, height, width, device=device)
        for row, picture in zip(batch, pictures, strict=True):
            h, w = picture.size_hw
            pixels = torch.from_numpy(picture.resized.copy()).to(device).permute(2, 0, 1).float()
            row[:, :h, :w] = (pixels - mean) / std if self.spec.order == "rgb" else ((pixels - mean) / std).flip(0)
        return batch
