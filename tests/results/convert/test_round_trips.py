"""Every format that is read gives back what it can hold, of any run."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from ovdet_cli.detections import Mask
from ovdet_cli.frame import Failure
from ovdet_cli.results.convert.contract import Options, Reading
from ovdet_cli.results.convert.converting import write_format
from ovdet_cli.results.convert.formats import FORMATS
from ovdet_cli.results.convert.outlines import fill, mask_bounds
from ovdet_cli.results.convert.xml_text import xml_text
from ovdet_cli.results.record import failure_record, frame_record, parse_record
from tests.wild_records import blank_frame, runs, two_finds, two_tracked, video_frame


@dataclass(frozen=True)
class Holds:
    """What a format gives back. keep: of a record, or None where it has no place at all. pixels: how far sides move."""

    keep: Callable
    pixels: float = 2e-4
    has_class_ids: bool = True


def with_labels(record, change):
    return replace(record, labels=tuple(map(change, record.labels)), source=change(record.source))


def without_masks(record):
    return replace(record, detections=replace(record.detections, masks=None))


def without_tracks(record):
    return replace(record, detections=replace(record.detections, track_ids=None))


def with_boxes(record, boxes):
    return replace(record, detections=replace(record.detections, boxes_xyxy=np.float32(boxes).reshape(-1, 4)))


def of_outlines(record):
    """Where there is a mask, the box is its own."""
    found = record.detections
    masks = [None] * len(found) if found.masks is None else found.masks
    bounds = [None if mask is None else mask_bounds(mask) for mask in masks]
    return with_boxes(record, [box if own is None else own for box, own in zip(found.boxes_xyxy, bounds, strict=True)])


def in_yolo(record):
    size = [record.width, record.height] * 2
    record = with_boxes(record, np.clip(record.detections.boxes_xyxy, 0, size))
    found = record.detections
    if found.masks is not None:
        size_hw = record.height, record.width
        masks = [
            mask if mask.area else fill([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], size_hw)
            for mask, (x1, y1, x2, y2) in zip(found.masks, found.boxes_xyxy.tolist(), strict=True)
        ]
        record = of_outlines(replace(record, detections=replace(found, masks=found.masks)))
        record = replace(record, detections=replace(record.detections, masks=masks))
    return without_tracks(record)


def in_voc(record):
    size = [record.width, record.height] * 2
    return with_labels(without_masks(with_boxes(record, np.clip(record.detections.boxes_xyxy, 0, size))), xml_text)


def in_mot(record):
    if record.time_s is None:
        return None
    record = replace(record, labels=tuple(" ".join(label.splitlines()) for label in record.labels))
    return without_masks(record)


def in_label_studio(record):
    return replace(without_tracks(of_outlines(record)), labels=tuple(map(xml_text, record.labels)))


def if_good(keep):
    return lambda record: keep(record) if record.status == "ok" else None


HOLDS = {
    "coco": Holds(if_good(lambda record: record), has_class_ids=False),
    "yolo": Holds(if_good(in_yolo), has_class_ids=False),
    "voc": Holds(if_good(in_voc), pixels=1.001, has_class_ids=False),
    "labelme": Holds(if_good(lambda record: record)),
    "label-studio": Holds(
        if_good(
            lambda record: replace(without_tracks(of_outlines(record)), labels=tuple(map(xml_text, record.labels)))
        ),
        has_class_ids=False,
    ),
    "mot": Holds(if_good(in_mot), has_class_ids=False),
    "parquet": Holds(lambda record: record, pixels=0),
    "supervision-csv": Holds(if_good(lambda record: without_masks(record) if record.labels else None)),
}
every_format = pytest.mark.parametrize("name", HOLDS)


def records_of(labels, items):
    plain = [failure_record(item) if isinstance(item, Failure) else frame_record(*item, labels) for item in items]
    records = map(parse_record, plain)
    # The wild ones do not mind which corner is the upper left.
    return [with_boxes(one, np.sort(one.detections.boxes_xyxy.reshape(-1, 2, 2), axis=1)) for one in records]


def once(records):
    """One record a frame: what tells frames apart in the files of tools."""
    return list({(record.source, record.index, record.time_s): record for record in records}.values())


def key(record):
    return record.source, record.index, -1 if record.time_s is None else record.time_s, record.labels


def refuse_size(path):
    raise AssertionError(f"{path} is asked for its size")


def there_and_back(name, records, labels, folder):
    outcome = write_format(name, iter(records), folder, labels, options=Options(scores=True))
    assert outcome.problems == []
    reading = Reading(refuse_size)
    read = list(FORMATS[name].reader(folder, reading))
    assert reading.problems == []
    return read, reading


def assert_same(name, read, records):
    holds = HOLDS[name]
    wanted = sorted(filter(None, map(holds.keep, records)), key=key)
    read = sorted(read, key=key)
    assert [key(record) for record in read] == [key(record) for record in wanted]
    for one, other in zip(read, wanted, strict=True):
        assert (one.width, one.height, one.status, one.error) == (other.width, other.height, other.status, other.error)
        found, expected = one.detections, other.detections
        np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, rtol=1e-6, atol=holds.pixels)
        np.testing.assert_array_equal(found.scores, expected.scores)
        if holds.has_class_ids:
            np.testing.assert_array_equal(found.class_ids, expected.class_ids)
        assert tracks(found) == tracks(expected)
        twins = expected.masks or []
        if found.masks is None and not any(mask.area for mask in twins):
            continue  # a frame of masks without a pixel is one without masks
        for mask, twin in zip(found.masks, twins, strict=True):
            np.testing.assert_array_equal(mask.bitmap(), twin.bitmap())


def tracks(found):
    return [-1] * len(found) if found.track_ids is None else found.track_ids.tolist()


def test_every_format_that_is_read_is_tested():
    assert HOLDS.keys() == {name for name, form in FORMATS.items() if form.reader is not None}


@every_format
@given(wild=runs())
@settings(max_examples=60, deadline=None)
def test_any_run_comes_back(name, wild):
    labels, items = wild
    records = once(records_of(labels, items))
    with tempfile.TemporaryDirectory() as folder:
        read, _ = there_and_back(name, records, labels, Path(folder) / "out")
        assert_same(name, read, records)


@every_format
def test_tracks_and_empty_frames_come_back(name, tmp_path):
    empty = two_finds().select(np.array([], np.int64))
    items = [(video_frame(1), two_tracked()), (video_frame(2), empty), (blank_frame("a b/ü.jpg"), two_finds())]
    records = records_of(["cat", "dog"], items)
    read, reading = there_and_back(name, records, ["cat", "dog"], tmp_path / "out")
    assert_same(name, read, records)
    assert reading.classes.names == ["cat", "dog"]


@every_format
@pytest.mark.parametrize("items", [[], [Failure("a.jpg", "broken")]])
def test_a_run_without_anything_converts(name, items, tmp_path):
    write_format(name, iter(records_of(["cat"], items)), tmp_path / "out", ["cat"])
    assert (tmp_path / "out" / "conversion.json").is_file()


@pytest.mark.parametrize("name", ["coco", "yolo", "labelme", "label-studio"])
def test_masks_in_parts_and_with_holes_come_back_to_the_pixel(name, tmp_path):
    ring = np.ones((7, 9), bool)
    ring[2:5, 2:4] = ring[0, 6] = ring[6, 8] = False
    ring[:, 5] = False
    found = replace(two_finds(), masks=[Mask.from_piece(ring, 0, 0, (7, 9)), Mask.from_piece(ring[:3], 0, 4, (7, 9))])
    records = records_of(["cat", "dog"], [(blank_frame("a.jpg", (7, 9)), found)])
    (read,), _ = there_and_back(name, records, ["cat", "dog"], tmp_path / "out")
    for mask, twin in zip(read.detections.masks, found.masks, strict=True):
        np.testing.assert_array_equal(mask.bitmap(), twin.bitmap())


@pytest.mark.parametrize("name", list(FORMATS))
def test_no_source_leads_out_of_the_folder(name, tmp_path):
    evil = ["../../evil.jpg", "/evil.jpg", "a/../../../evil.jpg", "..", "..\\..\\evil.jpg", "C:/evil.jpg", "", "."]
    items = [(blank_frame(source), two_finds()) for source in evil]
    items += [(replace(video_frame(), source=source), two_finds()) for source in evil]
    out = tmp_path / "one" / "two" / "out"
    write_format(name, iter(records_of(["cat", "dog"], items)), out, ["cat", "dog"])
    assert [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(out)] == []
    assert not any(Path(root, "evil.jpg").exists() for root in ("/", "/tmp"))


@pytest.mark.parametrize(("name", "suffix"), [("yolo", "txt"), ("voc", "xml"), ("labelme", "json")])
def test_pictures_of_one_stem_do_not_overwrite_each_other(name, suffix, tmp_path):
    sources = ["a.jpg", "a.png", "A.jpg", "b/a.jpg", "b/a.png", "c/a.jpg", f"a.{suffix}/x.jpg"]
    records = records_of(["cat", "dog"], [(blank_frame(source), two_finds()) for source in sources])
    read, _ = there_and_back(name, records, ["cat", "dog"], tmp_path)
    assert sorted(record.source for record in read) == sorted(sources)
    assert all(len(record.labels) == 2 for record in read)
