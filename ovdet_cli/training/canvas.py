"""A picture that objects are laid on, one over the other, and that knows what of each is still to be seen."""

# H, W the picture; h, w a tile; N objects

from dataclasses import dataclass

import cv2
import numpy as np

from ovdet_cli.training.cutouts import Cutout

MIN_VISIBLE = 0.35
"""Share of an object that must stay in sight."""

_MIN_PIXELS = 16
_MIN_CONTRAST = 9.0
_NOBODY = 0


@dataclass
class _Object:
    category: int
    pixels: int
    seen: int
    window: tuple[int, int, int, int]


class Canvas:
    """Lays cut-outs on a picture; refuses those that could not be seen or would hide others.

    image: uint8 RGB (H, W, 3), drawn upon in place.
    """

    def __init__(self, image: np.ndarray) -> None:
        self.image = np.ascontiguousarray(image)
        self._owner = np.zeros(image.shape[:2], np.uint8)
        self._objects: list[_Object] = []

    def lay(self, cutout: Cutout, category: int) -> bool:
        """Lays a piece on top, and says whether it did.

        It does not if less than 35 % of the object would be inside the picture, or of any target below it would stay
        in sight, or if it would hardly differ from what is behind. `category` -1: clutter, which may be hidden.
        """
        window, inner = self._overlap(cutout)
        if window is None or len(self._objects) >= 254:
            return False
        y1, x1, y2, x2 = window
        paint, shape = cutout.paint[inner], cutout.shape[inner]
        total, seen = int(np.count_nonzero(cutout.shape)), int(np.count_nonzero(shape))
        if seen < max(MIN_VISIBLE * total, _MIN_PIXELS):
            return False
        below = self._owner[y1:y2, x1:x2]
        hidden = np.bincount(below[shape], minlength=len(self._objects) + 1)[1:].tolist()
        if not all(self._survives(thing, loss) for thing, loss in zip(self._objects, hidden, strict=True) if loss):
            return False
        region = self.image[y1:y2, x1:x2]
        blended = _blend(region, paint)
        if category >= 0 and np.abs(cv2.mean(cv2.absdiff(blended, region), shape.view(np.uint8))).sum() < _MIN_CONTRAST:
            return False
        region[:] = blended
        for thing, loss in zip(self._objects, hidden, strict=True):
            thing.seen -= loss
        self._objects.append(_Object(category, total, seen, window))
        below[shape] = len(self._objects)
        return True

    def _survives(self, thing: _Object, loss: int) -> bool:
        return thing.category < 0 or thing.seen - loss >= max(MIN_VISIBLE * thing.pixels, _MIN_PIXELS)

    def _overlap(self, cutout: Cutout) -> tuple[tuple[int, int, int, int] | None, tuple[slice, slice]]:
        """The window y1, x1, y2, x2 of the picture that the piece covers, and the part of the piece inside."""
        x, y = cutout.corner_xy
        high, wide = cutout.shape.shape
        y1, x1 = max(0, y), max(0, x)
        y2, x2 = min(self.image.shape[0], y + high), min(self.image.shape[1], x + wide)
        window = (y1, x1, y2, x2) if y1 < y2 and x1 < x2 else None
        return window, (slice(y1 - y, y2 - y), slice(x1 - x, x2 - x))

    def found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes float32 (N, 4), tight about what is seen; categories int64 (N,); masks bool (N, H, W); no clutter."""
        targets = [(i, thing) for i, thing in enumerate(self._objects, 1) if thing.category >= 0]
        boxes = np.zeros((len(targets), 4), np.float32)
        masks = np.zeros((len(targets), *self._owner.shape), bool)
        for row, (owner, thing) in enumerate(targets):
            y1, x1, y2, x2 = thing.window
            own = self._owner[y1:y2, x1:x2] == owner
            masks[row, y1:y2, x1:x2] = own
            left, top, width, height = cv2.boundingRect(own.view(np.uint8))
            boxes[row] = x1 + left, y1 + top, x1 + left + width, y1 + top + height
        return boxes, np.array([thing.category for _, thing in targets], np.int64), masks


def _blend(region: np.ndarray, paint: np.ndarray) -> np.ndarray:
    """Premultiplied paint (h, w, 4) over a region (h, w, 3)."""
    rest = cv2.bitwise_not(paint[..., 3])
    behind = cv2.multiply(region, cv2.merge([rest, rest, rest]), scale=1 / 255)
    return cv2.add(behind, np.ascontiguousarray(paint[..., :3]))
