"""Every golden of ViLD in ../shared/reference: stage by stage, and through the public command (run by .ci/run)."""

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ovdet_cli.cli.main import app
from ovdet_cli.detections import Detections
from ovdet_cli.detector.preprocess import CanvasPreprocessor, Prepared
from ovdet_cli.media.images import write_image
from ovdet_cli.models.architectures import architecture_of
from ovdet_cli.models.checkpoint import load_weights, read_checkpoint
from ovdet_cli.models.interface import Regions
from ovdet_cli.models.spec import Canvas
from ovdet_cli.models.vild.demo import keep_regions
from ovdet_cli.models.vild.model import Vild
from ovdet_cli.models.zoo import MODELS
from ovdet_cli.results.jsonl import read_records
from tests.parity.reference import load_script, stand_in_weights

REFERENCE = Path(os.environ.get("OVDET_REFERENCE", Path(__file__).parents[3] / "shared" / "reference"))
MODELS_OF = {
    "r50_vild": "vild-r50",
    "r50_vild_ensemble": "vild-ensemble-r50",
    "r152_vild": "vild-r152",
    "r152_vild_ensemble": "vild-ensemble-r152",
}
SEEDED = ("r50_vild_seeded", "r50_vild_ensemble_seeded")
IN_PICTURE = 768
"""Rows of the scaled picture: below them all anchors see the same zeros, and rounding decides which are kept."""

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("vild")

    @cache
    def fill(name: str) -> Path:
        return stand_in_weights(REFERENCE / "vild" / f"{name}.manifest.json", folder / f"{name}.safetensors")

    return fill


@cache
def golden(name: str) -> np.lib.npyio.NpzFile:
    return np.load(REFERENCE / "vild" / f"{name}.npz")


def picture() -> np.ndarray:
    drawn: np.ndarray = load_script("picture").picture(480, 640, 3)
    return drawn


def turned(boxes: np.ndarray) -> np.ndarray:
    """y before x -> x before y, or the other way round."""
    return np.ascontiguousarray(boxes[:, [1, 0, 3, 2]])


def near(found: torch.Tensor | np.ndarray, expected: np.ndarray, limit: float) -> None:
    assert found.shape == expected.shape
    assert float(np.abs(np.asarray(found) - expected.astype(np.float32)).max()) <= limit


def lvis_texts() -> torch.Tensor:
    return published_texts("lvis_v1_clip_a+cname.npy")


