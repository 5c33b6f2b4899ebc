import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ovdet_cli.detector.masks import paste_mask, paste_mask_grown, paste_masks


def detectron2_paste(probabilities, box, size_hw):
    """The bilinear values of _do_paste_mask with skip_empty, detectron2 02b5c4e2, layers/mask_ops.py (Apache-2.0)."""
    masks, boxes = torch.from_numpy(probabilities)[None, None], torch.from_numpy(box)[None]
    img_h, img_w = size_hw
    x0_int, y0_int = torch.clamp(boxes.min(dim=0).values.floor()[:2] - 1, min=0).to(dtype=torch.int32)
    x1_int = torch.clamp(boxes[:, 2].max().ceil() + 1, max=img_w).to(dtype=torch.int32)
    y1_int = torch.clamp(boxes[:, 3].max().ceil() + 1, max=img_h).to(dtype=torch.int32)
    x0, y0, x1, y1 = torch.split(boxes, 1, dim=1)
    img_y = torch.arange(y0_int, y1_int, dtype=torch.float32) + 0.5
    img_x = torch.arange(x0_int, x1_int, dtype=torch.float32) + 0.5
    img_y = (img_y - y0) / (y1 - y0) * 2 - 1
    img_x = (img_x - x0) / (x1 - x0) * 2 - 1
    gx = img_x[:, None, :].expand(1, img_y.size(1), img_x.size(1))
    gy = img_y[:, :, None].expand(1, img_y.size(1), img_x.size(1))
    values = torch.zeros(size_hw)
    values[y0_int:y1_int, x0_int:x1_int] = F.grid_sample(masks, torch.stack([gx, gy], dim=3), align_corners=False)[0, 0]
    return values.numpy()


def assert_pasted(probabilities, box, size_hw):
    """Equal but where rounding may take a value across one half."""
    box = np.asarray(box, np.float32)
    values = detectron2_paste(probabilities, box, size_hw)
    found = paste_mask(probabilities, box, size_hw)
    assert found.size_hw == size_hw
    # A coordinate of 1000 px has 6e-5 px of rounding, and a box of 1 px has 28 cells in it.
    is_clear = np.abs(values - 0.5) > 1e-4 + 0.02 / min(box[2] - box[0], box[3] - box[1])
    np.testing.assert_array_equal(found.bitmap()[is_clear], (values >= 0.5)[is_clear])
    assert is_clear.mean() > 0.9
    return found


@pytest.fixture
def random():
    return np.random.default_rng(0)


def smooth(random):
    """Probabilities that change slowly enough to be comparable."""
    coarse = torch.from_numpy(random.random((1, 1, 5, 5), dtype=np.float32))
    return F.interpolate(coarse, (28, 28), mode="bilinear")[0, 0].numpy()


@pytest.mark.parametrize("seed", range(25))
def test_random_boxes(seed):
    random = np.random.default_rng(seed)
    h, w = random.integers(20, 300, 2)
    x = np.sort(random.random(2)) * w
    y = np.sort(random.random(2)) * h
    assert_pasted(smooth(random), [x[0], y[0], max(x[1], x[0] + 0.5), max(y[1], y[0] + 0.5)], (int(h), int(w)))


@pytest.mark.parametrize(
    "box",
    [
        [0, 0, 64, 48],
        [10, 0, 20, 48],
        [0, 10, 64, 20],
        [63.2, 47.1, 64, 48],
        [0, 0, 0.7, 0.6],
        [31.1, 20.2, 31.9, 20.8],
        [31.6, 20.2, 32.4, 20.8],
        [5, 5, 6, 40],
        [0, 0, 64, 0.3],
        [63, 0, 64, 48],
        [12.5, 7.5, 40.5, 35.5],
    ],
    ids=str,
)
def test_boxes_at_borders_and_of_less_than_a_pixel(box, random):
    assert_pasted(smooth(random), box, (48, 64))
    assert_pasted(np.ones((28, 28), np.float32), box, (48, 64))


def test_a_huge_box(random):
    assert_pasted(smooth(random), [3.3, 2.2, 2990.7, 1890.1], (2000, 3000))


