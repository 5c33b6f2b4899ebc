import numpy as np
from hypothesis import given

from ovdet_cli.results.convert.outlines import fill, mask_bounds, outline, outline_rings, union
from tests.wild_records import bitmaps, whole_mask


@given(bitmaps())
def test_an_outline_fills_to_the_same_pixels(bitmap):
    mask = whole_mask(bitmap)
    filled = fill(outline(mask), bitmap.shape)
    np.testing.assert_array_equal(filled.bitmap(), bitmap)
    assert filled.runs.sum() == bitmap.size


@given(bitmaps())
def test_bounds_hold_all_pixels_and_no_more(bitmap):
    ys, xs = np.nonzero(bitmap)
    expected = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(xs) else None
    assert mask_bounds(whole_mask(bitmap)) == expected


def test_a_rectangle_has_four_corners_and_a_hole_four_more():
    bitmap = np.zeros((6, 8), bool)
    bitmap[1:5, 2:7] = True
    (ring,) = outline_rings(whole_mask(bitmap))
    assert {tuple(point) for point in ring.tolist()} == {(2, 1), (7, 1), (7, 5), (2, 5)}
    bitmap[2:4, 3:5] = False
    assert [len(ring) for ring in outline_rings(whole_mask(bitmap))] == [4, 4]


def test_a_pixel_belongs_to_an_outline_that_holds_its_middle():
    bitmap = fill([(0.4, 0.4), (2.6, 0.4), (2.6, 1.6), (0.4, 1.6)], (3, 4)).bitmap()
    np.testing.assert_array_equal(bitmap, [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]])


def test_an_outline_may_leave_the_picture():
    assert fill([(-5, -5), (50, -5), (50, 50), (-5, 50)], (3, 4)).area == 12
    assert fill([(-5, -5), (-1, -5), (-1, 50)], (3, 4)).area == 0
    assert fill([], (3, 4)).area == 0


def test_a_union_counts_shared_pixels_once():
    one, other = fill([(0, 0), (2, 0), (2, 2), (0, 2)], (3, 4)), fill([(1, 0), (3, 0), (3, 2), (1, 2)], (3, 4))
    assert union([one, other]).area == 6
