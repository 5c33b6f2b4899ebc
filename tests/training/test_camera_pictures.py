"""Real photographs as backgrounds of scenes."""

import numpy as np
import pytest

from ovdet_cli.errors import InputError
from ovdet_cli.media.images import write_image
from ovdet_cli.training.camera_pictures import CameraPictures


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, size in (("b.png", (90, 1200, 3)), ("a.png", (64, 48, 3))):
        write_image(tmp_path / name, rng.integers(0, 255, size, dtype=np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_crops_have_the_size_and_depend_on_the_draw_alone(folder):
    for size in ((32, 32), (160, 320), (320, 64)):
        crops = [CameraPictures(folder).crop(np.random.default_rng(seed), size) for seed in (1, 1, 2)]
        assert all(crop.shape == (*size, 3) and crop.dtype == np.uint8 for crop in crops)
        np.testing.assert_array_equal(crops[0], crops[1])
        assert (crops[0] != crops[2]).any()


def test_large_ones_are_kept_small(folder):
    pictures = CameraPictures(folder)
    assert pictures._picture(1).shape == (60, 800, 3)
    assert pictures._picture(0).shape == (64, 48, 3)


def test_the_fingerprint_tells_other_photographs(folder):
    before = CameraPictures(folder).fingerprint
    assert before == CameraPictures(folder).fingerprint
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes())
    assert CameraPictures(folder).fingerprint != before


def test_an_empty_folder_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="fetch"):
        CameraPictures(tmp_path)
