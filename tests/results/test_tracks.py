"""tracks.csv: one row an object, written as videos end."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from ovdet_cli.detections import Detections
from ovdet_cli.frame import Failure, SourceInfo
from ovdet_cli.results.csv_table import read_csv
from ovdet_cli.results.sinks import RECORD_FILES, open_record_sinks
from ovdet_cli.results.tracks import TRACK_COLUMNS, TracksSink
from tests.wild_records import blank_frame, two_finds, video_frame

CLIP = SourceInfo("clip.mp4", Path("clip.mp4"), "video")
OTHER = SourceInfo("b,\udce9.mp4", Path("b.mp4"), "video")


def tracked(*rows):
    """Detections of (x, score, class, track id): squares of 10 pixels."""
    return Detections(
        np.array([(x, 0, x + 10, 10) for x, *_ in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.float32),
        np.array([row[2] for row in rows], np.int64),
        track_ids=np.array([row[3] for row in rows], np.int64),
    )


def clip_frame(index, source="clip.mp4"):
    return blank_frame(source, (20, 40), index, Fraction(index, 4))


def rows_of(folder):
    return [dict(zip(TRACK_COLUMNS, row, strict=True)) for row in read_csv(folder / "tracks.csv", TRACK_COLUMNS)]


def test_the_table_as_text(tmp_path):
    with TracksSink(tmp_path, ["cat", "dog"]) as sink:
        sink.begin(CLIP)
        sink.write(clip_frame(0), tracked((0, 0.5, 0, 1)))
        sink.write(clip_frame(2), tracked((4.5, 0.9, 1, 1), (20, 0.7, 1, 2), (30, 0.6, 0, -1)))
        sink.write(clip_frame(3), tracked((9, 0.7, 1, 1)))
        sink.end(CLIP)
    assert (tmp_path / "tracks.csv").read_bytes().decode() == (
        "track_id,source,label,class_id,first_time_s,last_time_s,duration_s,first_index,last_index,detections,"
        "best_score,best_index,best_time_s,best_x1,best_y1,best_x2,best_y2,mean_score,path\r\n"
        '1,clip.mp4,dog,1,0.0,0.75,0.75,0,3,3,0.9,2,0.5,4.5,0.0,14.5,10.0,0.7,"0:5,5 0.5:9.5,5 0.75:14,5"\r\n'
        '2,clip.mp4,dog,1,0.5,0.5,0.0,2,2,1,0.7,2,0.5,20.0,0.0,30.0,10.0,0.7,"0.5:25,5"\r\n'
    )


def test_rows_are_written_when_a_video_ends_and_when_a_run_is_interrupted(tmp_path):
    sink = TracksSink(tmp_path, ["cat"])
    for source in (CLIP, OTHER):
        sink.begin(source)
        sink.write(clip_frame(0, source.name), tracked((0, 0.5, 0, 1)))
        sink.skip(Failure(source.name, "broken", 1))
        if source is CLIP:
            assert rows_of(tmp_path) == []
            sink.end(source)
            assert len(rows_of(tmp_path)) == 1
    sink.close()
    sink.close()
    assert [row["source"] for row in rows_of(tmp_path)] == ["clip.mp4", "b,\\udce9.mp4"]


def test_pictures_and_detections_without_ids_have_no_rows(tmp_path):
    with TracksSink(tmp_path, ["cat", "dog"]) as sink:
        sink.write(blank_frame("a.jpg"), two_finds())
        sink.write(video_frame(), two_finds())
        sink.write(video_frame(), tracked((0, 0.5, 0, -1)))
    assert rows_of(tmp_path) == []


def test_it_is_one_of_the_runs_files_and_made_only_where_asked(tmp_path):
    assert "tracks.csv" in RECORD_FILES
    for folder, with_tracks in ((tmp_path / "one", True), (tmp_path / "two", False)):
        for sink in open_record_sinks(folder, ["jsonl"], ["cat"], with_tracks=with_tracks):
            sink.close()
        assert (folder / "tracks.csv").exists() == with_tracks
