"""Shapes: the quick ways give what the plain ones give."""

import numpy as np
import pytest

from ovdet_cli.detections import Mask
from ovdet_cli.render.shapes import draw_outline, mask_piece


@pytest.mark.parametrize("seed", range(40))
def test_a_piece_of_a_mask_is_what_crop_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 60, 2).tolist()
    mask = Mask.from_piece(rng.random((height, width)) < rng.choice([0, 0.1, 0.5, 0.95, 1]), 0, 0, (height, width))
    left, top = int(rng.integers(0, width)), int(rng.integers(0, height))
    box = (left, top, int(rng.integers(left + 1, width + 1)), int(rng.integers(top + 1, height + 1)))
    piece = mask_piece(mask, box)
    assert piece.dtype == np.uint8 and piece.flags.c_contiguous
    np.testing.assert_array_equal(piece, mask.crop(*box))


def test_an_empty_piece_of_a_mask() -> None:
    mask = Mask.from_piece(np.ones((4, 4), bool), 0, 0, (4, 4))
    assert mask_piece(mask, (2, 1, 2, 3)).shape == (2, 0)


@pytest.mark.parametrize("thickness", [1, 2, 3, 6])
@pytest.mark.parametrize("box", [(10, 10, 90, 70), (1, 1, 99, 79), (0, 0, 100, 80), (40, 30, 47, 36), (20, 20, 24, 60)])
def test_corners_are_the_same_at_once_and_one_by_one(box: tuple[int, int, int, int], thickness: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    wide = np.zeros((80, 130, 3), np.uint8)
    wide[:, :100] = image
    draw_outline(image, box, (200, 100, 50), thickness)
    draw_outline(wide[:, :100], box, (200, 100, 50), thickness)  # not contiguous: corner by corner
    np.testing.assert_array_equal(image, wide[:, :100])
