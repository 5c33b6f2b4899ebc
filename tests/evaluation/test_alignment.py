import json
from fractions import Fraction

import numpy as np
import pytest

from ovdet_cli.detections import Detections, Mask
from ovdet_cli.errors import RecordError
from ovdet_cli.evaluation.alignment import load_results, match_sources
from ovdet_cli.evaluation.datasets import read_ground_truth
from ovdet_cli.frame import Failure
from ovdet_cli.results.coco import CocoSink
from ovdet_cli.results.csv_table import CsvSink
from ovdet_cli.results.jsonl import JsonlSink
from tests.evaluation.cases import HEIGHT, WIDTH, thing, truth_of
from tests.wild_records import blank_frame

LABELS = ["Cat", "hot_dog", "tree"]
BOX = [20.0, 20.0, 50.0, 40.0]


def found(*class_ids, has_masks=False):
    """BOX once for each class, scores 0.9, 0.8 .."""
    n = len(class_ids)
    boxes = np.tile(np.array([20, 20, 70, 60], np.float32), (n, 1))
    scores = np.linspace(0.9, 1.0 - 0.1 * n, n, dtype=np.float32) if n else np.zeros(0, np.float32)
    masks = [Mask.from_piece(np.ones((40, 50), bool), 20, 20, (HEIGHT, WIDTH)) for _ in range(n)] if has_masks else None
    return Detections(boxes, scores, np.array(class_ids, np.int64), masks)


def write(sink, prefix="val/"):
    with sink:
        sink.write(blank_frame(f"{prefix}p10.jpg", (HEIGHT, WIDTH)), found(0, 2, has_masks=True))
        sink.write(blank_frame(f"{prefix}p11.jpg", (HEIGHT, WIDTH + 1)), found(1, has_masks=True))
        sink.write(blank_frame(f"{prefix}other.jpg"), found(0, has_masks=True))
        sink.skip(Failure(f"{prefix}p12.jpg", "broken"))


@pytest.fixture
def truth(tmp_path):
    return truth_of(tmp_path, [thing(BOX, 3), thing(BOX, 8, 11), thing(BOX, 1, 12)])


EXPECTED = [(10, 3, 0.9), (11, 8, 0.9)]


def short(results):
    return [(r["image_id"], r["category_id"], round(r["score"], 6)) for r in results]


def test_a_run_folder(tmp_path, truth):
    write(JsonlSink(tmp_path / "detections.jsonl", LABELS))
    info = {"vocabulary": {"names": LABELS}, "settings": {"threshold": 0.4}}
    (tmp_path / "run.json").write_text(json.dumps(info))
    aligned = load_results(tmp_path, truth, with_masks=True)
    assert short(aligned.results) == EXPECTED
    assert aligned.results[0]["bbox"] == BOX
    assert aligned.results[0]["segmentation"]["size"] == [HEIGHT, WIDTH]
    assert aligned.unmatched_sources == ("val/other.jpg",)
    assert aligned.missing_images == ("p13.jpg",)
    assert aligned.failures == ("p12.jpg",)
    assert aligned.resized == ("p11.jpg",)
    assert aligned.foreign_labels == {"tree": 1}
    assert aligned.missing_names == ("dog",)
    assert aligned.settings["threshold"] == 0.4
    assert "segmentation" not in load_results(tmp_path / "detections.jsonl", truth).results[0]


def test_csv_has_no_masks(tmp_path, truth):
    write(CsvSink(tmp_path, LABELS))
    aligned = load_results(tmp_path, truth)
    assert short(aligned.results) == EXPECTED
    assert aligned.missing_names is None
    with pytest.raises(RecordError, match="no masks"):
        load_results(tmp_path, truth, with_masks=True)


