"""DITO and F-VLM through the public command: tables of texts, words that have embeddings, novel names."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.torch import save_file

from ovdet_cli.media.images import write_image
from ovdet_cli.models import zoo
from ovdet_cli.models.architectures import architecture_of
from ovdet_cli.models.checkpoint import foreign_names, translate
from ovdet_cli.results.jsonl import read_records
from tests.models.dito import tiny as dito
from tests.models.fvlm import tiny as fvlm

TINY = {"dito-vit-l": dito, "fvlm-r50": fvlm}
_TO_FILE = {
    "dense": lambda t, _: t.T,
    "conv": lambda t, _: t.permute(2, 3, 1, 0),
    "flipped deconv": lambda t, _: t.permute(2, 3, 0, 1).flip(0, 1),
    "dense of map": lambda t, _: t.unflatten(1, (-1, 7, 7)).permute(2, 3, 1, 0).reshape(-1, t.shape[0]),
    "heads out": lambda t, heads: t.T.unflatten(1, (heads, -1)),
    "heads in": lambda t, heads: t.T.unflatten(0, (heads, -1)),
    "flat": lambda t, heads: t.unflatten(0, (heads, -1)),
}


def as_published(spec, model, heads):
    """The model's tensors under Flax's paths and in its layouts."""
    key_map = architecture_of(spec).key_map(model.config)
    names = foreign_names(model, key_map)
    ours, unknown = translate(names, key_map)
    assert unknown == []
    assert len(names) == len(ours)
    import re

    tensors, state = {}, model.state_dict()
    for own, foreign in ours.items():
        row = next(row for row in key_map if re.fullmatch(row[0], foreign))
        tensors[foreign] = (_TO_FILE[row[2]](state[own], heads) if len(row) > 2 else state[own]).contiguous()
    return tensors


@pytest.fixture(params=TINY)
def name(request):
    return request.param


@pytest.fixture
def call(ovdet, tmp_path, monkeypatch, name):
    spec, tiny = zoo.MODELS[name], TINY[name]
    canvas = dataclasses.replace(spec.preprocess, side=128)
    spec = dataclasses.replace(spec, config=tiny.TINY, preprocess=canvas)
    monkeypatch.setitem(zoo.MODELS, name, spec)
    model = tiny.build_tiny()
    save_file(as_published(spec, model, 2), tmp_path / "w.safetensors")
    rng = np.random.default_rng(0)
    write_image(tmp_path / "a.png", rng.integers(0, 255, (90, 60, 3), dtype=np.uint8))
    np.save(tmp_path / "e.npy", rng.standard_normal((3, tiny.TINY.embedding), dtype=np.float32))
    np.save(tmp_path / "b.npy", rng.standard_normal((2, tiny.TINY.embedding), dtype=np.float32))
    base = ("detect", tmp_path / "a.png", "--weights", tmp_path / "w.safetensors", "--device", "cpu", "--overwrite")
    words = ("--classes", "cat,dog,hot dog", "--embeddings", tmp_path / "e.npy", "--background", tmp_path / "b.npy")

    def run(*options, own_words=True):
        chosen = words if own_words else ()
        return ovdet(*base, *chosen, "--model", name, "--render", "none", "-o", tmp_path / "run", *options)

    return run


def found(folder):
    (record,) = read_records(folder / "run" / "detections.jsonl")
    return record.detections


def test_rows_of_padding_are_never_recorded(call, tmp_path):
    result = call("--text-rows", 12)
    assert result.exit_code == 0, result.output
    detections = found(tmp_path)
    assert len(detections) > 0
    assert set(detections.class_ids.tolist()) <= {0, 1, 2}
    assert ((detections.boxes_xyxy >= 0) & (detections.boxes_xyxy <= [60, 90, 60, 90])).all()
    assert all(mask.bitmap().shape == (90, 60) for mask in detections.masks)
    assert call("--text-rows", 1000).exit_code == 0
    assert not np.array_equal(found(tmp_path).scores, detections.scores), "padding takes its part of the softmax"


def test_all_names_are_novel_unless_it_is_said(call, tmp_path):
    assert call().exit_code == 0
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["vocabulary"]["novel"] == ["cat", "dog", "hot dog"]
    before = found(tmp_path).scores
    (tmp_path / "novel.txt").write_text("dog\n")
    assert call("--novel", tmp_path / "novel.txt").exit_code == 0
    assert not np.array_equal(before, found(tmp_path).scores)


def test_a_background_of_another_form_is_refused(call, tmp_path):
    np.save(tmp_path / "b.npy", np.zeros((3, 16), np.float32))
    result = call()
    assert result.exit_code != 0
    assert "2 x" in result.stderr


def test_ditos_words_need_embeddings(call, name):
    result = call("--classes", "cat", own_words=False)
    assert result.exit_code != 0
    if name.startswith("dito"):
        assert "its text tower was never published: --vocab lvis or coco, or --embeddings FILE" in result.stderr
    else:
        assert "clip-rn50" in result.stderr, "the text tower would do it, and is not on this machine"


def test_other_models_have_no_table_of_texts(ovdet, tmp_path):
    write_image(tmp_path / "a.png", np.zeros((40, 40, 3), np.uint8))
    result = ovdet("detect", tmp_path / "a.png", "--classes", "cat", "--text-rows", 10, "-o", tmp_path / "run")
    assert result.exit_code != 0
    assert "leave out --background and --text-rows" in result.stderr


def test_a_model_without_public_weights_says_so(ovdet):
    assert "no public weights" in ovdet("models", "list").stdout
    pulled = ovdet("models", "pull", "dito-vit-s")
    assert pulled.exit_code != 0
    assert "ever published" in pulled.stderr