def published_texts(file: str) -> torch.Tensor:
    rows = np.load(REFERENCE / "clip" / file).astype(np.float64)
    return torch.from_numpy((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


def seeded_texts(name: str) -> np.ndarray:
    key = json.loads(str(golden(name)["meta"]))["embedding_seed"]
    draws = np.random.Generator(np.random.Philox(key=key)).standard_normal((40, 512), dtype=np.float32)
    rows: np.ndarray = draws / np.linalg.norm(draws, axis=1, keepdims=True)
    near(rows[:, :4], golden(name)["embeddings_corner"], 1e-7)
    return rows


@pytest.mark.parametrize("name", MODELS_OF)
@torch.inference_mode()
def test_every_stage_equals_the_official_one(name: str, weights: Callable[[str], Path]) -> None:
    spec, expected = MODELS[MODELS_OF[name]], golden(name)
    model = architecture_of(spec).build(spec.config)
    assert isinstance(model, Vild)
    assert isinstance(spec.preprocess, Canvas)
    load_weights(model, read_checkpoint(weights(name)), architecture_of(spec).key_map(spec.config), name)

    preprocessor = CanvasPreprocessor(spec.preprocess)
    prepared = preprocessor.prepare(picture())
    pixels = preprocessor.stack([prepared], torch.device("cpu"))
    assert prepared.size_hw == (IN_PICTURE, 1024)
    near(pixels[0].permute(1, 2, 0)[::32, ::32], expected["input_grid"], 2e-6)
    near(pixels[0].permute(1, 2, 0)[300], expected["input_row300"], 2e-6)

    for number, level in enumerate(model.backbone(pixels), start=2):
        near(sampled(level), expected[f"c{number}"], 1e-4)
    pyramid = model.extract(pixels)
    for number, level in enumerate(pyramid, start=2):
        near(sampled(level), expected[f"p{number}"], 1e-4)
    for number, (level, (logits, codes)) in enumerate(zip(pyramid, model.proposal_head(pyramid), strict=True), start=2):
        side = level.shape[2]
        step = max(1, side // 16)
        near(logits.view(side, side, 3)[::step, ::step], expected[f"rpn_score_{number}"], 1e-4)
        near(codes.view(side, side, 12)[::step, ::step], expected[f"rpn_box_{number}"], 1e-5)

    ((boxes, scores),) = model.find_proposals(pyramid)
    partner, counted = pair(turned(boxes.numpy()), expected["rois"], 0.02)
    near(scores.numpy()[partner][counted], expected["roi_scores"][counted], 2e-5)

    rois, objectness = torch.from_numpy(turned(expected["rois"])), torch.from_numpy(expected["roi_scores"])
    regions = model.refine(pyramid, rois, objectness)
    near(turned(regions.boxes_R4.numpy()), expected["decoded_boxes"], 0.02)
    near(regions.features_RSD[expected["embed_pick"], 0], expected["text_embed"], 2e-5)
    is_novel = None
    if model.image_tower is not None:
        near(regions.features_RSD[expected["embed_pick"], 1], expected["image_embed"], 2e-5)
        from ovdet_cli.vocabulary.vocabulary import Vocabulary, lvis_rare

        is_novel = torch.tensor([name in lvis_rare() for name in Vocabulary.built_in("lvis").names])
        assert int(is_novel.sum()) == 337
    scores_RC = model.classify(regions, lvis_texts(), is_novel)
    near(scores_RC[expected["logit_pick"]], expected["class_scores"], 1e-4)

    found = torch.from_numpy(turned(expected["detection_boxes_net"]))
    (masks,) = model.predict_masks(pyramid, [found])
    near(masks, expected["detection_masks"], 1e-3)

    for case in (name, f"{name}_seeded"):
        if case in (*SEEDED, *MODELS_OF):
            rois, objectness = turned(golden(case)["rois"]), golden(case)["roi_scores"]
            refined = model.refine(pyramid, torch.from_numpy(rois), torch.from_numpy(objectness))
            compare_demo(case, refined, prepared)


def compare_demo(case: str, regions: Regions, picture: Prepared) -> None:
    """The demo notebook's filter and names, by the copy that the goldens were made with."""
    expected = golden(case)
    in_picture = picture.to_original(regions.boxes_R4, clip=False)
    for key, least in (("demo_keep_50", 0.5), ("demo_keep_90", 0.9)):
        if key in expected:
            kept = keep_regions(regions, in_picture, least_objectness=least)
            assert kept.tolist() == expected[key].tolist()
    prefix = "demo_" if case in SEEDED else "demo_coco_"
    texts = torch.from_numpy(seeded_texts(case)) if case in SEEDED else published_texts("coco_clip_a+cname.npy")
    features = regions.features_RSD[expected["demo_keep_50"], 0]
    cosines, classes = (features @ texts.T).max(dim=1)
    near(cosines, expected[f"{prefix}cos"], 1e-4)
    of_expected = (features @ texts.T)[torch.arange(len(features)), expected[f"{prefix}best"]]
    assert ((classes.numpy() == expected[f"{prefix}best"]) | (cosines - of_expected < 1e-6).numpy()).all()


def sampled(level: torch.Tensor) -> torch.Tensor:
    """What the goldens keep of a map: 8 x 8 places, 64 channels."""
    maps = level[0].permute(1, 2, 0)
    step, channels = maps.shape[0] // 8, maps.shape[2] // 64
    return maps[:: max(step, 1), :: max(step, 1), ::channels][:8, :8]


def pair(found: np.ndarray, expected: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Each expected box's nearest row, and which of them count; those have their partner within the limit."""
    distance = np.abs(found[:, None] - expected[None]).max(axis=2)
    counted = expected[:, 0] < IN_PICTURE
    assert distance.min(axis=0)[counted].max() <= limit
    return distance.argmin(axis=0), counted


def run(folder: Path, weights: Path, *options: str) -> Detections:
    write_image(folder / "picture.png", picture())
    command = ["detect", str(folder / "picture.png"), "--weights", str(weights), *options]
    rest = ["--device", "cpu", "--precision", "fp32", "--render", "none", "-q", "-o", str(folder / "run")]
    result = CliRunner().invoke(app, [*command, *rest])
    assert result.exit_code == 0, result.output
    (record,) = read_records(folder / "run" / "detections.jsonl")
    return record.detections


@pytest.mark.parametrize("name", [*SEEDED, *MODELS_OF])
def test_the_command_equals_the_official_code(name: str, weights: Callable[[str], Path], tmp_path: Path) -> None:
    expected = golden(name)
    if name.endswith("_seeded"):
        np.save(tmp_path / "texts.npy", seeded_texts(name))
        (tmp_path / "words.txt").write_text("".join(f"thing {i}\n" for i in range(40)))
        options = ["--vocab", str(tmp_path / "words.txt")]
        if "ensemble" in name:
            novel = np.flatnonzero(expected["novel"])
            (tmp_path / "novel.txt").write_text("".join(f"thing {i}\n" for i in novel))
            options += ["--novel", str(tmp_path / "novel.txt")]
    else:
        np.save(tmp_path / "texts.npy", lvis_texts().numpy())
        options = ["--vocab", "lvis"]
    found = run(tmp_path, weights(name.removesuffix("_seeded")), *options, "--embeddings", str(tmp_path / "texts.npy"))

    height, width = picture().shape[:2]
    boxes = np.clip(turned(expected["detection_boxes"]), 0, [width, height, width, height])
    classes, scores = expected["detection_classes"] - 1, expected["detection_scores"]
    counted = (expected["detection_boxes_net"][:, 0] < IN_PICTURE) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    counted &= scores > scores.min() * (1 + 2e-5)  # at the cut, presence is a coin toss
    assert counted.sum() > 250
    assert found.masks is not None
    for i in np.flatnonzero(counted):
        distance = np.abs(found.boxes_xyxy - boxes[i]).max(axis=1) + 1e6 * (found.class_ids != classes[i])
        row = int(distance.argmin())
        assert distance[row] <= 0.05, f"detection {i} has no partner"
        assert abs(found.scores[row] - scores[i]) <= 2e-4
        area = int(expected["mask_area"][i])
        assert abs(int(found.masks[row].bitmap().sum()) - area) <= max(3, 0.003 * area)
