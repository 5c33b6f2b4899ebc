"""The last step of an output video: from fragments, playable at any moment, to a file whose index stands first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovdet_cli.errors import InputError
from ovdet_cli.media.containers import is_cover, open_container, time_base_of
from ovdet_cli.media.facts import Chapter
from ovdet_cli.media.subtitles import SUBTITLE_TICKS, SubtitleTrack, TimedText

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

# What MP4 has a place of its own for, where every player looks. Other keys fit only a newer kind of list, which some
# players do not read, so that one is written where there are such keys alone.
_KNOWN_KEYS = frozenset(
    (
        *("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping"),
        *("lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "creation_time"),
    )
)
_MOST_SEARCHED = 1000


@dataclass(frozen=True)
class Wrapping:
    """What the finished file says beyond its streams."""

    timescale: int
    """Ticks a second of the file's own clock: with a coarse one a late start would be kept roughly."""
    last_s: Fraction
    """When the last picture is shown."""
    last_duration_s: Fraction
    """And for how long."""
    rate: Fraction
    """Frames a second, in which a timecode counts."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    video_metadata: Mapping[str, str] = field(default_factory=dict)
    chapters: Sequence[Chapter] = ()
    subtitles: Sequence[SubtitleTrack] = ()
    """They come into the finished file alone."""


def wrap_up(part: Path, target: Path, source: Path, wrapping: Wrapping) -> list[str]:
    """Copies the streams of `part` into `target`, index first, with chapters, metadata and covers of the `source`.

    Gives the keys of metadata that found no place: MP4's list of any keys has no room for a cover, and the other list
    none for any keys.

    Raises:
        av.FFmpegError, OSError, ValueError: it cannot be written.
    """
    import av

    with ExitStack() as stack:
        covers = _covers(source, stack)
        lost = sorted(set(wrapping.metadata) - _KNOWN_KEYS)
        flags = "+faststart+use_metadata_tags" if lost and not covers else "+faststart"
        timescale = str(wrapping.timescale)
        muxing = {"movflags": flags, "movie_timescale": timescale, "video_track_timescale": timescale}
        made = stack.enter_context(open_container(part))
        output = stack.enter_context(av.open(f"file:{target.absolute()}", "w", format="mp4", container_options=muxing))
        streams = {stream.index: _added(output, stream, wrapping) for stream in made.streams}
        texts = [
            (text, stream)
            for track in wrapping.subtitles
            for stream in [track.added_to(output)]
            for text in track.texts
        ]
        for cover in covers:
            cover.stream = _added(output, cover.stream, None)
            cover.pts = cover.dts = 0
        output.metadata.update(wrapping.metadata)
        _set_chapters(output, wrapping.chapters)
        output.start_encoding()
        for packet in chain(covers, _lasting(_with_texts(made, texts, streams), wrapping)):
            output.mux(packet)
    return lost if covers else []


def _added(output: "OutputContainer", stream: Any, wrapping: Wrapping | None) -> Any:
    copy: Any = output.add_stream_from_template(stream, opaque=True)
    copy.metadata.update(stream.metadata)
    if stream.type == "video" and wrapping is not None:
        copy.metadata.update(wrapping.video_metadata)
        copy.codec_context.framerate = wrapping.rate
        if copy.codec_context.codec.canonical_name == "hevc":
            copy.codec_context.codec_tag = "hvc1"  # the one of MP4's two that Apple's players open
    copy.disposition = stream.disposition
    return copy


def _with_texts(
    made: "InputContainer", texts: Iterable[tuple[TimedText, Any]], streams: Mapping[int, Any]
) -> "Iterator[Packet]":
    """The packets for the output, subtitles in their places among them."""
    waiting = sorted(texts, key=lambda item: -item[0].begins)
    last_dts: dict[int, int] = {}
    for packet in made.demux():
        if not packet.size:
            continue
        if packet.dts is not None:  # an encoder's last packets may overlap
            if packet.dts <= last_dts.get(packet.stream.index, packet.dts - 1):
                continue
            last_dts[packet.stream.index] = packet.dts
        while waiting and waiting[-1][0].begins * SUBTITLE_TICKS <= (packet.dts or 0) * time_base_of(packet):
            text, stream = waiting.pop()
            yield text.packet(stream)
        packet.stream = streams[packet.stream.index]
        yield packet
    for text, stream in reversed(waiting):
        yield text.packet(stream)


def _lasting(packets: "Iterator[Packet]", wrapping: Wrapping) -> "Iterator[Packet]":
    """The packets, the last one of the pictures so long that the last picture shown stays as it should.

    MP4 takes the length of a stream, from its first packet's decoding on, from the packet that is decoded last, and the
    end of what is shown from the one that is shown last: players leave out what begins then. Where both are one packet,
    its decoding is put where the two agree.
    """
    held: Packet | None = None
    is_shown_last = False
    delay: int | None = None
    before: int | None = None
    """When the one before the held one is decoded."""
    for packet in packets:
        if packet.stream.type != "video":
            yield packet
            continue
        if held is not None:
            before = held.dts
            yield held
        is_shown_last = packet.pts is not None and packet.pts * time_base_of(packet) == wrapping.last_s
        if is_shown_last:
            packet.duration = max(1, round(wrapping.last_duration_s / time_base_of(packet)))
        if delay is None:
            delay = (packet.pts or 0) - (packet.dts or 0)
        held = packet
    if held is None:
        return
    if not is_shown_last:
        time_base = time_base_of(held)
        end = round((wrapping.last_s + wrapping.last_duration_s) / time_base)
        held.duration = max(1, end - (delay or 0) - (end if held.dts is None else held.dts))
    elif held.pts is not None and before is not None and held.pts - (delay or 0) > before:
        held.dts = held.pts - (delay or 0)
    yield held


def _set_chapters(output: "OutputContainer", chapters: Sequence[Chapter]) -> None:
    if not chapters:
        return
    millisecond = Fraction(1, 1000)
    output.set_chapters(
        [
            {
                "id": number,
                "start": round(chapter.start_s / millisecond),
                "end": round(chapter.end_s / millisecond),
                "time_base": millisecond,
                "metadata": dict(chapter.metadata),
            }
            for number, chapter in enumerate(chapters, start=1)
        ]
    )


def _covers(source: Path, stack: ExitStack) -> "list[Packet]":
    """The cover pictures of the source, which stays open; one that has gone has none."""
    import av

    found: dict[int, Packet] = {}
    with suppress(InputError, av.FFmpegError, OSError, ValueError):
        container = stack.enter_context(open_container(source))
        covers = [stream for stream in container.streams.video if is_cover(stream) and stream.codec_context]
        for packet in islice(container.demux(covers), _MOST_SEARCHED) if covers else ():
            if packet.size:
                found.setdefault(packet.stream.index, packet)
            if len(found) == len(covers):
                break
    return list(found.values())
