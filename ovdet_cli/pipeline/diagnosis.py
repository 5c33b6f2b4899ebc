"""What this machine offers a run, and what is wrong with it: facts for `ovdet doctor`.

Packages are imported by name inside the checks: one that breaks on import is a finding here, not an accident.
"""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module, util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Check:
    """One finding."""

    name: str
    status: Literal["ok", "warning", "error"]
    """A warning hinders some runs, an error every run."""
    detail: str
    remedy: str | None = None
    """What to do about it, or None if there is nothing to do."""


Probe = Callable[[], Iterable[Check]]

_SAME_INDEX = (
    "install torch and torchvision together from one index: `pip install --force-reinstall torch torchvision "
    "--index-url https://download.pytorch.org/whl/cpu`, or for a GPU the address that pytorch.org/get-started gives"
)


def diagnose(more: Iterable[tuple[str, Probe]] = ()) -> list[Check]:
    """Runs every check, and `more` (name, probe) after them; one that raises becomes a finding."""
    findings: list[Check] = []
    for name, probe in (*_PROBES, *more):
        try:
            findings += probe()
        except Exception as error:  # whatever breaks here is the finding
            findings.append(Check(name, "error", f"{type(error).__name__}: {error}"))
    return findings


def check_system() -> Iterable[Check]:
    """Python, platform, ovdet itself and processors."""
    yield Check("ovdet", "ok", f"{_version('ovdet') or 'not installed as a package'} in {Path(__file__).parents[1]}")
    yield Check("python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Check("platform", "ok", platform.platform())
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Check("processors", "ok", f"{usable} of {os.cpu_count()} usable")


def check_torch() -> Iterable[Check]:
    """torch and the devices it can compute on."""
    try:
        torch = import_module("torch")
    except Exception as error:
        yield Check("torch", "error", _describe(error), _SAME_INDEX)
        return
    build = "CPU"
    if torch.version.cuda or torch.version.hip:
        build = f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip}"
    yield Check("torch", "ok", f"{torch.__version__}, {build} build, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            yield _check_gpu(torch, index)
    elif torch.backends.mps.is_available():
        yield Check("device", "ok", "MPS (Apple GPU)")
    elif not _has_nvidia_driver():
        yield Check("device", "ok", "CPU only: no GPU was found")
    elif torch.version.cuda is None:
        yield Check("device", "warning", "CPU only: there is an NVIDIA driver, but torch is a CPU build", _SAME_INDEX)
    else:
        remedy = "see whether `nvidia-smi` works, CUDA_VISIBLE_DEVICES is not empty, and the driver is new enough"
        detail = f"CPU only: there is an NVIDIA driver, but torch ({build}) cannot use it"
        yield Check("device", "warning", detail, f"{remedy} for {build}")


def _check_gpu(torch: Any, index: int) -> Check:
    """A GPU's name and memory, and whether torch's kernels run on it."""
    name = f"device cuda:{index}"
    free, total = torch.cuda.mem_get_info(index)
    major, minor = torch.cuda.get_device_capability(index)
    detail = (
        f"{torch.cuda.get_device_name(index)}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free, "
        f"compute capability {major}.{minor}"
    )
    try:
        if float(torch.ones(2, device=f"cuda:{index}").sum()) != 2:
            return Check(name, "error", f"{detail}: it computes 1 + 1 wrongly", "the card or its driver is broken")
    except RuntimeError as error:
        remedy = f"this torch has kernels for {', '.join(torch.cuda.get_arch_list())}; install a build for this card"
        return Check(name, "error", f"{detail}: {_describe(error)}", remedy)
    return Check(name, "ok", detail)


def check_torchvision() -> Iterable[Check]:
    """torchvision's compiled operators, which pool regions and suppress boxes."""
    versions = f"{_version('torchvision')} beside torch {_version('torch')}"
    try:
        torch, ops = import_module("torch"), import_module("torchvision.ops")
        boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
        kept = ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
        pooled = ops.roi_align(torch.ones(1, 1, 8, 8), [boxes[:1]], (2, 2), 0.5, 0, True)
    except Exception as error:
        # A CPU torch with a CUDA torchvision, or the reverse, says `operator torchvision::nms does not exist`.
        yield Check("torchvision", "error", f"{versions}: {_describe(error)}", _SAME_INDEX)
        return
    if kept != [0, 2] or pooled.shape != (1, 1, 2, 2):
        yield Check("torchvision", "error", f"{versions}: its operators give wrong results", _SAME_INDEX)
    else:
        found = import_module("torchvision").__version__
        yield Check("torchvision", "ok", f"{found}, compiled operators work")


def check_packages() -> Iterable[Check]:
    """The packages that models and vocabularies are made with."""
    for module, package in (("timm", "timm"), ("open_clip", "open_clip_torch"), ("safetensors", "safetensors")):
        try:
            import_module(module)
        except Exception as error:
            yield Check(package, "error", _describe(error), f"`pip install --force-reinstall --no-deps {package}`")
        else:
            yield Check(package, "ok", _version(package) or "installed")


def check_video() -> Iterable[Check]:
    """PyAV and the codecs it was built with."""
    from ovdet_cli.media.codecs import codec_support

    remedy = "`pip install --force-reinstall av`: its wheels carry all of them"
    try:
        support = codec_support()
    except Exception as error:
        yield Check("av", "error", _describe(error), remedy)
        return
    missing = [what for what, works in support.items() if not works]
    detail = f"{_version('av')}: {', '.join(what for what, works in support.items() if works) or 'no codecs'}"
    if missing:
        yield Check("av", "warning", f"{detail}; cannot {', cannot '.join(missing)}", remedy)
    else:
        yield Check("av", "ok", detail)


def check_pictures() -> Iterable[Check]:
    """OpenCV, Pillow and the reader of HEIC pictures."""
    yield _check_opencv()
    features = import_module("PIL.features")
    wanted = {name: bool(features.check(name)) for name in ("webp", "avif", "libtiff", "raqm")}
    missing = [name for name, there in wanted.items() if not there]
    detail = f"{_version('pillow')}: {', '.join(name for name, there in wanted.items() if there)}"
    if missing:
        remedy = "`pip install --force-reinstall pillow`: its wheels have these (raqm shapes Arabic and Indic labels)"
        yield Check("pillow", "warning", f"{detail}; without {', '.join(missing)}", remedy)
    else:
        yield Check("pillow", "ok", detail)
    if util.find_spec("pi_heif") is None:
        yield Check(
            "heic", "ok", "not installed: HEIC pictures cannot be read", "`pip install pi-heif` (ovdet's extra `heic`)"
        )
        return
    import_module("pi_heif")
    yield Check("heic", "ok", f"pi-heif {_version('pi-heif')}")


def _check_opencv() -> Check:
    installed = [name for name in _OPENCV if _version(name) is not None]
    remedy = f"`pip uninstall -y {' '.join(_OPENCV)}`, then `pip install opencv-python-headless`"
    try:
        cv2 = import_module("cv2")
    except Exception as error:
        return Check("opencv", "error", _describe(error), remedy)
    if len(installed) > 1:
        detail = f"{cv2.__version__}, from {' and '.join(installed)}, which overwrite each other's files"
        return Check("opencv", "warning", detail, remedy)
    return Check("opencv", "ok", f"{cv2.__version__} ({', '.join(installed) or 'not from a wheel'})")


_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")


def check_fonts() -> Iterable[Check]:
    """Fonts that labels are drawn with."""
    try:
        from ovdet_cli.render.fonts import available
    except ImportError as error:
        yield Check("fonts", "warning", _describe(error))
        return
    found = available()
    if found:
        more = f", {len(found) - 6} more" if len(found) > 6 else ""
        yield Check("fonts", "ok", ", ".join(f"{name} ({where})" for name, where in found[:6]) + more)
    else:
        yield Check("fonts", "warning", "no font was found: labels may lack letters", "install fonts, e.g. Noto Sans")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _has_nvidia_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


_PROBES: tuple[tuple[str, Probe], ...] = (
    ("system", check_system),
    ("torch", check_torch),
    ("torchvision", check_torchvision),
    ("packages", check_packages),
    ("av", check_video),
    ("pictures", check_pictures),
    ("fonts", check_fonts),
)
