"""Which codecs this build of PyAV can read and write."""

from typing import Literal

# What is asked of FFmpeg for each: any one of the names will do. FFmpeg's own "av1" decodes only on a graphics card.
_DECODERS = {
    "h264": ("h264",),
    "hevc": ("hevc",),
    "vp9": ("vp9", "libvpx-vp9"),
    "av1": ("libdav1d", "libaom-av1"),
    "aac": ("aac",),
}
_ENCODERS = {"h264": ("libx264",), "aac": ("aac",)}


def codec_support() -> dict[str, bool]:
    """For "decode h264", "encode h264" and the like, whether it works here; raises what importing PyAV raises."""
    support = {f"decode {name}": any(_has(coder, "r") for coder in coders) for name, coders in _DECODERS.items()}
    support |= {f"encode {name}": any(_has(coder, "w") for coder in coders) for name, coders in _ENCODERS.items()}
    return support


def _has(coder: str, mode: Literal["r", "w"]) -> bool:
    import av

    try:
        av.codec.Codec(coder, mode)
    except av.codec.codec.UnknownCodecError:
        return False
    return True
