"""What a video holds besides its pictures, sound and subtitles, carried over into a video that is being written."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovdet_cli.media.adts import AdtsHeader, read_adts
from ovdet_cli.media.containers import (
    frame_rate,
    open_container,
    reason_of,
    time_base_of,
    video_stream,
)
from ovdet_cli.media.facts import kept_metadata
from ovdet_cli.media.splices import closed
from ovdet_cli.media.subtitles import (
    SUBTITLE_TICKS,
    TEXT_CODECS,
    SubtitleTrack,
    TimedText,
    plain_text,
    timed_text,
)
from ovdet_cli.media.timeline import BROADCAST_FORMATS, MOST_BAD, is_damage
from ovdet_cli.media.writing import is_disk_error

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import OutputContainer
    from av.packet import Packet

# What MP4 holds and players play. libav would also put Vorbis and PCM in, which few of them open.
_COPIED_SOUND = frozenset(
    ("aac", "mp3", "mp3float", "mp2", "mp2float", "ac3", "eac3", "opus", "libopus", "flac", "alac", "dca")
)
_AAC_RATES = frozenset((96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000))
_AAC_LAYOUTS = {name: name for name in ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1")} | {
    "5.0(side)": "5.0",
    "5.1(side)": "5.1",
}
# Of sound that says only how many channels it has (AVI, WMA).
_LAYOUT_OF = {1: "mono", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_AAC_BITS_A_CHANNEL = 96_000
# Of these MP4's header tells what only a packet says; the header is written with the first fragment.
_TOLD_BY_PACKETS = frozenset(("ac3", "eac3"))
LATEST_S = 1
"""A packet must have come by then: a fragment is longer."""
_MOST_SEARCHED = 5000
# A gap in the sound is longer than this.
_JITTER_S = Fraction(1, 20)


@dataclass
class _Track:
    """One stream on its way. write: takes a packet with its times in seconds of the output."""

    name: str
    source: Any
    target: Any
    write: Callable[["_Track", "Packet", Fraction], None]
    is_open: bool = True
    adts: AdtsHeader | None = None
    last_dts: int | None = None
    next_sample: int | None = None
    num_bad: int = 0
    num_bad_in_a_row: int = 0


class SideStreams:
    """Sound and subtitles of `source`, the sound added to `output`: packets are copied where MP4 can hold them.

    Other sound becomes AAC, other subtitles of text become MP4's own; what is left out is told. Times are those of the
    source. `notes` tells the user what could not be kept as it was.
    """

    def __init__(self, source: Path, output: "OutputContainer", notes: list[str]) -> None:
        self._notes = notes
        self._output = output
        self._source = source
        self._container = open_container(source)
        self._tracks: dict[int, _Track] = {}
        self.subtitles: list[SubtitleTrack] = []
        """For the finished file; in fragments so rare packets would hold up, and bend, the others."""
        self._offsets_s: list[Fraction] = []
        self._packets: Iterator[tuple[Packet, Fraction]] = iter(())
        self._pending: tuple[Packet, Fraction] | None = None
        self._begin_s: Fraction | None = None
        self._end_s: Fraction | None = None
        self._shift_s = Fraction(0)
        for number, stream in enumerate(self._container.streams.audio, start=1):
            self._add(f"audio stream {number}", stream, self._added_sound)
        for number, subtitles in enumerate(self._container.streams.subtitles, start=1):
            self._add(f"subtitle stream {number}", subtitles, self._added_subtitles)
        self._note_others()

    def begin(self, begin_s: Fraction | None, end_s: Fraction | None, shift_s: Fraction) -> None:
        """Sets the cut: what is heard before `begin_s` is left out, and `shift_s` is taken off every time.

        To be called after the header.
        """
        self._begin_s, self._end_s, self._shift_s = begin_s, end_s, shift_s
        streams = [track.source for track in self._tracks.values()]
        if not streams:
            return
        if set(self._container.format.name.split(",")) & BROADCAST_FORMATS:  # its clock may break, so no seeking
            video = video_stream(self._container)
            packets = self._demuxed([*streams, video])
            self._packets = closed(packets, video, 1 / frame_rate(video), self._offsets_s)
            return
        if begin_s is not None:
            self._container.seek(int(begin_s * 1_000_000), backward=True)
        self._packets = ((packet, Fraction(0)) for packet in self._demuxed(streams))

    def copy_until(self, until_s: Fraction | None) -> None:
        """Writes what begins before `until_s`; None: all that is left."""
        while True:
            if self._pending is None:
                self._pending = self._next()
            if self._pending is None:
                return
            packet, offset_s = self._pending
            begins_s = _begins_s(packet, offset_s)
            if until_s is not None and begins_s is not None and begins_s >= until_s:
                return
            self._pending = None
            track = self._tracks[packet.stream.index]
            if track.is_open:
                self._guarded(track, packet, offset_s)

    def finish(self, until_s: Fraction | None) -> None:
        """Writes what is left up to `until_s`, and empties the encoders."""
        self.copy_until(until_s)
        for track in self._tracks.values():
            if track.is_open and track.write == self._convert_sound:
                self._guarded(track, None, Fraction(0))
            if track.num_bad and track.is_open:
                self._notes.append(f"{track.name}: {track.num_bad} damaged packets are left out")
        if len(self._offsets_s) > 1:
            self._notes.append(f"its clock breaks off {len(self._offsets_s) - 1} times: what follows is joined on")

    def close(self) -> None:
        """Closes the source."""
        self._container.close()

    def _add(self, name: str, stream: Any, added: Callable[[str, Any], _Track | None]) -> None:
        try:
            track = added(name, stream)
            if track is None:
                return
            if added == self._added_sound:
                track.target.metadata.update(_track_metadata(stream))
                track.target.disposition = stream.disposition.value
        except Exception as error:  # an unknown codec, layout or rate fails in as many ways as PyAV has setters
            self._notes.append(f"{name} is left out: {reason_of(error)}")
            return
        self._tracks[stream.index] = track

    def _added_sound(self, name: str, stream: Any) -> _Track:
        context = stream.codec_context
        codec = context.codec.name
        reason = f"from {codec} to AAC, which MP4 players know"
        if codec == "aac" and not context.extradata:
            _, data = self._first_packet(stream)
            header = read_adts(data)
            if header is not None:
                target: Any = self._output.add_stream_from_template(stream)
                target.codec_context.extradata = header.config
                return _Track(name, stream, target, self._copy_adts, adts=header)
            reason = f"from {codec} to AAC of a kind that MP4 holds"
        elif codec in _TOLD_BY_PACKETS and self._first_packet(stream)[0] > LATEST_S:
            reason = f"from {codec} to AAC: it begins too late to be copied into MP4"
        elif codec in _COPIED_SOUND:
            return _Track(name, stream, self._output.add_stream_from_template(stream), self._copy)
        rate = context.sample_rate if context.sample_rate in _AAC_RATES else 48000
        layout = _AAC_LAYOUTS.get(context.layout.name) or _LAYOUT_OF.get(context.channels, "stereo")
        target = self._output.add_stream("aac", rate=rate, layout=layout)
        target.bit_rate = _AAC_BITS_A_CHANNEL * target.codec_context.channels
        self._notes.append(f"{name} is converted {reason}")
        return _Track(name, stream, target, self._convert_sound)

    def _added_subtitles(self, name: str, stream: Any) -> _Track | None:
        codec = stream.codec_context.codec.name if stream.codec_context else "an unknown codec"
        is_own = codec == "mov_text"
        if not is_own and codec not in TEXT_CODECS:
            self._notes.append(f"{name} ({codec}) is left out: MP4 holds subtitles of text alone")
            return None
        if not is_own:
            self._notes.append(
                f"{name} is converted from {codec} to MP4's timed text: its words stay, its styles do not"
            )
        target = SubtitleTrack(stream if is_own else None, _track_metadata(stream), stream.disposition.value)
        self.subtitles.append(target)
        return _Track(name, stream, target, self._take_text)

    def _first_packet(self, stream: Any) -> tuple[float, bytes]:
        """Seconds from the first picture to the stream's first packet, and its content; endless where none comes."""
        import av

        with open_container(self._source) as container:
            video, first_s = video_stream(container), None
            with suppress(av.FFmpegError):
                for packet in islice(container.demux(video, container.streams[stream.index]), _MOST_SEARCHED):
                    if packet.pts is None or not packet.size:
                        continue
                    shown_s = packet.pts * time_base_of(packet)
                    if packet.stream.index != video.index:
                        return float(shown_s - (shown_s if first_s is None else first_s)), bytes(packet)
                    first_s = shown_s if first_s is None else first_s
        return math.inf, b""

    def _note_others(self) -> None:
        names = [
            f"{stream.type} ({stream.metadata.get('handler_name') or stream.codec_context.codec.name})"
            if stream.codec_context
            else stream.type
            for stream in self._container.streams
            # A timecode comes back with the pictures.
            if stream.type not in ("video", "audio", "subtitle") and "timecode" not in stream.metadata
        ]
        # A track of chapters' names comes back with the chapters.
        if names and not (set(names) == {"data"} and _has_chapters(self._container)):
            self._notes.append(f"streams of another kind are left out: {', '.join(names)}")

    def _next(self) -> "tuple[Packet, Fraction] | None":
        import av

        while True:
            try:
                item = next(self._packets, None)
            except av.FFmpegError as error:
                if is_disk_error(error):
                    raise
                self._notes.append(f"the sound ends early: {reason_of(error)}")
                self._packets = iter(())
                return None
            if item is None or item[0].size:  # without a size it only tells decoders to give up their last frames
                return item

    def _demuxed(self, streams: Sequence[Any]) -> "Iterator[Packet]":
        """The streams' packets, without those that cannot be read."""
        import av

        num_bad = 0
        while True:
            try:
                for packet in self._container.demux(*streams):
                    num_bad = 0
                    yield packet
                return
            except IndexError:
                continue  # PyAV's word for a packet of a stream that the file's beginning does not name
            except av.FFmpegError as error:
                num_bad += 1
                if not is_damage(error) or num_bad >= MOST_BAD:
                    raise

    def _guarded(self, track: _Track, packet: "Packet | None", offset_s: Fraction) -> None:
        """A packet that fails is left out; a stream that fails for long is given up with a note. The video goes on."""
        import av

        try:
            if packet is None:
                self._end_sound(track)
            else:
                track.write(track, packet, offset_s)
            track.num_bad_in_a_row = 0
        except (av.FFmpegError, ValueError) as error:
            if is_disk_error(error):
                raise
            track.num_bad += 1
            track.num_bad_in_a_row += 1
            if track.num_bad_in_a_row >= MOST_BAD:
                track.is_open = False
                self._notes.append(f"{track.name} stops early: {reason_of(error)}")

    def _copy_adts(self, track: _Track, packet: "Packet", offset_s: Fraction) -> None:
        from av import Packet

        data = bytes(packet)
        header = read_adts(data)
        if header is None or track.adts is None or header.config != track.adts.config:
            raise ValueError("the kind of its AAC changes on the way")
        bare = Packet(data[header.length :])
        bare.pts, bare.dts, bare.duration, bare.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
        bare.is_keyframe = True
        bare.stream = packet.stream
        self._copy(track, bare, offset_s)

    def _copy(self, track: _Track, packet: "Packet", offset_s: Fraction) -> None:
        begins_s = _begins_s(packet, offset_s)
        if begins_s is None or (self._begin_s is not None and begins_s < self._begin_s):
            return
        shift = round((self._shift_s - offset_s) / time_base_of(track.source))
        dts = (packet.dts if packet.dts is not None else packet.pts or 0) - shift
        if track.last_dts is not None and dts <= track.last_dts:
            return  # a damaged or glued file goes back in time; MP4 cannot
        track.last_dts = dts
        packet.pts, packet.dts = (packet.pts - shift if packet.pts is not None else dts), dts
        packet.stream = track.target
        self._output.mux(packet)

    def _take_text(self, track: _Track, packet: "Packet", offset_s: Fraction) -> None:
        begins_s = _begins_s(packet, offset_s)
        if begins_s is None:
            return
        ends_s = begins_s + (packet.duration or 0) * time_base_of(packet)
        begins_s = begins_s if self._begin_s is None else max(begins_s, self._begin_s)
        ends_s = ends_s if self._end_s is None else min(ends_s, self._end_s)
        codec, data = track.source.codec_context.codec.name, bytes(packet)
        if codec != "mov_text":
            data = timed_text(plain_text(codec, data))
        if ends_s <= begins_s or data[:2] in (b"", b"\0\0"):  # MP4 fills its pauses with empty ones
            return
        # Milliseconds, as nearly all subtitles have them.
        begins = round((begins_s - self._shift_s) / SUBTITLE_TICKS)
        ends = round((ends_s - self._shift_s) / SUBTITLE_TICKS)
        if track.last_dts is not None and begins <= track.last_dts:
            begins, ends = track.last_dts + 1, max(ends, track.last_dts + 2)  # MP4 shows one after the other
        track.last_dts = begins
        track.target.texts.append(TimedText(begins, ends - begins, data))

    def _convert_sound(self, track: _Track, packet: "Packet", offset_s: Fraction) -> None:
        for frame in packet.decode():
            self._encode(track, frame, offset_s)  # type: ignore[arg-type]

    def _end_sound(self, track: _Track) -> None:
        for frame in track.source.codec_context.decode(None):
            self._encode(track, frame, Fraction(0))
        self._output.mux(track.target.encode(None))

    def _encode(self, track: _Track, frame: "AudioFrame", offset_s: Fraction) -> None:
        time_base = time_base_of(frame)
        if frame.pts is None or (self._begin_s is not None and frame.pts * time_base + offset_s < self._begin_s):
            return
        pts = round((frame.pts * time_base - self._shift_s + offset_s) * frame.sample_rate)
        # Times of whole milliseconds, as Matroska has them, jitter; samples follow each other.
        if track.next_sample is not None and abs(pts - track.next_sample) < frame.sample_rate * _JITTER_S:
            pts = track.next_sample
        track.next_sample = pts + frame.samples
        frame.pts, frame.time_base = pts, Fraction(1, frame.sample_rate)
        self._output.mux(track.target.encode(frame))


def _track_metadata(stream: Any) -> dict[str, str]:
    metadata = kept_metadata(stream.metadata)
    if title := stream.metadata.get("title"):
        metadata["handler_name"] = title  # where MP4 players look for a track's name
    return metadata


def _has_chapters(container: Any) -> bool:
    return bool(container.chapters())


def _begins_s(packet: "Packet", offset_s: Fraction) -> Fraction | None:
    ticks = packet.pts if packet.pts is not None else packet.dts
    return None if ticks is None else ticks * time_base_of(packet.stream) + offset_s
