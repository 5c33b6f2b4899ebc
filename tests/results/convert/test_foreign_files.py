"""Files as other tools write them: other ways to say the same, and what is broken in them."""

import json
from pathlib import Path

import numpy as np
import pytest

from ovdet_cli.errors import RecordError, UsageError
from ovdet_cli.results.convert.contract import Reading
from ovdet_cli.results.convert.formats import FORMATS, recognise
from ovdet_cli.results.rle import encode_rle
from tests.wild_records import whole_mask


def no_size(path):
    raise AssertionError(path)


def read(name, path):
    reading = Reading(no_size)
    return list(FORMATS[name].reader(path, reading)), reading


def boxes(record):
    return record.detections.boxes_xyxy.tolist()


IMAGE = {"id": 7, "file_name": "a.jpg", "width": 6, "height": 4}
CAT = {"id": 18, "name": "cat"}


def coco_file(tmp_path, annotations, **more):
    path = tmp_path / "instances.json"
    document = {"images": [IMAGE], "annotations": annotations, "categories": [CAT]} | more
    path.write_text(json.dumps(document))
    return path


def test_coco_masks_in_all_three_ways(tmp_path):
    bitmap = np.zeros((4, 6), bool)
    bitmap[1:3, 2:5] = True
    mask = whole_mask(bitmap)
    base = {"image_id": 7, "category_id": 18, "bbox": [2, 1, 3, 2], "iscrowd": 0}
    ways = [[[2, 1, 5, 1, 5, 3, 2, 3]], {"size": [4, 6], "counts": mask.runs.tolist()}, encode_rle(mask)]
    annotations = [{**base, "id": number, "segmentation": way} for number, way in enumerate(ways)]
    (record,), reading = read("coco", coco_file(tmp_path, annotations))
    assert reading.problems == []
    assert record.labels == ("cat",) * 3
    assert boxes(record) == [[2, 1, 5, 3]] * 3
    assert record.detections.scores.tolist() == [1, 1, 1]
    for found in record.detections.masks:
        np.testing.assert_array_equal(found.bitmap(), bitmap)


def test_coco_without_boxes_takes_those_of_the_masks(tmp_path):
    annotation = {"id": 1, "image_id": 7, "category_id": 18, "segmentation": [[2, 1, 5, 1, 5, 3, 2, 3]]}
    (record,), _ = read("coco", coco_file(tmp_path, [annotation]))
    assert boxes(record) == [[2, 1, 5, 3]]


@pytest.mark.parametrize(
    "broken",
    [
        {"image_id": 7, "category_id": 18},
        {"image_id": 7, "category_id": 18, "bbox": [1, 2, "x", 4]},
        {"image_id": 7, "category_id": 18, "bbox": [1, 2, 3]},
        {"image_id": 7, "category_id": 18, "bbox": [1, 2, float("nan"), 4]},
        {"image_id": 7, "category_id": 99, "bbox": [1, 2, 3, 4]},
        {"image_id": 8, "category_id": 18, "bbox": [1, 2, 3, 4]},
        {"category_id": 18, "bbox": [1, 2, 3, 4]},
        {"image_id": 7, "category_id": 18, "bbox": [1, 2, 3, 4], "segmentation": {"size": [4, 6], "counts": "%%"}},
        {"image_id": 7, "category_id": 18, "bbox": [1, 2, 3, 4], "segmentation": [["a", "b"]]},
        "no annotation",
        None,
    ],
)
def test_one_broken_annotation_of_coco_is_told_and_the_others_stay(tmp_path, broken):
    good = {"id": 1, "image_id": 7, "category_id": 18, "bbox": [1, 1, 2, 2]}
    (record,), reading = read("coco", coco_file(tmp_path, [broken, good]))
    assert boxes(record) == [[1, 1, 3, 3]]
    assert len(reading.problems) == 1
    assert "instances.json" in reading.problems[0]


def test_coco_results_need_their_images(tmp_path):
    path = tmp_path / "coco_results.json"
    path.write_text(json.dumps([{"image_id": 7, "category_id": 18, "bbox": [1, 1, 2, 2], "score": 0.5}]))
    with pytest.raises(RecordError, match=r"coco_images\.json"):
        read("coco", path)
    (tmp_path / "coco_images.json").write_text(json.dumps({"images": [IMAGE], "categories": [CAT]}))
    (record,), _ = read("coco", tmp_path)
    assert (record.labels, record.detections.scores.tolist()) == (("cat",), [0.5])


def test_a_folder_of_several_coco_files_asks_which(tmp_path):
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text('{"images": []}')
    with pytest.raises(UsageError, match="name the JSON file itself"):
        read("coco", tmp_path)


def test_voc_of_another_tool(tmp_path):
    (tmp_path / "a.xml").write_text(
        """<annotation><folder>x</folder><filename>a.jpg</filename><size><width>500</width><height>400</height>
        <depth>3</depth></size><object><name> dog </name><bndbox><xmin>49</xmin><ymin>241.0</ymin><xmax>195</xmax>
        <ymax>371</ymax></bndbox><part><name>head</name></part></object></annotation>"""
    )
    (record,), reading = read("voc", tmp_path)
    assert (record.source, record.width, record.height, record.labels) == ("a.jpg", 500, 400, ("dog",))
    assert boxes(record) == [[48, 240, 195, 371]]
    assert reading.problems == []


