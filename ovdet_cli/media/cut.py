"""Parts of a video as files of their own: packets copied, nothing encoded.

A copy can begin at a keyframe only, so a clip begins with the last keyframe at or before the start asked for: early by
at most the distance of two keyframes, mostly 0.5 to 10 s. It ends with the last frame before the end asked for, or,
where that one leans on later ones, a few frames after it. Sound and subtitles are cut at their own packets (sound: 20
to 30 ms) and stay in sync. The file is read once, in order: no index is needed, and a clock that breaks off is
followed. What cannot be copied is named in `Cut.uncopied`.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ovdet_cli.errors import InputError
from ovdet_cli.media.containers import frame_rate, open_container, reason_of, time_base_of, video_stream
from ovdet_cli.media.timeline import BROADCAST_FORMATS, is_break
from ovdet_cli.media.writing import is_disk_error, write_error

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet

# What players open in MP4; everything else goes into Matroska, which holds nearly anything.
_MP4_VIDEO = frozenset(("h264", "hevc", "av1", "vp9", "mpeg4"))
_MP4_AUDIO = frozenset(("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"))
_MP4_SUBTITLES = frozenset(("mov_text",))
# Sound that lies this much later in the file than the pictures it belongs to still reaches its clip.
_LATE_S = 2
# A group of pictures waits in memory until it is known whether a clip begins in it: ten seconds of a camera's 4K.
_MOST_WAITING = 256 << 20
# A first part that lies further in than this is entered by the file's index, where there is a good one.
_FAR_S = 60


@dataclass(frozen=True)
class Span:
    """A part of a video, in seconds as its frames have them: the end is excluded."""

    start_s: Fraction
    end_s: Fraction


@dataclass(frozen=True)
class Clip:
    """One file. from_s, until_s: what it holds, in the source's time. spans: places of those asked for in it."""

    path: Path
    from_s: Fraction
    until_s: Fraction
    spans: tuple[int, ...]


