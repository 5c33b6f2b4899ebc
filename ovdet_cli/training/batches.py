"""Samples -> the tensors of one training step."""

# B pictures, N objects of a picture, H height, W width

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ovdet_cli.models.spec import Preprocess
from ovdet_cli.training.region_targets import mask_targets_from_bitmaps, mask_targets_from_polygons
from ovdet_cli.training.samples import Polygons, Sample


@dataclass(frozen=True)
class Batch:
    """Pictures of one kind: all with boxes, or all with labels of the whole picture.

    pixels: float32 (B, 3, H, W), normalised, padded with zeros. sizes_hw: unpadded sizes. boxes, class_ids, masks: an
    entry a picture. labels: int64 of each picture, or None for box-labelled pictures.
    """

    pixels: Tensor
    sizes_hw: list[tuple[int, int]]
    boxes: list[Tensor]
    class_ids: list[Tensor]
    masks: list[Tensor | Sequence[Polygons] | None]
    labels: list[Tensor] | None = None
    names_only: bool = False
    """Boxes are there to be named and not to be found: see `DeticStep`."""

    @property
    def has_masks(self) -> bool:
        """Whether every picture with objects has their masks."""
        return all(m is not None for m, b in zip(self.masks, self.boxes, strict=True) if len(b))

    def mask_targets(self, picture: int, rows: Tensor, boxes_N4: Tensor, size: int) -> Tensor:
        """What the mask head should draw for the objects `rows` inside `boxes_N4`: float32 (N, size, size), 0 and 1."""
        masks = self.masks[picture]
        if masks is None or not len(rows):
            return boxes_N4.new_zeros(len(rows), size, size)
        if isinstance(masks, Tensor):
            return mask_targets_from_bitmaps(masks, rows, boxes_N4, size).to(boxes_N4.dtype)
        return mask_targets_from_polygons(masks, rows, boxes_N4, size).to(boxes_N4)

    def to(self, device: torch.device) -> "Batch":
        """The same on a device; outlines stay where they are."""
        return Batch(
            self.pixels.to(device),
            self.sizes_hw,
            [b.to(device) for b in self.boxes],
            [c.to(device) for c in self.class_ids],
            [m.to(device) if isinstance(m, Tensor) else m for m in self.masks],
            None if self.labels is None else [x.to(device) for x in self.labels],
            self.names_only,
        )


def make_batch(samples: Sequence[Sample], preprocess: Preprocess) -> Batch:
    """Normalises and pads pictures (never resizes them) and collects what is known of them."""
    labelled = [s.labels is not None for s in samples]
    if any(labelled) and not all(labelled):
        raise ValueError("a batch is box-labelled or image-labelled, not both")
    sizes = [(s.image.shape[0], s.image.shape[1]) for s in samples]
    step = preprocess.divisor
    height, width = (-(-max(sides) // step) * step for sides in zip(*sizes, strict=True))
    pixels = torch.zeros(len(samples), 3, height, width)
    mean, std = (torch.tensor(v)[:, None, None] for v in (preprocess.mean_rgb, preprocess.std_rgb))
    for i, (sample, (h, w)) in enumerate(zip(samples, sizes, strict=True)):
        picture = torch.from_numpy(np.ascontiguousarray(sample.image.transpose(2, 0, 1)))
        pixels[i, :, :h, :w] = (picture - mean) / std
    return Batch(
        pixels,
        sizes,
        [torch.from_numpy(s.boxes_xyxy) for s in samples],
        [torch.from_numpy(s.class_ids) for s in samples],
        [torch.from_numpy(s.masks) if isinstance(s.masks, np.ndarray) else s.masks for s in samples],
        [torch.from_numpy(s.labels) for s in samples if s.labels is not None] if all(labelled) else None,
    )
