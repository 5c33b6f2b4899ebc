"""Tracker: ids, occlusion, time, names and scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ovdet_cli.detections import Detections
from ovdet_cli.tracking.settings import TrackSettings
from ovdet_cli.tracking.tracker import Tracker

CUP, MUG, DOG = 0, 1, 2


def found(*rows):
    """Detections of (x, y, score, class) or (x, y, score, class, side): squares around a centre."""
    rows = [(*row, 40)[:5] for row in rows]
    boxes = [(x - side / 2, y - side / 2, x + side / 2, y + side / 2) for x, y, _, _, side in rows]
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([row[2] for row in rows], np.float32),
        np.array([row[3] for row in rows], np.int64),
    )


def ids_of(tracker, frames, step_s=1 / 30):
    return [tracker.update(frame, i * step_s).track_ids.tolist() for i, frame in enumerate(frames)]


def test_objects_of_the_first_frame_have_ids_at_once_and_later_ones_when_seen_twice():
    frames = [
        found((50, 50, 0.9, CUP)),
        found((50, 50, 0.9, CUP), (200, 50, 0.8, CUP)),
        found((200, 50, 0.9, CUP), (50, 50, 0.8, CUP)),
        found((50, 50, 0.9, CUP), (200, 50, 0.8, CUP), (300, 50, 0.7, CUP)),
    ]
    assert ids_of(Tracker(), frames) == [[1], [1, -1], [2, 1], [1, 2, -1]]
    assert ids_of(Tracker(TrackSettings(confirm_hits=1)), frames) == [[1], [1, 2], [2, 1], [1, 2, 3]]


def test_a_thing_seen_once_never_gets_an_id():
    frames = [Detections.empty(), found((50, 50, 0.9, CUP)), Detections.empty(), found((50, 50, 0.9, CUP))]
    assert ids_of(Tracker(), frames) == [[], [-1], [], [-1]]


def test_weak_detections_prolong_tracks_and_begin_none():
    frames = [found((50 + i, 50, 0.9 if i < 5 else 0.2, CUP), (300, 50, 0.3, DOG)) for i in range(10)]
    assert ids_of(Tracker(), frames) == [[1, -1]] * 10
    assert ids_of(Tracker(TrackSettings(low=0.25)), frames)[5:] == [[-1, -1]] * 5


def test_who_is_strong_may_be_said_for_each():
    tracker = Tracker()
    frame = found((50, 50, 0.9, CUP), (200, 50, 0.3, DOG))
    assert tracker.update(frame, 0.0, np.array([False, True])).track_ids.tolist() == [-1, 1]


@pytest.mark.parametrize("step_s", [1 / 60, 1 / 10, 1 / 4])
def test_an_object_comes_back_as_itself_within_the_lost_time(step_s):
    for hidden_s, is_same in ((0.75, True), (2.5, False)):
        tracker = Tracker(TrackSettings(lost_s=1))
        frames = np.arange(0, 6, step_s)
        # Hidden from 2 s on.
        shown = [found(*[(100 + 60 * t, 80, 0.9, CUP)] * (not 2 < t <= 2 + hidden_s)) for t in frames]
        ids = [tracker.update(frame, t).track_ids.tolist() for frame, t in zip(shown, frames, strict=True)]
        assert ids[0] == [1]
        assert ids[-1] == ([1] if is_same else [2])


def test_one_miss_ends_no_track_however_long_the_steps():
    frames = [found((50, 50, 0.9, CUP)) if i != 3 else Detections.empty() for i in range(6)]
    assert ids_of(Tracker(TrackSettings(lost_s=0.5)), frames, step_s=5.0)[-1] == [1]


def test_steps_of_different_length_follow_an_object_at_a_constant_speed():
    tracker = Tracker()
    times = np.cumsum([0, *np.random.default_rng(0).choice([1 / 60, 1 / 30, 1 / 5], 60)])
    ids = [tracker.update(found((50 + 80 * t, 50, 0.9, CUP)), t).track_ids.tolist() for t in times]
    assert ids == [[1]] * len(times)


def test_two_of_a_kind_that_cross_keep_their_ids():
    tracker = Tracker()
    for i in range(90):
        left, right = (50 + 3 * i, 50, 0.9, CUP), (320 - 3 * i, 60, 0.8, CUP)
        is_hidden = abs(left[0] - right[0]) < 16  # one is suppressed there
        tracked = tracker.update(found(left, *[right] * (not is_hidden)), i / 30)
    assert tracked.track_ids.tolist() == [1, 2]


def test_one_label_a_track_that_of_most_votes():
    names = [CUP, CUP, MUG, CUP, MUG, CUP, MUG, CUP]
    tracker = Tracker()
    shown = [tracker.update(found((50, 50, 0.8, name)), i / 30) for i, name in enumerate(names)]
    assert [tracked.track_ids.tolist() for tracked in shown] == [[1]] * 8
    assert {tracked.class_ids.tolist()[0] for tracked in shown} == {CUP}
    later = [tracker.update(found((50, 50, 0.8, MUG)), 1 + i / 30) for i in range(10)]
    labels = [tracked.class_ids.tolist()[0] for tracked in later]
    assert labels[0] == CUP
    assert labels[-1] == MUG
    assert labels == sorted(labels), "it changes once"


def test_two_names_on_one_box_are_one_object():
    tracker = Tracker()
    frames = [found((50 + i, 50, 0.8, CUP), (50 + i, 50, 0.7, MUG)) for i in range(10)]
    frames += [found((50 + i, 50, 0.8, MUG), (50 + i, 50, 0.7, CUP)) for i in range(10, 15)]
    shown = [tracker.update(frame, i / 30) for i, frame in enumerate(frames)]
    # The id stays with the detection of the track's name; the other one has none.
    assert [tracked.track_ids.tolist() for tracked in shown] == [[1, -1]] * 10 + [[-1, 1]] * 5
    assert shown[-1].class_ids.tolist() == [MUG, CUP]
    alone = tracker.update(found((65, 50, 0.8, MUG)), 0.5)
    assert (alone.track_ids.tolist(), alone.class_ids.tolist()) == ([1], [CUP])


def test_two_tracks_that_turn_out_to_be_one_object_become_one():
    tracker = Tracker()
    for i in range(20):
        tracker.update(found((50, 50, 0.9, CUP)), i / 30)
    for i in range(20, 25):  # it jumps, under another name: surely another thing
        tracked = tracker.update(found((70, 50, 0.9, MUG)), i / 30)
    assert tracked.track_ids.tolist() == [2]
    seen = set()
    for i in range(25, 60):  # both names, in turn
        name = CUP if i % 2 else MUG
        tracked = tracker.update(found((70, 50, 0.9, name), *[(70, 50, 0.6, CUP + MUG - name)] * (i % 3 == 0)), i / 30)
        ids = [id_ for id_ in tracked.track_ids.tolist() if id_ > 0]
        assert len(ids) == 1 or i < 35
        seen |= set(ids) if i > 35 else set()
    assert len(seen) == 1


def test_things_of_two_classes_that_meet_stay_two():
    tracker = Tracker()
    for i in range(90):
        frame = found((50 + 3 * i, 50, 0.9, CUP), (320 - 3 * i, 52, 0.8, DOG))
        tracked = tracker.update(frame, i / 30)
        assert tracked.track_ids.tolist() == [1, 2]
        assert tracked.class_ids.tolist() == [CUP, DOG]


def test_a_thing_of_another_class_at_the_same_place_later_is_another():
    tracker = Tracker()
    for i in range(20):
        tracker.update(found((50, 50, 0.9, CUP)), i / 30)
    for i in range(20, 25):
        tracked = tracker.update(found((62, 50, 0.9, DOG)), i / 30)
    assert tracked.track_ids.tolist() == [2]


def test_scores_are_smoothed_in_seconds():
    def last(step_s):
        tracker = Tracker(TrackSettings(smooth_s=0.3))
        for i in range(round(2 / step_s)):
            tracker.update(found((50, 50, 0.9, CUP)), i * step_s)
        for i in range(round(0.3 / step_s)):
            tracked = tracker.update(found((50, 50, 0.4, CUP)), 2 + i * step_s)
        return float(tracked.scores[0])

    # After one time constant 1/e of the difference is left.
    assert last(1 / 100) == pytest.approx(0.4 + 0.5 / np.e, abs=0.01)
    assert last(1 / 10) == pytest.approx(0.4 + 0.5 / np.e, abs=0.01)
    raw = Tracker(TrackSettings(smooth_s=0))
    raw.update(found((50, 50, 0.9, CUP)), 0)
    assert raw.update(found((50, 50, 0.6, CUP)), 0.1).scores.tolist() == [np.float32(0.6)]


def test_the_result_is_the_detections_surest_first():
    tracker = Tracker()
    tracker.update(found((50, 50, 0.6, CUP), (200, 50, 0.9, DOG)), 0)
    tracked = tracker.update(found((50, 50, 0.95, CUP), (200, 50, 0.9, DOG)), 0.033)
    result = tracked.result
    assert result.track_ids.tolist() == [1, 2]
    assert result.scores[0] >= result.scores[1]
    assert result.class_ids.tolist() == [DOG, CUP]
    np.testing.assert_array_equal(result.boxes_xyxy[0], tracked.detections.boxes_xyxy[1])


def test_boxes_move_on_between_updates():
    tracker = Tracker()
    for i in range(20):
        tracked = tracker.update(found((50 + 9 * i, 50, 0.9, CUP), (300, 50, 0.3, DOG)), i / 10)
    moved = tracker.moved(tracked.result, 1.95)
    np.testing.assert_allclose(moved[0] - tracked.result.boxes_xyxy[0], [4.5, 0, 4.5, 0], atol=0.6)
    np.testing.assert_array_equal(moved[1], tracked.result.boxes_xyxy[1])
    np.testing.assert_array_equal(tracker.moved(tracked.result, 1.9), tracked.result.boxes_xyxy)
    np.testing.assert_array_equal(Tracker().moved(found((1, 1, 1, 1)), 1), found((1, 1, 1, 1)).boxes_xyxy)


def test_a_time_must_be_a_number_and_one_that_goes_back_is_no_time():
    tracker = Tracker()
    tracker.update(found((50, 50, 0.9, CUP)), 5.0)
    assert tracker.update(found((50, 50, 0.9, CUP)), 3.0).track_ids.tolist() == [1]
    with pytest.raises(ValueError, match="number of seconds"):
        tracker.update(Detections.empty(), float("nan"))


@st.composite
def any_frames(draw):
    """Frames with boxes of any size, upside down and huge ones among them, and times that may stand still or jump."""
    frames = []
    time_s = 0.0
    for _ in range(draw(st.integers(1, 8))):
        n = draw(st.integers(0, 6))
        values = st.floats(-100, 700, width=32) | st.sampled_from([0.0, 1e30, -3e38, np.inf])
        boxes = draw(hnp.arrays(np.float32, (n, 4), elements=values))
        near = np.array([100, 100, 150, 150], np.float32) + draw(st.integers(0, 20))
        boxes[draw(hnp.arrays(bool, n))] = near
        scores = draw(hnp.arrays(np.float32, n, elements=st.floats(0, 1, width=32)))
        class_ids = draw(hnp.arrays(np.int64, n, elements=st.integers(0, 3)))
        frames.append((Detections(boxes, scores, class_ids), time_s))
        time_s += draw(st.sampled_from([0.0, 0.02, 0.04, 0.5, 30.0]))
    return frames


@given(any_frames(), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_anything_is_tracked_ids_are_unique_and_order_does_not_matter(frames, seed):
    one, other, rng = Tracker(), Tracker(), np.random.default_rng(seed)
    before: set[int] = set()
    highest = 0
    for detections, time_s in frames:
        tracked = one.update(detections, time_s)
        ids = [id_ for id_ in tracked.track_ids.tolist() if id_ >= 0]
        assert len(ids) == len(set(ids)), "an object is in one place"
        new = sorted(set(ids) - before)
        assert all(id_ > highest for id_ in new), "no id is used again"
        highest, before = max([highest, *ids]), before | set(ids)
        assert len(tracked.result) == len(detections)
        assert ((tracked.scores >= 0) & (tracked.scores <= 1)).all()
        assert set(tracked.class_ids.tolist()) <= {0, 1, 2, 3}
        assert np.isfinite(one.moved(detections, time_s + 1)[np.isfinite(detections.boxes_xyxy).all(1)]).all()
        order = rng.permutation(len(detections))
        shuffled = other.update(detections.select(order), time_s)

        def plain(tracked):
            found = tracked.detections
            parts = (found.boxes_xyxy.tolist(), found.scores.tolist(), found.class_ids.tolist())
            said = (tracked.track_ids.tolist(), tracked.scores.tolist(), tracked.class_ids.tolist())
            return sorted(zip(*parts, *said, strict=True))

        assert plain(tracked) == plain(shuffled)
