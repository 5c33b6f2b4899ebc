"""Text subtitles as MP4 holds them: the words alone, without fonts, colours and places."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet

# libav's decoders of formats whose packets are text, and that we read.
TEXT_CODECS = frozenset(("srt", "subrip", "ass", "ssa", "webvtt", "text"))
# What the mov_text encoder wants to know of styles before it starts (ASS, as libav hands it around): plain white.
HEADER = b"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
SUBTITLE_TICKS = Fraction(1, 1000)
_BRACES = re.compile(r"\{[^}]*\}")  # ASS, and what SubRip took from it
_TAGS = re.compile(r"</?[A-Za-z0-9:.][^<>]*>")
_ASS_BREAKS = re.compile(r"\\[Nn]")
_ASS_FIELDS = 8  # before the text: order, layer, style, name, three margins, effect


@dataclass(frozen=True)
class TimedText:
    """A subtitle as MP4 holds it; times in SUBTITLE_TICKS."""

    begins: int
    lasts: int
    data: bytes

    def packet(self, stream: Any) -> "Packet":
        """It as a packet of an output stream."""
        from av import Packet

        packet = Packet(self.data)
        packet.pts = packet.dts = self.begins
        packet.duration, packet.time_base = self.lasts, SUBTITLE_TICKS
        packet.is_keyframe = True
        packet.stream = stream
        return packet


@dataclass(frozen=True)
class SubtitleTrack:
    """A stream of subtitles for MP4. source: a stream of MP4's own kind that it is a copy of, its container open."""

    source: Any | None
    metadata: Mapping[str, str]
    disposition: int
    texts: list[TimedText] = field(default_factory=list)

    def added_to(self, output: "OutputContainer") -> Any:
        """The output's stream for it."""
        stream: Any
        if self.source is not None:
            stream = output.add_stream_from_template(self.source, opaque=True)
        else:
            stream = output.add_stream("mov_text")
            stream.codec_context.subtitle_header = HEADER
            stream.codec_context.time_base = SUBTITLE_TICKS
        stream.metadata.update(self.metadata)
        stream.disposition = self.disposition
        return stream


def plain_text(codec: str, data: bytes) -> str:
    """The words of one packet of text subtitles."""
    text = data.decode("utf-8", "replace").rstrip("\0")
    if codec in ("ass", "ssa"):
        text = text.split(",", _ASS_FIELDS)[-1]
        text = _ASS_BREAKS.sub("\n", _BRACES.sub("", text)).replace("\\h", " ")
    elif codec == "webvtt":
        text = html.unescape(_TAGS.sub("", text))
    elif codec != "text":
        text = _TAGS.sub("", _BRACES.sub("", text))
    return text.replace("\r\n", "\n").strip("\n")


def timed_text(text: str) -> bytes:
    """A sample of 3GPP timed text (3GPP TS 26.245, 5.17): the length in bytes, and UTF-8."""
    data = text.encode("utf-8")[:0xFFFF]
    data = data.decode("utf-8", "ignore").encode("utf-8")  # cut between two characters, not inside one
    return len(data).to_bytes(2, "big") + data
