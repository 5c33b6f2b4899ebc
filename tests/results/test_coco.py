import numpy as np
import orjson
import pytest
from pycocotools.coco import COCO

from ovdet_cli.detections import Detections
from ovdet_cli.errors import RecordError
from ovdet_cli.frame import Failure
from ovdet_cli.results.coco import CocoSink, read_coco_images, read_coco_results
from ovdet_cli.results.rle import decode_rle
from tests.wild_records import blank_frame, two_finds, two_tracked, video_frame


def write_run(folder, **options):
    detections = two_finds(has_masks=options.pop("has_masks", False))
    with CocoSink(folder, ["cat", "dog"], **options) as sink:
        sink.write(blank_frame("a.jpg"), detections)
        sink.skip(Failure("b.jpg", "broken"))
        sink.write(blank_frame("c.jpg"), Detections.empty())
        sink.write(video_frame(3), detections)


def test_images_and_categories(tmp_path):
    write_run(tmp_path)
    assert read_coco_images(tmp_path / "coco_images.json") == {
        "info": {"description": "ovdet"},
        "licenses": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 6, "height": 4},
            {"id": 2, "file_name": "c.jpg", "width": 6, "height": 4},
            {
                "id": 3,
                "file_name": "clip.mp4#frame=3",
                "width": 6,
                "height": 4,
                "source": "clip.mp4",
                "frame_index": 3,
                "time_s": 0.1001,
            },
        ],
    }


def test_results(tmp_path):
    write_run(tmp_path)
    results = read_coco_results(tmp_path / "coco_results.json")
    assert [(result["image_id"], result["category_id"]) for result in results] == [(1, 1), (1, 2), (3, 1), (3, 2)]
    x1, y1, x2, y2 = two_finds().boxes_xyxy[0]
    np.testing.assert_array_equal(np.float32(results[0]["bbox"]), [x1, y1, x2 - x1, y2 - y1])
    assert results[0]["score"] == 0.9
    assert "segmentation" not in results[0]


def test_official_category_ids(tmp_path):
    write_run(tmp_path, category_ids=[17, 18])
    assert [result["category_id"] for result in read_coco_results(tmp_path / "coco_results.json")] == [17, 18, 17, 18]
    assert [c["id"] for c in read_coco_images(tmp_path / "coco_images.json")["categories"]] == [17, 18]
    with pytest.raises(ValueError, match="1 category ids for 2 labels"):
        CocoSink(tmp_path, ["cat", "dog"], [17])


@pytest.mark.parametrize("has_masks", [False, True])
def test_pycocotools_loads_both(tmp_path, capsys, has_masks):
    write_run(tmp_path, has_masks=has_masks)
    loaded = COCO(str(tmp_path / "coco_images.json")).loadRes(str(tmp_path / "coco_results.json"))
    assert len(loaded.getAnnIds(imgIds=[1])) == 2
    assert loaded.getAnnIds(imgIds=[2]) == []
    assert [category["name"] for category in loaded.loadCats(loaded.getCatIds())] == ["cat", "dog"]
    if has_masks:
        (annotation,) = loaded.loadAnns(loaded.getAnnIds(imgIds=[3], catIds=[2]))
        bitmap = two_finds(has_masks=True).masks[1].bitmap()
        np.testing.assert_array_equal(loaded.annToMask(annotation), bitmap)
        np.testing.assert_array_equal(decode_rle(annotation["segmentation"]).bitmap(), bitmap)


def test_one_item_a_line(tmp_path):
    write_run(tmp_path)
    lines = (tmp_path / "coco_results.json").read_bytes().splitlines()
    assert len(lines) == 4 + 2
    assert orjson.loads(lines[1].rstrip(b","))["image_id"] == 1


@pytest.mark.parametrize("data", [b"[", b"", b'{"images": []}', b"3"])
def test_readers_refuse_other_files(tmp_path, data):
    path = tmp_path / "x.json"
    path.write_bytes(data)
    for read in (read_coco_results, read_coco_images):
        with pytest.raises(RecordError, match=r"x\.json"):
            read(path)
        with pytest.raises(RecordError, match="cannot read"):
            read(tmp_path / "none.json")


def test_results_carry_their_track(tmp_path):
    with CocoSink(tmp_path, ["cat", "dog"]) as sink:
        sink.write(video_frame(3), two_tracked())
    assert [r.get("track_id") for r in read_coco_results(tmp_path / "coco_results.json")] == [7, None]
