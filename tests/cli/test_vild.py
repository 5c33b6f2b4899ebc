"""A ViLD through the public command: canvas, novel names, the notebook's rules, a TensorFlow checkpoint's layout."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.torch import save_file

from ovdet_cli.media.images import write_image
from ovdet_cli.models import zoo
from ovdet_cli.results.jsonl import read_records
from tests.models.vild.tiny import TINY, as_published, build_tiny

NAME = "vild-ensemble-r50"


@pytest.fixture
def call(ovdet, tmp_path, monkeypatch):
    spec = zoo.MODELS[NAME]
    canvas = dataclasses.replace(spec.preprocess, side=128)
    monkeypatch.setitem(zoo.MODELS, NAME, dataclasses.replace(spec, config=TINY, preprocess=canvas))
    save_file(as_published(build_tiny()), tmp_path / "w.safetensors")
    rng = np.random.default_rng(0)
    write_image(tmp_path / "a.png", rng.integers(0, 255, (90, 60, 3), dtype=np.uint8))
    np.save(tmp_path / "e.npy", rng.standard_normal((3, TINY.embedding), dtype=np.float32))
    base = ("detect", tmp_path / "a.png", "--weights", tmp_path / "w.safetensors", "--device", "cpu", "--overwrite")
    words = ("--classes", "cat,dog,hot dog", "--embeddings", tmp_path / "e.npy")

    def run(*options, own_words=True):
        chosen = words if own_words else ()
        return ovdet(*base, *chosen, "--model", NAME, "--render", "none", "-o", tmp_path / "run", *options)

    return run


@pytest.fixture
def found(tmp_path):
    def read():
        (record,) = read_records(tmp_path / "run" / "detections.jsonl")
        return record.detections

    return read


def test_boxes_and_masks_lie_in_the_picture(call, found, tmp_path):
    result = call()
    assert result.exit_code == 0, result.output
    detections = found()
    assert len(detections) > 3
    assert ((detections.boxes_xyxy >= 0) & (detections.boxes_xyxy <= [60, 90, 60, 90])).all()
    assert all(mask.bitmap().shape == (90, 60) for mask in detections.masks)
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["vocabulary"]["novel"] == []
    assert info["settings"]["post"] == "official"


def test_novel_names_change_scores_and_are_recorded(call, found, tmp_path):
    assert call().exit_code == 0
    before = found().scores
    (tmp_path / "novel.txt").write_text("dog\n")
    assert call("--novel", tmp_path / "novel.txt").exit_code == 0
    assert not np.array_equal(before, found().scores)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["vocabulary"]["novel"] == ["dog"]
    (tmp_path / "novel.txt").write_text("wolf\n")
    result = call("--novel", tmp_path / "novel.txt")
    assert result.exit_code != 0
    assert "not in the vocabulary: wolf" in result.stderr


def test_the_canvas_is_set_by_imgsz_alone(call):
    assert call("--imgsz", 192).exit_code == 0
    odd = call("--imgsz", 100)
    assert odd.exit_code != 0
    assert "multiple of 64" in odd.stderr
    limited = call("--max-size", 800)
    assert limited.exit_code != 0
    assert "--max-size does not apply" in limited.stderr


def test_the_notebooks_rules(call, found, tmp_path):
    result = call("--post", "vild-demo")
    assert result.exit_code == 0, result.output
    assert len(found()) <= 25
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["post"] == "vild-demo"
    unknown = call("--post", "detr")
    assert unknown.exit_code != 0
    assert "it knows official, vild-demo" in unknown.stderr


def test_the_checkpoints_own_classes(call, found):
    result = call("--vocab", "model", own_words=False)
    assert result.exit_code == 0, result.output
    assert len(found()) > 3


def test_a_model_that_scores_all_alike_refuses_novel_names(ovdet, tmp_path):
    (tmp_path / "novel.txt").write_text("cat\n")
    write_image(tmp_path / "a.png", np.zeros((40, 40, 3), np.uint8))
    options = ("--classes", "cat", "--novel", tmp_path / "novel.txt", "-o", tmp_path / "run")
    result = ovdet("detect", tmp_path / "a.png", *options)
    assert result.exit_code != 0
    assert "leave out --novel" in result.stderr
