"""Redrawing keeps the silhouette, never writes into the store, and changes what it says."""

import cv2
import numpy as np
import pytest

from ovdet_cli.training.restyling import bordered, outlined, posterised, recoloured, restyled, swapped


@pytest.fixture
def drawing() -> np.ndarray:
    image = np.zeros((144, 120, 4), np.uint8)
    cv2.ellipse(image, (60, 72), (58, 70), 0, 0, 360, (230, 180, 40, 255), -1, cv2.LINE_AA)
    cv2.circle(image, (60, 72), 25, (20, 90, 200, 255), -1, cv2.LINE_AA)
    image.flags.writeable = False
    return image


def silhouette(image: np.ndarray) -> int:
    return int(np.count_nonzero(image[..., 3] >= 128))


def test_every_restyling_gives_rgba_with_about_the_same_silhouette(drawing: np.ndarray) -> None:
    for seed in range(60):
        image = restyled(np.random.default_rng(seed), drawing, 1.0)
        assert image.dtype == np.uint8 and image.shape[2] == 4
        assert silhouette(drawing) <= silhouette(image) + 5 < 1.35 * silhouette(drawing)


def test_at_strength_nought_nothing_is_redrawn(drawing: np.ndarray) -> None:
    assert all(restyled(np.random.default_rng(seed), drawing, 0.0) is drawing for seed in range(30))


def test_outlines_run_along_the_inner_edge(drawing: np.ndarray) -> None:
    for seed in range(8):
        image = outlined(np.random.default_rng(seed), drawing)
        middle = image[image.shape[0] // 2, :, :3].astype(int)
        assert np.abs(np.diff(middle, axis=0)).max() > 60


def test_a_border_surrounds_the_silhouette(drawing: np.ndarray) -> None:
    image = bordered(drawing, 4, (0, 0, 0))
    assert silhouette(image) > silhouette(drawing)
    assert image[image.shape[0] // 2, 6, :3].max() < 60
    assert image[image.shape[0] // 2, image.shape[1] // 2, :3].tolist() == [20, 90, 200]


def test_posterising_leaves_few_values_and_alpha(drawing: np.ndarray) -> None:
    image = posterised(drawing, 3)
    assert set(np.unique(image[..., :3])) <= {0, 127, 255}
    np.testing.assert_array_equal(image[..., 3], drawing[..., 3])


def test_exchanged_colours_keep_alpha(drawing: np.ndarray) -> None:
    for seed in range(6):
        np.testing.assert_array_equal(swapped(np.random.default_rng(seed), drawing)[..., 3], drawing[..., 3])


def test_a_silhouette_takes_the_colour_given(drawing: np.ndarray) -> None:
    for seed in range(12):
        image = recoloured(np.random.default_rng(seed), drawing, (9, 200, 30))
        assert image[image.shape[0] // 2, image.shape[1] // 2].tolist() == [9, 200, 30, 255]
