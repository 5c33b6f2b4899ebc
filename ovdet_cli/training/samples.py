"""Sample: one picture and what is known of it, on its way to a training step."""

# N objects, H height, W width

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Polygons = Sequence[np.ndarray]
"""One object's outline: arrays x y x y .. in pixels of the picture."""


@dataclass(frozen=True)
class Sample:
    """One picture with boxes, or with nothing but labels of the whole picture.

    image: uint8 RGB (H, W, 3).
    boxes_xyxy: float32 (N, 4) pixels; empty for an image-labelled picture.
    class_ids: int64 (N,), the class of each box.
    masks: bool (N, H, W); or the outlines of each object; or None where there are none.
    labels: int64 (L,), classes known to be somewhere in the picture; None: this picture has box labels.
    """

    image: np.ndarray
    boxes_xyxy: np.ndarray
    class_ids: np.ndarray
    masks: np.ndarray | Sequence[Polygons] | None = None
    labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"a picture must be uint8 (H, W, 3), not {self.image.dtype} {self.image.shape}")
        if self.boxes_xyxy.shape != (len(self.class_ids), 4):
            raise ValueError(f"{len(self.class_ids)} classes, but boxes of shape {self.boxes_xyxy.shape}")
        if self.masks is not None and len(self.masks) != len(self.class_ids):
            raise ValueError(f"{len(self.class_ids)} objects, but {len(self.masks)} masks")