def test_mot_ground_truth_of_the_benchmark(tmp_path):
    sequence = tmp_path / "MOT17-02"
    (sequence / "gt").mkdir(parents=True)
    (sequence / "gt" / "gt.txt").write_text("1,2,11,21,30,40,1,1,0.9\n3,2,12,21,30,40,1,1,1\n1,9,1,1,5,5,0,12,1\n1,x\n")
    (sequence / "seqinfo.ini").write_text(
        "[Sequence]\nname=MOT17-02\nframeRate=25\nimWidth=1920\nimHeight=1080\nseqLength=3\n"
    )
    records, reading = read("mot", tmp_path)
    assert [(r.source, r.index, r.time_s, r.width, r.height) for r in records] == [
        ("MOT17-02", 0, 0.0, 1920, 1080),
        ("MOT17-02", 2, 0.08, 1920, 1080),
    ]
    assert boxes(records[0]) == [[10, 20, 40, 60]]
    assert records[0].detections.track_ids.tolist() == [2]
    assert len(reading.problems) == 1
    assert "line 4" in reading.problems[0]


def test_mot_results_without_a_frame_rate_assume_one_and_say_so(tmp_path):
    path = tmp_path / "seq.txt"
    path.write_text("31, 3, 794.27, 247.59, 71.245, 174.88, -1, -1, -1, -1\n")
    assert recognise(path) == "mot"
    (record,), reading = read("mot", path)
    assert (record.source, record.index, record.time_s, record.width) == ("seq", 30, 1.0, None)
    assert record.detections.scores.tolist() == [1]
    assert "30 frames a second" in reading.notes[0]


def test_labelme_rectangles_drawn_from_any_corner_and_foreign_shapes(tmp_path):
    shapes = [
        {"label": "a", "points": [[5, 3], [1, 1]], "shape_type": "rectangle", "group_id": None, "flags": {}},
        {"label": "b", "points": [[1, 1], [2, 2]], "shape_type": "circle"},
        {"label": "c", "points": [[0, 0], [4, 0], [4, 2], [0, 2]]},
    ]
    document = {"imagePath": "..\\a.jpg", "imageWidth": 6, "imageHeight": 4, "imageData": None, "shapes": shapes}
    (tmp_path / "a.json").write_text(json.dumps(document))
    (tmp_path / "b.json").write_text("[]")
    (good, bad), reading = read("labelme", tmp_path)
    assert good.source == "a.jpg"
    assert good.labels == ("a", "c")
    assert boxes(good) == [[1, 1, 5, 3], [0, 0, 4, 2]]
    assert [mask.area for mask in good.detections.masks] == [0, 8]
    assert bad.status == "error"
    assert len(reading.problems) == 2


def test_label_studio_takes_what_a_person_drew_before_what_was_predicted(tmp_path):
    def region(label, **value):
        return {
            "type": "rectanglelabels",
            "original_width": 200,
            "original_height": 100,
            "value": {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": [label]} | value,
        }

    task = {
        "data": {"image": "/data/local-files/?d=feed/a%20b.jpg"},
        "annotations": [{"was_cancelled": True, "result": [region("no")]}, {"result": [region("yes")]}],
        "predictions": [{"result": [region("no")]}],
    }
    turned = {"data": {"image": "/data/upload/1/x.jpg"}, "predictions": [{"result": [region("t", rotation=90)]}]}
    brush = {"data": {"image": "x.jpg"}, "predictions": [{"result": [{"type": "brushlabels", "value": {}}]}]}
    path = tmp_path / "export.json"
    path.write_text(json.dumps([task, turned, brush, {"id": 3}]))
    assert recognise(path) == "label-studio"
    records, reading = read("label-studio", path)
    assert (records[0].source, records[0].labels, records[0].width) == ("feed/a b.jpg", ("yes",), 200)
    assert boxes(records[0]) == [[20, 20, 80, 60]]
    np.testing.assert_allclose(boxes(records[1]), [[-20, 20, 20, 80]], atol=1e-4)
    assert records[2].labels == ()
    assert records[3].status == "error"
    assert len(reading.problems) == 2


def test_supervision_rows_of_a_video_with_frame_numbers(tmp_path):
    path = tmp_path / "traffic.csv"
    header = "x_min,y_min,x_max,y_max,class_id,confidence,tracker_id,frame_number\n"
    path.write_text(f"{header}1,2,3,4,2,0.5,7,0\n1,2,3,4,,,,30\nx,2,3,4,2,0.5,7,30\n")
    assert recognise(path) == "supervision-csv"
    records, reading = read("supervision-csv", path)
    assert [(r.source, r.index, r.time_s) for r in records] == [("traffic", 0, 0.0), ("traffic", 30, 1.0)]
    assert records[0].labels == ("2",)
    assert records[0].detections.track_ids.tolist() == [7]
    assert len(reading.problems) == 1
    assert len(reading.notes) == 2


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.reader])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"{}", b"[]", b"<a/>", b"1,2,3"])
def test_nonsense_is_told_in_our_words(name, content, tmp_path):
    suffix = {"voc": ".xml", "mot": ".txt", "yolo": ".txt", "supervision-csv": ".csv", "parquet": ".parquet"}
    path = Path(tmp_path, f"detections{suffix.get(name, '.json')}")
    path.write_bytes(content)
    try:
        records, reading = read(name, path)
    except (RecordError, UsageError) as error:
        assert str(path.parent) in str(error)
    else:
        assert all(record.status == "error" for record in records)
        assert len(reading.problems) >= len(records)
