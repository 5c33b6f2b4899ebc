import tempfile
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given, settings

import ovdet_cli
from ovdet_cli.detections import Detections, Mask
from ovdet_cli.errors import RecordError
from ovdet_cli.frame import Failure
from ovdet_cli.results.runs import load_run
from ovdet_cli.results.sinks import open_record_sinks
from tests.wild_records import blank_frame, runs, two_finds, two_tracked, video_frame

FRAME_DTYPES = {
    "source": "str",
    "index": "int64",
    "time_s": "float64",
    "width": "Int64",
    "height": "Int64",
    "status": "str",
    "error": "str",
    "detections": "int64",
}
DETECTION_DTYPES = {
    "source": "str",
    "index": "int64",
    "time_s": "float64",
    "label": "str",
    "class_id": "int64",
    "score": "float32",
    "x1": "float32",
    "y1": "float32",
    "x2": "float32",
    "y2": "float32",
}


def write_run(folder, *, formats=("jsonl", "csv"), has_masks=False):
    found = two_finds(has_masks=has_masks)
    items = [
        (blank_frame("a.jpg"), found),
        Failure("b.jpg", "broken"),
        (blank_frame("c.jpg"), Detections.empty()),
        (video_frame(3), found),
    ]
    write_items(folder, formats, ["cat", "dog"], items)
    return folder


def write_items(folder, formats, labels, items):
    for sink in open_record_sinks(folder, formats, labels):
        with sink:
            for item in items:
                if isinstance(item, Failure):
                    sink.skip(item)
                else:
                    sink.write(*item)


def dtypes(table):
    return {name: str(dtype) for name, dtype in table.dtypes.items()}


def as_declared(dtypes):
    """The names that this pandas gives the dtypes: before version 3, `str` is kept as objects."""
    return {name: str(pd.Series([], dtype=dtype).dtype) for name, dtype in dtypes.items()}


@pytest.mark.parametrize("format_name", ["jsonl", "parquet", "csv"])
def test_the_tables_of_a_run(tmp_path, format_name):
    run = load_run(write_run(tmp_path, formats=[format_name]))
    assert dtypes(run.frames) == as_declared(FRAME_DTYPES)
    assert dtypes(run.detections) == as_declared(DETECTION_DTYPES)
    assert run.frames["source"].tolist() == ["a.jpg", "b.jpg", "c.jpg", "clip.mp4"]
    assert run.frames["index"].tolist() == [0, 0, 0, 3]
    assert run.frames["time_s"].isna().tolist() == [True, True, True, False]
    assert run.frames["time_s"][3] == 0.1001
    assert run.frames["width"].tolist() == [6, pd.NA, 6, 6]
    assert run.frames["status"].tolist() == ["ok", "error", "ok", "ok"]
    assert run.frames["error"].isna().tolist() == [True, False, True, True]
    assert run.frames["error"][1] == "broken"
    assert run.frames["detections"].tolist() == [2, 0, 0, 2]
    assert run.detections["source"].tolist() == ["a.jpg", "a.jpg", "clip.mp4", "clip.mp4"]
    assert run.detections["label"].tolist() == ["cat", "dog"] * 2
    assert run.detections["class_id"].tolist() == [0, 1] * 2
    np.testing.assert_array_equal(run.detections["score"], np.tile(two_finds().scores, 2))
    np.testing.assert_array_equal(run.detections[["x1", "y1", "x2", "y2"]], np.tile(two_finds().boxes_xyxy, (2, 1)))


@pytest.mark.parametrize("format_name", ["jsonl", "parquet", "csv"])
def test_an_empty_run_has_typed_columns(tmp_path, format_name):
    write_items(tmp_path, [format_name], ["cat"], [])
    run = load_run(tmp_path)
    assert (len(run.frames), len(run.detections)) == (0, 0)
    assert dtypes(run.frames) == as_declared(FRAME_DTYPES)
    assert dtypes(run.detections) == as_declared(DETECTION_DTYPES)


@given(runs())
@settings(max_examples=40)
def test_every_format_gives_the_same_tables(wild):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        write_items(path, ["jsonl", "parquet", "csv"], *wild)
        from_jsonl = load_run(path, with_masks=False)
        for name in ("detections.csv", "detections.parquet"):
            other = load_run(path / name, with_masks=False)
            pd.testing.assert_frame_equal(from_jsonl.frames, other.frames)
            pd.testing.assert_frame_equal(from_jsonl.detections, other.detections)
            assert len(list(other.iter_records())) == len(other.frames)


