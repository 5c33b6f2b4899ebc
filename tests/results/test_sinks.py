import os

import pytest

from ovdet_cli.errors import OutputError, UsageError
from ovdet_cli.frame import Failure
from ovdet_cli.results.sink import OutputFile, writing
from ovdet_cli.results.sinks import RECORD_FORMATS, Sink, open_record_sinks


def test_sinks_open_in_the_order_asked_and_each_once(tmp_path):
    sinks = open_record_sinks(tmp_path / "run", ["coco", "jsonl", "coco"], ["cat"])
    assert [type(sink).__name__ for sink in sinks] == ["CocoSink", "JsonlSink"]
    assert all(isinstance(sink, Sink) for sink in sinks)
    for sink in sinks:
        sink.skip(Failure("a.jpg", "broken"))
        sink.close()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "coco_images.json",
        "coco_results.json",
        "detections.jsonl",
    ]


def test_a_run_needs_a_format(tmp_path):
    with pytest.raises(UsageError, match="at least one record format: jsonl, csv, parquet, coco"):
        open_record_sinks(tmp_path / "run", [], ["cat"])


def test_an_unknown_format_names_the_known_ones_and_makes_no_file(tmp_path):
    with pytest.raises(UsageError, match="unknown record format 'xml'; known are jsonl, csv, parquet, coco"):
        open_record_sinks(tmp_path / "run", ["jsonl", "xml"], ["cat"])
    assert not (tmp_path / "run").exists()


def test_when_one_cannot_open_the_others_are_closed(tmp_path, monkeypatch):
    closed = []
    opened = RECORD_FORMATS["jsonl"](tmp_path, [], None, False)
    monkeypatch.setattr(opened, "close", lambda: closed.append(True))
    monkeypatch.setitem(RECORD_FORMATS, "jsonl", lambda folder, labels, category_ids, with_tracks: opened)
    (tmp_path / "detections.csv").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*detections\.csv: Is a directory"):
        open_record_sinks(tmp_path, ["jsonl", "csv"], [])
    assert closed == [True]


def test_a_file_in_the_folders_place_is_an_output_error(tmp_path):
    (tmp_path / "run").write_text("")
    for name in RECORD_FORMATS:
        with pytest.raises(OutputError, match="cannot write"):
            open_record_sinks(tmp_path / "run", [name], [])


def test_output_file_overwrites_its_end(tmp_path):
    file = OutputFile(tmp_path / "x")
    file.write(b"[]")
    file.write(b"1]", back=1)
    file.write(b",2]", back=1)
    assert (tmp_path / "x").read_bytes() == b"[1,2]"
    file.close()
    file.close()


def test_output_file_goes_on_after_a_short_write(tmp_path, monkeypatch):
    file = OutputFile(tmp_path / "x")
    raw = file._file

    class Short:
        def write(self, data):
            return raw.write(data[:3])

    monkeypatch.setattr(file, "_file", Short())
    file.write(b"0123456789")
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_writing_lets_other_errors_pass(tmp_path):
    with pytest.raises(KeyError), writing(tmp_path):
        raise KeyError
    with pytest.raises(OutputError, match=f"cannot write {tmp_path}: {os.strerror(13)}"), writing(tmp_path):
        raise PermissionError(13, os.strerror(13))