@pytest.mark.parametrize("name", ["", "coco_results.json"])
def test_our_own_coco_files_are_matched_by_name(tmp_path, truth, name):
    write(CocoSink(tmp_path, LABELS))
    aligned = load_results(tmp_path / name, truth)
    assert short(aligned.results) == EXPECTED
    assert aligned.unmatched_sources == ("val/other.jpg",)
    assert aligned.missing_images == ("p12.jpg", "p13.jpg")
    assert aligned.foreign_labels == {"tree": 1}
    assert aligned.missing_names == ("dog",)


def test_other_coco_results_have_the_ids_of_the_truth(tmp_path, truth):
    results = [thing(BOX, 3, score=0.5)]
    (tmp_path / "results.json").write_text(json.dumps(results))
    aligned = load_results(tmp_path / "results.json", truth)
    assert aligned.results == results
    assert aligned.missing_images is None


def test_coco_files_that_do_not_fit(tmp_path, truth):
    write(CocoSink(tmp_path, LABELS))
    (tmp_path / "coco_results.json").write_text(json.dumps([thing(BOX, 99, 1, score=0.5)]))
    with pytest.raises(RecordError, match="do not fit"):
        load_results(tmp_path, truth)


def test_wrong_annotations_are_found_at_once(tmp_path, truth):
    write(JsonlSink(tmp_path / "detections.jsonl", LABELS), prefix="x")
    with pytest.raises(RecordError, match=r"none of the 4 pictures of the results, such as xp10\.jpg"):
        load_results(tmp_path, truth)
    with pytest.raises(RecordError, match="no run"):
        load_results(tmp_path / "nowhere", truth)


def test_paths_match_by_their_ends(truth):
    assert match_sources(["a/b/p10.jpg", "p11.jpg", "xp12.jpg"], truth) == {"a/b/p10.jpg": 10, "p11.jpg": 11}


def test_what_is_ambiguous_is_refused(tmp_path, truth):
    with pytest.raises(RecordError, match="are one picture"):
        match_sources(["a/p10.jpg", "b/p10.jpg"], truth)
    data = json.loads((tmp_path / "truth.json").read_text())
    for image, name in zip(data["images"], ["a/x.jpg", "b/x.jpg", "b/y.jpg", "z.jpg"], strict=True):
        image["file_name"] = name
    (tmp_path / "truth.json").write_text(json.dumps(data))
    truth = read_ground_truth(tmp_path / "truth.json")
    assert match_sources(["a/x.jpg", "root/b/x.jpg", "y.jpg"], truth) == {
        "a/x.jpg": 10,
        "root/b/x.jpg": 11,
        "y.jpg": 12,
    }
    with pytest.raises(RecordError, match="any of 2 pictures"):
        match_sources(["x.jpg"], truth)


def test_video_frames_are_called_as_in_coco_images(tmp_path):
    data = {
        "images": [{"id": 1, "file_name": "clip.mp4#frame=3", "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [],
    }
    (tmp_path / "truth.json").write_text(json.dumps(data))
    with JsonlSink(tmp_path / "detections.jsonl", LABELS) as sink:
        for index in (2, 3):
            sink.write(blank_frame("clip.mp4", (HEIGHT, WIDTH), index, Fraction(index, 25)), found(0))
    aligned = load_results(tmp_path, read_ground_truth(tmp_path / "truth.json"))
    assert short(aligned.results) == [(1, 3, 0.9)]
    assert aligned.unmatched_sources == ("clip.mp4#frame=2",)


def test_an_unused_category_of_the_same_name_is_passed_over(tmp_path):
    truth = truth_of(tmp_path, [thing(BOX, 3)])
    data = json.loads((tmp_path / "truth.json").read_text())
    data["categories"].insert(0, {"id": 0, "name": "cat"})
    (tmp_path / "truth.json").write_text(json.dumps(data))
    truth = read_ground_truth(tmp_path / "truth.json")
    write(JsonlSink(tmp_path / "detections.jsonl", LABELS))
    assert short(load_results(tmp_path, truth).results)[0] == (10, 3, 0.9)
