"""What happens to a picture before a training step: Detic's "EfficientDetResizeCrop", then a horizontal flip.

Official code: facebookresearch/Detic 436cda2a, `detic/data/custom_build_augmentation.py` and
`detic/data/transforms/custom_augmentation_impl.py` (Apache-2.0), with detectron2's flip and box rules. The picture
is Pillow's bilinear resize to the bit. One knowing difference: a side never shrinks to 0 pixels.
"""

# N objects, H height, W width of the result

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ovdet_cli.training.samples import Polygons, Sample

MIN_SIDE = 1e-5
"""Boxes thinner than this, in pixels, are dropped (detectron2)."""


@dataclass(frozen=True)
class ResizeCropFlip:
    """One drawn view of a picture.

    scale: pixels of the result per pixel of the picture; boxes and polygons follow it, not the rounded size.
    scaled_hw: size of the whole picture after the resize. offset_yx: upper left corner of the crop in it.
    size: the crop is at most this large, in both directions. is_flipped: mirrored left to right, after the crop.
    """

    scale: float
    scaled_hw: tuple[int, int]
    offset_yx: tuple[int, int]
    size: int
    is_flipped: bool

    @property
    def out_hw(self) -> tuple[int, int]:
        """Height and width of the result; not padded, so often smaller than `size`."""
        (height, width), (top, left) = self.scaled_hw, self.offset_yx
        return min(self.size, height - top), min(self.size, width - left)

    def apply(self, sample: Sample) -> Sample:
        """The sample as this view shows it; objects that left it, wholly or by their mask, are dropped.

        Polygons are moved but not cut at the border.
        """
        boxes = self.apply_boxes(sample.boxes_xyxy)
        keep = (boxes[:, 2] - boxes[:, 0] > MIN_SIDE) & (boxes[:, 3] - boxes[:, 1] > MIN_SIDE)
        masks: np.ndarray | Sequence[Polygons] | None = None
        if isinstance(sample.masks, np.ndarray):
            masks = self.apply_bitmaps(sample.masks)
            keep &= masks.any(axis=(1, 2))
            masks = masks[keep]
        elif sample.masks is not None:
            masks = [self.apply_polygons(sample.masks[i]) for i in np.flatnonzero(keep).tolist()]
        return Sample(self.apply_image(sample.image), boxes[keep], sample.class_ids[keep], masks, sample.labels)

    def apply_image(self, image: np.ndarray) -> np.ndarray:
        """The picture, uint8 (H, W, 3)."""
        height, width = self.scaled_hw
        (top, left), (out_h, out_w) = self.offset_yx, self.out_hw
        # Resizing only the crop (Pillow's `box`) would round elsewhere.
        resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        cut = np.asarray(resized)[top : top + out_h, left : left + out_w]
        return np.ascontiguousarray(cut[:, ::-1] if self.is_flipped else cut)

    def apply_boxes(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Boxes (N, 4), moved and clipped to the result, float32; those outside come back empty."""
        boxes = self._apply_points(boxes_xyxy.astype(np.float64).reshape(-1, 2)).reshape(-1, 4)
        if self.is_flipped:
            boxes = boxes[:, [2, 1, 0, 3]]
        height, width = self.out_hw
        return np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)

    def apply_polygons(self, polygons: Polygons) -> list[np.ndarray]:
        """One object's outlines x y x y .., moved, float64."""
        return [self._apply_points(np.asarray(p, np.float64).reshape(-1, 2)).reshape(-1) for p in polygons]

    def apply_bitmaps(self, masks: np.ndarray) -> np.ndarray:
        """Masks (N, h, w) as bool (N, H, W), each pixel taken from the nearest one."""
        (top, left), (out_h, out_w) = self.offset_yx, self.out_hw
        rows = _nearest(masks.shape[1], self.scaled_hw[0])[top : top + out_h]
        columns = _nearest(masks.shape[2], self.scaled_hw[1])[left : left + out_w]
        return masks[:, rows[:, None], columns[::-1] if self.is_flipped else columns]

    def _apply_points(self, points: np.ndarray) -> np.ndarray:
        """Points (x, y), float64."""
        points = points * self.scale - np.array(self.offset_yx[::-1], np.float64)
        if self.is_flipped:
            points[:, 0] = self.out_hw[1] - points[:, 0]
        return points


@dataclass(frozen=True)
class EfficientDetResizeCrop:
    """Draws views: the picture fitted into `f * size`, f from `scale_range`, and cut to `size` where it is larger.

    Published: size 640 or 896 and (0.1, 2) for boxes; half that size and (0.5, 1.5) for image labels.
    """

    size: int
    scale_range: tuple[float, float] = (0.1, 2.0)
    flip_probability: float = 0.5

    def draw(self, size_hw: tuple[int, int], rng: np.random.Generator) -> ResizeCropFlip:
        """A view of a picture of this height and width."""
        factor = rng.uniform(*self.scale_range)
        crop_yx = (rng.random(), rng.random())
        return self.view(size_hw, factor, crop_yx, bool(rng.random() < self.flip_probability))

    def view(
        self, size_hw: tuple[int, int], factor: float, crop_yx: tuple[float, float], is_flipped: bool
    ) -> ResizeCropFlip:
        """The view that these draws give. crop_yx: where the crop lies in its room, 0 to 1."""
        height, width = size_hw
        scale = min(factor * self.size / height, factor * self.size / width)
        scaled = (max(1, int(height * scale)), max(1, int(width * scale)))
        top, left = (int(max(0, side - self.size) * u) for side, u in zip(scaled, crop_yx, strict=True))
        return ResizeCropFlip(scale, scaled, (top, left), self.size, is_flipped)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """A drawn view of the sample."""
        return self.draw(sample.image.shape[:2], rng).apply(sample)


def _nearest(size: int, scaled: int) -> np.ndarray:
    """For each of `scaled` pixels along a side its place among the `size` original ones, as Pillow's nearest does."""
    step = size / scaled
    steps = np.full(scaled, step)
    steps[0] /= 2
    return np.minimum(np.cumsum(steps).astype(np.int64), size - 1)  # a running sum, for it rounds as Pillow's does
