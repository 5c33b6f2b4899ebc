import json
import subprocess
import sys

import numpy as np
import orjson
import pytest

from ovdet_cli.detections import Detections
from ovdet_cli.results.jsonl import JsonlSink
from tests.evaluation.cases import HEIGHT, WIDTH, ellipse, thing, write_truth
from tests.wild_records import blank_frame

BOX = [20.0, 20.0, 50.0, 40.0]


@pytest.fixture
def run(tmp_path):
    """A run that found the cat, and called the dog a tree."""
    folder = tmp_path / "run"
    folder.mkdir()
    box = np.array([[20, 20, 70, 60]], np.float32)
    with JsonlSink(folder / "detections.jsonl", ["cat", "tree", "[red]"]) as sink:
        for i, (class_id, score) in enumerate([(0, 0.6), (1, 0.7)]):
            detections = Detections(box, np.array([score], np.float32), np.array([class_id]))
            sink.write(blank_frame(f"p{10 + i}.jpg", (HEIGHT, WIDTH)), detections)
    return folder


@pytest.fixture
def truth(tmp_path):
    return write_truth(tmp_path, [thing(BOX, 3), thing(BOX, 1, 11)], num_images=2)


def test_tables_and_warnings(ovdet, run, truth, tmp_path):
    (run / "run.json").write_text(
        json.dumps({"settings": {"threshold": 0.3, "record_threshold": 0.3}, "vocabulary": {"names": ["cat"]}})
    )
    (tmp_path / "novel.txt").write_text("dog\n")
    result = ovdet("eval", run, "--truth", truth, "--novel", tmp_path / "novel.txt")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["all", "0.500", "0.500", "0.500", "-", "0.500", "-", "0.500", "2", "2"] in lines
    assert ["base", "1.000", "1.000", "1.000", "-", "1.000", "-", "1.000", "1", "1"] in lines
    assert ["novel", "0.000", "0.000", "0.000", "-", "0.000", "-", "0.000", "1", "1"] in lines
    assert ["all", "1.000", "0.500", "1", "2"] in lines
    assert "score above 0.3" in result.stdout
    assert ["Categories", "(2)"] in lines
    assert "1 names of the truth were not looked for (dog)" in result.stderr
    assert "1 detections with names that the truth does not have are left out (tree)" in result.stderr
    assert "--record-threshold 0.01" in result.stderr


def test_json_to_a_file_and_to_standard_output(ovdet, run, truth, tmp_path):
    assert ovdet("eval", run, "--truth", truth, "--json", tmp_path / "out.json", "-q").stderr == ""
    numbers = orjson.loads((tmp_path / "out.json").read_bytes())
    assert numbers["overall"]["ap"] == 0.5
    assert numbers["categories"]["cat"]["ap"] == 1
    assert numbers["at_threshold"]["all"]["threshold"] == 0.5
    assert sum(row["count"] for row in numbers["reliability"]) == 1
    alone = ovdet("eval", run, "--truth", truth, "--json", "-")
    assert orjson.loads(alone.stdout) == numbers
    assert ovdet("eval", run, "--truth", truth, "--json", tmp_path / "no" / "x").exit_code == 1


def test_masks_of_a_coco_file(ovdet, tmp_path):
    truth = write_truth(tmp_path, [thing(BOX, segmentation=ellipse(BOX))], num_images=1)
    (tmp_path / "results.json").write_text(json.dumps([thing(BOX, score=0.9, segmentation=ellipse(BOX))]))
    result = ovdet("eval", tmp_path / "results.json", "--truth", truth, "--masks", "--threshold", 0.8, "--top", 0)
    assert result.exit_code == 0, result.output
    assert "Masks: 1 results on 1 pictures" in result.stdout
    assert "above 0.8" in result.stdout
    assert "Categories" not in result.stdout


def test_what_is_missing_is_said(ovdet, run, tmp_path):
    truth = write_truth(tmp_path, [thing(BOX, 3)], num_images=3)
    result = ovdet("eval", run, "--truth", truth)
    assert "1 of 3 pictures of the truth are not in the results: counted empty (p12.jpg)" in result.stderr


def test_errors(ovdet, run, truth, tmp_path):
    (tmp_path / "novel.txt").write_text("wombat\n")
    wrong_name = ovdet("eval", run, "--truth", truth, "--novel", tmp_path / "novel.txt")
    assert wrong_name.exit_code == 2
    assert "wombat: no category of" in wrong_name.stderr
    assert ovdet("eval", run).exit_code == 2
    for arguments in (
        (run, "--truth", tmp_path / "none.json"),
        (tmp_path / "none", "--truth", truth),
        (run, "--truth", truth, "--masks"),
    ):
        result = ovdet("eval", *arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ")


def test_importing_the_command_loads_no_heavy_package():
    code = "import sys, ovdet_cli.cli.eval; print([m for m in ('pandas', 'torch', 'numpy') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
