from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import orjson
import pandas as pd
import pytest

from ovdet_cli.detections import Detections
from ovdet_cli.errors import OutputError
from ovdet_cli.frame import Failure
from ovdet_cli.render.report import summarise, write_tables
from ovdet_cli.results.jsonl import JsonlSink
from ovdet_cli.results.runs import load_run
from tests.wild_records import blank_frame, video_frame

LABELS = ["cat", "dog", "bird"]


def scored(*pairs):
    """Detections from (class id, score)."""
    n = len(pairs)
    scores = np.array([score for _, score in pairs], np.float32)
    return Detections(np.zeros((n, 4), np.float32), scores, np.array([id_ for id_, _ in pairs], np.int64))


def write_run(folder, items, settings=None):
    with JsonlSink(folder / "detections.jsonl", LABELS) as sink:
        for item in items:
            if isinstance(item, Failure):
                sink.skip(item)
            else:
                sink.write(*item)
    if settings is not None:
        (folder / "run.json").write_bytes(orjson.dumps({"settings": settings}))
    return load_run(folder)


@pytest.fixture
def items():
    return [
        (blank_frame("b.jpg"), scored((1, 0.9), (0, 0.8), (0, 0.7), (0, 0.6))),
        (blank_frame("a.jpg"), scored()),
        Failure("x.jpg", "broken"),
        (video_frame(0), scored((0, 0.4))),
        (video_frame(1), scored((1, 0.7), (1, 0.3))),
        Failure("clip.mp4", "cut short", 2),
    ]


def test_labels(tmp_path, items):
    table = summarise(write_run(tmp_path, items)).labels
    assert table[["label", "detections", "frames", "share", "first_source"]].to_numpy().tolist() == [
        ["cat", 4, 2, 2 / 4, "b.jpg"],
        ["dog", 3, 2, 2 / 4, "b.jpg"],
    ]
    quantiles = table[["score_min", "score_q25", "score_median", "score_q75", "score_max"]]
    assert (quantiles.dtypes == "float32").all()
    np.testing.assert_array_almost_equal(quantiles, [[0.4, 0.55, 0.65, 0.725, 0.8], [0.3, 0.5, 0.7, 0.8, 0.9]])
    np.testing.assert_array_equal(quantiles["score_max"], np.array([0.8, 0.9], np.float32))


def test_equal_labels_stand_in_the_order_of_the_alphabet(tmp_path):
    run = write_run(tmp_path, [(blank_frame("a.jpg"), scored((1, 0.9), (2, 0.8), (0, 0.7)))])
    assert summarise(run).labels["label"].tolist() == ["bird", "cat", "dog"]
    assert summarise(run).sources["top_label"].tolist() == ["bird"]


def test_sources(tmp_path, items):
    table = summarise(write_run(tmp_path, items)).sources
    assert table.columns.tolist() == ["source", "frames", "failed", "detections", "labels", "top_label"]
    assert table.iloc[:, :5].to_numpy().tolist() == [
        ["b.jpg", 1, 0, 4, 2],
        ["a.jpg", 1, 0, 0, 0],
        ["x.jpg", 1, 1, 0, 0],
        ["clip.mp4", 3, 1, 3, 2],
    ]
    assert table["top_label"].fillna("-").tolist() == ["cat", "-", "-", "dog"]


def test_failures(tmp_path, items):
    table = summarise(write_run(tmp_path, items)).failures
    assert table.columns.tolist() == ["source", "index", "error"]
    assert table.to_numpy().tolist() == [["x.jpg", 0, "broken"], ["clip.mp4", 2, "cut short"]]


def test_totals(tmp_path, items):
    (row,) = summarise(write_run(tmp_path, items)).totals.to_dict("records")
    assert row == {
        "pictures": 2,
        "video_frames": 2,
        "failed": 2,
        "detections": 7,
        "labels": 2,
        "frames_with_detections": 3,
        "coverage": 3 / 4,
    }


def test_only_what_lies_above_the_threshold_counts(tmp_path, items):
    settings = {"threshold": 0.4, "record_threshold": 0.02}
    tables = summarise(write_run(tmp_path, items, settings))
    assert tables.labels[["label", "detections"]].to_numpy().tolist() == [["cat", 3], ["dog", 2]]  # 0.4 itself is out
    assert tables.totals["detections"].tolist() == [5]
    assert tables.totals["frames_with_detections"].tolist() == [2]
    assert tables.sources["frames"].tolist() == [1, 1, 1, 3]


