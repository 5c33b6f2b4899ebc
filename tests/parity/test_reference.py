"""Every golden of Detic's CenterNet2 family in ../shared/reference, through the public command (run by .ci/run)."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ovdet_cli.models.zoo import MODELS
from tests.parity.comparison import read_expected
from tests.parity.reference import assert_command_equals, run_command, stand_in_weights

REFERENCE = Path(os.environ.get("OVDET_REFERENCE", Path(__file__).parents[3] / "shared" / "reference"))
EMBEDDINGS = {"lvis": "lvis_v1_clip_a+cname.npy", "coco": "coco_clip_a+cname.npy"}
CASES = [
    (model, f"{size}.{vocabulary}")
    for model in ("r18", "r50", "swin_b", "convnext_t")
    for size in ("s224", "s800")
    for vocabulary in EMBEDDINGS
]

pytestmark = pytest.mark.reference


@cache
def _golden(model: str) -> np.lib.npyio.NpzFile:
    return np.load(REFERENCE / "detic" / f"{model}.golden.npz")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Stand-in weights of a model, filled once."""
    folder = tmp_path_factory.mktemp("weights")

    @cache
    def fill(model: str) -> Path:
        return stand_in_weights(REFERENCE / "detic" / f"{model}.manifest.json", folder / f"{model}.safetensors")

    return fill


@pytest.mark.parametrize(("model", "case"), CASES)
def test_command_equals_official_code(model: str, case: str, weights: Callable[[str], Path], tmp_path: Path) -> None:
    golden = _golden(model)
    meta = json.loads(str(golden["meta"]))
    vocabulary = case.split(".")[1]
    words = ["--vocab", vocabulary, "--embeddings", str(REFERENCE / "clip" / EMBEDDINGS[vocabulary])]
    settings = {"one_class_per_proposal": True, **meta["variants"][case]}
    assert_command_equals(tmp_path, weights(model), words, meta["picture"], settings, read_expected(golden, case))


@pytest.mark.parametrize("case", ["s224.coco", "s224.lvis", "s800.coco"])
def test_the_open_vocabulary_coco_model_equals_official_code(
    case: str, weights: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = _golden("ovcoco_r50_c4")
    meta = json.loads(str(golden["meta"]))
    settings = {"one_class_per_proposal": False, **meta["variants"][case]}
    assert set(meta["variants"]) == {"s224.coco", "s224.lvis", "s800.coco"}
    spec = MODELS["detic-ovcoco-r50"]
    config = replace(spec.config, post_nms_top=settings["rpn_post_nms_topk_test"])
    monkeypatch.setitem(MODELS, spec.name, replace(spec, config=config))
    vocabulary = case.split(".")[1]
    words = ["--vocab", vocabulary, "--embeddings", str(REFERENCE / "clip" / EMBEDDINGS[vocabulary])]
    expected = read_expected(golden, case)
    assert expected.masks is None
    assert_command_equals(tmp_path, weights("ovcoco_r50_c4"), words, meta["picture"], settings, expected)


@pytest.mark.parametrize(("size", "box_px", "score"), [("s224", 0.1, 5e-4), ("s800", 0.5, 5e-3)])
def test_deformable_detr_equals_official_code(
    size: str, box_px: float, score: float, weights: Callable[[str], Path], tmp_path: Path
) -> None:
    """The first hundred: the stand-in decoder doubles rounding in every layer (see the file's README)."""
    golden = _golden("deform_detr_r50")
    meta = json.loads(str(golden["meta"]))
    case = {"score_thresh": 0, "max_size_test": 1333, "min_size_test": int(size[1:]), "one_class_per_proposal": False}
    found = run_command(tmp_path, weights("deform_detr_r50"), [], meta["picture"], case)
    height, width = meta["picture"]["height"], meta["picture"]["width"]
    boxes = np.clip(golden[f"{size}.boxes"], 0, [width, height, width, height])
    # A box of no width or height is no record.
    kept = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)
    boxes, scores, classes = boxes[kept], golden[f"{size}.scores"][kept], golden[f"{size}.classes"][kept]
    assert len(found.scores) == len(scores)
    for i in range(100):
        distance = np.abs(found.boxes_xyxy - boxes[i]).max(axis=1) + 1e6 * (found.class_ids != classes[i])
        row = int(distance.argmin())
        assert distance[row] <= box_px, f"detection {i} has no partner within {box_px} px"
        assert abs(found.scores[row] - scores[i]) <= score


@pytest.mark.parametrize("model", ["r18", "r50", "swin_b", "convnext_t"])
def test_every_case_of_the_file_is_compared(model: str) -> None:
    assert {case for name, case in CASES if name == model} == set(json.loads(str(_golden(model)["meta"]))["variants"])
