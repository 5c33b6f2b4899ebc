"""Every golden of Detic's CenterNet2 family in ../shared/reference, through the public command (run by .ci/run)."""

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.parity.comparison import read_expected
from tests.parity.reference import assert_command_equals, stand_in_weights

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


@pytest.mark.parametrize("model", ["r18", "r50", "swin_b", "convnext_t"])
def test_every_case_of_the_file_is_compared(model: str) -> None:
    assert {case for name, case in CASES if name == model} == set(json.loads(str(_golden(model)["meta"]))["variants"])
