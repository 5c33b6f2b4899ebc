"""What every record sink promises, whatever its format."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from ovdet_cli.detections import Detections
from ovdet_cli.frame import Failure, SourceInfo
from ovdet_cli.results.coco import read_coco_images, read_coco_results
from ovdet_cli.results.csv_table import DETECTION_COLUMNS, FRAME_COLUMNS, read_csv
from ovdet_cli.results.jsonl import read_records
from ovdet_cli.results.parquet import read_parquet_records
from ovdet_cli.results.record import readable
from ovdet_cli.results.rle import decode_rle
from ovdet_cli.results.sinks import RECORD_FORMATS, open_record_sinks
from tests.wild_records import blank_frame, runs, two_finds, video_frame

# Both `read` and `expect` give, for each frame of the run in order, a tuple of plain values: its source, its size,
# its error, and what was found.


@dataclass(frozen=True)
class Format:
    """How a format is read back, and what of a run it holds."""

    read: Callable[[Path], list]
    expect: Callable[[list[str], list], list]


def read_jsonl_run(folder):
    return [read_record(record) for record in read_records(folder / "detections.jsonl")]


def read_record(record):
    found = record.detections
    masks = [None] * len(found) if found.masks is None else [mask.bitmap().tolist() for mask in found.masks]
    boxes = found.boxes_xyxy.tolist()
    rows = zip(record.labels, found.class_ids.tolist(), found.scores.tolist(), boxes, masks, strict=True)
    place = (record.source, record.index, record.time_s)
    return place, (record.width, record.height), record.error, list(rows)


def expect_jsonl(labels, items):
    frames = []
    for item in items:
        if isinstance(item, Failure):
            frames.append((place_of(item), (None, None), readable(item.error), []))
            continue
        frame, detections = item
        found = [
            (readable(labels[id_]), id_, score, box.tolist(), None if mask is None else mask.bitmap().tolist())
            for box, score, id_, mask in detections
        ]
        frames.append((place_of(frame), frame.size_hw[::-1], None, found))
    return frames


def read_csv_run(folder):
    detections = iter(read_csv(folder / "detections.csv", DETECTION_COLUMNS))
    frames = []
    for source, index, time_s, width, height, status, error, count in read_csv(folder / "frames.csv", FRAME_COLUMNS):
        place = (source, int(index), float(time_s) if time_s else None)
        size = (int(width), int(height)) if status == "ok" else (width or None, height or None)
        found = []
        for _ in range(int(count)):
            *its_place, label, class_id, score, x1, y1, x2, y2 = next(detections)
            assert its_place == [source, index, time_s]
            found.append((label, int(class_id), *map(np.float32, (score, x1, y1, x2, y2))))
        frames.append((place, size, error if status == "error" else None, found))
    assert list(detections) == []
    return frames


def read_parquet_run(folder):
    return [read_record(record) for record in read_parquet_records(folder / "detections.parquet")]


def expect_csv(labels, items):
    return [
        (place, size, error, [(label, id_, score, *box) for label, id_, score, box, _ in found])
        for place, size, error, found in expect_jsonl(labels, items)
    ]


def read_coco_run(folder):
    document = read_coco_images(folder / "coco_images.json")
    names = {category["id"]: category["name"] for category in document["categories"]}
    frames = {}
    for image in document["images"]:
        place = (image.get("source", image["file_name"]), image.get("frame_index", 0), image.get("time_s"))
        frames[image["id"]] = (place, (image["width"], image["height"]), None, [])
    for result in read_coco_results(folder / "coco_results.json"):
        mask = decode_rle(result["segmentation"]).bitmap().tolist() if "segmentation" in result else None
        id_ = result["category_id"]
        box = np.array(result["bbox"], np.float32).tolist()
        frames[result["image_id"]][3].append((names[id_], id_ - 1, np.float32(result["score"]), box, mask))
    return list(frames.values())


def expect_coco(labels, items):
    def xywh(box):
        x1, y1, x2, y2 = np.array(box, np.float32)
        return [x1, y1, x2 - x1, y2 - y1]

    return [
        (place, size, error, [(label, id_, score, xywh(box), mask) for label, id_, score, box, mask in found])
        for place, size, error, found in expect_jsonl(labels, [item for item in items if not isinstance(item, Failure)])
    ]


def place_of(item):
    return readable(item.source), item.index, None if item.time_s is None else float(item.time_s)


FORMATS = {
    "jsonl": Format(read_jsonl_run, expect_jsonl),
    "parquet": Format(read_parquet_run, expect_jsonl),
    "csv": Format(read_csv_run, expect_csv),
    "coco": Format(read_coco_run, expect_coco),
}

every_format = pytest.mark.parametrize("name", RECORD_FORMATS)


def put(sink, item):
    if isinstance(item, Failure):
        sink.skip(item)
    else:
        sink.write(*item)


def check(name, folder, labels, items):
    """Writes the run; after every step a copy of the files holds just what came so far."""
    (sink,) = open_record_sinks(folder / "run", [name], labels)
    for step in range(len(items) + 1):
        copy = folder / f"copy{step}"
        shutil.copytree(folder / "run", copy)
        assert FORMATS[name].read(copy) == FORMATS[name].expect(labels, items[:step])
        if step < len(items):
            put(sink, items[step])
    sink.close()
    sink.close()
    assert FORMATS[name].read(folder / "run") == FORMATS[name].expect(labels, items)


def test_every_format_is_tested():
    assert FORMATS.keys() == RECORD_FORMATS.keys()


@every_format
def test_an_empty_run_reads(name, tmp_path):
    check(name, tmp_path, ["cat"], [])


@every_format
def test_a_run_of_failures_reads(name, tmp_path):
    check(name, tmp_path, ["cat"], [Failure("a.jpg", "broken"), Failure("b.mp4", "cut", 7, Fraction(7, 25))])


@every_format
@pytest.mark.parametrize("has_masks", [False, True])
def test_pictures_video_and_failures_read(name, tmp_path, has_masks):
    found = two_finds(has_masks=has_masks)
    items = [
        (blank_frame("empty.jpg"), Detections.empty()),
        (blank_frame("a.jpg"), found),
        Failure("b.jpg", "broken"),
        (video_frame(0), found),
        (video_frame(1), Detections.empty()),
        Failure("clip.mp4", "cut", 2),
    ]
    check(name, tmp_path, ["cat", "dog"], items)


@every_format
@pytest.mark.parametrize(
    "text",
    ["a,b", 'say "x"', "two\nlines", "a\r\nb", "\r", "漢字🐈", "caf\udce9", "\ud800", "\0", "\ufeff", "", " ", "=1+1"],
)
def test_odd_text_reads(name, tmp_path, text):
    items = [(blank_frame(text), two_finds()), Failure(text, text)]
    check(name, tmp_path, [text, f"{text}2"], items)


@every_format
@given(run=runs())
@settings(max_examples=50)
def test_any_run_reads_back_as_written_after_every_step(name, run):
    with tempfile.TemporaryDirectory() as folder:
        check(name, Path(folder), *run)


@every_format
def test_an_input_may_be_announced(name, tmp_path):
    source = SourceInfo("a.jpg", tmp_path / "a.jpg", "image")
    (sink,) = open_record_sinks(tmp_path, [name], ["cat", "dog"])
    with sink:
        sink.begin(source)
        sink.write(blank_frame("a.jpg"), two_finds())
        sink.end(source)
    assert len(FORMATS[name].read(tmp_path)) == 1
    assert not sink.wants_every_frame


@every_format
def test_two_runs_give_the_same_bytes(name, tmp_path):
    for run in ("one", "two"):
        (sink,) = open_record_sinks(tmp_path / run, [name], ["cat", "dog"])
        with sink:
            sink.write(blank_frame("a.jpg"), two_finds(has_masks=True))
            sink.write(video_frame(), two_finds(has_masks=True))
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@every_format
def test_a_new_run_replaces_the_files_of_an_old_one(name, tmp_path):
    for frames in (3, 1):
        (sink,) = open_record_sinks(tmp_path, [name], ["cat", "dog"])
        with sink:
            for _ in range(frames):
                sink.write(blank_frame("a.jpg"), two_finds())
    assert len(FORMATS[name].read(tmp_path)) == 1
