"""A canvas keeps every object recognisable and reports what is seen of it."""

import numpy as np

from ovdet_cli.training.canvas import Canvas
from ovdet_cli.training.cutouts import Cutout, Pose, cut_out


def piece(x: float, y: float, size: float, colour: int = 250) -> Cutout:
    return cut_out(np.full((64, 64, 4), (colour, colour, colour, 255), np.uint8), Pose((x, y), size))


def dark(side: int = 100) -> Canvas:
    return Canvas(np.zeros((side, side, 3), np.uint8))


def test_a_piece_is_painted_where_it_lies() -> None:
    canvas = dark()
    assert canvas.lay(piece(50, 40, 20), 7)
    boxes, class_ids, masks = canvas.found()
    np.testing.assert_allclose(boxes, [[40, 30, 60, 50]], atol=1)
    assert class_ids.tolist() == [7]
    assert canvas.image[masks[0]].min() > 100 and canvas.image[40, 70].max() == 0


def test_what_is_covered_is_no_longer_part_of_the_object() -> None:
    canvas = dark()
    assert canvas.lay(piece(40, 50, 40, 250), 1)
    assert canvas.lay(piece(60, 50, 40, 120), 2)
    boxes, _, masks = canvas.found()
    np.testing.assert_allclose(boxes, [[20, 30, 40, 70], [40, 30, 80, 70]], atol=1)
    assert not (masks[0] & masks[1]).any()


def test_a_piece_that_would_hide_another_is_refused_unless_that_is_clutter() -> None:
    for below, expected in ((3, False), (-1, True)):
        canvas = dark()
        assert canvas.lay(piece(50, 50, 20, 250), below)
        assert canvas.lay(piece(52, 50, 40, 120), 4) is expected


def test_a_piece_mostly_outside_or_wholly_outside_is_refused() -> None:
    canvas = dark()
    assert not canvas.lay(piece(-9, 50, 40), 1)
    assert not canvas.lay(piece(300, 50, 40), 1)
    assert canvas.lay(piece(0, 50, 40), 1)
    assert canvas.found()[0][0, 0] == 0


def test_a_piece_that_nobody_could_see_is_refused() -> None:
    assert not dark().lay(piece(50, 50, 30, 1), 1)
    assert not dark().lay(piece(50, 50, 3), 1)


def test_clutter_is_painted_but_not_reported() -> None:
    canvas = dark()
    assert canvas.lay(piece(50, 50, 30), -1)
    boxes, class_ids, masks = canvas.found()
    assert boxes.shape == (0, 4) and len(class_ids) == 0 and masks.shape == (0, 100, 100)
    assert canvas.image[50, 50].max() > 0


def test_many_objects_keep_apart() -> None:
    canvas = dark(320)
    for i in range(254):
        assert canvas.lay(piece(10 + i % 16 * 20, 10 + i // 16 * 20, 14), i)
    assert not canvas.lay(piece(310, 310, 14), 0)
    assert canvas.found()[1].tolist() == list(range(254))
