import hashlib

import numpy as np
import pytest
from PIL import Image

from ovdet_cli.training.augment import EfficientDetResizeCrop
from ovdet_cli.training.samples import Sample
from tests.parity.reference import PACKAGED, load_script

CASES = ("fits", "crop", "portrait_flip", "image_data")


@pytest.fixture(scope="module")
def official():
    with np.load(PACKAGED / "detic" / "train_ops.npz") as file:
        return {name: file[name] for name in file.files if name.startswith("aug/")}


def official_view(official, case):
    """The picture of a case, and the view that the stored draws give."""
    height, width, seed = official[f"aug/{case}/picture"].tolist()
    factor, u_y, u_x = official[f"aug/{case}/draws"].tolist()
    augment = EfficientDetResizeCrop(int(official[f"aug/{case}/size"]))
    view = augment.view((height, width), factor, (u_y, u_x), bool(official[f"aug/{case}/flip"]))
    return load_script("picture").picture(height, width, seed), view


@pytest.mark.parametrize("case", CASES)
def test_pictures_equal_the_official_ones_to_the_byte(official, case):
    picture, view = official_view(official, case)
    assert view.scale == pytest.approx(float(official[f"aug/{case}/scale"]), rel=1e-15)
    assert view.scaled_hw == tuple(official[f"aug/{case}/scaled_hw"])
    assert view.offset_yx == tuple(official[f"aug/{case}/offset_yx"])
    result = view.apply_image(picture)
    assert result.shape[:2] == view.out_hw == tuple(official[f"aug/{case}/out_shape"])
    assert hashlib.sha1(result.tobytes()).hexdigest() == official[f"aug/{case}/sha1"]


@pytest.mark.parametrize("case", CASES)
def test_boxes_and_polygons_equal_the_official_ones(official, case):
    picture, view = official_view(official, case)
    boxes = official[f"aug/{case}/boxes_in"].astype(np.float32)
    outlines = [[official[f"aug/{case}/polygon_in"] + i] for i in range(len(boxes))]
    np.testing.assert_allclose(view.apply_boxes(boxes), official[f"aug/{case}/boxes"], atol=1e-4)
    result = view.apply(Sample(picture, boxes, np.arange(len(boxes)), outlines))
    np.testing.assert_allclose(result.boxes_xyxy, official[f"aug/{case}/kept"], atol=1e-4)
    assert result.boxes_xyxy.dtype == np.float32
    assert len(result.masks) == len(result.class_ids) == len(result.boxes_xyxy)
    np.testing.assert_allclose(
        view.apply_polygons(outlines[0])[0], official[f"aug/{case}/polygon"], rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("is_flipped", [False, True])
@pytest.mark.parametrize("factor", [0.3, 0.9, 1.7])
def test_bitmaps_go_where_the_picture_goes(factor, is_flipped):
    """Pillow's own nearest resize, cut and turned by hand."""
    bitmap = np.random.default_rng(2).random((40, 61)) < 0.5
    view = EfficientDetResizeCrop(32).view((40, 61), factor, (0.4, 0.7), is_flipped)
    (height, width), (top, left), (h, w) = view.scaled_hw, view.offset_yx, view.out_hw
    resized = np.asarray(Image.fromarray(bitmap.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST))
    expected = resized[top : top + h, left : left + w].astype(bool)
    found = view.apply_bitmaps(bitmap[None])[0]
    assert np.array_equal(found, expected[:, ::-1] if is_flipped else expected)


def test_an_object_whose_mask_left_the_picture_is_dropped():
    masks = np.zeros((2, 20, 20), bool)
    masks[0, 2:4, 2:4], masks[1, 10:14, 10:14] = True, True
    boxes = np.array([[0, 0, 20, 20], [10, 10, 14, 14]], np.float32)  # the first box is larger than its mask
    view = EfficientDetResizeCrop(10).view((20, 20), 2.0, (1.0, 1.0), False)
    result = view.apply(Sample(np.zeros((20, 20, 3), np.uint8), boxes, np.array([5, 6]), masks))
    assert result.class_ids.tolist() == [6]
    assert result.boxes_xyxy.tolist() == [[0, 0, 4, 4]]
    assert result.masks.shape == (1, 10, 10)
    assert result.masks[0, :4, :4].all()
    assert result.masks.sum() == 16


def test_image_labels_travel_along():
    sample = Sample(
        np.zeros((30, 20, 3), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64), labels=np.array([3])
    )
    result = EfficientDetResizeCrop(16, (0.5, 1.5))(sample, np.random.default_rng(0))
    assert result.labels.tolist() == [3]
    assert max(result.image.shape[:2]) <= 16


def test_draws_depend_on_the_generator_alone_and_stay_in_range():
    augment = EfficientDetResizeCrop(64)
    views = [augment.draw((100, 50), np.random.default_rng(seed)) for seed in range(200)]
    assert views == [augment.draw((100, 50), np.random.default_rng(seed)) for seed in range(200)]
    assert 80 < sum(view.is_flipped for view in views) < 120
    assert all(0.064 <= view.scale <= 1.28 and max(view.out_hw) <= 64 for view in views)


def test_a_hair_thin_picture_keeps_a_pixel():
    view = EfficientDetResizeCrop(32).view((1000, 3), 0.1, (0.5, 0.5), False)
    assert view.out_hw == (3, 1)
    assert view.apply_image(np.zeros((1000, 3, 3), np.uint8)).shape == (3, 1, 3)
