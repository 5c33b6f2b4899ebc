from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from ovdet_cli.detections import Detections, Mask
from tests.wild_records import bitmaps, pieces, two_finds, two_tracked, whole_mask


def pasted(piece, left, top, size_hw):
    bitmap = np.zeros(size_hw, bool)
    bitmap[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
    return bitmap


def counted_runs(bitmap):
    """Lengths of alternating runs in column-major order, the first of zeros: COCO's uncompressed counts."""
    flat = bitmap.T.ravel()
    changes = np.flatnonzero(np.diff(flat, prepend=False))
    return np.diff(changes, prepend=0, append=flat.size)


@given(pieces())
def test_mask_from_piece_is_the_pasted_piece(placed):
    mask = Mask.from_piece(*placed)
    bitmap = pasted(*placed)
    np.testing.assert_array_equal(mask.bitmap(), bitmap)
    assert mask.bitmap().dtype == bool
    assert mask.area == bitmap.sum()
    assert mask.runs.dtype == np.int64
    assert mask.runs.sum() == bitmap.size


@given(pieces())
def test_mask_runs_are_cocos_uncompressed_counts(placed):
    mask = Mask.from_piece(*placed)
    bitmap = pasted(*placed)
    # Where the picture's last pixel is set, Mask may count the zeros after it, of which there are none; COCO does not.
    runs = mask.runs[:-1] if bitmap[-1, -1] and mask.runs[-1] == 0 else mask.runs
    np.testing.assert_array_equal(runs, counted_runs(bitmap))
    height, width = mask.size_hw
    packed = coco_mask.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width)
    assert packed == coco_mask.encode(np.asfortranarray(bitmap.astype(np.uint8)))


@given(bitmaps(), st.data())
def test_mask_crop_is_a_slice_of_the_bitmap(bitmap, data):
    height, width = bitmap.shape
    left, top = data.draw(st.integers(0, width)), data.draw(st.integers(0, height))
    right, bottom = data.draw(st.integers(left, width)), data.draw(st.integers(top, height))
    np.testing.assert_array_equal(
        whole_mask(bitmap).crop(left, top, right, bottom), bitmap[top:bottom, left:right], strict=True
    )


@pytest.mark.parametrize(("left", "top"), [(-1, 0), (0, -1), (5, 0), (0, 3)])
def test_mask_refuses_a_piece_outside_the_picture(left, top):
    with pytest.raises(ValueError, match="leaves the picture of 4x6"):
        Mask.from_piece(np.ones((2, 2), bool), left, top, (4, 6))


@pytest.mark.parametrize("window", [(-1, 0, 2, 2), (0, 0, 7, 2), (0, 0, 2, 5), (3, 0, 2, 2)])
def test_mask_refuses_a_crop_outside_the_picture(window):
    with pytest.raises(ValueError, match="leaves the picture of 4x6"):
        whole_mask(np.zeros((4, 6), bool)).crop(*window)


def test_detections_check_what_they_are_given():
    boxes, scores, class_ids = np.zeros((2, 4), np.float32), np.zeros(2, np.float32), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match=r"boxes_xyxy must be float32 \(2, 4\), not float64 \(2, 4\)"):
        Detections(boxes.astype(float), scores, class_ids)
    with pytest.raises(ValueError, match=r"boxes_xyxy must be float32 \(2, 4\), not float32 \(1, 4\)"):
        Detections(boxes[:1], scores, class_ids)
    with pytest.raises(ValueError, match=r"class_ids must be int64 \(2,\), not int32"):
        Detections(boxes, scores, class_ids.astype(np.int32))
    with pytest.raises(ValueError, match="1 masks for 2 detections"):
        Detections(boxes, scores, class_ids, [whole_mask(np.zeros((4, 6), bool))])


def test_detections_select_by_flags_and_by_places():
    detections = two_finds(has_masks=True)
    second = detections.select(np.array([False, True]))
    assert second.class_ids.tolist() == [1]
    assert second.masks == [detections.masks[1]]
    turned = detections.select(np.array([1, 0]))
    assert turned.class_ids.tolist() == [1, 0]
    assert turned.masks == [detections.masks[1], detections.masks[0]]
    assert len(detections.select(np.zeros(2, bool))) == 0


def test_detections_above_is_strict_and_compares_in_float32():
    detections = two_finds()
    assert detections.above(0.1).scores.tolist() == [np.float32(0.9)]
    assert len(detections.above(0.05)) == 2


def test_detections_iterate_in_order():
    rows = list(two_finds())
    assert [(class_id, mask) for _, _, class_id, mask in rows] == [(0, None), (1, None)]
    assert rows[0][0].tolist() == two_finds().boxes_xyxy[0].tolist()
    assert list(Detections.empty()) == []


def test_track_ids_are_checked_and_selected():
    found = two_tracked()
    assert found.select(np.array([1, 0])).track_ids.tolist() == [-1, 7]
    assert found.above(0.5).track_ids.tolist() == [7]
    assert two_finds().select(np.array([1])).track_ids is None
    with pytest.raises(ValueError, match="track_ids must be int64"):
        replace(found, track_ids=np.array([1, 2], np.int32))
