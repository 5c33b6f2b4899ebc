"""Numpy arrays and numbers in a PyTorch checkpoint (old detectron2 files hold some), read without numpy's unpickler.

A forged dtype can make that one take numbers for pointers; these stand-ins see a kind, a shape and bytes, no more.
"""

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor


class PickledKind:
    """Stands for numpy.dtype: a plain number's kind, size and byte order."""

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch(r"[fiu][1248]|b1", code):
            raise ValueError(f"an array of {code!r}, not of numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray:
    """Stands for numpy.ndarray; `tensor` is what it held."""

    tensor: Tensor

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, is_fortran, data = state
        array = np.frombuffer(data, kind.dtype).reshape(shape, order="F" if is_fortran else "C")
        self.tensor = torch.from_numpy(array.astype(kind.dtype.newbyteorder("="), order="C"))


def _reconstruct(*_: object) -> PickledArray:
    return PickledArray()


def _scalar(kind: PickledKind, data: bytes) -> PickledArray:
    number = PickledArray()
    number.__setstate__((1, (), kind, False, data))
    return number


def _no_bytes() -> bytes:
    """What an empty array's content is written as."""
    return b""


# numpy 1 wrote the functions with their old home, numpy 2 with its own.
GLOBALS: list[Any] = [
    (PickledKind, "numpy.dtype"),
    (PickledArray, "numpy.ndarray"),
    (_no_bytes, "builtins.bytes"),
    *((_reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
"""What `torch.serialization.safe_globals` takes."""
