"""Opening a video file with PyAV, and what is odd about what it says."""

import math
import stat
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovdet_cli.errors import InputError

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel
    from av.container import InputContainer
    from av.video.stream import VideoStream

# libav takes any text file called .txt for a terminal recording, and draws it.
_TEXT_ART_CODECS = frozenset(("ansi", "bintext", "xbin", "idf"))


def open_container(path: Path, hwaccel: "HWAccel | None" = None) -> "InputContainer":
    """The video file, opened; use as a context manager. hwaccel: what decodes it, instead of the CPU.

    Raises:
        InputError: not a file, or empty.
        av.FFmpegError: not readable as a video.
    """
    import av

    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for ever
        raise InputError("is not a file")
    if status.st_size == 0:
        raise InputError("is empty (0 bytes)")
    # Metadata in an old encoding must not keep the pictures from being read; PyAV 19 needs no such option.
    lenient: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    # `file:` keeps libav from reading a name such as "http:x.mp4" as an address, and the white list keeps a playlist
    # in disguise off the network.
    options = {"protocol_whitelist": "file"}
    return av.open(f"file:{path.absolute()}", "r", container_options=options, hwaccel=hwaccel, **lenient)


def video_stream(container: "InputContainer") -> "VideoStream":
    """The stream of moving pictures that players show: the default one, else the largest, else the first.

    A cover picture in a music file is none.

    Raises:
        InputError: there is none, or none that can be decoded.
    """
    from av.stream import Disposition

    moving = [stream for stream in container.streams.video if not is_cover(stream)]
    decodable = [stream for stream in moving if stream.codec_context is not None]
    if moving and not decodable:
        raise InputError("has a video stream in a codec that this build of FFmpeg cannot decode")
    videos = [stream for stream in decodable if stream.codec_context.codec.name not in _TEXT_ART_CODECS]
    if not videos:
        raise InputError("has no video stream")
    return max(
        videos, key=lambda stream: (bool(stream.disposition & Disposition.default), stream.width * stream.height)
    )


def is_cover(stream: "VideoStream") -> bool:
    """Whether it is a still picture beside the content: a cover or previews."""
    from av.stream import Disposition

    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def has_video_stream(path: Path) -> bool:
    """Whether the file holds moving pictures that can be decoded, whatever it is called."""
    import av

    try:
        with open_container(path) as container:
            video_stream(container)
    except (InputError, OSError, ValueError, av.FFmpegError):
        return False
    return True


def as_fraction(rational: Any) -> Fraction | None:
    """PyAV's rational as a Fraction; None for an absent one (None up to PyAV 18, 0/1 or 0/0 from 19 on)."""
    if rational is None or not rational.denominator or not rational.numerator:
        return None
    return Fraction(rational.numerator, rational.denominator)


def time_base_of(stream: Any) -> Fraction:
    """Seconds a tick of the stream's timestamps."""
    return as_fraction(stream.time_base) or Fraction(1, 90000)


def frame_rate(stream: "VideoStream") -> Fraction:
    """Frames a second, as near as the container says; 25 where it says nothing."""
    return as_fraction(stream.average_rate) or as_fraction(stream.guessed_rate) or Fraction(25)


def stated_duration(container: "InputContainer", stream: "VideoStream") -> Fraction | None:
    """Seconds of video the file's header promises; None where it promises none, or only estimates from its own size."""
    names = set(container.format.name.split(","))
    if not names & {"mp4", "matroska", "avi", "gif"}:
        return None
    if stream.duration:
        return stream.duration * time_base_of(stream)
    tagged = _tagged_duration(stream.metadata.get("DURATION", ""))
    if tagged is not None:
        return tagged
    # The longest stream sets a container's duration, so only a lone stream can be held to it.
    return Fraction(container.duration, 1_000_000) if container.duration and len(container.streams) == 1 else None


def estimated_frames(container: "InputContainer", stream: "VideoStream") -> int | None:
    """How many frames the stream holds, for a progress bar; None where nothing tells."""
    if stream.frames:
        return int(stream.frames)
    duration = stated_duration(container, stream)
    if duration is None and stream.duration:
        duration = stream.duration * time_base_of(stream)
    if duration is None and container.duration:
        duration = Fraction(container.duration, 1_000_000)
    return max(1, math.ceil(duration * frame_rate(stream))) if duration else None


def reason_of(error: BaseException) -> str:
    """Why libav, the disk or we gave up, in a few words for the user."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    strerror = getattr(error, "strerror", None)
    text = " ".join(str(strerror or error).split()) or type(error).__name__
    return "is not a video, or is damaged (invalid data)" if text.startswith("Invalid data found") else text


def _tagged_duration(text: str) -> Fraction | None:
    """Matroska's own duration of one stream: "00:00:02.000000000"."""
    parts = text.split(":")
    try:
        return int(parts[0]) * 3600 + int(parts[1]) * 60 + Fraction(parts[2]) if len(parts) == 3 else None
    except ValueError:
        return None
