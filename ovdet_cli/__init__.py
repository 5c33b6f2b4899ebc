"""ovdet: find anything you can name in pictures and video.

`Detector`, `Vocabulary` and `load_run` are offered lazily, so that `import ovdet_cli` does not load torch.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ovdet_cli.detector.detector import Detector
    from ovdet_cli.results.runs import load_run
    from ovdet_cli.vocabulary.vocabulary import Vocabulary

try:
    __version__ = version("ovdet")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["Detector", "Vocabulary", "__version__", "load_run"]

_HOMES = {
    "Detector": "ovdet_cli.detector.detector",
    "Vocabulary": "ovdet_cli.vocabulary.vocabulary",
    "load_run": "ovdet_cli.results.runs",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
