"""MOT scores against cases counted by hand, and against motmetrics where that is installed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.evaluation.mot import MotFrame, score_tracks
from ovdet_cli.tracking.affinity import overlaps


def frame(truth, tracks):
    """Objects and tracks as {id: x}: boxes of 10x10 at x."""

    def boxes(things):
        return np.array([(x, 0, x + 10, 10) for x in things.values()], np.float64).reshape(-1, 4)

    return MotFrame(np.array([*truth], np.int64), boxes(truth), np.array([*tracks], np.int64), boxes(tracks))


def test_a_perfect_result():
    scores = score_tracks([frame({1: i, 2: 50}, {7: i, 3: 50}) for i in range(5)])
    assert (scores.mota, scores.motp, scores.idf1, scores.hota, scores.det_a, scores.ass_a) == pytest.approx((1,) * 6)
    assert (scores.id_switches, scores.fragmentations, scores.misses, scores.false_positives) == (0, 0, 0, 0)
    assert (scores.num_boxes, scores.num_objects, scores.num_tracks) == (10, 2, 2)


def test_one_object_under_two_ids():
    scores = score_tracks([frame({1: 0}, {5 if i < 6 else 6: 0}) for i in range(10)])
    assert scores.id_switches == 1
    assert scores.mota == pytest.approx(1 - 1 / 10)
    # The better of the two ids is right in 6 of 10.
    assert (scores.idf1, scores.id_precision, scores.id_recall) == pytest.approx((0.6, 0.6, 0.6))
    # Each of 6 matches has 6 / (6 + 4) of its association, each of 4 has 4 / 10.
    assert (scores.det_a, scores.ass_a) == pytest.approx((1, (6 * 0.6 + 4 * 0.4) / 10))
    assert scores.hota == pytest.approx(np.sqrt(0.52))


def test_two_objects_that_swap_their_ids():
    frames = [frame({1: 0, 2: 50}, {1: 0, 2: 50} if i < 2 else {1: 50, 2: 0}) for i in range(4)]
    scores = score_tracks(frames)
    assert (scores.id_switches, scores.mota, scores.idf1) == (2, pytest.approx(1 - 2 / 8), pytest.approx(0.5))
    # Two of the four matches of each pair: 2 / (2 + 2 + 2).
    assert scores.hota == pytest.approx(np.sqrt(1 / 3))


def test_misses_false_positives_and_gaps():
    frames = [frame({1: 0}, tracks) for tracks in ({1: 0}, {}, {1: 0, 9: 70}, {}, {}, {1: 0})]
    scores = score_tracks(frames)
    assert (scores.misses, scores.false_positives, scores.id_switches, scores.fragmentations) == (3, 1, 0, 2)
    assert scores.mota == pytest.approx(1 - 4 / 6)
    assert scores.idf1 == pytest.approx(2 * 3 / (6 + 4))
    assert scores.det_a == pytest.approx(3 / (3 + 3 + 1))
    assert scores.ass_a == pytest.approx(3 / 6)


def test_a_match_stays_while_it_overlaps_enough_though_another_overlaps_more():
    first = frame({1: 0}, {5: 0})
    second = frame({1: 0}, {5: 3, 6: 0})  # IoU 7 / 13 with 5
    scores = score_tracks([first, second])
    assert (scores.id_switches, scores.false_positives, scores.misses) == (0, 1, 0)
    assert scores.motp == pytest.approx((1 + 7 / 13) / 2)
    assert score_tracks([first, frame({1: 0}, {5: 4, 6: 0})]).id_switches == 1  # IoU 6 / 14


def test_hota_counts_an_overlap_at_the_levels_it_reaches():
    scores = score_tracks([frame({1: 0}, {5: 5})])  # IoU 1 / 3: of 0.05 .. 0.95 six levels
    assert scores.hota == pytest.approx(6 / 19)
    assert scores.mota == pytest.approx(-1)
    assert score_tracks([frame({1: 0}, {5: 5})], iou=0.3).mota == pytest.approx(1)


def test_nothing_gives_nothing():
    for frames in ([], [frame({}, {})]):
        scores = score_tracks(frames)
        assert (scores.mota, scores.motp, scores.idf1, scores.hota) == (None,) * 4
    only_wrong = score_tracks([frame({}, {1: 0})])
    assert (only_wrong.mota, only_wrong.idf1, only_wrong.hota, only_wrong.false_positives) == (None, 0, 0, 1)
    only_missed = score_tracks([frame({1: 0}, {})])
    assert (only_missed.mota, only_missed.idf1, only_missed.hota) == (0, 0, 0)


def test_ids_must_be_unique_and_have_boxes():
    with pytest.raises(ValueError, match="twice"):
        MotFrame(np.array([1, 1]), np.zeros((2, 4)), np.zeros(0, np.int64), np.zeros((0, 4)))
    with pytest.raises(ValueError, match="need boxes"):
        MotFrame(np.array([1]), np.zeros((2, 4)), np.zeros(0, np.int64), np.zeros((0, 4)))


places = st.dictionaries(st.integers(1, 4), st.floats(0, 30), max_size=4)


@given(st.lists(st.tuples(places, places), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_the_numbers_of_motmetrics(steps):
    mm = pytest.importorskip("motmetrics")
    frames = [frame(truth, tracks) for truth, tracks in steps]
    if not any(len(f.truth_ids) for f in frames) or not any(len(f.track_ids) for f in frames):
        return
    book = mm.MOTAccumulator(auto_id=True)
    for one in frames:
        ious = overlaps(one.truth_boxes, one.track_boxes)  # its own function needs numpy 1
        book.update(one.truth_ids.tolist(), one.track_ids.tolist(), np.where(ious < 0.5, np.nan, 1 - ious))
    names = ["mota", "idf1", "idp", "idr", "num_fragmentations", "num_misses", "num_false_positives", "num_switches"]
    names += ["num_objects"]
    theirs = mm.metrics.create().compute(book, metrics=names).iloc[0]
    ours = score_tracks(frames)
    pairs = {
        "num_misses": ours.misses,
        "num_false_positives": ours.false_positives,
        "num_switches": ours.id_switches,
        "num_fragmentations": ours.fragmentations,
        "num_objects": ours.num_boxes,
        "mota": ours.mota,
        "idf1": ours.idf1,
        "idp": ours.id_precision,
        "idr": ours.id_recall,
    }
    assert {name: pytest.approx(float(theirs[name])) for name in pairs} == pairs
