"""The sound of a source, carried over into a video that is being written."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovdet_cli.media.containers import open_container, reason_of, time_base_of
from ovdet_cli.media.writing import is_disk_error

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import OutputContainer
    from av.packet import Packet

# What MP4 holds and players play. libav would also put Vorbis and PCM in, which few of them open.
_COPIED_CODECS = frozenset(
    ("aac", "mp3", "mp3float", "mp2", "mp2float", "ac3", "eac3", "opus", "libopus", "flac", "alac", "dca")
)
_AAC_RATES = frozenset((96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000))
_AAC_LAYOUTS = {name: name for name in ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1")} | {
    "5.0(side)": "5.0",
    "5.1(side)": "5.1",
}
_AAC_BITS_A_CHANNEL = 96_000
# Errors of the disk, as against errors of a stream: they end the whole file.


@dataclass
class _Track:
    """One audio stream on its way; `encoder` is None where packets are copied."""

    number: int
    source: Any
    target: Any
    is_copied: bool
    is_open: bool = True
    last_dts: int | None = field(default=None)


class AudioCopy:
    """All audio streams of `source`, added to `output`; packets are copied where MP4 can hold them, else made AAC.

    Times are those of the source. `notes` tells the user what could not be kept as it was.
    """

    def __init__(self, source: Path, output: "OutputContainer", notes: list[str]) -> None:
        self._notes = notes
        self._output = output
        self._container = open_container(source)
        self._tracks: dict[int, _Track] = {}
        for number, stream in enumerate(self._container.streams.audio, start=1):
            try:
                self._tracks[stream.index] = self._added(number, stream)
            except Exception as error:  # an unknown codec, layout or rate fails in as many ways as PyAV has setters
                notes.append(f"audio stream {number} is left out: {reason_of(error)}")
        self._packets: Iterator[Packet] = iter(())
        self._pending: Packet | None = None
        self._begin_s: Fraction | None = None
        self._shift_s = Fraction(0)

    def begin(self, begin_s: Fraction | None, shift_s: Fraction) -> None:
        """Sets the cut: sound before `begin_s` is left out, and `shift_s` is taken off every time. After the header."""
        self._begin_s, self._shift_s = begin_s, shift_s
        if begin_s is not None and self._tracks:
            self._container.seek(int(begin_s * 1_000_000), backward=True)
        streams = [track.source for track in self._tracks.values()]
        self._packets = iter(self._container.demux(streams)) if streams else iter(())

    def copy_until(self, until_s: Fraction | None) -> None:
        """Writes the sound that begins before `until_s`; None: all that is left."""
        while True:
            if self._pending is None:
                self._pending = self._next()
            packet = self._pending
            if packet is None:
                return
            begins_s = self._begins_s(packet)
            if until_s is not None and begins_s is not None and begins_s >= until_s:
                return
            self._pending = None
            self._write(packet)

    def finish(self, until_s: Fraction | None) -> None:
        """Writes the sound up to `until_s` and empties the encoders."""
        self.copy_until(until_s)
        for track in self._tracks.values():
            if track.is_open and not track.is_copied:
                self._guarded(track, lambda track=track: self._encode(track, None))

    def close(self) -> None:
        """Closes the source."""
        self._container.close()

    def _added(self, number: int, stream: Any) -> _Track:
        name = stream.codec_context.codec.name
        if name in _COPIED_CODECS:
            return _Track(number, stream, self._output.add_stream_from_template(stream), is_copied=True)
        context = stream.codec_context
        rate = context.sample_rate if context.sample_rate in _AAC_RATES else 48000
        layout = _AAC_LAYOUTS.get(context.layout.name, "stereo")
        target = self._output.add_stream("aac", rate=rate, layout=layout)
        target.bit_rate = _AAC_BITS_A_CHANNEL * target.codec_context.channels
        self._notes.append(f"audio stream {number} is converted from {name} to AAC, which MP4 players know")
        return _Track(number, stream, target, is_copied=False)

    def _next(self) -> "Packet | None":
        import av

        while True:
            try:
                packet = next(self._packets, None)
            except av.FFmpegError as error:
                if is_disk_error(error):
                    raise
                self._notes.append(f"the sound ends early: {reason_of(error)}")
                self._packets = iter(())
                return None
            if packet is None or packet.size:  # without a size it only tells decoders to give up their last frames
                return packet

    def _begins_s(self, packet: "Packet") -> Fraction | None:
        ticks = packet.pts if packet.pts is not None else packet.dts
        return None if ticks is None else ticks * time_base_of(packet.stream)

    def _write(self, packet: "Packet") -> None:
        track = self._tracks[packet.stream.index]
        if track.is_open:
            self._guarded(track, lambda: self._copy(track, packet) if track.is_copied else self._convert(track, packet))

    def _guarded(self, track: _Track, action: Any) -> None:
        """A stream that fails is given up with a note; the video goes on."""
        import av

        try:
            action()
        except (av.FFmpegError, ValueError) as error:
            if is_disk_error(error):
                raise
            track.is_open = False
            self._notes.append(f"audio stream {track.number} stops early: {reason_of(error)}")

    def _copy(self, track: _Track, packet: "Packet") -> None:
        begins_s = self._begins_s(packet)
        if begins_s is None or (self._begin_s is not None and begins_s < self._begin_s):
            return
        shift = round(self._shift_s / time_base_of(track.source))
        dts = (packet.dts if packet.dts is not None else packet.pts or 0) - shift
        if track.last_dts is not None and dts <= track.last_dts:
            return  # a damaged or glued file goes back in time; MP4 cannot
        track.last_dts = dts
        packet.pts, packet.dts = (packet.pts - shift if packet.pts is not None else dts), dts
        packet.stream = track.target
        self._output.mux(packet)

    def _convert(self, track: _Track, packet: "Packet") -> None:
        for frame in packet.decode():
            time_base = time_base_of(frame)
            if frame.pts is None or (self._begin_s is not None and frame.pts * time_base < self._begin_s):
                continue
            frame.pts -= round(self._shift_s / time_base)
            self._encode(track, frame)  # type: ignore[arg-type]

    def _encode(self, track: _Track, frame: "AudioFrame | None") -> None:
        if frame is None:
            for late in track.source.codec_context.decode(None):
                late.pts = None if late.pts is None else late.pts - round(self._shift_s / time_base_of(late))
                self._output.mux(track.target.encode(late))
        self._output.mux(track.target.encode(frame))
