"""Device and arithmetic: what `--device` and `--precision` mean."""

import contextlib
from collections.abc import Iterator

import torch

from ovdet_cli.errors import DeviceError, UsageError

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_FEEDS_MORE = 3_000_000_000
"""Multiplications of a call, 30 ms of one core, from which more threads pay."""


def resolve_device(name: str) -> torch.device:
    """auto, cpu, cuda, cuda:N, mps -> a device that is there; DeviceError says which are."""
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    try:
        device = torch.device(f"cuda:{name}" if name.isdigit() else name)
    except RuntimeError as error:
        raise UsageError(f"--device {name}: not a device; use auto, cpu, cuda, cuda:N or mps") from error
    num_gpus = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= num_gpus:
        found = (
            f"no GPU {device.index} (this machine has {num_gpus})"
            if num_gpus
            else "no NVIDIA GPU that this torch can use"
        )
        raise DeviceError(f"--device {name}: there is {found}; `ovdet doctor` tells more, --device cpu works anywhere")
    if device.type == "mps" and not has_mps:
        raise DeviceError(f"--device {name}: no Apple GPU here; use --device cpu")
    if device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"--device {name} is not supported; use auto, cpu, cuda, cuda:N or mps")
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The type that backbone and pyramid compute in.

    auto is float16 on NVIDIA GPUs, since Detic was trained with its backbone and FPN in float16, and float32 elsewhere.
    """
    if name not in PRECISIONS:
        raise UsageError(f"--precision {name}: use one of {', '.join(PRECISIONS)}")
    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """float32 that is float32: cuDNN's convolutions would round their inputs to TF32 by default."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False):
        yield


@contextlib.contextmanager
def one_thread_for(num_products: int) -> Iterator[None]:
    """One thread of torch where so many multiplications would not feed more.

    The others would wait for their next piece in a loop that takes all of a core, from who reads and writes meanwhile.
    """
    before = torch.get_num_threads()
    if before == 1 or num_products >= _FEEDS_MORE:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
