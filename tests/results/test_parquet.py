import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from ovdet_cli.errors import OutputError, RecordError
from ovdet_cli.frame import Failure
from ovdet_cli.results import parquet
from ovdet_cli.results.jsonl import JsonlSink
from ovdet_cli.results.parquet import PARTS, ParquetSink
from ovdet_cli.results.runs import load_run
from tests.wild_records import blank_frame, runs, two_finds, two_tracked, video_frame


def write(sink, items):
    for item in items:
        if isinstance(item, Failure):
            sink.skip(item)
        else:
            sink.write(*item)


def assert_same_run(one, other):
    pd.testing.assert_frame_equal(one.frames, other.frames)
    pd.testing.assert_frame_equal(
        one.detections.drop(columns="mask", errors="ignore"), other.detections.drop(columns="mask", errors="ignore")
    )
    if "mask" in one.detections or "mask" in other.detections:
        for mask, twin in zip(one.detections["mask"], other.detections["mask"], strict=True):
            assert (mask is None) == (twin is None)
            assert mask is None or np.array_equal(mask.bitmap(), twin.bitmap())


@given(wild=runs())
@settings(max_examples=40)
@pytest.mark.parametrize("limit", [1, 3])
def test_parts_make_the_same_run_as_json_lines(limit, wild):
    labels, items = wild
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(parquet, "_PART_FRAMES", limit)
        root = Path(folder)
        sink = ParquetSink(root / "run", labels)
        with JsonlSink(root / "detections.jsonl", labels) as lines:
            write(lines, items)
        write(sink, items)
        shutil.copytree(root / "run", root / "killed")
        sink.close()
        assert not (root / "run" / PARTS).exists()
        for name in ("run", "killed"):
            assert_same_run(load_run(root / "detections.jsonl"), load_run(root / name))


def test_the_columns_and_what_the_footer_says(tmp_path):
    with ParquetSink(tmp_path, ["cat", "dog"], with_tracks=True) as sink:
        sink.write(video_frame(), two_tracked())
        sink.write(blank_frame(), two_finds(has_masks=True))
    file = pq.ParquetFile(tmp_path / "detections.parquet")
    schema = file.schema_arrow
    assert schema.field("source").type == schema.field("label").type == pa.dictionary(pa.int32(), pa.string())
    assert [str(schema.field(name).type) for name in ("index", "time_s", "class_id", "score", "x1", "track_id")] == [
        *("int64", "double", "int64", "float", "float", "int64")
    ]
    assert schema.metadata[b"ovdet.schema"] == b"ovdet/1"
    assert schema.metadata[b"ovdet.table"] == b"detections"
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    rows = file.read().to_pylist()
    assert [row["track_id"] for row in rows] == [7, None, None, None]
    assert rows[0]["mask"] is None
    assert rows[2]["mask"]["size"] == [4, 6]
    assert pq.read_schema(tmp_path / "frames.parquet").names == list(load_run(tmp_path).frames.columns)


def test_a_run_killed_while_a_part_was_made_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_PART_FRAMES", 2)
    sink = ParquetSink(tmp_path, ["cat", "dog"])
    for number in range(5):
        sink.write(blank_frame(f"{number}.jpg"), two_finds())
    parts = tmp_path / PARTS
    # As if killed between the two files of the part: its tail is still there.
    (parts / "frames-00002.parquet").write_bytes(b"half a fi")
    with (parts / "tail-00002.jsonl").open("ab") as tail:
        tail.write(b'{"schema": "ovd')
    assert load_run(tmp_path).frames["source"].tolist() == [f"{number}.jpg" for number in range(5)]
    assert len(load_run(tmp_path / "detections.parquet").detections) == 10


def test_what_cannot_be_joined_stays_readable(tmp_path, monkeypatch):
    sink = ParquetSink(tmp_path, ["cat", "dog"])
    sink.write(blank_frame(), two_finds())
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match="frames"):
        sink.close()
    monkeypatch.undo()
    assert len(load_run(tmp_path).detections) == 2


def refuse(self, target):
    raise OSError(28, "No space left on device")


def test_a_table_that_another_tool_wrote_is_read(tmp_path):
    with ParquetSink(tmp_path, ["cat", "dog"]) as sink:
        sink.write(blank_frame(), two_finds())
    for name in ("detections", "frames"):
        pd.read_parquet(tmp_path / f"{name}.parquet").to_parquet(tmp_path / f"{name}.parquet")
    assert load_run(tmp_path).detections["label"].tolist() == ["cat", "dog"]


@pytest.mark.parametrize(
    ("content", "message"), [(b"PAR1garbage", "cannot read"), (b"", "cannot read"), (None, "lacks source")]
)
def test_what_is_no_table_of_a_run_is_told(tmp_path, content, message):
    path = tmp_path / "detections.parquet"
    if content is None:
        pq.write_table(pa.table({"a": [1]}), path)
    else:
        path.write_bytes(content)
    with pytest.raises(RecordError, match=message):
        _ = load_run(tmp_path).detections


def test_detections_without_frames_are_told(tmp_path):
    with ParquetSink(tmp_path, ["cat", "dog"]) as sink:
        sink.write(blank_frame(), two_finds())
    (tmp_path / "frames.parquet").unlink()
    assert len(load_run(tmp_path).detections) == 2
    with pytest.raises(RecordError, match=r"no frames\.parquet"):
        _ = load_run(tmp_path).frames
    with pytest.raises(RecordError, match=r"frames\.parquet is missing"):
        list(load_run(tmp_path).iter_records())
