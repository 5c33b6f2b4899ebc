"""Decoding on a graphics card: NVDEC through libav, with the CPU where there is none."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ovdet_cli.media.containers import open_container
from ovdet_cli.media.encoders import Hwaccel

if TYPE_CHECKING:
    from av.container import InputContainer

log = logging.getLogger(__name__)

# What the process decodes with, as a whole: a card is shared by all its threads, whoever opens the files.
_wanted: list[Hwaccel] = ["none"]


@contextmanager
def decoding_on(hwaccel: Hwaccel) -> Iterator[None]:
    """While it is entered, videos are decoded so. auto: on a card where there is one; cuda: and a warning if not."""
    if hwaccel == "cuda" and not has_cuda():
        log.warning("no NVIDIA card decodes here: video is decoded on the CPU")
    _wanted.append(hwaccel)
    try:
        yield
    finally:
        _wanted.pop()


def open_for_decoding(path: Path) -> "InputContainer":
    """As `open_container`; what the card cannot decode is decoded on the CPU."""
    import av

    if _wanted[-1] == "none" or not has_cuda():
        return open_container(path)
    from av.codec.hwaccel import HWAccel

    try:
        return open_container(path, HWAccel("cuda", allow_software_fallback=True))
    except av.FFmpegError:  # a bad file says so again below
        return open_container(path)


@cache
def has_cuda() -> bool:
    """Whether libav can start NVDEC here."""
    import av

    try:
        from av.codec.hwaccel import HWAccel

        HWAccel("cuda").create(av.Codec("h264", "r"))
    except (ImportError, av.FFmpegError, OSError, ValueError, RuntimeError, NotImplementedError):
        return False
    return True
