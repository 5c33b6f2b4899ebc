"""Whether anything moved between two pictures: a cheap test, tile by tile, that noise does not fool."""

import cv2
import numpy as np

_LONG_SIDE = 320
"""Pictures are averaged down to about this: an object that a network finds at its input size still covers a pixel."""
_TILE = 4
"""Side of a tile in pixels of the small picture; a tile begins at every pixel, so no object falls between two."""
_NOISE_TIMES = 4.0
"""The unsteadiest of twenty thousand tiles of pure noise shows not quite four times what the median one does."""
_MOST_NOISE = 3.0
"""Grey levels. Where the median tile shows more, the picture itself moves: that is no noise."""
_MOST_DIMMING = 6.0
"""Grey levels by which all of the picture may grow lighter or darker without being another, as cameras let it."""


class ChangeTest:
    """Compares pictures with the one remembered. level: grey levels that a tile must differ by, beyond the noise."""

    def __init__(self, level: float) -> None:
        self._level = level
        self._remembered: np.ndarray | None = None

    @staticmethod
    def reduce(image: np.ndarray) -> np.ndarray:
        """RGB uint8 (H, W, 3) averaged down; one to four milliseconds."""
        height, width = image.shape[:2]
        step = max(1, max(height, width) // _LONG_SIDE)  # a whole number is the quick case of the averaging
        size_wh = max(1, width // step), max(1, height // step)
        return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)

    def remember(self, small: np.ndarray) -> None:
        """What the next ones are compared with, as `reduce` gave it."""
        self._remembered = small

    def has_changed(self, small: np.ndarray) -> bool:
        """Whether a tile differs from the remembered picture's; True without one, or with one of another size."""
        if self._remembered is None or self._remembered.shape != small.shape:
            return True
        differences = small.astype(np.int16) - self._remembered
        # Steps keep the median cheap.
        dimming = np.median(differences[::4, ::4], axis=(0, 1))
        if np.abs(dimming).max() > _MOST_DIMMING:
            return True
        # The mean keeps its sign: noise then cancels, and what has moved stands alone in one of the tiles around it.
        means = cv2.blur((differences - dimming.astype(np.int16)).astype(np.float32), (_TILE, _TILE))
        tiles = np.abs(means).max(axis=2)
        noise = min(float(np.median(tiles[::4, ::4])), _MOST_NOISE)
        return bool(tiles.max() > self._level + _NOISE_TIMES * noise)
