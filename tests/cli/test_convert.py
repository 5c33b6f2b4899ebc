"""`ovdet convert`: what a person sees of it, and what the tools it is for make of its files."""

import json
import shutil
from pathlib import Path

import faster_coco_eval
import numpy as np
import pytest
import yaml
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ovdet_cli.detections import Detections
from ovdet_cli.frame import Failure
from ovdet_cli.results.convert.formats import FORMATS
from ovdet_cli.results.jsonl import read_records
from ovdet_cli.results.runs import load_run
from ovdet_cli.results.sinks import open_record_sinks
from tests.wild_records import blank_frame, two_finds, video_frame

HOSTILE = ['<b>&"cat"', "قط\u202e漢字🐈\nand more"]


@pytest.fixture
def run(tmp_path):
    """Two pictures, a frame of a video and a failure, in JSON Lines and CSV, with masks."""
    return write_run(tmp_path / "run")


def write_run(folder, formats=("jsonl", "csv"), labels=HOSTILE):
    found = two_finds(has_masks=True)
    for sink in open_record_sinks(folder, formats, labels):
        with sink:
            sink.write(blank_frame("a.jpg"), found)
            sink.write(blank_frame("sub dir/ü.png"), Detections.empty())
            sink.skip(Failure("broken.jpg", "no picture"))
            sink.write(video_frame(3), found)
    info = {"schema": "ovdet/1", "status": "done", "vocabulary": {"names": labels}, "settings": {"threshold": 0.05}}
    (folder / "run.json").write_text(json.dumps(info, indent=2))
    return folder


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("api", "evaluator"), [(COCO, COCOeval), (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster)]
)
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_coco_is_ground_truth_and_results_for_both_evaluators(ovdet, run, tmp_path, api, evaluator, kind, capsys):
    result = ovdet("convert", run, "--to", "coco", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "1 pictures that failed" in result.stderr.replace("\n", " ")
    truth = api(str(tmp_path / "out" / "annotations.json"))
    assert [category["name"] for category in truth.loadCats(truth.getCatIds())] == HOSTILE
    assert [image["file_name"] for image in truth.loadImgs([1, 2, 3])] == [
        *("a.jpg", "sub dir/ü.png", "clip.mp4#frame=3")
    ]
    annotation = truth.loadAnns([1])[0]
    assert annotation["area"] == 6
    assert annotation["score"] == 0.9
    assert truth.annToMask(annotation).sum() == 6
    measured = evaluator(truth, truth.loadRes(str(tmp_path / "out" / "coco_results.json")), kind)
    measured.evaluate()
    measured.accumulate()
    measured.summarize()
    assert measured.stats[0] == pytest.approx(1.0)


def test_eval_and_report_take_what_was_converted(ovdet, run, tmp_path):
    assert ovdet("convert", run, "--to", "coco", "-o", tmp_path / "coco").exit_code == 0
    result = ovdet("convert", tmp_path / "coco", "-o", tmp_path / "back")
    assert result.exit_code == 0, result.output
    info = json.loads((tmp_path / "back" / "run.json").read_text(encoding="utf-8"))
    assert info["status"] == "done"
    assert info["converted"]["format"] == "coco"
    assert info["vocabulary"]["names"] == HOSTILE
    assert info["counts"]["pictures"] == 2
    assert info["counts"]["video_frames"] == 1
    assert len(load_run(tmp_path / "back").detections) == 4
    assert len(load_run(tmp_path / "back" / "detections.csv").frames) == 3
    scored = ovdet("eval", tmp_path / "back", "--truth", tmp_path / "coco" / "annotations.json", "--json", "-")
    assert scored.exit_code == 0, scored.output
    assert json.loads(scored.stdout)["overall"]["ap"] == pytest.approx(1.0)
    assert ovdet("report", tmp_path / "back", "-o", tmp_path / "report").exit_code == 0


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.reader])
def test_every_format_makes_a_run_again_and_is_recognised(ovdet, run, tmp_path, name):
    assert ovdet("convert", run, "--to", name, "-o", tmp_path / "out").exit_code == 0
    origin = ["--from", name] if name == "parquet" else []
    result = ovdet("convert", tmp_path / "out", *origin, "-o", tmp_path / "back")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "back" / "run.json").read_text(encoding="utf-8"))["converted"]["format"] == name
    sources = set(load_run(tmp_path / "back").detections["source"])
    assert sources == ({"clip.mp4"} if name == "mot" else {"a.jpg", "clip.mp4"})


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("formats", [["jsonl"], ["parquet"], ["csv"]])
def test_a_run_of_any_records_is_converted_and_left_alone(ovdet, tmp_path, name, formats):
    run = write_run(tmp_path / "run", formats)
    before = snapshot(run)
    result = ovdet("convert", run, "--to", name, "-o", tmp_path / "out", "-q")
    assert result.exit_code == 0, result.output
    assert result.output == ""
    assert snapshot(run) == before


def test_a_threshold_cuts(ovdet, run, tmp_path):
    assert ovdet("convert", run, "--to", "parquet", "-o", tmp_path / "out", "--threshold", 0.5).exit_code == 0
    cut = load_run(tmp_path / "out")
    assert set(cut.detections["label"]) == {HOSTILE[0]}
    assert len(cut.frames) == 4


