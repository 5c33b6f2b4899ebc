"""Telling photographs from drawn pictures, for models that know one of the two kinds alone."""

# H, W the picture; h, w its blocks

import numpy as np

_LONG_SIDE = 512  # pixels; larger pictures are reduced first, or a camera's blur would look like a plain
_BLOCK = 8
_PLAIN_STD = 1.0  # grey levels within a block
_MOST_PLAIN = 0.25


def plain_share(image: np.ndarray) -> float:
    """The part of a picture, RGB uint8 (H, W, 3), that is of one grey: 0 to 1, judged in blocks of 8 x 8.

    What is drawn has areas of one colour, what a camera took has light and noise on them. Measured: 12 photographs
    0.00 to 0.12 and frames of a 3-D film 0.10; screens, posts and drawn scenery 0.3 to 0.8; drawings that were laid
    on photograph-like texture 0.00 to 0.10, like photographs.
    """
    grey_HW = image.mean(axis=2, dtype=np.float32)
    factor = max(1, round(max(grey_HW.shape) / _LONG_SIDE))
    grey_HW = _blocks(grey_HW, factor).mean(axis=(1, 3)) if factor > 1 else grey_HW
    if min(grey_HW.shape) < _BLOCK:
        return 1.0
    return float((_blocks(grey_HW, _BLOCK).std(axis=(1, 3)) < _PLAIN_STD).mean())


def looks_like_photograph(image: np.ndarray) -> bool:
    """Whether a picture, RGB uint8 (H, W, 3), is rather taken than drawn. A guess, good enough for a hint."""
    return plain_share(image) < _MOST_PLAIN


def _blocks(grey_HW: np.ndarray, side: int) -> np.ndarray:
    """The picture cut into squares (h, side, w, side), what is left over at two borders not."""
    h, w = grey_HW.shape[0] // side, grey_HW.shape[1] // side
    return grey_HW[: h * side, : w * side].reshape(h, side, w, side)
