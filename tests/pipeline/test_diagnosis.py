import importlib.metadata
import sys
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from ovdet_cli.pipeline import diagnosis
from ovdet_cli.pipeline.diagnosis import Check, diagnose

# Importing torch, timm and open_clip takes seconds, once.


def by_name(checks: Iterable[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_this_machine_can_run() -> None:
    checks = diagnose()
    found = by_name(checks)
    assert len(found) == len(checks)
    assert [check for check in checks if check.status == "error"] == []
    assert {
        "ovdet",
        "python",
        "platform",
        "processors",
        "torch",
        "torchvision",
        "timm",
        "open_clip_torch",
        "av",
    } <= set(found)
    assert {"opencv", "pillow", "heic", "fonts"} <= set(found)
    assert found["python"].detail.startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert "threads" in found["torch"].detail
    assert any(name.startswith("device") for name in found)
    assert "encode h264" in found["av"].detail


def test_one_broken_check_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_halfway() -> Iterable[Check]:
        yield Check("first half", "ok", "")
        raise OSError("the disk is on fire")

    def works() -> Iterable[Check]:
        return [Check("works", "ok", "")]

    monkeypatch.setattr(diagnosis, "_PROBES", (("broken", breaks_halfway), ("works", works)))
    assert diagnose([("more", works)]) == [
        Check("first half", "ok", ""),
        Check("broken", "error", "OSError: the disk is on fire"),
        Check("works", "ok", ""),
        Check("works", "ok", ""),
    ]


def break_import(monkeypatch: pytest.MonkeyPatch, broken: str, error: Exception) -> None:
    real = diagnosis.import_module

    def imports(name: str) -> Any:
        if name.split(".")[0] == broken:
            raise error
        return real(name)

    monkeypatch.setattr(diagnosis, "import_module", imports)


def test_torchvision_of_another_build(monkeypatch: pytest.MonkeyPatch) -> None:
    break_import(monkeypatch, "torchvision", RuntimeError("operator torchvision::nms does not exist"))
    (check,) = diagnosis.check_torchvision()
    assert check.status == "error"
    assert "operator torchvision::nms does not exist" in check.detail
    assert "from one index" in (check.remedy or "")


@pytest.mark.parametrize(
    ("package", "name"), [("torch", "torch"), ("timm", "timm"), ("cv2", "opencv"), ("open_clip", "open_clip_torch")]
)
def test_a_package_that_does_not_import(monkeypatch: pytest.MonkeyPatch, package: str, name: str) -> None:
    break_import(monkeypatch, package, ImportError("libGL.so.1: cannot open shared object file"))
    check = by_name(diagnose())[name]
    assert check.status == "error"
    assert "libGL.so.1" in check.detail
    assert check.remedy


def test_two_builds_of_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    real = diagnosis.version
    monkeypatch.setattr(diagnosis, "version", lambda name: "4.10.0" if name == "opencv-python" else real(name))
    check = by_name(diagnosis.check_pictures())["opencv"]
    assert check.status == "warning"
    assert "opencv-python and opencv-python-headless" in check.detail
    assert "pip uninstall" in (check.remedy or "")


def test_without_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis.util, "find_spec", lambda name: None)
    check = by_name(diagnosis.check_pictures())["heic"]
    assert check.status == "ok"
    assert "pip install pi-heif" in (check.remedy or "")


def test_a_pillow_without_avif(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import features

    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    check = by_name(diagnosis.check_pictures())["pillow"]
    assert check.status == "warning"
    assert "without avif" in check.detail


def test_codecs_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ovdet_cli.media.codecs.codec_support", lambda: {"decode h264": True, "encode h264": False})
    (check,) = diagnosis.check_video()
    assert check.status == "warning"
    assert "cannot encode h264" in check.detail


def fonts(monkeypatch: pytest.MonkeyPatch, found: list[tuple[str, str]] | None) -> Check:
    module = None if found is None else SimpleNamespace(available=lambda: found)
    monkeypatch.setitem(sys.modules, "ovdet_cli.render.fonts", module)
    (check,) = diagnosis.check_fonts()
    return check


def test_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fonts(monkeypatch, [("DejaVu Sans", "packaged")]) == Check("fonts", "ok", "DejaVu Sans (packaged)")
    assert fonts(monkeypatch, [("a", "b")] * 60).detail.endswith(", 54 more")
    assert fonts(monkeypatch, []).status == "warning"
    assert fonts(monkeypatch, None).status == "warning"


class _Sum:
    def __init__(self, value: float) -> None:
        self.value = value

    def sum(self) -> float:
        return self.value


def stand_in_torch(*, cuda: str | None = "12.6", gpus: int = 0, kernel_error: Exception | None = None) -> Any:
    """As much of torch as the check of devices asks."""

    def ones(_size: int, device: str) -> _Sum:
        if kernel_error is not None:
            raise kernel_error
        return _Sum(2.0)

    return SimpleNamespace(
        __version__="2.7.0",
        version=SimpleNamespace(cuda=cuda, hip=None),
        get_num_threads=lambda: 4,
        ones=ones,
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: False)),
        cuda=SimpleNamespace(
            is_available=lambda: gpus > 0,
            device_count=lambda: gpus,
            mem_get_info=lambda index: (6 * 2**30, 8 * 2**30),
            get_device_capability=lambda index: (8, 6),
            get_device_name=lambda index: f"GPU {index}",
            get_arch_list=lambda: ["sm_90"],
        ),
    )


@pytest.mark.parametrize(
    ("options", "driver", "status", "told"),
    [
        ({"gpus": 1}, True, "ok", "GPU 0, 6.0 of 8.0 GiB free, compute capability 8.6"),
        ({"gpus": 1, "kernel_error": RuntimeError("no kernel image")}, True, "error", "no kernel image"),
        ({}, False, "ok", "CPU only"),
        ({}, True, "warning", "cannot use it"),
        ({"cuda": None}, True, "warning", "CPU build"),
        ({"cuda": None}, False, "ok", "CPU only"),
    ],
)
def test_devices(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], driver: bool, status: str, told: str
) -> None:
    monkeypatch.setattr(diagnosis, "import_module", lambda name: stand_in_torch(**options))
    monkeypatch.setattr(diagnosis, "_has_nvidia_driver", lambda: driver)
    torch, device = diagnosis.check_torch()
    assert torch.status == "ok"
    assert device.status == status
    assert told in device.detail
    assert (device.remedy is None) == (status == "ok")


def test_two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "import_module", lambda name: stand_in_torch(gpus=2))
    assert [check.name for check in diagnosis.check_torch()] == ["torch", "device cuda:0", "device cuda:1"]


def test_a_package_without_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(diagnosis, "version", fail)
    assert by_name(diagnosis.check_system())["ovdet"].detail.startswith("not installed as a package")
    assert by_name(diagnosis.check_packages())["timm"].detail == "installed"
