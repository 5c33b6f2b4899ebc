"""Weights in fewer bytes, and back."""

from pathlib import Path

import pytest
import torch

from ovdet_cli.models.checkpoint import read_checkpoint, write_safetensors
from ovdet_cli.models.compact import ROW_SCALE, pack

LARGE = torch.randn(700, 800, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 2, 700)[:, None]


@pytest.fixture
def read(tmp_path: Path) -> dict[str, torch.Tensor]:
    tensors = {"fc.weight": LARGE, "fc.bias": LARGE[0], "conv": torch.randn(4, 3, 2, 2), "count": torch.tensor(3)}
    tensors |= {
        "zero": torch.zeros(1000, 500),
        "channels_last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
    }
    write_safetensors(pack(tensors), tmp_path / "w.safetensors")
    found = read_checkpoint(tmp_path / "w.safetensors")
    assert set(found) == set(tensors), "the scales are no weights of their own"
    assert len(found) == len(tensors)
    for name, tensor in tensors.items():
        assert found[name].shape == tensor.shape
        if name != "fc.weight":
            torch.testing.assert_close(found[name].to(tensor.dtype), tensor, rtol=1e-3, atol=1e-6)
    return dict(found)


def test_a_large_matrix_is_off_by_little_in_each_row(read: dict[str, torch.Tensor]) -> None:
    error = (read["fc.weight"] - LARGE).abs().amax(dim=1) / LARGE.abs().amax(dim=1)
    assert error.max() < 1 / 254 + 1e-3
    assert read["fc.weight"].dtype == torch.float32


def test_half_the_bytes_of_half_precision() -> None:
    packed = pack({"fc.weight": LARGE})
    assert packed["fc.weight"].dtype == torch.int8
    assert packed["fc.weight" + ROW_SCALE].shape == (700,)


def test_a_scale_is_no_tensor_of_its_own(tmp_path: Path) -> None:
    write_safetensors(pack({"fc.weight": LARGE}), tmp_path / "w.safetensors")
    found = read_checkpoint(tmp_path / "w.safetensors")
    with pytest.raises(KeyError):
        found["fc.weight" + ROW_SCALE]
