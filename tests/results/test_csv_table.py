import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.detections import Detections
from ovdet_cli.errors import RecordError
from ovdet_cli.frame import Failure
from ovdet_cli.results.csv_table import DETECTION_COLUMNS, FRAME_COLUMNS, CsvSink, has_column, read_csv
from tests.wild_records import blank_frame, two_finds, two_tracked, video_frame


def write_run(folder):
    with CsvSink(folder, ["cat", 'a "big", dog']) as sink:
        sink.write(blank_frame("a.jpg"), two_finds(has_masks=True))
        sink.write(video_frame(3), Detections.empty())
        sink.skip(Failure("b.jpg", "broken,\nwholly"))


def test_the_tables_as_text(tmp_path):
    write_run(tmp_path)
    assert (tmp_path / "detections.csv").read_bytes().decode() == (
        "source,index,time_s,label,class_id,score,x1,y1,x2,y2\r\n"
        "a.jpg,0,,cat,0,0.9,0.1,0.2,3.3,4.0\r\n"
        'a.jpg,0,,"a ""big"", dog",1,0.1,1.0,1.0,2.5,2.0\r\n'
    )
    assert (tmp_path / "frames.csv").read_bytes().decode() == (
        "source,index,time_s,width,height,status,error,detections\r\n"
        "a.jpg,0,,6,4,ok,,2\r\n"
        "clip.mp4,3,0.1001,6,4,ok,,0\r\n"
        'b.jpg,0,,,,error,"broken,\nwholly",0\r\n'
    )


def test_the_header_stands_before_the_first_row(tmp_path):
    CsvSink(tmp_path, [])
    assert (tmp_path / "detections.csv").read_text().strip().split(",") == list(DETECTION_COLUMNS)
    assert (tmp_path / "frames.csv").read_text().strip().split(",") == list(FRAME_COLUMNS)


@pytest.mark.parametrize(("name", "columns"), [("detections.csv", DETECTION_COLUMNS), ("frames.csv", FRAME_COLUMNS)])
def test_every_cut_of_a_killed_run_reads(tmp_path, name, columns):
    write_run(tmp_path)
    data = (tmp_path / name).read_bytes()
    whole = list(read_csv(tmp_path / name, columns))
    header = len(",".join(columns)) + 2
    for end in range(header, len(data)):
        (tmp_path / "cut.csv").write_bytes(data[:end])
        cut = list(read_csv(tmp_path / "cut.csv", columns))
        assert cut == whole[: len(cut)]
        assert len(cut) >= data[header:end].count(b"\r\n")


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=3, max_size=3)))
def test_any_cells_come_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["a", "b", "c"], *rows])
    assert list(read_csv(path, ["c", "a"])) == [[row[2], row[0]] for row in rows]


def test_a_table_saved_by_a_spreadsheet_reads(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes("\ufeffa,b,more\n1,é,x\n\n2,y,z\n".encode())
    assert list(read_csv(path, ["a", "b"])) == [["1", "é"], ["2", "y"]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the header lacks a, b"),
        (b"a,c\r\n1,2\r\n", "the header lacks b"),
        (b"a,b\r\n1,2,3\r\n1,2\r\n", "row 2: 3 cells under 2 columns"),
        (b"a,b\r\n1,\xff\r\n", "no CSV in UTF-8"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path, data, message):
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    with pytest.raises(RecordError, match=message):
        list(read_csv(path, ["a", "b"]))
    with pytest.raises(RecordError, match="cannot read"):
        list(read_csv(tmp_path / "none.csv", ["a"]))


def test_a_run_that_tracks_has_a_column_more(tmp_path):
    with CsvSink(tmp_path, ["cat", "dog"], with_tracks=True) as sink:
        sink.write(video_frame(3), two_tracked())
        sink.write(blank_frame("a.jpg"), two_finds())
    lines = (tmp_path / "detections.csv").read_text().splitlines()
    assert lines[0].endswith(",y2,track_id")
    assert [line.rsplit(",", 1)[1] for line in lines[1:]] == ["7", "", "", ""]
    assert has_column(tmp_path / "detections.csv", "track_id")
    assert not has_column(tmp_path / "frames.csv", "track_id")
    assert not has_column(tmp_path / "none.csv", "track_id")
