"""What the official training code made of small fixed inputs, by name."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FILE = Path(__file__).parents[1] / "data" / "reference" / "detic" / "train_ops.npz"


@cache
def official_arrays() -> dict[str, np.ndarray]:
    """All arrays of the file, `group/case/name` -> values; not to be written to."""
    with np.load(FILE) as arrays:
        return {name: arrays[name] for name in arrays.files}


def official(name: str) -> Tensor:
    """One array as a tensor of its own, whole numbers as int64."""
    array = official_arrays()[name]
    return torch.from_numpy(array.astype(np.int64) if array.dtype == np.int32 else array.copy())


def official_list(name: str, count: int) -> list[Tensor]:
    """The arrays `name.0` .. of `count` pictures or levels."""
    return [official(f"{name}.{i}") for i in range(count)]


def unpacked(name: str, width: int) -> Tensor:
    """A bitmap stored as bits along x: bool, `width` wide."""
    return torch.from_numpy(np.unpackbits(official_arrays()[name], axis=-1)[..., :width].astype(bool))


def relative_gap(found: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest expected entry; the difference itself where all of them are 0."""
    if not expected.numel():
        return float(found.numel())
    scale = float(expected.abs().max())
    return float((found.detach() - expected).abs().max()) / (scale if scale > 0 else 1.0)