@dataclass
class Cut:
    """What came of cutting: the clips, what differs from the source, and places of spans that cannot be copied."""

    clips: list[Clip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    uncopied: list[int] = field(default_factory=list)


def cut_video(source: Path, spans: Sequence[Span], place: Callable[[int, str], Path]) -> Cut:
    """Copies the spans, which rise and do not overlap, each into a file of its own.

    Where a clip would begin (at its keyframe) before the one before it has ended, the two become one. place: the path
    of the clip with a first span and a suffix.

    Raises:
        OutputError: a file cannot be written.
    """
    import av

    cut = Cut()
    if not spans:
        return cut
    try:
        with open_container(source) as container:
            _Cutter(container, spans, place, cut).run()
    except _UncopiableError:
        pass
    except (InputError, av.FFmpegError, OSError, ValueError) as error:
        if is_disk_error(error):
            raise
        cut.notes.append(f"cannot be read to the end for its clips: {reason_of(error)}")
    done = {number for clip in cut.clips for number in clip.spans}
    cut.uncopied = [number for number in range(len(spans)) if number not in done]
    return cut


class _UncopiableError(Exception):
    """Packets that no container can take as they are."""


class _Picture(NamedTuple):
    """A packet of the video, and the seconds to add to its times. shown_s has them already."""

    packet: "Packet"
    offset_s: Fraction
    shown_s: Fraction


@dataclass(eq=False)
class _Waiting:
    """A packet that is not the video's, kept as long as a clip may begin under it."""

    packet: "Packet"
    offset_s: Fraction
    begin_s: Fraction
    end_s: Fraction


class _Cutter:
    """One pass over a file."""

    def __init__(
        self, container: "InputContainer", spans: Sequence[Span], place: Callable[[int, str], Path], cut: Cut
    ) -> None:
        self._container = container
        self._video = video_stream(container)
        self._spans = spans
        self._place = place
        self._cut = cut
        self._next = 0
        self._group: list[_Picture] = []
        """Since the last keyframe."""
        self._group_bytes = 0
        self._aside: list[_Waiting] = []
        self._clip: _ClipFile | None = None
        self._late: list[_ClipFile] = []
        """Clips whose pictures are complete; sound may follow."""
        self._streams = [self._video, *(s for s in _others(container) if s.codec_context is not None)]
        if num_lost := sum(s.codec_context is None for s in _others(container)):
            cut.notes.append(f"{num_lost} streams of sound or subtitles in an unknown codec are left out of its clips")

    def run(self) -> None:
        """Reads packets until the last clip is complete."""
        try:
            for packet, offset_s in _steadied(self._packets(), self._container, self._video):
                if packet.stream is self._video:
                    self._take_picture(packet, offset_s)
                else:
                    self._take_other(packet, offset_s)
                if self._next == len(self._spans) and self._clip is None and not self._late:
                    break
        except BaseException:
            self._finish_all()  # what was cut until the damage stays
            raise
        ends_s = max((picture.shown_s for picture in self._group), default=Fraction(0))
        if self._next < len(self._spans) and ends_s >= self._spans[self._next].start_s:
            self._begin_clip()  # in the file's last group of pictures
        self._finish_all()

    def _packets(self) -> Iterator["Packet"]:
        first_s = self._spans[0].start_s
        if "mp4" in self._container.format.name.split(",") and first_s > _FAR_S:
            self._container.seek(int((first_s - 1) * 1_000_000), backward=True)
        return iter(self._container.demux(self._streams))

    def _take_picture(self, packet: "Packet", offset_s: Fraction) -> None:
        shown_s = _shown_s(packet) + offset_s
        decoded_s = shown_s if packet.dts is None else packet.dts * time_base_of(packet) + offset_s
        if packet.is_keyframe:
            while self._next < len(self._spans) and shown_s > self._spans[self._next].start_s and self._group:
                self._begin_clip()  # in the group that ends here
            if self._clip is not None and shown_s >= self._clip.end_s:
                self._retire()
            self._group, self._group_bytes = [], 0
            self._aside = [other for other in self._aside if other.end_s > shown_s]
        if packet.is_keyframe or self._group:  # before the first keyframe nothing can be decoded
            self._group.append(_Picture(packet, offset_s, shown_s))
            self._group_bytes += packet.size
        if self._group_bytes > _MOST_WAITING and self._clip is None:
            self._group, self._group_bytes = [], 0  # a clip that begins in it must be encoded
        clip = self._clip
        if clip is not None and self._group:
            self._guarded(clip, partial(clip.take_picture, self._group[-1], len(self._group) - 1))
        is_time = self._next < len(self._spans) and decoded_s >= self._spans[self._next].start_s
        if is_time and self._group and packet.dts is not None:  # without one, the next packet tells what it was
            self._begin_clip()
        if self._clip is not None and decoded_s >= self._clip.end_s:
            self._retire()
        for clip in [clip for clip in self._late if decoded_s >= clip.end_s + _LATE_S]:
            self._finish(clip)

    def _take_other(self, packet: "Packet", offset_s: Fraction) -> None:
        begin_s = _shown_s(packet) + offset_s
        waiting = _Waiting(packet, offset_s, begin_s, begin_s + (packet.duration or 0) * time_base_of(packet))
        self._aside.append(waiting)
        for clip in (self._clip, *self._late):
            if clip is not None:
                self._guarded(clip, partial(clip.take_other, waiting))

    def _begin_clip(self) -> None:
        """Opens the next span's clip with the group of pictures at hand, or prolongs the clip that reaches into it."""
        number, self._next = self._next, self._next + 1
        span = self._spans[number]
        if not self._group:
            return
        origin_s = self._group[0].shown_s
        if origin_s >= span.end_s:
            return
        before = self._clip or next((clip for clip in self._late if clip.end_s > origin_s), None)
        if before is not None and before.end_s > origin_s:
            self._late = [clip for clip in self._late if clip is not before]
            self._clip = before
            self._guarded(before, partial(before.prolong, span.end_s, number, self._group, self._aside))
            return
        if self._clip is not None:
            self._retire()
        try:
            suffix = _suffix(self._container, self._streams)
            self._clip = _ClipFile(self._place(number, suffix), self._container, self._streams, origin_s, span, number)
        except _UncopiableError:
            return
        self._guarded(self._clip, partial(self._clip.begin, self._group, self._aside))

    def _guarded(self, clip: "_ClipFile", action: Callable[[], object]) -> None:
        """A clip that cannot be copied goes; its spans are then named as uncopied."""
        import av

        try:
            action()
        except (_UncopiableError, av.FFmpegError, ValueError, OSError) as error:
            if is_disk_error(error):
                clip.discard()
                raise write_error(clip.path, reason_of(error), error) from error
            self._drop(clip)
            clip.discard()

    def _retire(self) -> None:
        if self._clip is not None:
            self._late.append(self._clip)
            self._clip = None

    def _drop(self, clip: "_ClipFile") -> None:
        self._clip = None if self._clip is clip else self._clip
        self._late = [other for other in self._late if other is not clip]

    def _finish(self, clip: "_ClipFile") -> None:
        self._drop(clip)
        self._guarded(clip, lambda: self._cut.clips.append(clip.finish()))

    def _finish_all(self) -> None:
        self._retire()
        for clip in list(self._late):
            self._finish(clip)


class _ClipFile:
    """A clip on its way: hidden as `.NAME.part` until it is whole."""

    def __init__(
        self,
        path: Path,
        container: "InputContainer",
        streams: Sequence[Any],
        origin_s: Fraction,
        span: Span,
        number: int,
    ) -> None:
        import av

        self.path = path
        self.end_s = span.end_s
        self._origin_s = origin_s
        self._until_s = origin_s
        self._numbers = [number]
        self._held: list[_Picture] = []
        """Pictures from the end on; written only where a picture before the end follows them in the file."""
        self._num_taken = 0
        """Packets of the current group of pictures that are written."""
        self._last_dts: dict[int, int] = {}
        self._part = path.with_name(f".{path.name}.part{path.suffix}")
        self._frame_s = 1 / frame_rate(streams[0])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(path, reason_of(error), error) from error
        try:
            self._output = av.open(f"file:{self._part.absolute()}", "w", container_options=_muxing(path.suffix))
            self._targets = {stream.index: self._added(stream) for stream in streams}
            self._output.start_encoding()
        except (av.FFmpegError, OSError, ValueError) as error:
            self.discard()
            if is_disk_error(error):
                raise write_error(path, reason_of(error), error) from error
            raise _UncopiableError from error

    def _added(self, stream: Any) -> Any:
        name = _codec(stream)
        if stream.type == "subtitle" and name in _MP4_SUBTITLES and self.path.suffix != ".mp4":
            target = self._output.add_mux_stream("subrip")
        else:
            target = self._output.add_stream_from_template(stream, opaque=True)
        target.time_base = time_base_of(stream)
        if language := stream.metadata.get("language"):
            target.metadata["language"] = language
        target.disposition = stream.disposition
        return target

    def begin(self, group: Sequence[_Picture], aside: Iterable[_Waiting]) -> None:
        """Takes the group of pictures in which the clip begins, and what sounds beside it."""
        _fill_dts(group, self._frame_s)
        for place, picture in enumerate(group):
            self.take_picture(picture, place)
        for waiting in aside:
            self.take_other(waiting)

    def prolong(self, end_s: Fraction, number: int, group: Sequence[_Picture], aside: Iterable[_Waiting]) -> None:
        """Moves the end on; `group` holds what was left out when the old end came."""
        old_end_s, self.end_s = self.end_s, end_s
        self._numbers.append(number)
        self._held.clear()
        for place, picture in enumerate(group):
            if place >= self._num_taken:
                self.take_picture(picture, place)
        for waiting in aside:
            if waiting.begin_s >= old_end_s:
                self.take_other(waiting)

    def take_picture(self, picture: _Picture, place: int) -> None:
        """A packet of the video; place: in its group of pictures."""
        if place == 0:
            self._num_taken = 0
        if picture.shown_s < self._origin_s:  # leans on pictures before the keyframe
            return
        self._held.append(picture)
        if picture.shown_s >= self.end_s:
            return
        for held in self._held:
            self._until_s = max(self._until_s, held.shown_s + self._frame_s)
            self._write(held.packet, held.offset_s)
        self._held.clear()
        self._num_taken = place + 1

    def take_other(self, waiting: _Waiting) -> None:
        """A packet of sound or subtitles, where it belongs into the clip."""
        import av

        packet, begin_s = waiting.packet, waiting.begin_s
        if begin_s >= self.end_s or not packet.size:
            return
        if packet.stream.type != "subtitle":
            if begin_s >= self._origin_s:
                self._write(packet, waiting.offset_s)
            return
        if waiting.end_s <= self._origin_s:
            return
        data = bytes(packet)
        if _codec(packet.stream) in _MP4_SUBTITLES and self.path.suffix != ".mp4":
            data = data[2 : 2 + int.from_bytes(data[:2], "big")]
        if not data:
            return  # Matroska knows pauses by themselves
        time_base = time_base_of(packet)
        shown = av.Packet(data)  # a subtitle may stand in two clips
        shown.stream, shown.time_base = packet.stream, time_base
        shown.pts = shown.dts = round((max(begin_s, self._origin_s) - waiting.offset_s) / time_base)
        shown.duration = round((min(waiting.end_s, self.end_s) - max(begin_s, self._origin_s)) / time_base)
        shown.is_keyframe = True
        self._write(shown, waiting.offset_s)

    def _write(self, packet: "Packet", offset_s: Fraction) -> None:
        stream = packet.stream
        shift = round((offset_s - self._origin_s) / time_base_of(packet))
        last = self._last_dts.get(stream.index)
        dts = packet.dts if packet.dts is not None else packet.pts
        if dts is None or (packet.pts is None and self.path.suffix != ".avi"):
            raise _UncopiableError
        dts += shift
        if last is not None and dts <= last:
            dts = last + 1
        pts = None if packet.pts is None else max(packet.pts + shift, dts)
        self._last_dts[stream.index] = dts
        if not packet.duration and stream.type == "video":  # a last picture without one would never be shown
            packet.duration = max(1, round(self._frame_s / time_base_of(packet)))
        packet.pts, packet.dts = pts, dts
        packet.stream = self._targets[stream.index]
        self._output.mux(packet)

    def finish(self) -> Clip:
        """Puts the file under its name."""
        self._output.close()
        os.replace(self._part, self.path)  # noqa: PTH105 - the one call that promises atomicity
        return Clip(self.path, self._origin_s, self._until_s, tuple(self._numbers))

    def discard(self) -> None:
        """Takes the unfinished file away."""
        import av

        with suppress(av.FFmpegError, OSError, ValueError, AttributeError):  # never opened; or a disk that is full
            self._output.close()
        with suppress(OSError):
            self._part.unlink()


def _others(container: "InputContainer") -> list[Any]:
    return [*container.streams.audio, *container.streams.subtitles]


def _codec(stream: Any) -> str:
    return stream.codec_context.codec.canonical_name


def _suffix(container: "InputContainer", streams: Sequence[Any]) -> str:
    """What can hold all these streams as they are, MP4 where it can."""
    if "avi" in container.format.name.split(","):
        return ".avi"  # it knows no presentation times, which every other container wants
    known = {"video": _MP4_VIDEO, "audio": _MP4_AUDIO, "subtitle": _MP4_SUBTITLES}
    return ".mp4" if all(_codec(stream) in known[stream.type] for stream in streams) else ".mkv"


def _muxing(suffix: str) -> dict[str, str]:
    return {"movflags": "+faststart", "strict": "experimental"} if suffix == ".mp4" else {}


def _shown_s(packet: "Packet") -> Fraction:
    ticks = packet.pts if packet.pts is not None else packet.dts
    if ticks is None:
        raise _UncopiableError
    return ticks * time_base_of(packet)


def _fill_dts(group: Sequence[_Picture], frame_s: Fraction) -> None:
    """Gives the first packets a decoding time where the container has none for them (Matroska with B-frames)."""
    known = next((place for place, picture in enumerate(group) if picture.packet.dts is not None), None)
    if known == 0:
        return
    if known is None:
        raise _UncopiableError
    step = max(1, round(frame_s / time_base_of(group[0].packet)))
    for place in range(known):
        packet = group[place].packet
        packet.dts = min((group[known].packet.dts or 0) - (known - place) * step, packet.pts or 0)


def _steadied(
    packets: Iterator["Packet"], container: "InputContainer", video: Any
) -> Iterator[tuple["Packet", Fraction]]:
    """Each packet with the seconds to add to its times, so that a clock that breaks off goes on.

    The first stream to break says by how much; the others take that over when they break.
    """
    is_broadcast = bool(set(container.format.name.split(",")) & BROADCAST_FORMATS)
    offsets_s = [Fraction(0)]
    lines: dict[int, tuple[Fraction, Fraction, int]] = {}  # last time as stored, end on our clock, number of breaks
    for packet in packets:
        ticks = packet.dts if packet.dts is not None else packet.pts
        if not packet.size or ticks is None:
            if packet.size and packet.stream is video:
                raise _UncopiableError
            continue
        stored_s = ticks * time_base_of(packet)
        shown_s = _shown_s(packet)
        length_s = (packet.duration or 0) * time_base_of(packet)
        last_s, end_s, num_breaks = lines.get(packet.stream.index, (stored_s, shown_s, 0))
        if is_break(stored_s - last_s, is_broadcast=is_broadcast):
            num_breaks += 1
            if num_breaks == len(offsets_s):
                offsets_s.append(end_s - shown_s)
        offset_s = offsets_s[num_breaks]
        lines[packet.stream.index] = (stored_s, max(end_s, shown_s + length_s + offset_s), num_breaks)
        yield packet, offset_s
