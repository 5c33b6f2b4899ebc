import pytest
import torch

from ovdet_cli.detector.precision import exact_float32, one_thread_for, resolve_device, resolve_precision
from ovdet_cli.errors import DeviceError, UsageError


@pytest.fixture
def machine(monkeypatch):
    """Sets what this machine seems to have."""

    def has(*, gpus=0, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    has()
    return has


@pytest.mark.parametrize(
    ("has", "name", "device"),
    [
        ({}, "auto", "cpu"),
        ({"gpus": 2}, "auto", "cuda"),
        ({"mps": True}, "auto", "mps"),
        ({"gpus": 1, "mps": True}, "auto", "cuda"),
        ({"gpus": 1}, "cpu", "cpu"),
        ({"gpus": 1}, "cuda", "cuda"),
        ({"gpus": 2}, "cuda:1", "cuda:1"),
        ({"gpus": 2}, "1", "cuda:1"),
        ({"mps": True}, "mps", "mps"),
    ],
)
def test_devices(machine, has, name, device):
    machine(**has)
    assert resolve_device(name) == torch.device(device)


@pytest.mark.parametrize(
    ("has", "name", "message"),
    [
        ({}, "cuda", "--device cuda: there is no NVIDIA GPU that this torch can use; `ovdet doctor`"),
        ({"gpus": 1}, "cuda:1", "--device cuda:1: there is no GPU 1 \\(this machine has 1\\);"),
        ({"gpus": 2}, "7", "--device 7: there is no GPU 7 \\(this machine has 2\\)"),
        ({"gpus": 1}, "mps", "--device mps: no Apple GPU here"),
        *(
            ({}, name, "use auto, cpu, cuda, cuda:N or mps")
            for name in ("", "gpu", "CPU", "cuda:x", "cuda:-1", "meta", "xpu", "²", "cuda:")
        ),
        ({"gpus": 1}, "99999999999999999999", "99999"),
        ({"gpus": 1}, "cuda:300", "--device cuda:300"),
    ],
)
def test_devices_that_are_not_there(machine, has, name, message):
    machine(**has)
    with pytest.raises((DeviceError, UsageError), match=message):
        resolve_device(name)


def test_precisions():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert resolve_precision("auto", cpu) == resolve_precision("auto", torch.device("mps")) == torch.float32
    assert resolve_precision("auto", cuda) == torch.float16
    for device in (cpu, cuda):
        assert resolve_precision("fp32", device) == torch.float32
        assert resolve_precision("bf16", device) == torch.bfloat16
        assert resolve_precision("fp16", device) == torch.float16
    with pytest.raises(UsageError, match="--precision fp8: use one of auto, fp32, bf16, fp16"):
        resolve_precision("fp8", cpu)


def test_exact_float32_is_a_setting_of_its_block():
    before = torch.backends.cudnn.allow_tf32
    with exact_float32():
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.enabled
    assert torch.backends.cudnn.allow_tf32 == before


def test_little_work_is_done_by_one_thread():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with one_thread_for(1000):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with one_thread_for(10**11):
            assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError), one_thread_for(1000):
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
