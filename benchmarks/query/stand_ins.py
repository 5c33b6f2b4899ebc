"""Models of real size without their published weights, words without a text tower, and the machine's facts."""

import os
import platform
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from ovdet_cli.models.zoo import find_model
from tests.parity.reference import stand_in_weights

SHARED = Path(__file__).parents[3] / "shared"
REFERENCE = Path(os.environ.get("OVDET_REFERENCE", SHARED / "reference"))
PHOTOS = SHARED / "media" / "photos"
OVDET = [sys.executable, "-m", "ovdet_cli"]
MANIFESTS = {
    "detic-swin-b": "detic/swin_b",
    "detic-r50": "detic/r50",
    "vild-ensemble-r50": "vild/r50_vild_ensemble",
}


def weights_of(model: str, folder: Path) -> list[str]:
    """The options that name a model and its deterministic weights, which are made in the folder."""
    if model == "builtin":
        return ["--model", model]
    path = folder / f"{model}.safetensors"
    if not path.is_file():
        stand_in_weights(REFERENCE / f"{MANIFESTS[model]}.manifest.json", path)
    return ["--model", model, "--weights", str(path)]


def unit_vectors(count: int, width: int, key: int = 2155) -> np.ndarray:
    """Random directions float32 (count, width), the same every time."""
    vectors = np.random.Generator(np.random.Philox(key=key)).standard_normal((count, width), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def words_of(vectors_CD: np.ndarray, folder: Path) -> list[str]:
    """The options that name words of these embeddings; the files are made in the folder."""
    names, embeddings = folder / f"words-{len(vectors_CD)}.txt", folder / f"words-{len(vectors_CD)}.safetensors"
    names.write_text("".join(f"word {i}\n" for i in range(len(vectors_CD))), encoding="utf-8")
    save_file({"embeddings": vectors_CD}, embeddings)
    return ["--vocab", str(names), "--embeddings", str(embeddings)]


def vocabulary_of(model: str, count: int, folder: Path) -> list[str]:
    """The options that name the built-in model's own words, or so many random ones."""
    if model == "builtin":
        return ["--vocab", "builtin"]
    return words_of(unit_vectors(count, find_model(model).config.embedding), folder)


def inputs_of(model: str) -> list[str]:
    """Photographs; for the built-in model, which knows drawn things, the samples too."""
    samples = Path(__file__).parents[2] / "samples" / "posts"
    return [str(PHOTOS), *([str(samples)] if model == "builtin" else [])]


def machine() -> str:
    """What the figures were measured on."""
    cores, threads = os.cpu_count(), torch.get_num_threads()
    return f"{platform.machine()}, {cores} CPU cores, {threads} threads, no GPU used, torch {torch.__version__}"
