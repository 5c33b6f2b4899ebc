"""Outlines to bitmaps: cell for cell what pycocotools draws."""

import numpy as np
import pytest

from ovdet_cli.training.polygons import rasterise_in_boxes


def drawn_by_coco(outlines: list[np.ndarray], box: np.ndarray, size: int) -> np.ndarray:
    """The targets as detectron2 makes them."""
    coco = pytest.importorskip("pycocotools.mask")
    scale = size / np.maximum(box[2:] - box[:2], 0.1)
    scaled = [((ring.reshape(-1, 2).astype(np.float64) - box[:2]) * scale).ravel().tolist() for ring in outlines]
    return coco.decode(coco.merge(coco.frPyObjects(scaled, size, size))).astype(bool)


def test_random_outlines_agree_with_pycocotools() -> None:
    rng = np.random.default_rng(0)
    objects = []
    for _ in range(60):
        middle, reach = rng.uniform(20, 80, 2), rng.uniform(3, 50)
        objects.append(
            [
                (middle + rng.normal(size=(rng.integers(3, 12), 2)) * reach).astype(np.float32).ravel()
                for _ in range(rng.integers(1, 4))
            ]
        )
    index = rng.integers(0, len(objects), 120)
    corners = rng.uniform(0, 60, (120, 2))
    boxes = np.concatenate((corners, corners + rng.uniform(0.05, 60, (120, 2))), axis=1)
    found = rasterise_in_boxes(objects, index, boxes, 28)
    for mask, row, box in zip(found, index, boxes, strict=True):
        assert np.array_equal(mask, drawn_by_coco(objects[row], box, 28))


def test_a_rectangle_fills_its_cells() -> None:
    outline = np.array([10, 10, 30, 10, 30, 20, 10, 20], dtype=np.float32)
    (mask,) = rasterise_in_boxes([[outline]], np.array([0]), np.array([[10.0, 0.0, 50.0, 40.0]]), 8)
    expected = np.zeros((8, 8), dtype=bool)
    expected[2:4, 0:4] = True
    assert np.array_equal(mask, expected)


def test_objects_without_outlines_and_no_regions() -> None:
    boxes = np.array([[0.0, 0.0, 8.0, 8.0]])
    assert not rasterise_in_boxes([[]], np.array([0]), boxes, 28).any()
    assert rasterise_in_boxes([], np.zeros(0, dtype=np.int64), boxes[:0], 28).shape == (0, 28, 28)
