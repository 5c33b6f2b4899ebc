"""Tiny models of the three families under their published names, with numbers that a fixture can hold in few bytes."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ovdet_cli.models import zoo
from ovdet_cli.models.spec import Canvas, ModelSpec
from tests.cli.test_dito import as_published
from tests.models.dito import tiny as dito
from tests.models.fvlm import tiny as fvlm
from tests.models.vild import tiny as vild

_TINY: dict[str, Any] = {"vild-ensemble-r50": vild, "dito-vit-l": dito, "fvlm-r50": fvlm}
NAMES = tuple(_TINY)


def tiny_spec(name: str) -> ModelSpec:
    """The zoo's entry with a tiny configuration and canvas."""
    spec = zoo.MODELS[name]
    assert isinstance(spec.preprocess, Canvas)
    canvas = dataclasses.replace(spec.preprocess, side=128)
    return dataclasses.replace(spec, config=_TINY[name].TINY, preprocess=canvas)


def coarse_tensors(name: str) -> dict[str, np.ndarray]:
    """The tiny model's tensors by their published names; of every number's fraction the first two bits are left."""
    tiny = _TINY[name]
    model = tiny.build_tiny()
    tensors = vild.as_published(model) if tiny is vild else as_published(tiny_spec(name), model, 2)
    return {key: _coarse(tensor) for key, tensor in tensors.items()}


def _coarse(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().numpy().copy()
    if array.dtype == np.float32:
        array.view(np.uint32)[...] &= np.uint32(0xFFE00000)
    return array


if __name__ == "__main__":
    for wanted in NAMES:
        np.savez(Path(sys.argv[1]) / f"{wanted}.npz", **coarse_tensors(wanted))  # type: ignore[arg-type]
