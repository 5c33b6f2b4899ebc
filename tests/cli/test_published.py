"""From a release as the authors packed it to the same detections: written by TensorFlow and Flax, pulled, converted."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ovdet_cli.media.images import write_image
from ovdet_cli.models import zoo
from ovdet_cli.results.jsonl import read_records
from tests.models.coarse import NAMES, coarse_tensors, tiny_spec
from tests.models.published import publishing

PUBLISHED = Path(__file__).parents[1] / "data" / "published"


@pytest.mark.parametrize("name", NAMES)
def test_a_pulled_release_detects_as_its_tensors_do(name, ovdet, tmp_path, monkeypatch):
    spec = tiny_spec(name)
    monkeypatch.setitem(zoo.MODELS, name, spec)
    monkeypatch.setattr("ovdet_cli.models.store.assets_of", lambda _: (spec.weights,))
    monkeypatch.setenv("OVDET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with publishing() as publisher:
        publisher.files[f"/{spec.weights.file_name}"] = (PUBLISHED / spec.weights.file_name).read_bytes()
        monkeypatch.setenv("OVDET_MIRROR", publisher.url)
        result = ovdet("models", "pull", name)
    assert result.exit_code == 0, result.output
    path = ovdet("models", "path", name).stdout.strip()
    converted, tensors = load_file(path), coarse_tensors(name)
    assert set(converted) == set(tensors)
    for key, tensor in converted.items():
        np.testing.assert_array_equal(tensor.numpy(), tensors[key], err_msg=key)

    rng = np.random.default_rng(0)
    write_image(tmp_path / "a.png", rng.integers(0, 255, (90, 60, 3), dtype=np.uint8))
    np.save(tmp_path / "e.npy", rng.standard_normal((3, spec.config.embedding), dtype=np.float32))
    np.save(tmp_path / "b.npy", rng.standard_normal((2, spec.config.embedding), dtype=np.float32))
    save_file({key: torch.from_numpy(value) for key, value in tensors.items()}, tmp_path / "w.safetensors")
    options = ["--classes", "cat,dog,hot dog", "--embeddings", tmp_path / "e.npy", "--model", name, "--device", "cpu"]
    options += ["--background", tmp_path / "b.npy"] if spec.text_rows else []
    found = []
    for folder, weights in (("pulled", []), ("direct", ["--weights", tmp_path / "w.safetensors"])):
        run = tmp_path / folder
        result = ovdet("detect", tmp_path / "a.png", *options, *weights, "--render", "none", "-o", run)
        assert result.exit_code == 0, result.output
        (record,) = read_records(run / "detections.jsonl")
        found.append(record.detections)
    pulled, direct = found
    assert len(pulled) > 3
    np.testing.assert_array_equal(pulled.boxes_xyxy, direct.boxes_xyxy)
    np.testing.assert_array_equal(pulled.scores, direct.scores)
    info = json.loads((tmp_path / "pulled" / "run.json").read_text())
    assert info["model"]["name"] == name
