import errno
import io
import os
from pathlib import Path

import orjson
import pytest

from ovdet_cli.detections import Detections
from ovdet_cli.errors import OutputError, RecordError
from ovdet_cli.frame import Failure
from ovdet_cli.results.jsonl import JsonlSink, read_jsonl, read_records
from tests.wild_records import blank_frame, two_finds


@pytest.fixture
def records_path(tmp_path):
    path = tmp_path / "detections.jsonl"
    with JsonlSink(path, ["cat", "dog"]) as sink:
        sink.write(blank_frame("a.jpg"), two_finds())
        sink.skip(Failure("b.jpg", "broken"))
        sink.write(blank_frame("c.jpg"), Detections.empty())
    return path


class Pipe(io.BytesIO):
    """A stream that counts its flushes."""

    flushes = 0

    def flush(self):
        self.flushes += 1


def test_a_stream_is_flushed_each_line_and_stays_open():
    stream = Pipe()
    with JsonlSink(stream, ["cat", "dog"]) as sink:
        sink.write(blank_frame(), two_finds())
        assert stream.flushes == 1
        sink.skip(Failure("b.jpg", "broken"))
        assert stream.flushes == 2
    assert not stream.closed
    assert [orjson.loads(line)["status"] for line in stream.getvalue().splitlines()] == ["ok", "error"]


def test_a_closed_pipe_passes_through_as_it_is():
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as stream, JsonlSink(stream, []) as sink:  # noqa: PTH123  a descriptor has no path
        with pytest.raises(BrokenPipeError):
            sink.skip(Failure("b.jpg", "broken"))
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # what stands in the buffer must go somewhere


def test_text_is_written_as_utf8_not_as_escapes(tmp_path):
    path = tmp_path / "x.jsonl"
    with JsonlSink(path, []) as sink:
        sink.skip(Failure("été/漢.jpg", "x"))
    assert "été/漢.jpg" in path.read_text(encoding="utf-8")


def test_every_cut_of_a_killed_run_reads(records_path, tmp_path):
    data = records_path.read_bytes()
    whole = list(read_jsonl(records_path))
    cut_path = tmp_path / "cut.jsonl"
    for end in range(len(data)):
        cut_path.write_bytes(data[:end])
        cut = list(read_jsonl(cut_path))
        assert cut == whole[: len(cut)]
        assert len(cut) >= data[:end].count(b"\n")


def test_zeros_at_the_end_after_a_power_cut_are_left_out(records_path):
    with records_path.open("ab") as file:
        file.write(b"\0" * 100)
    assert len(list(read_jsonl(records_path))) == 3


@pytest.mark.parametrize("garbage", [b"{half\n", b"\xff\xfe\n", b"3\n", b"[]\n", b'{"a": "\\ud800"}\n'])
@pytest.mark.parametrize("line", [1, 2, 4])
def test_garbage_inside_names_path_and_line(records_path, garbage, line):
    lines = records_path.read_bytes().splitlines(keepends=True)
    records_path.write_bytes(b"".join([*lines[: line - 1], garbage, *lines[line - 1 :]]))
    with pytest.raises(RecordError, match=rf"detections\.jsonl, line {line}: "):
        list(read_jsonl(records_path))


def test_blank_lines_are_passed_over_and_counted(records_path):
    records_path.write_bytes(b"\n \n" + records_path.read_bytes() + b"\n[]\n")
    with pytest.raises(RecordError, match="line 7"):
        list(read_jsonl(records_path))


def test_read_records_names_path_and_line_of_a_broken_schema(records_path):
    with records_path.open("ab") as file:
        file.write(b'{"schema": "ovdet/1"}\n')
    records = read_records(records_path)
    assert [next(records).source for _ in range(3)] == ["a.jpg", "b.jpg", "c.jpg"]
    with pytest.raises(RecordError, match=r"detections\.jsonl, line 4: a record lacks"):
        next(records)


def test_a_missing_file_is_a_record_error(tmp_path):
    with pytest.raises(RecordError, match=r"cannot read .*none\.jsonl: No such file"):
        list(read_jsonl(tmp_path / "none.jsonl"))


def test_a_full_disk_is_an_output_error():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    sink = JsonlSink(full, ["cat", "dog"])
    with pytest.raises(OutputError, match=f"cannot write /dev/full: {os.strerror(errno.ENOSPC)}"):
        sink.write(blank_frame(), two_finds())
    sink.close()
