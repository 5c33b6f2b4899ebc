"""StoredRegions: the class-agnostic half of what a detector saw in one frame, as an index keeps it."""

# R regions, S sets of features a region has, D embedding width, M cells of a mask a side

from dataclasses import dataclass

import numpy as np

_PART = 64  # numbers that share a scale: one a vector cost Swin-B's stand-in 2.3 % of its detections, so 1.2 %


def num_parts(width: int) -> int:
    """Parts of an int8 vector that have a scale each."""
    return width // _PART if width % _PART == 0 else 1


@dataclass(frozen=True, eq=False)
class StoredRegions:
    """Regions of one frame, with all that new words need.

    boxes_xyxy: float32 (R, 4), pixels of the upright original; they may reach beyond it.
    objectness: float32 (R,), in [0, 1].
    features: float32, float16 or int8 (R, S, D), what the classifier multiplies with text embeddings.
    scales: float32 (R, S, G), what each of G equal parts of an int8 vector is multiplied with; None for the others.
    masks: uint8 (R, M, M), probabilities inside the box in 255ths; None where they were not kept.
    """

    boxes_xyxy: np.ndarray
    objectness: np.ndarray
    features: np.ndarray
    scales: np.ndarray | None = None
    masks: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.objectness)
        is_whole = (
            self.boxes_xyxy.shape == (n, 4)
            and self.features.ndim == 3
            and len(self.features) == n
            and (self.scales is None) == (self.features.dtype != np.int8)
            and (
                self.scales is None
                or self.scales.shape == (*self.features.shape[:2], num_parts(self.features.shape[2]))
            )
            and (self.masks is None or (self.masks.ndim == 3 and len(self.masks) == n))
        )
        if not is_whole:
            raise ValueError(
                f"boxes {self.boxes_xyxy.shape}, features {self.features.dtype} {self.features.shape} and what stands "
                f"beside them are not those of {n} regions"
            )

    def __len__(self) -> int:
        return len(self.objectness)

    def stored_as(self, precision: str) -> "StoredRegions":
        """Float32 features -> fp16, or int8 with a scale a vector."""
        if precision == "fp16":
            return StoredRegions(self.boxes_xyxy, self.objectness, self.features.astype(np.float16), None, self.masks)
        shape = self.features.shape
        groups = num_parts(shape[2])
        parts = self.features.reshape(*shape[:2], groups, shape[2] // groups)
        scales = np.abs(parts).max(axis=3) / np.float32(127)
        whole = np.rint(parts / np.where(scales > 0, scales, 1)[..., None]).astype(np.int8)
        return StoredRegions(self.boxes_xyxy, self.objectness, whole.reshape(shape), scales, self.masks)