def test_masks_come_as_a_column_where_there_are_any(tmp_path):
    write_run(tmp_path, has_masks=True)
    assert "mask" not in load_run(tmp_path, with_masks=False).detections
    masks = load_run(tmp_path).detections["mask"]
    assert all(isinstance(mask, Mask) for mask in masks)
    np.testing.assert_array_equal(masks[3].bitmap(), two_finds(has_masks=True).masks[1].bitmap())
    assert "mask" not in load_run(tmp_path, with_masks=False).detections
    assert "mask" not in load_run(tmp_path / "detections.csv").detections


def test_rows_without_a_mask_beside_rows_with_one(tmp_path):
    items = [(blank_frame("a.jpg"), two_finds()), (blank_frame("b.jpg"), two_finds(has_masks=True))]
    write_items(tmp_path, ["jsonl"], ["cat", "dog"], items)
    assert [mask is None for mask in load_run(tmp_path).detections["mask"]] == [True, True, False, False]


def test_json_lines_are_preferred(tmp_path):
    write_run(tmp_path)
    (tmp_path / "detections.csv").write_text("garbage")
    assert len(load_run(tmp_path).detections) == 4


def test_run_json_is_the_info(tmp_path):
    write_run(tmp_path)
    assert load_run(tmp_path).info == {}
    (tmp_path / "run.json").write_bytes(orjson.dumps({"settings": {"threshold": 0.5}}))
    for path in (tmp_path, tmp_path / "detections.jsonl", tmp_path / "detections.csv", str(tmp_path)):
        assert load_run(path).info == {"settings": {"threshold": 0.5}}
    renamed = (tmp_path / "detections.jsonl").rename(tmp_path / "other.jsonl")
    assert load_run(renamed).info == {}
    assert len(load_run(renamed).detections) == 4


@pytest.mark.parametrize("text", ['{"half', "[]", ""])
def test_a_broken_run_json_is_told_and_the_records_read_without_it(tmp_path, text):
    write_run(tmp_path)
    (tmp_path / "run.json").write_text(text)
    run = load_run(tmp_path)
    with pytest.raises(RecordError, match=r"run\.json.*; without it the records alone can be read"):
        _ = run.info
    assert len(run.detections) == 4


def test_every_cut_of_a_killed_run_loads(tmp_path):
    data = (write_run(tmp_path / "run") / "detections.jsonl").read_bytes()
    cut = tmp_path / "detections.jsonl"
    for end in range(0, len(data), 7):
        cut.write_bytes(data[:end])
        run = load_run(tmp_path)
        assert run.frames["detections"].sum() == len(run.detections)


def test_csv_detections_of_a_frame_that_was_not_finished_are_left_out(tmp_path):
    write_run(tmp_path, formats=["csv"])
    frames = (tmp_path / "frames.csv").read_bytes()
    (tmp_path / "frames.csv").write_bytes(frames[:-3])  # a kill between the frame's detections and its own row
    run = load_run(tmp_path)
    assert (len(run.frames), len(run.detections)) == (3, 2)


def test_a_detections_table_alone_has_no_frames(tmp_path):
    write_run(tmp_path, formats=["csv"])
    (tmp_path / "frames.csv").unlink()
    run = load_run(tmp_path)
    assert len(run.detections) == 4
    with pytest.raises(RecordError, match=r"has no frames\.csv"):
        _ = run.frames


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RecordError, match=r"is no run: it holds none of detections\.jsonl, detections\.parquet and"):
        load_run(tmp_path)
    with pytest.raises(RecordError, match="there is no run"):
        load_run(tmp_path / "none")
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(RecordError, match="is no run: give a run folder"):
        load_run(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b",0.9,", b",high,", "column score: could not convert string to float: 'high'"),
        (b",0.9,", b",,", "column score"),
        (b"a.jpg,0,", b"a.jpg,,", "column index"),
        (b"a.jpg,0,", b"a.jpg,99999999999999999999,", "too large"),
    ],
)
def test_csv_cells_that_are_no_numbers_name_file_and_column(tmp_path, old, new, message):
    path = write_run(tmp_path, formats=["csv"]) / "detections.csv"
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(RecordError, match=message):
        _ = load_run(tmp_path).detections


def test_the_package_offers_load_run():
    assert ovdet_cli.load_run is load_run


@pytest.mark.parametrize("name", ["detections.jsonl", "detections.csv"])
def test_track_ids_are_read_back(tmp_path, name):
    for sink in open_record_sinks(tmp_path, ["jsonl", "csv"], ["cat", "dog"], with_tracks=True):
        with sink:
            sink.write(blank_frame("a.jpg"), two_finds())
            sink.write(video_frame(3), two_tracked())
    ids = load_run(tmp_path / name).detections["track_id"]
    assert ids.dtype == "Int64"
    assert ids.tolist() == [pd.NA, pd.NA, 7, pd.NA]
    assert "track_id" not in load_run(write_run(tmp_path / "plain") / name).detections
