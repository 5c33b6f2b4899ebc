import csv
import shutil

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.analysis.loading import load_runs
from ovdet_cli.analysis.store import Store
from ovdet_cli.errors import RecordError
from ovdet_cli.results.csv_table import CsvSink
from ovdet_cli.results.jsonl import JsonlSink
from ovdet_cli.results.parquet import ParquetSink
from ovdet_cli.results.runs import load_run
from tests.wild_records import runs, two_finds, two_tracked, video_frame

GOOD = {
    "schema": "ovdet/1",
    "source": "a.jpg",
    "index": 0,
    "time_s": None,
    "width": 200,
    "height": 100,
    "status": "ok",
    "detections": [{"label": "cat", "class_id": 0, "score": 0.5, "box_xyxy": [20, 10, 40, 60]}],
}


def sinks(folder, labels, *, with_tracks=False):
    """One of each format, each in a folder of its own."""
    for name in ("csv", "parquet"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {
        "jsonl": JsonlSink(folder / "jsonl" / "detections.jsonl", labels),
        "csv": CsvSink(folder / "csv", labels, with_tracks=with_tracks),
        "parquet": ParquetSink(folder / "parquet", labels, with_tracks=with_tracks),
    }


def write(sink, items):
    for item in items:
        if isinstance(item, tuple):
            sink.write(*item)
        else:
            sink.skip(item)
    sink.close()


def tables(*paths):
    """Sources, labels, frames and detections of a store, as plain rows."""
    with Store() as store:
        load_runs(store, [load_run(path) for path in paths], [f"run{i}" for i in range(len(paths))])
        return [store.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in ("source", "label", "frame", "det")]


def lines(folder, *records):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "detections.jsonl"
    path.write_bytes(b"".join(r if isinstance(r, bytes) else orjson.dumps(r) + b"\n" for r in records))
    return path


def rows_by_run(*paths):
    """For each run: names of sources; frames; detections with the number of their frame in the run."""
    with Store() as store:
        load_runs(store, [load_run(path) for path in paths], [f"run{i}" for i in range(len(paths))])
        for run_id in range(len(paths)):
            of_run = f"FROM frame f JOIN source s USING (source_id) WHERE run_id = {run_id}"
            first = f"(SELECT min(frame_id) {of_run})"
            yield (
                [row[0] for row in store.rows(f"SELECT name FROM source WHERE run_id = {run_id} ORDER BY source_id")],
                store.rows(f"""SELECT name, "index", time_s, width, height, is_ok, error {of_run} ORDER BY frame_id"""),
                store.rows(
                    f"""SELECT d.frame_id - {first} AS frame, l.name, score, x1, y1, x2, y2 FROM det d
                    JOIN label l USING (label_id) WHERE frame_id IN (SELECT frame_id {of_run}) ORDER BY ALL"""
                ),
            )


@settings(max_examples=12, deadline=None)
@given(runs())
def test_all_formats_give_the_tables_that_the_records_say(tmp_path_factory, run):
    labels, items = run
    folder = tmp_path_factory.mktemp("wild")
    for sink in sinks(folder, labels).values():
        write(sink, items)
    of_jsonl, of_csv, of_parquet = rows_by_run(*(folder / name for name in ("jsonl", "csv", "parquet")))
    sources, frames, found = of_jsonl
    records = list(load_run(folder / "jsonl").iter_records())
    assert sources == list(dict.fromkeys(record.source for record in records))
    assert frames == [(r.source, r.index, r.time_s, r.width, r.height, r.status == "ok", r.error) for r in records]
    expected = sorted(
        (
            i,
            label,
            float(score),
            *(np.float32(v) / np.float32(size) for v, size in zip(box, (r.width, r.height) * 2, strict=True)),
        )
        for i, r in enumerate(records)
        for label, score, box in zip(r.labels, r.detections.scores, r.detections.boxes_xyxy, strict=True)
    )
    found = sorted(found)
    assert [row[:3] for row in found] == [row[:3] for row in expected]
    if found:
        boxes = (np.array([row[3:] for row in rows]) for rows in (found, expected))
        np.testing.assert_allclose(*boxes, rtol=1e-5)
    assert of_csv == of_jsonl
    assert of_parquet == of_jsonl


def test_tracks_and_reused_frames_come_along(tmp_path):
    for name, sink in sinks(tmp_path, ["cat", "dog"], with_tracks=True).items():
        write(sink, [(video_frame(), two_tracked())])
        assert [row[-1] for row in tables(tmp_path / name)[3]] == [7, None]
    lines(tmp_path / "reused", GOOD, {**GOOD, "index": 1, "reused": True})
    assert [row[-1] for row in tables(tmp_path / "reused")[2]] == [False, True]


def test_boxes_are_fractions_and_no_size_is_no_place(tmp_path):
    lines(tmp_path, GOOD, {**GOOD, "index": 1, "width": None}, {**GOOD, "index": 2, "height": 0})
    first, second, third = tables(tmp_path)[3]
    assert first[3:7] == pytest.approx((0.1, 0.1, 0.2, 0.6))
    assert second[3:7] == (None, pytest.approx(0.1), None, pytest.approx(0.6))
    assert third[3:7] == (pytest.approx(0.1), None, pytest.approx(0.2), None)


def test_runs_follow_each_other_and_share_labels(tmp_path):
    other = {**GOOD, "source": "b.jpg", "detections": [{**GOOD["detections"][0], "label": "ant"}, *GOOD["detections"]]}
    lines(tmp_path / "one", GOOD)
    lines(tmp_path / "two", other, {**GOOD, "source": "a.jpg"})
    sources, names, frames, found = tables(tmp_path / "one", tmp_path / "two")
    assert [row[:3] for row in sources] == [(0, 0, "a.jpg"), (1, 1, "b.jpg"), (2, 1, "a.jpg")]
    assert names == [(0, "cat"), (1, "ant")]
    assert [row[:2] for row in frames] == [(0, 0), (1, 1), (2, 2)]
    assert [row[:2] for row in found] == [(0, 0), (1, 0), (1, 1), (2, 0)]


def test_a_later_schema_and_further_fields_are_read(tmp_path):
    found = [{**GOOD["detections"][0], "colour": {"r": 1}}]
    lines(tmp_path, {**GOOD, "schema": "ovdet/2", "camera": ["x"], "detections": found})
    assert len(tables(tmp_path)[3]) == 1


@pytest.mark.parametrize("cut", [1, 40, 150, -1])
def test_a_line_cut_by_a_kill_is_left_out(tmp_path, cut):
    lines(tmp_path, GOOD, orjson.dumps({**GOOD, "source": "b.jpg"})[:cut])
    assert [row[2] for row in tables(tmp_path)[0]] == ["a.jpg"]


def test_a_run_of_one_cut_line_and_an_empty_one_hold_nothing(tmp_path):
    lines(tmp_path / "cut", orjson.dumps(GOOD)[:30])
    lines(tmp_path / "empty")
    lines(tmp_path / "blank", b"\n\r\n")
    for name in ("cut", "empty", "blank"):
        assert tables(tmp_path / name) == [[], [], [], []]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (b"{broken}\n", "line 2: no JSON"),
        (b"\xff\xfe\n", "line 2: no JSON"),
        (b"[1]\n", "line 2: a record is a JSON object"),
        ({**GOOD, "schema": "coco/1"}, "line 2: no ovdet record"),
        ({key: value for key, value in GOOD.items() if key != "index"}, "line 2: a record lacks 'index'"),
        ({key: value for key, value in GOOD.items() if key != "detections"}, "line 2: a record lacks 'detections'"),
        ({**GOOD, "status": "fine"}, "line 2: .*status 'fine'"),
        ({**GOOD, "detections": [{"label": "cat", "score": 0.5, "box_xyxy": [0, 0, 1, 1]}]}, "line 2: .*'class_id'"),
        ({**GOOD, "detections": [{**GOOD["detections"][0], "box_xyxy": [0, 0, 1]}]}, "line 2: "),
        ({**GOOD, "detections": [None]}, "line 2: "),
        (orjson.dumps(GOOD).replace(b"0.5", b"NaN") + b"\n", "line 2: no JSON"),
        (orjson.dumps(GOOD).replace(b"0.5", b"1e999") + b"\n", "line 2: no JSON"),
        (orjson.dumps(GOOD).replace(b'"index":0', b'"index":99999999999999999999') + b"\n", "too large"),
    ],
)
def test_a_broken_line_is_named(tmp_path, bad, told):
    path = lines(tmp_path, GOOD, bad, GOOD)
    with pytest.raises(RecordError, match=told) as error:
        tables(tmp_path)
    assert str(path) in str(error.value)


