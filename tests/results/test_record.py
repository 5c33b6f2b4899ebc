import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ovdet_cli.detections import Detections
from ovdet_cli.errors import RecordError
from ovdet_cli.frame import Failure
from ovdet_cli.results.record import failure_record, frame_record, parse_record, readable, shortest_floats
from tests.wild_records import blank_frame, float32s, texts, two_finds, two_tracked, video_frame


def test_frame_record_of_a_picture():
    record = frame_record(blank_frame("in/a.jpg"), two_finds(has_masks=True), ["cat", "dog"])
    assert record == {
        "schema": "ovdet/1",
        "source": "in/a.jpg",
        "index": 0,
        "time_s": None,
        "width": 6,
        "height": 4,
        "status": "ok",
        "detections": [
            {
                "label": "cat",
                "class_id": 0,
                "score": 0.9,
                "box_xyxy": [0.1, 0.2, 3.3, 4.0],
                "mask": {"size": [4, 6], "counts": "5220007"},
            },
            {
                "label": "dog",
                "class_id": 1,
                "score": 0.1,
                "box_xyxy": [1.0, 1.0, 2.5, 2.0],
                "mask": {"size": [4, 6], "counts": ">22000"},
            },
        ],
    }
    assert json.loads(json.dumps(record)) == record


def test_frame_record_of_a_video_frame_has_its_time():
    record = frame_record(video_frame(3), Detections.empty(), ["cat"])
    assert (record["index"], record["time_s"], record["detections"]) == (3, float(Fraction(3003, 30000)), [])


def test_failure_record():
    assert failure_record(Failure("a.mp4", "cut short", 7, Fraction(1, 3))) == {
        "schema": "ovdet/1",
        "source": "a.mp4",
        "index": 7,
        "time_s": 1 / 3,
        "width": None,
        "height": None,
        "status": "error",
        "error": "cut short",
        "detections": [],
    }


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.just(4)), elements=float32s))
def test_float32_comes_back_bit_equal_from_the_text(array):
    for dumps, loads in ((orjson.dumps, orjson.loads), (json.dumps, json.loads)):
        numbers = loads(dumps(shortest_floats(array)))
        assert np.array(numbers, np.float32).reshape(array.shape).tobytes() == array.tobytes()


@given(float32s)
def test_floats_are_written_as_short_as_float32_allows(value):
    (text,) = shortest_floats(np.array([value], np.float32))
    assert text == float(np.format_float_positional(np.float32(value), unique=True))


def test_floats_of_an_array_that_is_a_view():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]
    assert shortest_floats(array) == array.tolist()


@given(texts)
def test_readable_is_utf8_and_leaves_good_text_alone(text):
    shown = readable(text)
    assert readable(shown) == shown.encode().decode() == shown
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert shown == text


def test_readable_shows_an_undecodable_file_name():
    assert readable("caf\udce9.jpg") == r"caf\udce9.jpg"


def test_parse_record_ignores_fields_of_later_versions():
    record = frame_record(blank_frame(), two_finds(), ["cat", "dog"])
    later = {**record, "schema": "ovdet/2", "mood": "good"}
    later["detections"] = [{**entry, "track_id": 1} for entry in record["detections"]]
    assert parse_record(later).labels == ("cat", "dog")


def test_parse_record_can_leave_masks_alone():
    record = frame_record(blank_frame(), two_finds(has_masks=True), ["cat", "dog"])
    record["detections"][0]["mask"]["counts"] = "broken"
    assert parse_record(record, with_masks=False).detections.masks is None
    with pytest.raises(RecordError, match="mask"):
        parse_record(record)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "coco"}, "schema is 'coco'"),
        ({"schema": None}, "schema is None"),
        ({"status": "fine"}, "status 'fine'"),
        ({"index": None}, "field"),
        ({"width": "wide"}, "field"),
        ({"time_s": [1]}, "field"),
        ({"status": "error"}, "lacks 'error'"),
        ({"detections": None}, "field"),
        ({"detections": 3}, "field"),
        ({"detections": [3]}, "field"),
        ({"detections": [{"label": "cat"}]}, "lacks 'box_xyxy'"),
        ({"detections": [{"label": "cat", "class_id": 0, "score": None, "box_xyxy": [1, 2, 3, 4]}]}, "score"),
        ({"detections": [{"label": "cat", "class_id": 0, "score": 0.5, "box_xyxy": [1, 2, 3]}]}, "field"),
        ({"detections": [{"label": "cat", "class_id": 0.5, "score": 0.5, "box_xyxy": [1, 2, 3, 4]}]}, "integer"),
    ],
)
def test_parse_record_refuses_what_breaks_the_schema(change, message):
    record = frame_record(blank_frame(), replace(two_finds(), masks=None), ["cat", "dog"])
    with pytest.raises(RecordError, match=message):
        parse_record({**record, **change})


@pytest.mark.parametrize("field", ["schema", "source", "index", "time_s", "width", "status", "detections"])
def test_parse_record_names_a_missing_field(field):
    record = frame_record(blank_frame(), two_finds(), ["cat", "dog"])
    del record[field]
    with pytest.raises(RecordError, match=field):
        parse_record(record)


def test_a_tracked_frame_has_ids_and_others_have_no_such_field():
    record = frame_record(video_frame(), two_tracked(), ["cat", "dog"])
    assert [entry["track_id"] for entry in record["detections"]] == [7, None]
    parsed = parse_record(json.loads(json.dumps(record)))
    assert parsed.detections.track_ids.tolist() == [7, -1]
    assert parsed.detections.track_ids.dtype == np.int64
    plain = frame_record(video_frame(), two_finds(), ["cat", "dog"])
    assert all("track_id" not in entry for entry in plain["detections"])
    assert parse_record(plain).detections.track_ids is None


@pytest.mark.parametrize("wrong", [1.5, "7", [7]])
def test_a_track_id_is_a_whole_number(wrong):
    record = frame_record(video_frame(), two_tracked(), ["cat", "dog"])
    record["detections"][0]["track_id"] = wrong
    with pytest.raises(RecordError, match="not what the schema says"):
        parse_record(record)
