"""Photographs are told from drawn pictures, well enough for a hint."""

from pathlib import Path

import numpy as np
import pytest

from ovdet_cli.detector.photographs import looks_like_photograph, plain_share
from ovdet_cli.media.images import read_image

POSTS = Path(__file__).parents[2] / "samples" / "posts"


def camera_like(height: int, width: int) -> np.ndarray:
    """Soft light with a sensor's noise."""
    rng = np.random.default_rng(0)
    light = np.linspace(40, 200, width)[None, :, None] + np.linspace(0, 30, height)[:, None, None]
    return (light + rng.normal(0, 3, (height, width, 3))).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["chat.png", "stickers.jpg", "park.jpg", "kitchen/breakfast.webp"])
def test_the_samples_are_drawn(name: str) -> None:
    assert not looks_like_photograph(read_image(POSTS / name))


@pytest.mark.parametrize("size_hw", [(300, 400), (64, 64), (30, 900)])
def test_noise_and_light_are_a_cameras(size_hw: tuple[int, int]) -> None:
    assert plain_share(camera_like(*size_hw)) < 0.05


def test_a_large_picture_is_judged_as_a_small_one() -> None:
    sharp = camera_like(300, 400)
    assert plain_share(sharp.repeat(8, axis=0).repeat(8, axis=1)) < 0.05
    assert plain_share(np.full((4000, 6000, 3), 9, np.uint8)) == 1


@pytest.mark.parametrize("size_hw", [(1, 1), (7, 300), (1, 5000), (8, 8)])
def test_a_picture_too_small_to_tell_is_drawn(size_hw: tuple[int, int]) -> None:
    assert not looks_like_photograph(np.zeros((*size_hw, 3), np.uint8))


def test_half_a_photograph_is_none() -> None:
    image = camera_like(200, 200)
    image[:, 100:] = 255
    assert plain_share(image) == pytest.approx(0.5, abs=0.06)