def test_full_probabilities_fill_the_box():
    found = paste_mask(np.ones((28, 28), np.float32), np.array([10, 20, 30, 40], np.float32), (60, 50))
    wanted = np.zeros((60, 50), bool)
    wanted[20:40, 10:30] = True
    np.testing.assert_array_equal(found.bitmap(), wanted)


def test_no_probability_gives_an_empty_mask():
    assert paste_mask(np.zeros((28, 28), np.float32), np.array([0, 0, 9, 9], np.float32), (10, 10)).area == 0


def test_one_half_is_set():
    half = np.full((4, 4), 0.5, np.float32)
    found = paste_mask(half, np.array([0, 0, 4, 4], np.float32), (4, 4))
    assert found.area == 16
    assert paste_mask(half - 1e-6, np.array([0, 0, 4, 4], np.float32), (4, 4)).area == 0


def test_rows_are_rows():
    """Upper left half of the mask -> upper left of the box, not transposed."""
    probabilities = np.zeros((28, 28), np.float32)
    probabilities[:7, :21] = 1
    bitmap = paste_mask(probabilities, np.array([0, 0, 28, 28], np.float32), (28, 28)).bitmap()
    assert bitmap[:7, :21].all()
    assert bitmap.sum() == 7 * 21


def test_several_and_none(random):
    boxes = np.array([[0, 0, 5, 5], [1, 1, 9, 9]], np.float32)
    probabilities = np.stack([smooth(random), smooth(random)])
    pasted = paste_masks(probabilities, boxes, (10, 10))
    for mask, p, box in zip(pasted, probabilities, boxes, strict=True):
        np.testing.assert_array_equal(mask.bitmap(), paste_mask(p, box, (10, 10)).bitmap())
    assert paste_masks(np.zeros((0, 1, 1), np.float32), np.zeros((0, 4), np.float32), (10, 10)) == []


def tpu_paste(probabilities, box, size_hw):
    """The values of paste_instance_masks, tensorflow/tpu 7dc921f, mask_utils.py (Apache-2.0)."""
    height, width = size_hw
    cells = len(probabilities)
    grown = (cells + 2.0) / cells
    x1, y1, x2, y2 = (float(v) for v in box)
    centre_x, centre_y = (x1 + x2) / 2, (y1 + y2) / 2
    half_w, half_h = (x2 - x1) / 2 * grown, (y2 - y1) / 2 * grown
    whole = np.array([centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h]).astype(np.int32)
    w, h = max(whole[2] - whole[0] + 1, 1), max(whole[3] - whole[1] + 1, 1)
    mask = cv2.resize(np.pad(probabilities, 1).astype(np.float32), (int(w), int(h)))
    values = np.zeros(size_hw, np.float32)
    x_0, x_1 = min(max(whole[0], 0), width), min(max(whole[2] + 1, 0), width)
    y_0, y_1 = min(max(whole[1], 0), height), min(max(whole[3] + 1, 0), height)
    values[y_0:y_1, x_0:x_1] = mask[y_0 - whole[1] : y_1 - whole[1], x_0 - whole[0] : x_1 - whole[0]]
    return values


@pytest.mark.parametrize(
    "box",
    [
        (10.3, 20.7, 61.2, 88.9),
        (-30.5, -12.1, 20.2, 40.4),
        (70.0, 60.0, 140.0, 130.5),
        (40.2, 40.3, 41.1, 41.9),
        (5.0, 50.0, 95.0, 50.5),
        (-50.0, -50.0, -20.0, -20.0),
        (200.0, 10.0, 230.0, 40.0),
    ],
)
def test_a_grown_mask_is_pasted_as_the_official_code_does(box):
    probabilities = np.random.default_rng(0).random((28, 28), dtype=np.float32)
    size_hw = (100, 110)
    values = tpu_paste(probabilities, box, size_hw)
    found = paste_mask_grown(probabilities, np.array(box, np.float32), size_hw)
    assert found.size_hw == size_hw
    is_clear = np.abs(values - 0.5) > 2e-3
    np.testing.assert_array_equal(found.bitmap()[is_clear], (values > 0.5)[is_clear])
    assert is_clear.mean() > 0.98