def two_frames(folder):
    for sink in sinks(folder, ["cat", "dog"]).values():
        write(sink, [(video_frame(3), two_finds()), (video_frame(4), two_finds())])
    return folder / "csv"


@pytest.mark.parametrize("cut", [3, 20])
def test_rows_cut_by_a_kill_are_left_out(tmp_path, cut):
    folder = two_frames(tmp_path)
    rows = (folder / "detections.csv").read_bytes()
    (folder / "detections.csv").write_bytes(rows + b"clip.mp4,9,0.3,cat,0,0.5,1,1,2,2\r\n"[:-cut])
    frames = (folder / "frames.csv").read_bytes()
    whole = tables(folder)
    assert len(whole[2]) == 2
    assert len(whole[3]) == 4
    # A kill between the detections of a frame and its own row; the row that is cut might say 1 of 12.
    (folder / "frames.csv").write_bytes(frames[:-2])
    assert [len(table) for table in tables(folder)] == [1, 2, 1, 2]


def test_parts_of_a_killed_run_are_read(tmp_path):
    (tmp_path / "run").mkdir()
    sink = ParquetSink(tmp_path / "run", ["cat", "dog"])
    sink.write(video_frame(3), two_finds())
    shutil.copytree(tmp_path / "run", tmp_path / "killed")
    sink.close()
    assert tables(tmp_path / "killed") == tables(tmp_path / "run")