@pytest.mark.parametrize("settings", [{}, {"threshold": None}])
def test_without_a_stated_threshold_all_count(tmp_path, items, settings):
    assert summarise(write_run(tmp_path, items, settings)).totals["detections"].tolist() == [7]


@pytest.mark.parametrize("items", [[], [Failure("x.jpg", "broken")], [(blank_frame("a.jpg"), scored())]])
def test_a_run_that_found_nothing_has_typed_tables(tmp_path, items):
    empty, full = tmp_path / "empty", tmp_path / "full"
    tables = summarise(write_run(empty, items))
    wanted = summarise(write_run(full, [(blank_frame("a.jpg"), scored((0, 0.5))), Failure("x.jpg", "broken")]))
    for field in fields(tables):
        got = getattr(tables, field.name).dtypes
        pd.testing.assert_series_equal(got, getattr(wanted, field.name).dtypes)
    assert len(tables.labels) == 0
    assert tables.totals["coverage"].isna().tolist() == [not (items and not isinstance(items[0], Failure))]


def test_several_runs_count_together_each_by_its_own_threshold(tmp_path, items):
    one = write_run(tmp_path / "one", items, {"threshold": 0.5})
    two = write_run(tmp_path / "two", items, {"threshold": 0.7})
    tables = summarise(one, two)
    assert tables.labels[["label", "detections"]].to_numpy().tolist() == [["cat", 4], ["dog", 3]]
    assert tables.labels["first_source"].tolist() == ["one/b.jpg", "one/b.jpg"]
    assert tables.sources["source"].tolist()[:1] == ["one/b.jpg"]
    assert len(tables.sources) == 8
    assert tables.failures["source"].tolist() == ["one/x.jpg", "one/clip.mp4", "two/x.jpg", "two/clip.mp4"]
    assert tables.totals["pictures"].tolist() == [4]


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path, items):
    one, two = write_run(tmp_path / "a" / "run", items), write_run(tmp_path / "b" / "run", items)
    assert summarise(one, two).sources["source"].str.startswith(str(tmp_path)).all()
    with pytest.raises(ValueError, match="no run"):
        summarise()


def test_the_tables_as_files(tmp_path, items):
    tables = summarise(write_run(tmp_path / "run", items))
    paths = write_tables(tables, tmp_path / "deep" / "report")
    assert [path.name for path in paths] == ["labels.csv", "sources.csv", "failures.csv", "totals.csv", "parents.csv"]
    assert paths[0].read_bytes().decode().splitlines()[:2] == [
        "label,detections,frames,share,score_min,score_q25,score_median,score_q75,score_max,first_source",
        "cat,4,2,0.5,0.4,0.55,0.65,0.725,0.8,b.jpg",
    ]
    assert paths[1].read_bytes().decode().splitlines()[2] == "a.jpg,1,0,0,0,"
    assert paths[3].read_bytes().decode().splitlines()[1] == "2,2,2,7,2,3,0.75"


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path, items):
    tables = summarise(write_run(tmp_path / "run", items))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*labels\.csv"):
        write_tables(tables, tmp_path / "file")


def test_summarise_needs_no_more_than_what_a_run_says(tmp_path, items):
    run = write_run(tmp_path, items)
    stand_in = SimpleNamespace(info={}, frames=run.frames, detections=run.detections, folder=tmp_path)
    pd.testing.assert_frame_equal(summarise(stand_in).labels, summarise(run).labels)


def test_classes_have_thresholds_and_parents_of_their_own(tmp_path, items):
    run = write_run(tmp_path, items, {"threshold": 0.65})
    classes = [
        {"name": "cat", "threshold": 0.35, "parent": ["pet"]},
        {"name": "dog", "parent": "pet"},
        {"name": "pet", "parent": ["animal", "pet"]},
    ]
    (tmp_path / "run.json").write_bytes(
        orjson.dumps({"settings": {"threshold": 0.65}, "vocabulary": {"classes": classes}})
    )
    tables = summarise(run)
    assert tables.labels[["label", "detections"]].to_numpy().tolist() == [["cat", 4], ["dog", 2]]
    assert tables.parents.to_numpy().tolist() == [["animal", 6, 3, 0.75, 2], ["pet", 6, 3, 0.75, 2]]


def test_without_parents_the_table_is_empty(tmp_path, items):
    table = summarise(write_run(tmp_path, items)).parents
    assert table.columns.tolist() == ["parent", "detections", "frames", "share", "labels"]
    assert len(table) == 0
