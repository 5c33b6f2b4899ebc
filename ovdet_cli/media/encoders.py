"""How the pictures of an output video are encoded: the codec and quality asked for, and the encoders that can do it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from ovdet_cli.errors import UsageError

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

Codec = Literal["h264", "hevc", "av1"]
Hwaccel = Literal["auto", "none", "cuda"]

_SOFTWARE = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
_NVENC = {"h264": "h264_nvenc", "hevc": "hevc_nvenc", "av1": "av1_nvenc"}
# Measured in benchmarks/video: what can hardly be told from the source by eye, at about the size of the source.
_CRF = {"h264": 23, "hevc": 25, "av1": 32}
_MOST_CRF = {"h264": 51, "hevc": 51, "av1": 63}
_PRESET = {"h264": "veryfast", "hevc": "veryfast", "av1": "8"}
_X26X_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
_SVT_PRESETS = tuple(str(number) for number in range(14))
_NVENC_PRESETS = tuple(f"p{number}" for number in range(1, 8))
# Builds of FFmpeg without x264 have one of these.
_LAST_RESORTS = (
    ("libopenh264", {"b": "8M"}),
    ("mpeg4", {"q": "3", "flags": "+qscale", "global_quality": "354"}),
)


@dataclass(frozen=True)
class Encoding:
    """The codec and quality of output video. UsageError: a quality or preset that the codec does not have."""

    codec: Codec = "h264"
    crf: int | None = None
    """Constant quality, smaller is better; None: the codec's default."""
    preset: str | None = None
    """Effort: a name of x264's and x265's, a number of SVT-AV1's, or p1 to p7 of NVENC; None: a quick one."""
    hwaccel: Hwaccel = "auto"
    """Whether a graphics card encodes (and decodes): where there is one, never, or with a note where it cannot."""

    def __post_init__(self) -> None:
        if self.crf is not None and not 0 <= self.crf <= _MOST_CRF[self.codec]:
            raise UsageError(f"the CRF of {self.codec} lies between 0 and {_MOST_CRF[self.codec]}, not at {self.crf}")
        own = _SVT_PRESETS if self.codec == "av1" else _X26X_PRESETS
        if self.preset is not None and self.preset not in (*own, *_NVENC_PRESETS):
            raise UsageError(
                f"{self.codec} has no preset {self.preset!r}; it has {', '.join(own)}, and p1 to p7 on an NVIDIA card"
            )

    @property
    def quality(self) -> int:
        """The CRF in use."""
        return _CRF[self.codec] if self.crf is None else self.crf

    def candidates(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Encoders and their options, best first; not all of them are there, and a card may refuse."""
        if self.hwaccel != "none" and self.preset not in (*_X26X_PRESETS, *_SVT_PRESETS):
            quality = {"rc": "vbr", "cq": str(self.quality), "b": "0", "preset": self.preset or "p5"}
            yield _NVENC[self.codec], quality
        yield _SOFTWARE[self.codec], self._software(_SOFTWARE[self.codec])
        if self.codec != "h264":
            yield "libx264", {"crf": str(_CRF["h264"]), "preset": _PRESET["h264"]}
        yield from _LAST_RESORTS

    def _software(self, name: str) -> dict[str, str]:
        preset = _PRESET[self.codec] if self.preset in (None, *_NVENC_PRESETS) else self.preset
        options = {"crf": str(self.quality), "preset": str(preset)}
        if name == "libx265":
            options["x265-params"] = "log-level=error"
        return options


def choose_encoder(encoding: Encoding, size_wh: tuple[int, int]) -> tuple[str, dict[str, str], str]:
    """The encoder that works here, its options, and what the person should know of the choice ("" for nothing)."""
    software = _SOFTWARE[encoding.codec]
    os.environ.setdefault("SVT_LOG", "1")  # errors alone; SVT-AV1 tells its settings on stderr otherwise
    for name, options in encoding.candidates():
        if not has_encoder(name):
            continue
        if name.endswith("_nvenc") and not _opens(name, tuple(options.items()), size_wh):
            continue
        is_asked = name in (software, _NVENC[encoding.codec])
        note = "" if is_asked else f"this build of FFmpeg has no {software}; the video is written with {name}"
        if is_asked and encoding.hwaccel == "cuda" and name == software:
            note = f"no NVIDIA card encodes {encoding.codec} of this size here; it is encoded on the CPU"
        return name, options, note
    raise ValueError("this build of FFmpeg has no encoder for video")


def has_encoder(name: str) -> bool:
    """Whether this build of FFmpeg can encode with it; of NVENC, whether it could if there were a card."""
    import av

    try:
        av.Codec(name, "w")
    except ValueError:  # UnknownCodecError
        return False
    return True


@cache
def _opens(name: str, options: tuple[tuple[str, str], ...], size_wh: tuple[int, int]) -> bool:
    """Whether the encoder really starts: without a card, or with a picture too small for it, NVENC does not."""
    import av

    context: VideoCodecContext = av.CodecContext.create(name, "w")  # type: ignore[assignment]
    context.width, context.height = size_wh
    context.pix_fmt = "yuv420p"
    context.framerate = 25  # type: ignore[assignment]
    context.options = dict(options)
    try:
        context.open()
    except (av.FFmpegError, OSError, ValueError):
        return False
    return True
