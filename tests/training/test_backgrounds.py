"""Backgrounds: fixed by their seed, of the size asked for, and varied."""

import numpy as np
import pytest

from ovdet_cli.training import photographs
from ovdet_cli.training.backgrounds import PAINTERS, BackgroundPool, blurred, shared_pool
from ovdet_cli.training.screens import cards, chat

PAINTED = (
    *PAINTERS,
    photographs.leaves,
    photographs.cloud,
    photographs.material,
    photographs.bokeh,
    photographs.scenery,
    photographs.room,
    photographs.crowd,
)


def seeded(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("painter", PAINTED, ids=lambda painter: painter.__name__)
@pytest.mark.parametrize("size_hw", [(96, 130), (200, 64)])
def test_a_painter_fills_the_size_and_repeats_itself(painter, size_hw: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    for seed in range(4):
        image = painter(seeded(seed), size_hw)
        assert image.shape == (*size_hw, 3) and image.dtype == np.uint8
        np.testing.assert_array_equal(image, painter(seeded(seed), size_hw))


def test_a_pool_picture_depends_on_its_index_alone() -> None:
    forward, backward = BackgroundPool(13, seed=5), BackgroundPool(13, seed=5)
    forward.fill()
    for index in reversed(range(13)):
        np.testing.assert_array_equal(backward.picture(index), forward.picture(index))
    assert not np.array_equal(BackgroundPool(1, seed=6).picture(0), forward.picture(0))


def test_a_pool_is_lazy_shared_and_read_only() -> None:
    pool = shared_pool(3, 99)
    assert shared_pool(3, 99) is pool
    with pytest.raises(ValueError, match="read-only"):
        pool.picture(0)[:] = 0
    with pytest.raises(ValueError, match="3 pictures, none at 3"):
        pool.picture(3)


@pytest.mark.parametrize("size_hw", [(320, 320), (160, 240), (640, 384)])
def test_crops_have_the_size_asked_for_and_differ(size_hw: tuple[int, int]) -> None:
    pool = BackgroundPool(2, seed=1)
    crops = [pool.crop(seeded(seed), size_hw) for seed in range(6)]
    assert {crop.shape for crop in crops} == {(*size_hw, 3)}
    assert len({crop.tobytes() for crop in crops}) == 6


def test_most_pool_pictures_are_not_flat() -> None:
    pool = BackgroundPool(24, seed=3)
    pool.fill()
    assert np.median([pool.picture(i).std() for i in range(24)]) > 15


def test_blurred_drawings_have_no_edges() -> None:
    drawing = np.zeros((100, 100, 4), np.uint8)
    drawing[20:80, 20:80] = 255
    image = blurred(seeded(2), [drawing], (320, 320)).astype(int)
    assert np.abs(np.diff(image, axis=0)).max() < 20


@pytest.mark.parametrize("page", [chat, cards])
def test_slots_lie_where_the_page_is_blank(page) -> None:  # type: ignore[no-untyped-def]
    image, slots = page(seeded(4), (320, 320), 0.6)
    assert image.shape == (320, 320, 3) and slots
    assert all(slot.size_px > 5 for slot in slots)
    assert page(seeded(4), (320, 320), 0.0)[1] == []
