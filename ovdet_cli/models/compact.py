"""Weights in fewer bytes: half precision, and the largest matrices as whole numbers with one scale a row.

`checkpoint.read_checkpoint` undoes it, so that nothing else knows of it.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

ROW_SCALE = ".row_scale"
"""Ending of the tensor that holds a matrix's scales."""

_LARGE = 500_000  # numbers; smaller matrices are not worth the loss


def pack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by name in half precision; large matrices (R, K) as int8 with a scale for each of the R rows.

    A number of such a matrix is off by at most 1/254 of its row's largest one.
    """
    packed = {}
    for name, tensor in tensors.items():
        if tensor.dim() == 2 and tensor.numel() >= _LARGE:
            scale = (tensor.float().abs().amax(dim=1) / 127).clamp(min=1e-7).half()
            rows = tensor.float() / scale.float()[:, None]
            packed[name] = rows.round().clamp(-127, 127).to(torch.int8).contiguous()
            packed[name + ROW_SCALE] = scale
        else:
            packed[name] = tensor.half().contiguous() if tensor.is_floating_point() else tensor.contiguous()
    return packed


def unpack_rows(rows: Tensor, scale: Tensor) -> Tensor:
    """A matrix float32 (R, K) from its whole numbers and the scales of its rows (R,)."""
    return rows.float() * scale.float()[:, None]
