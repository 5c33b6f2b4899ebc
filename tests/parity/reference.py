"""Stand-in weights, pictures and the public command, for comparisons with the official code."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from typer.testing import CliRunner

from ovdet_cli.cli.main import app
from ovdet_cli.detections import Detections
from ovdet_cli.media.images import write_image
from ovdet_cli.results.jsonl import read_records
from tests.parity.comparison import Expected, assert_equal_detections

PACKAGED = Path(__file__).parents[1] / "data" / "reference"


def load_script(name: str) -> ModuleType:
    """fill.py or picture.py, which stand in no package."""
    spec = importlib.util.spec_from_file_location(f"reference_{name}", PACKAGED / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stand_in_weights(manifest: Path, target: Path) -> Path:
    """Fills a manifest into a safetensors file; the checksum proves that this numpy draws the same numbers."""
    fill = load_script("fill")
    arrays = fill.state_dict(manifest)
    assert fill.checksum(arrays) == json.loads(manifest.read_text())["checksum"]
    save_file(arrays, target)
    return target


def seeded_embeddings(count: int = 40, width: int = 512, key: int = 2155) -> np.ndarray:
    """The unit vectors that the seeded reference was made with."""
    rng = np.random.Generator(np.random.Philox(key=key))
    vectors = rng.standard_normal((count, width), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def assert_command_equals(
    folder: Path, weights: Path, words: list[str], picture: dict[str, int], case: dict[str, Any], expected: Expected
) -> None:
    """Runs `ovdet detect` on one picture file and compares its records with the official code's detections."""
    found = run_command(folder, weights, words, picture, case)
    masks = None if expected.masks is None else [mask.bitmap() for mask in found.masks or ()]
    assert_equal_detections(found.boxes_xyxy, found.scores, found.class_ids, masks, expected)


def run_command(
    folder: Path, weights: Path, words: list[str], picture: dict[str, int], case: dict[str, Any]
) -> Detections:
    """What `ovdet detect` records of one picture file.

    words: the options that name vocabulary and embeddings. case: settings under the names of the golden file.
    """
    drawn = load_script("picture").picture(picture["height"], picture["width"], picture["seed"])
    write_image(folder / "picture.png", drawn)
    command = [
        *("detect", str(folder / "picture.png"), "--weights", str(weights), *words),
        *(
            "--threshold",
            str(case["score_thresh"]),
            "--imgsz",
            str(case["min_size_test"]),
            "--max-size",
            str(case["max_size_test"]),
        ),
        "--one-class" if case["one_class_per_proposal"] else "--all-classes",
        *("--device", "cpu", "--precision", "fp32", "--render", "none", "-q", "-o", str(folder / "run")),
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    (record,) = read_records(folder / "run" / "detections.jsonl")
    return record.detections