def test_nothing_is_overwritten_unless_asked(ovdet, run, tmp_path):
    out = tmp_path / "out"
    assert ovdet("convert", run, "--to", "yolo", "-o", out).exit_code == 0
    (out / "images").mkdir()
    (out / "images" / "a.jpg").write_bytes(b"mine")
    (out / "labels" / "old.txt").write_text("0 0 0 0 0")
    refused = ovdet("convert", run, "--to", "yolo", "-o", out)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    assert (out / "labels" / "old.txt").exists()
    assert ovdet("convert", run, "--to", "yolo", "-o", out, "--overwrite").exit_code == 0
    assert not (out / "labels" / "old.txt").exists()
    assert (out / "images" / "a.jpg").read_bytes() == b"mine"


def test_what_no_conversion_wrote_is_not_overwritten_even_if_asked(ovdet, run, tmp_path):
    own = tmp_path / "mine" / "labels" / "a.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    result = ovdet("convert", run, "--to", "yolo", "-o", tmp_path / "mine", "--overwrite")
    assert result.exit_code == 1
    assert "which no conversion wrote" in result.stderr.replace("\n", " ")
    assert snapshot(tmp_path / "mine") == {own: b"mine"}


@pytest.mark.parametrize("below", ["", "inner", "images/deep"])
def test_a_run_is_never_written_into(ovdet, run, below):
    before = snapshot(run)
    result = ovdet("convert", run, "--to", "coco", "-o", run / below, "--overwrite")
    assert result.exit_code == 2
    assert "never written into" in result.stderr.replace("\n", " ")
    assert snapshot(run) == before


@pytest.mark.parametrize(
    ("origin", "to", "into"),
    [
        ("yolo", "yolo", ""),
        ("yolo", "run", ""),
        ("yolo", "coco", "labels/deep"),
        ("coco/annotations.json", "coco", ".."),
        ("yolo/labels", "yolo", ".."),
    ],
)
def test_what_is_read_is_never_replaced(ovdet, run, tmp_path, origin, to, into):
    for name in ("yolo", "coco"):
        assert ovdet("convert", run, "--to", name, "-o", tmp_path / name).exit_code == 0
    before = snapshot(tmp_path)
    path = tmp_path / origin
    result = ovdet("convert", path, "--from", origin[:4], "--to", to, "-o", (path / into).resolve(), "--overwrite")
    assert result.exit_code == 2
    assert "not written into" in result.stderr.replace("\n", " ")
    assert snapshot(tmp_path) == before


def test_a_run_of_parquet_is_not_replaced_by_itself(ovdet, tmp_path):
    run = write_run(tmp_path / "run", ["parquet"])
    before = snapshot(run)
    for path in (run, run / "detections.parquet"):
        result = ovdet("convert", path, "--from", "parquet", "-o", run, "--overwrite")
        assert result.exit_code == 2
        assert snapshot(run) == before


def test_records_that_cannot_be_read_cost_nothing(ovdet, run, tmp_path):
    out = tmp_path / "out"
    assert ovdet("convert", run, "--to", "coco", "-o", out).exit_code == 0
    before = snapshot(out)
    (run / "detections.jsonl").write_text("nonsense\n")
    result = ovdet("convert", run, "--to", "coco", "-o", out, "--overwrite")
    assert result.exit_code == 1
    assert "line 1" in result.stderr
    assert snapshot(out) == before


def test_one_broken_file_among_many_is_a_warning_and_exit_code_3(ovdet, run, tmp_path):
    assert ovdet("convert", run, "--to", "voc", "-o", tmp_path / "voc").exit_code == 0
    (tmp_path / "voc" / "Annotations" / "b.xml").write_text("<annotation><object>")
    result = ovdet("convert", tmp_path / "voc", "-o", tmp_path / "back")
    assert result.exit_code == 3
    assert "b.xml" in result.stderr
    frames = load_run(tmp_path / "back").frames
    assert frames["status"].tolist().count("error") == 1
    assert len(load_run(tmp_path / "back").detections) == 4


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><annotation><filename>&y;</filename></annotation>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>',
        f"{'<annotation>' * 10_000}",
    ],
)
def test_xml_that_attacks_is_refused(ovdet, tmp_path, document):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.xml").write_text(document)
    result = ovdet("convert", tmp_path / "in", "--from", "voc", "-o", tmp_path / "back")
    assert result.exit_code == 3
    assert "root:" not in (tmp_path / "back" / "detections.jsonl").read_text()


def test_yolo_has_a_tree_and_names_as_ultralytics_reads_them(ovdet, run, tmp_path):
    assert ovdet("convert", run, "--to", "yolo", "-o", tmp_path / "out").exit_code == 0
    data = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text(encoding="utf-8"))
    assert data["names"] == dict(enumerate(HOSTILE))
    labels = tmp_path / "out" / "labels"
    assert sorted(path.relative_to(labels).as_posix() for path in labels.rglob("*.txt")) == [
        *("a.txt", "clip.mp4/000003.txt", "sub dir/ü.txt")
    ]
    assert (labels / "sub dir" / "ü.txt").read_text() == ""
    first = (labels / "a.txt").read_text().splitlines()[0].split()
    assert first[0] == "0"
    assert len(first) % 2 == 1  # no score
    assert all(0 <= float(value) <= 1 for value in first[1:])


