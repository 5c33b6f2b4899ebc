from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.detections import Detections
from ovdet_cli.frame import SourceInfo
from ovdet_cli.pipeline import query as query_module
from ovdet_cli.pipeline.query import BestOfEach, FoundMatch, Where, answer_frames
from ovdet_cli.regions import StoredRegions
from ovdet_cli.results.index import IndexedFrame


def indexed(number=0, name="clip.mp4", time_s=None, regions=3):
    stored = None
    if regions is not None:
        stored = StoredRegions(np.zeros((regions, 4)), np.zeros(regions), np.zeros((regions, 1, 2), np.float16))
    source = SourceInfo(name, Path("/in") / name, "image" if time_s is None else "video")
    size_hw, error = ((9, 9), None) if regions is not None else (None, "damaged")
    return IndexedFrame(source, number, time_s, size_hw, error, stored)


def found_of(pairs):
    """Detections of (score, class id), surest first; a box tells the place."""
    pairs = sorted(pairs, key=lambda pair: -pair[0])
    boxes = np.arange(4 * len(pairs), dtype=np.float32).reshape(-1, 4)
    scores, ids = np.array([s for s, _ in pairs], np.float32), np.array([c for _, c in pairs], np.int64)
    return Detections(boxes, scores, ids)


PAIRS = st.lists(st.tuples(st.sampled_from([0.125, 0.25, 0.5, 0.75, 0.875]), st.integers(0, 2)), max_size=7)


@given(frames=st.lists(PAIRS, max_size=8), top=st.integers(1, 4), num_classes=st.sampled_from([3, 4]))
def test_the_best_of_each_class_are_those_of_a_sort(frames, top, num_classes):
    found = [found_of(pairs) for pairs in frames]
    best = BestOfEach(top, num_classes)
    kept = list(best.of((indexed(i), f) for i, f in enumerate(found)))
    wanted = set()
    for class_id in range(3):
        own = [(-f.scores[p], i, p) for i, f in enumerate(found) for p in np.flatnonzero(f.class_ids == class_id)]
        wanted |= {(i, int(p)) for _, i, p in sorted(own)[:top]}  # among equals the earlier ones
    assert [frame.index for frame, _ in kept] == sorted({i for i, _ in wanted})
    assert all(frame.regions is None for frame, _ in kept)
    for frame, detections in kept:
        places = sorted(p for i, p in wanted if i == frame.index)
        np.testing.assert_array_equal(detections.boxes_xyxy, found[frame.index].boxes_xyxy[places])
        np.testing.assert_array_equal(detections.scores, found[frame.index].scores[places])


@given(frames=st.lists(PAIRS, min_size=1, max_size=8), top=st.integers(1, 3))
def test_what_is_too_low_by_now_may_be_left_out(frames, top):
    """What answers leave out at `least` and below changes nothing."""
    found = [found_of(pairs) for pairs in frames]
    asked = BestOfEach(top, 3)

    def thrifty():
        for i, f in enumerate(found):
            yield indexed(i), f.select(f.scores > asked.least)

    few = list(asked.of(thrifty()))
    everything = list(BestOfEach(top, 3).of((indexed(i), f) for i, f in enumerate(found)))
    assert [f.index for f, _ in few] == [f.index for f, _ in everything]
    for (_, one), (_, other) in zip(few, everything, strict=True):
        assert one.scores.tolist() == other.scores.tolist()
        assert one.class_ids.tolist() == other.class_ids.tolist()


def test_nothing_is_too_low_before_each_class_has_enough():
    best = BestOfEach(2, 2)
    assert best.least == 0
    list(best.of(iter([(indexed(), found_of([(0.5, 0), (0.75, 0), (0.25, 1)]))])))
    assert best.least == 0
    list(best.of(iter([(indexed(), found_of([(0.875, 1)]))])))
    assert best.least == 0.25


@pytest.mark.parametrize(
    ("where", "taken"),
    [
        (Where(), {"a.png", "more/b.png", "0", "1", "2"}),
        (Where(("*.png",)), {"a.png", "more/b.png"}),
        (Where(("?.png",)), {"a.png"}),
        (Where(("A.PNG",)), set()),
        (Where(("more/*", "clip*")), {"more/b.png", "0", "1", "2"}),
        (Where(start_s=Fraction(1, 10)), {"1", "2"}),
        (Where(end_s=Fraction(1, 10)), {"0"}),
        (Where(start_s=Fraction(0), end_s=Fraction(2, 10)), {"0", "1"}),
        (Where(("*.png",), end_s=Fraction(9)), set()),
    ],
)
def test_where(where, taken):
    frames = [indexed(name="a.png"), indexed(name="more/b.png"), *(indexed(i, time_s=i / 8) for i in range(3))]
    names = {frame.source.name if frame.time_s is None else str(frame.index) for frame in frames if where.takes(frame)}
    assert names == taken


def test_a_failure_is_taken_as_a_frame_is():
    assert Where(("a*",)).takes(indexed(name="a.png", regions=None))
    assert not Where(("b*",)).takes(indexed(name="a.png", regions=None))


@given(
    sizes=st.lists(st.one_of(st.none(), st.integers(0, 40)), max_size=30),
    at_once=st.integers(1, 9),
    regions=st.integers(1, 60),
)
def test_frames_are_asked_some_at_a_time_and_keep_their_order(sizes, at_once, regions):
    asked = []

    def answer(frames, least):
        assert least == 0
        asked.append(len(frames))
        assert all(frame.regions is not None for frame in frames)
        return [found_of([(0.5, len(frame.regions))]) for frame in frames]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query_module, "_FRAMES_AT_ONCE", at_once)
        patch.setattr(query_module, "_REGIONS_AT_ONCE", regions)
        frames = [indexed(i, regions=n) for i, n in enumerate(sizes)]
        answered = list(answer_frames(iter(frames), Where(), answer))
    assert [frame.index for frame, _ in answered] == list(range(len(sizes)))
    assert [None if not len(f) else int(f.class_ids[0]) for _, f in answered] == sizes
    assert max(asked, default=0) <= at_once


@pytest.mark.parametrize(
    ("time_s", "place"), [(None, ""), (0.0, "0:00.00"), (61.5, "1:01.50"), (3725.25, "62:05.25"), (59.999, "1:00.00")]
)
def test_the_place_of_a_match(time_s, place):
    match = FoundMatch("cat", 0.5, np.zeros(4, np.float32), indexed(time_s=time_s))
    assert match.place == place


def test_a_match_in_plain_values():
    match = FoundMatch("cat", 0.123456789, np.array([1.23456, 2, 3, 4], np.float32), indexed(7, time_s=0.28))
    assert match.plain() == {
        "label": "cat",
        "score": 0.123457,
        "source": "clip.mp4",
        "index": 7,
        "time_s": 0.28,
        "box_xyxy": [1.23, 2.0, 3.0, 4.0],
    }