def test_csv_columns_go_by_their_names(tmp_path):
    folder = two_frames(tmp_path)
    expected = tables(folder)
    for name in ("detections.csv", "frames.csv"):
        with (folder / name).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["it's, new", *reversed(rows[0])], restval="x")
            writer.writeheader()
            writer.writerows(rows)
    assert tables(folder) == expected


def test_sorted_and_picked_detections_keep_their_frames(tmp_path):
    two_frames(tmp_path)
    path = tmp_path / "parquet" / "detections.parquet"
    table = pq.read_table(path)
    expected = sorted((table["index"].to_pylist()[i], table["score"].to_pylist()[i]) for i in (0, 1, 3))
    pq.write_table(table.take([3, 1, 0]), path)
    _, _, frames, found = tables(tmp_path / "parquet")
    assert sorted((frames[row[0]][2], row[2]) for row in found) == expected


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_tables_that_are_not_of_one_run_or_alone_are_errors(tmp_path, name):
    two_frames(tmp_path)
    (tmp_path / "other").mkdir()
    for sink in sinks(tmp_path / "other", ["cat", "dog"]).values():
        write(sink, [(video_frame(5), two_finds()), (video_frame(6), two_finds())])
    frames = tmp_path / name / f"frames.{name}"
    shutil.copy(tmp_path / "other" / name / f"frames.{name}", frames)
    with pytest.raises(RecordError, match="not of one run"):
        tables(tmp_path / name)
    frames.unlink()
    with pytest.raises(RecordError, match="has no frames"):
        tables(tmp_path / name)


@pytest.mark.parametrize("score", ["nan", "inf", "x", ""])
def test_a_score_that_is_no_number_is_an_error(tmp_path, score):
    folder = two_frames(tmp_path)
    text = (folder / "detections.csv").read_text()
    (folder / "detections.csv").write_text(text.replace("0.9", score, 1))
    with pytest.raises(RecordError):
        tables(folder)


def test_a_foreign_or_broken_parquet_is_an_error(tmp_path):
    two_frames(tmp_path)
    path = tmp_path / "parquet" / "detections.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(RecordError, match="lacks source"):
        tables(tmp_path / "parquet")
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(RecordError, match="cannot read"):
        tables(tmp_path / "parquet")


@pytest.mark.parametrize("name", ["a'b", "run[1]*?", 'say "no"; DROP TABLE run; --', "{a}$1", "ünï 漢🐈"])
def test_a_folder_may_be_called_anything(tmp_path, name):
    folder = two_frames(tmp_path / name)
    for kind in ("jsonl", "csv", "parquet"):
        assert len(tables(folder.parent / kind)[3]) == 4


def test_a_name_with_a_star_means_no_other_run(tmp_path):
    lines(tmp_path / "run*", GOOD)
    lines(tmp_path / "run2", GOOD, {**GOOD, "source": "b.jpg"})
    assert len(tables(tmp_path / "run*")[0]) == 1


LABELS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0'\"<>&;\u202eقط🐈"), max_size=300)


@settings(max_examples=10, deadline=None)
@given(st.lists(LABELS, min_size=1, max_size=8, unique=True))
def test_labels_may_be_any_text(tmp_path_factory, labels):
    folder = tmp_path_factory.mktemp("labels")
    lines(folder, {**GOOD, "detections": [{**GOOD["detections"][0], "label": label} for label in labels]})
    assert [row[1] for row in tables(folder)[1]] == sorted(labels, key=lambda text: text.encode())
