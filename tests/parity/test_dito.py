"""Every inference golden of DITO and F-VLM in ../shared/reference, by stages and through the public command."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ovdet_cli.detector.preprocess import CanvasPreprocessor
from ovdet_cli.models.architectures import architecture_of
from ovdet_cli.models.checkpoint import load_weights, read_checkpoint
from ovdet_cli.models.dito.config import DitoConfig
from ovdet_cli.models.dito.model import Dito
from ovdet_cli.models.fvlm.model import Fvlm
from ovdet_cli.models.interface import TextRows
from ovdet_cli.models.spec import Canvas, ModelSpec
from ovdet_cli.models.zoo import MODELS
from tests.parity.reference import stand_in_weights
from tests.parity.test_vild import near, picture, run, turned

REFERENCE = Path(os.environ.get("OVDET_REFERENCE", Path(__file__).parents[3] / "shared" / "reference"))
TOY = DitoConfig("toy", 64, 4, 4, (1, 3), shift=2)
CLASSES, EMPTY, ROWS = slice(1, 25), 25, 40


@dataclass(frozen=True)
class Limits:
    """Five times what an independent rendering differed by (see the file's README)."""

    backbone: float
    fpn: float
    embeddings: float


LIMITS = {
    "vit_toy16": Limits(2e-5, 6e-5, 4e-4),
    "vit_s16": Limits(4e-5, 8e-5, 8e-4),
    "vit_l16": Limits(5e-5, 7e-5, 7e-4),
    "fvlm_r50": Limits(4.5e-4, 3.5e-4, 1.7e-3),
}
MODELS_OF = {"vit_toy16": "dito-vit-s", "vit_s16": "dito-vit-s", "vit_l16": "dito-vit-l", "fvlm_r50": "fvlm-r50"}
CASES = ["vit_toy16", "vit_s16", "fvlm_r50", pytest.param("vit_l16", marks=pytest.mark.slow)]

pytestmark = pytest.mark.reference


def spec_of(name: str) -> ModelSpec:
    spec = MODELS[MODELS_OF[name]]
    assert isinstance(spec.preprocess, Canvas)
    return replace(spec, config=TOY, preprocess=replace(spec.preprocess, side=256)) if "toy" in name else spec


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("dito")

    @cache
    def fill(name: str) -> Path:
        return stand_in_weights(REFERENCE / "dito" / f"{name}.manifest.json", folder / f"{name}.safetensors")

    return fill


@cache
def golden(name: str) -> np.lib.npyio.NpzFile:
    return np.load(REFERENCE / "dito" / f"{name}.npz")


def sampled(level: torch.Tensor, most_channels: int, places: int = 16) -> torch.Tensor:
    maps = level[0].permute(1, 2, 0)
    step = max(1, -(-maps.shape[0] // places))
    return maps[::step, ::step, :: -(-maps.shape[2] // most_channels)]


def unit(rows: np.ndarray) -> np.ndarray:
    normed: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return normed


@pytest.mark.parametrize("name", CASES)
@torch.inference_mode()
def test_every_stage_equals_the_official_one(name: str, weights: Callable[[str], Path]) -> None:
    spec, expected, limits = spec_of(name), golden(name), LIMITS[name]
    model = architecture_of(spec).build(spec.config)
    assert isinstance(model, Dito | Fvlm)
    assert isinstance(spec.preprocess, Canvas)
    load_weights(model, read_checkpoint(weights(name)), architecture_of(spec).key_map(spec.config), name)

    preprocessor = CanvasPreprocessor(spec.preprocess)
    prepared = preprocessor.prepare(picture())
    pixels = preprocessor.stack([prepared], torch.device("cpu"))
    step = spec.preprocess.side // 64
    assert list(prepared.size_hw) == expected["scaled_size"].tolist()
    different = np.abs(pixels[0].permute(1, 2, 0)[::step, ::step].numpy() - expected["image_bf16"]) > 0
    assert different.mean() < 1e-3, "at most a few round to the other bfloat16 value"

    if isinstance(model, Dito):
        near(sampled(model.backbone(pixels), 128), expected["backbone_l4"], limits.backbone)
        near(sampled(model.frozen(pixels), 128), expected["frozen_l4"], limits.backbone)
    else:
        for number, level in enumerate(model.backbone(pixels), start=2):
            near(sampled(level, 32), expected[f"backbone_l{number}"], limits.backbone)
    pyramid = model.extract(pixels)
    levels = [key for key in expected.files if key.startswith("fpn_l")]
    for number, level in enumerate(pyramid[: len(levels)], start=2):
        near(sampled(level, 32), expected[f"fpn_l{number}"], limits.fpn)

    ((boxes, scores),) = model.find_proposals(pyramid)
    distance = np.abs(turned(boxes.numpy())[:, None] - expected["rois"][None]).max(axis=2)
    assert distance.min(axis=0).max() <= 0.05
    near(scores.numpy()[distance.argmin(axis=0)], expected["roi_scores"], 2e-5)

    rois, objectness = torch.from_numpy(turned(expected["rois"])), torch.from_numpy(expected["roi_scores"])
    regions = model.refine(pyramid, rois, objectness)
    near(regions.features_RSD[:150, 0], unit(expected["box_features"]), limits.embeddings)
    near(regions.features_RSD[:150, 1], unit(expected["vlm_features"]), limits.embeddings)
    texts = torch.from_numpy(expected["text"])
    rows = TextRows(texts[0], texts[EMPTY], ROWS)
    near(model.classify(regions, texts[CLASSES], None, rows), expected["final_scores"][:, 1:], 1e-3)
    (masks,) = model.predict_masks(pyramid, [torch.from_numpy(turned(expected["detection_boxes"]))])
    near(masks, expected["detection_masks"], 1e-3)


@pytest.mark.parametrize("base", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_command_equals_the_official_code(
    name: str, base: bool, weights: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, spec = golden(name), spec_of(name)
    monkeypatch.setitem(MODELS, spec.name, spec)
    texts = expected["text"]
    np.save(tmp_path / "texts.npy", texts[CLASSES])
    np.save(tmp_path / "background.npy", texts[[0, EMPTY]])
    names = [f"thing {i}" for i in range(24)]
    (tmp_path / "words.txt").write_text("".join(f"{n}\n" for n in names))
    options = ["--model", spec.name, "--vocab", str(tmp_path / "words.txt"), "--text-rows", str(ROWS)]
    options += ["--embeddings", str(tmp_path / "texts.npy"), "--background", str(tmp_path / "background.npy")]
    if base:
        is_base = expected["base_indicator"][CLASSES]
        (tmp_path / "novel.txt").write_text("".join(f"{n}\n" for n, b in zip(names, is_base, strict=True) if not b))
        options += ["--novel", str(tmp_path / "novel.txt")]
    found = run(tmp_path, weights(name), *options)

    prefix = "base/" if base else ""
    height, width = picture().shape[:2]
    scale = expected["image_info"][2]
    boxes = expected[f"{prefix}detection_boxes"] / np.tile(scale, 2)
    boxes = np.clip(turned(boxes), 0, [width, height, width, height])
    classes, scores = expected[f"{prefix}detection_classes"].astype(int) - 1, expected[f"{prefix}detection_scores"]
    counted = (scores > 0) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (classes < len(names))
    assert counted.sum() > 20
    for i in np.flatnonzero(counted):
        away = np.abs(found.boxes_xyxy - boxes[i]).max(axis=1) + 1e6 * (found.class_ids != classes[i])
        row = int(away.argmin())
        assert away[row] <= 0.05, f"detection {i} has no partner"
        assert abs(found.scores[row] - scores[i]) <= 1e-3


def test_texts_of_any_length_score_alike() -> None:
    """Both sides of the cosine are brought to unit length."""
    torch.manual_seed(0)
    texts = torch.randn(3, 8)
    rows = TextRows(torch.randn(8), torch.randn(8), 6)
    from ovdet_cli.models.ops.vlm_scores import row_logits

    features = F.normalize(torch.randn(4, 8), dim=1)
    longer = TextRows(2 * rows.background_D, 3 * rows.empty_D, 6)
    torch.testing.assert_close(row_logits(features, texts, rows, 0.01), row_logits(features, 5 * texts, longer, 0.01))
    assert row_logits(features, texts, rows, 0.01).shape == (4, 6)