def test_a_foreign_yolo_set_takes_sizes_from_its_pictures(ovdet, tmp_path):
    from ovdet_cli.media.images import write_image

    for folder in ("images/train", "labels/train"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    write_image(tmp_path / "set/images/train/a.png", np.zeros((50, 100, 3), np.uint8))
    (tmp_path / "set/labels/train/a.txt").write_text("1 0.5 0.5 0.2 0.4\n0 0.1 0.1 0.2 0.2 0.75\n")
    (tmp_path / "set/labels/train/b.txt").write_text("0 0.5 0.5 0.2 0.4\n")
    (tmp_path / "set/data.yaml").write_text("names: [cat, dog]\n")
    result = ovdet("convert", tmp_path / "set", "-o", tmp_path / "back")
    assert result.exit_code == 3
    assert "b.txt: no picture" in result.stderr.replace("\n", " ")
    good = next(record for record in read_records(tmp_path / "back" / "detections.jsonl") if record.status == "ok")
    assert (good.source, good.width, good.height) == ("train/a.png", 100, 50)
    assert good.labels == ("dog", "cat")
    np.testing.assert_allclose(good.detections.boxes_xyxy, [[40, 15, 60, 35], [0, 0, 20, 10]], atol=1e-4)
    np.testing.assert_array_equal(good.detections.scores, np.float32([1, 0.75]))


def test_a_run_that_knows_no_sizes_is_evaluated(ovdet, run, tmp_path):
    assert ovdet("convert", run, "--to", "coco", "-o", tmp_path / "coco").exit_code == 0
    rows = "x_min,y_min,x_max,y_max,class_id,confidence,tracker_id,class_name,source\n0,0,3,4,0,0.9,,dog,a.jpg\n"
    (tmp_path / "boxes.csv").write_text(rows)
    assert ovdet("convert", tmp_path / "boxes.csv", "-o", tmp_path / "back").exit_code == 0
    assert load_run(tmp_path / "back").frames["width"].isna().all()
    assert ovdet("eval", tmp_path / "back", "--truth", tmp_path / "coco" / "annotations.json").exit_code == 0
    assert ovdet("report", tmp_path / "back", "-o", tmp_path / "report").exit_code == 0
    result = ovdet("convert", tmp_path / "back", "--to", "yolo", "-o", tmp_path / "yolo")
    assert result.exit_code == 3
    assert "its size is not known" in result.stderr.replace("\n", " ")


def test_other_tools_files_go_straight_into_another_format(ovdet, run, tmp_path):
    assert ovdet("convert", run, "--to", "labelme", "-o", tmp_path / "one").exit_code == 0
    result = ovdet("convert", tmp_path / "one", "--to", "coco", "-o", tmp_path / "two")
    assert result.exit_code == 0, result.output
    assert len(json.loads((tmp_path / "two" / "annotations.json").read_text())["annotations"]) == 4


def test_wrong_calls_say_what_to_do(ovdet, run, tmp_path):
    result = ovdet("convert", run, "-o", tmp_path / "out")
    assert (result.exit_code, "--to" in result.stderr) == (2, True)
    result = ovdet("convert", tmp_path / "nowhere", "-o", tmp_path / "out")
    assert (result.exit_code, "there is no" in result.stderr) == (2, True)
    (tmp_path / "empty").mkdir()
    result = ovdet("convert", tmp_path / "empty", "-o", tmp_path / "out")
    assert (result.exit_code, "--from" in result.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_an_existing_run_is_replaced_only_if_asked(ovdet, run, tmp_path):
    assert ovdet("convert", run, "--to", "coco", "-o", tmp_path / "coco").exit_code == 0
    assert ovdet("convert", tmp_path / "coco", "-o", tmp_path / "back").exit_code == 0
    assert ovdet("convert", tmp_path / "coco", "-o", tmp_path / "back").exit_code == 1
    assert ovdet("convert", tmp_path / "coco", "-o", tmp_path / "back", "--overwrite").exit_code == 0


def test_a_killed_run_of_parquet_is_finished(ovdet, tmp_path):
    (sink,) = open_record_sinks(tmp_path / "run", ["parquet"], ["cat", "dog"])
    sink.write(blank_frame(), two_finds())
    shutil.copytree(tmp_path / "run", tmp_path / "killed")
    sink.close()
    assert ovdet("convert", tmp_path / "killed", "--to", "parquet", "-o", tmp_path / "out").exit_code == 0
    assert Path(tmp_path / "out" / "detections.parquet").is_file()
    assert len(load_run(tmp_path / "out").detections) == 2


def test_help_names_every_format_and_what_it_loses(ovdet):
    text = ovdet("convert", "--help").stdout
    for name in FORMATS:
        assert f"{name}" in text
    assert "clip.mp4/000123" in text
