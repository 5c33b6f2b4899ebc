import numpy as np

from ovdet_cli.tracking.affinity import affinities, overlaps
from ovdet_cli.tracking.motion import Motion
from ovdet_cli.tracking.settings import TrackSettings

BOXES = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [50, 50, 60, 60], [7, 7, 7, 7]], np.float64)


def test_overlap_of_boxes():
    np.testing.assert_allclose(overlaps(BOXES[:1], BOXES), [[1, 1 / 3, 0, 0]])
    assert overlaps(BOXES[3:], BOXES[3:]).tolist() == [[0]]
    assert overlaps(BOXES[:0], BOXES).shape == (0, 4)
    # Both 10 pixels larger: 12x10... a box at 20 then shares 10 of 30.
    grown = np.array([[5.0, 5.0]])
    np.testing.assert_allclose(overlaps(BOXES[:1], np.array([[10, 0, 20, 10.0]]), grown), [[1 / 3]])


def test_a_name_the_track_never_had_costs_and_one_it_had_now_and_then_costs_less():
    settings = TrackSettings(class_penalty=0.3, sure_votes=100)
    box = np.array([[0, 0, 10, 10.0]])
    fits = affinities(Motion.of(box), [{0: 3.0, 1: 1.0}], np.repeat(box, 3, 0), np.array([0, 1, 2]), settings)
    np.testing.assert_allclose(fits, [[1 - 0.3 / 4, 1 - 0.3 * 3 / 4, 0.7]])


def test_a_surely_different_thing_is_out_unless_the_box_is_the_same():
    settings = TrackSettings(sure_votes=2, same_box=0.75)
    motion = Motion.of(np.array([[0, 0, 10, 10.0]]))
    boxes = np.array([[0, 0, 10, 10], [3, 0, 13, 10]], np.float64)
    for votes, expected in (({0: 1.9}, False), ({0: 2.1}, True), ({0: 2.1, 1: 0.1}, False)):
        fits = affinities(motion, [votes], boxes, np.array([1, 1]), settings)
        assert np.isfinite(fits[0, 0])
        assert np.isinf(fits[0, 1]) == expected
