"""What a video says of itself that its annotated copy takes over."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovdet_cli.media.colour import HDR_TRANSFERS, UNSAID, ColourTags, has_alpha, is_quarter_turned, tags_of
from ovdet_cli.media.containers import (
    as_fraction,
    frame_rate,
    is_cover,
    open_container,
    stated_duration,
    time_base_of,
    video_stream,
)

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# What containers and muxers write about themselves, of no meaning in another file.
_OWN_KEYS = frozenset(
    ("encoder", "major_brand", "minor_version", "compatible_brands", "duration", "rotate", "vendor_id", "bps")
)
# A sign other than a colon before the frames says that some numbers are dropped.
_TIMECODE = re.compile(r"\d\d:\d\d:\d\d([:;.])\d\d")
# The first picture tells; a file that gives none among so many packets is told by its header.
_MOST_PACKETS = 300


@dataclass(frozen=True)
class Chapter:
    """A named part of a video, in seconds of the source's time."""

    start_s: Fraction
    end_s: Fraction
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class VideoFacts:
    """What the writer takes over from the video it annotates."""

    time_base: Fraction = Fraction(1, 90000)
    rate: Fraction = Fraction(25)
    first_s: Fraction | None = None
    duration_s: Fraction | None = None
    end_s: Fraction | None = None
    """When the last picture goes, as far as the header says."""
    pixel_aspect: Fraction | None = None
    """Of the picture upright."""
    height: int | None = None
    """As stored."""
    tags: ColourTags = field(default_factory=ColourTags)
    is_rgb: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    stream_metadata: Mapping[str, str] = field(default_factory=dict)
    chapters: Sequence[Chapter] = ()
    notes: Sequence[str] = ()
    """How the copy differs from the source, whoever writes it."""


def read_facts(path: Path) -> VideoFacts:
    """The facts of a video, from its header and its first picture.

    Raises:
        InputError, av.FFmpegError, OSError, ValueError: it cannot be read.
    """
    with open_container(path) as container:
        stream = video_stream(container)
        first, lead_s = _first_frame(container, stream)
        time_base = time_base_of(stream)
        aspect = as_fraction(stream.sample_aspect_ratio)
        if aspect is not None and first is not None and is_quarter_turned(first):
            aspect = 1 / aspect
        context = stream.codec_context
        tags = _stream_tags(context) if first is None else _completed(tags_of(first), _stream_tags(context))
        duration_s = stated_duration(container, stream)
        first_s = None if stream.start_time is None else stream.start_time * time_base
        counts_from_0 = "matroska" in container.format.name and not stream.duration
        if duration_s is None or first_s is None:
            end_s = _end_of_animation(container, stream)
        else:
            end_s = duration_s + (0 if counts_from_0 else first_s)
        return VideoFacts(
            time_base=time_base,
            rate=frame_rate(stream).limit_denominator(1 << 16),
            first_s=first_s,
            duration_s=duration_s,
            end_s=end_s,
            pixel_aspect=aspect,
            height=context.height or None,
            tags=tags,
            is_rgb=first is not None and first.format.is_rgb,
            metadata=kept_metadata(container.metadata),
            stream_metadata=kept_metadata(stream.metadata),
            chapters=_chapters(container),
            notes=_notes(container, stream, first, tags, lead_s),
        )


def is_timecode(text: str, rate: Fraction) -> bool:
    """Whether it is a timecode that MP4 holds: it has a byte for frames a second, and drops some of 30 or 60 alone."""
    match = _TIMECODE.fullmatch(text)
    fps = round(rate)
    return match is not None and 0 < fps < 256 and (match[1] == ":" or fps in (30, 60))


def kept_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """What is said of the content, not of the file that held it."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _OWN_KEYS and not key.startswith(("_STATISTICS", "NUMBER_OF_", "DURATION-", "BPS-"))
    }


def _first_frame(container: "InputContainer", stream: "VideoStream") -> "tuple[VideoFrame | None, Fraction]":
    """The first frame, and the seconds before it that lean on a keyframe which is not there."""
    import av

    lead_ts: int | None = None
    for packet in islice(container.demux(stream), _MOST_PACKETS):
        if lead_ts is None and packet.size and packet.pts is not None:
            lead_ts = packet.pts if not packet.is_keyframe else -1
        try:
            for frame in packet.decode():
                is_late = lead_ts is not None and lead_ts >= 0 and frame.pts is not None and frame.pts > lead_ts
                return frame, (frame.pts - lead_ts) * time_base_of(stream) if is_late else Fraction(0)  # type: ignore[operator]
        except av.FFmpegError:
            continue
    return None, Fraction(0)


def _end_of_animation(container: "InputContainer", stream: "VideoStream") -> Fraction | None:
    """When the last picture of an APNG goes, which none of its headers says; reads the file to its end."""
    import av

    if container.format.name != "apng":
        return None
    end_ticks = 0
    with suppress(av.FFmpegError):
        for packet in container.demux(stream):
            end_ticks = max(end_ticks, (packet.pts or 0) + (packet.duration or 0))
    return end_ticks * time_base_of(stream) or None


def _stream_tags(context: Any) -> ColourTags:
    return ColourTags(
        int(context.colorspace), int(context.color_primaries), int(context.color_trc), int(context.color_range)
    )


def _completed(tags: ColourTags, others: ColourTags) -> ColourTags:
    """The tags, with the container's word where the picture says nothing."""
    return ColourTags(
        others.matrix if tags.matrix in (UNSAID, 0) else tags.matrix,
        others.primaries if tags.primaries in (UNSAID, 0) else tags.primaries,
        others.transfer if tags.transfer in (UNSAID, 0) else tags.transfer,
        tags.range or others.range,
    )


def _chapters(container: "InputContainer") -> list[Chapter]:
    return [
        Chapter(
            Fraction(chapter["start"]) * Fraction(chapter["time_base"] or 1),
            Fraction(chapter["end"]) * Fraction(chapter["time_base"] or 1),
            dict(chapter["metadata"]),
        )
        for chapter in container.chapters()
    ]


def _notes(
    container: "InputContainer",
    stream: "VideoStream",
    first: "VideoFrame | None",
    tags: ColourTags,
    lead_s: Fraction,
) -> list[str]:
    notes = []
    if lead_s:
        notes.append(f"it begins without a keyframe: {float(lead_s):.2f} s of pictures cannot be decoded")
    others = sum(not is_cover(other) for other in container.streams.video) - 1
    if others:
        notes.append(f"of {others + 1} video streams number {stream.index} is taken; the others are left out")
    if tags.transfer in HDR_TRANSFERS:
        notes.append(
            f"HDR ({HDR_TRANSFERS[tags.transfer]}): looked at and written in 8 bits, its tags kept, not tone-mapped"
        )
    if first is not None:
        if first.interlaced_frame:
            notes.append("interlaced: deinterlaced (yadif), a frame for each stored one, at its time")
        if first.side_data.get("A53_CC") is not None:
            notes.append("captions inside its pictures (CEA-608/708) are left out")
        if _is_see_through(first):
            notes.append(f"its transparency is {'laid over white' if first.format.is_rgb else 'dropped'}")
    return notes


def _is_see_through(frame: "VideoFrame") -> bool:
    """Whether it has pixels that are not solid; GIF and ProRes may have a place for that and not use it."""
    if not has_alpha(frame):
        return False
    return bool(frame.to_ndarray(format="rgba")[..., 3].min() < 255)
