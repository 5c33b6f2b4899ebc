"""Carries out a model's preprocessing, and brings boxes back to picture pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ovdet_cli.models.spec import Canvas, Preprocess


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

    resized: uint8 RGB (h, w, 3), or float32, normalised, where that comes before the resize.
    size_hw: (h, w). original_hw: the picture's size. padded_hw: sides after padding.
    """

    resized: np.ndarray
    size_hw: tuple[int, int]
    original_hw: tuple[int, int]
    padded_hw: tuple[int, int]

    def to_original(self, boxes_N4: Tensor, *, clip: bool = True) -> Tensor:
        """Boxes in network pixels -> in pixels of the picture, clipped to it."""
        (h, w), (height, width) = self.size_hw, self.original_hw
        scaled = boxes_N4 * boxes_N4.new_tensor([width / w, height / h, width / w, height / h])
        return (
            torch.minimum(scaled.clamp(min=0), boxes_N4.new_tensor([width, height, width, height])) if clip else scaled
        )


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


class CanvasPreprocessor:
    """Normalise, fit into the canvas (bilinear, small pictures are enlarged), pad with zeros."""

    def __init__(self, spec: Canvas) -> None:
        self.spec = spec

    def prepare(self, image: np.ndarray) -> Prepared:
        """An RGB uint8 picture (H, W, 3), normalised and resized."""
        original_hw, side = (image.shape[0], image.shape[1]), self.spec.side
        scale = np.float32(side) / np.float32(max(original_hw))
        h, w = (max(int(np.rint(np.float32(n) * scale)), 1) for n in original_hw)
        mean, std = (np.array(v, np.float32) for v in (self.spec.mean_rgb, self.spec.std_rgb))
        pixels = (image.astype(np.float32) * np.float32(1 / 255) - mean) / std  # as TensorFlow converts bytes
        resize = _resize_tf1 if self.spec.resize == "tf1" else _resize_half_pixel
        return Prepared(resize(pixels, (h, w)), (h, w), original_hw, (side, side))

    def stack(self, pictures: Sequence[Prepared], device: torch.device) -> Tensor:
        """Pictures -> the network's input, float32 (B, 3, side, side)."""
        batch = torch.zeros(len(pictures), 3, self.spec.side, self.spec.side, device=device)
        for row, picture in zip(batch, pictures, strict=True):
            h, w = picture.size_hw
            row[:, :h, :w] = torch.from_numpy(picture.resized).to(device).permute(2, 0, 1)
        return batch.bfloat16().float() if self.spec.rounds_to_bfloat16 else batch


def _resize_tf1(pixels: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Bilinear as in TensorFlow 1: without half-pixel centres, aligned corners or antialiasing."""
    (rows_lo, rows_hi, rows_share), (columns_lo, columns_hi, columns_share) = (
        _neighbours(old, new) for old, new in zip(pixels.shape[:2], size_hw, strict=True)
    )
    left, right = pixels[:, columns_lo], pixels[:, columns_hi]
    wide = left + (right - left) * columns_share[:, None]
    top, bottom = wide[rows_lo], wide[rows_hi]
    resized: np.ndarray = top + (bottom - top) * rows_share[:, None, None]
    return resized


def _neighbours(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two old places that a new one lies between, and the second's share."""
    places = np.arange(new, dtype=np.float32) * (np.float32(old) / np.float32(new))
    first = np.floor(places).astype(np.int64)
    return first, np.minimum(first + 1, old - 1), places - first.astype(np.float32)


def _resize_half_pixel(pixels: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Bilinear by the pixels' centres, without antialiasing."""
    maps = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    resized = F.interpolate(maps, size_hw, mode="bilinear", align_corners=False)
    return resized[0].permute(1, 2, 0).numpy()


def make_preprocessor(spec: Preprocess | Canvas) -> Preprocessor | CanvasPreprocessor:
    """What carries out a model's preprocessing."""
    return CanvasPreprocessor(spec) if isinstance(spec, Canvas) else Preprocessor(spec)
