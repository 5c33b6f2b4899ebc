"""Times of decoded frames, and where to enter a file so that a late start is quick and frame numbers stay exact."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ovdet_cli.errors import InputError
from ovdet_cli.media.containers import frame_rate, open_container, reason_of, time_base_of, video_stream

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# A timestamp that falls back further than this begins a new recording in the same file.
_SPLICE_S = 10
# MPEG's transport and program streams count 33 bits: libav takes a fall to before the start for a wrap, a leap of 26
# hours. So there a leap of more than this is a new recording too; a shorter gap stays a gap.
_LEAP_S = 3600
BROADCAST_FORMATS = frozenset(("mpegts", "mpeg"))
# Packets in a row that are skipped before the rest of a file is given up: some seconds of video.
MOST_BAD = 100
# Reads that fail before the file counts as ended: an error at its end comes again and again.
_MOST_UNREAD = 20
# libav knows no presentation times of AVI's B-frames; its packets' times run ahead by the decoder's delay, in frames.
_MOST_DELAY = 4
# Codecs in which a packet is a frame; VP8 hides frames in packets of their own, DivX puts two into one.
ONE_PACKET_A_FRAME = frozenset(
    (
        "h264",
        "hevc",
        "vp9",
        "libvpx-vp9",
        "av1",
        "libdav1d",
        "mjpeg",
        "mpeg2video",
        "prores",
        "dnxhd",
        "ffv1",
        "huffyuv",
    )
)
# How many frames are decoded to see that a packet is a frame in this very file (interlaced H.264 has two packets each).
PROBED_FRAMES = 12


class FrameClock:
    """The presentation time of each decoded frame: pts x time base; where that is unusable, a rising guess."""

    def __init__(self, stream: "VideoStream") -> None:
        self._time_base = time_base_of(stream)
        self._frame_ticks = max(1, round(1 / (frame_rate(stream) * self._time_base)))
        self._last_pts = self._last_dts = -(1 << 62)
        self._num_bad_pts = self._num_bad_dts = 0
        self._last: int | None = None
        self._splice = 0
        names = set(stream.container.format.name.split(","))
        self._is_broadcast = bool(names & BROADCAST_FORMATS)
        self._is_avi = "avi" in names
        self._start = stream.start_time or 0
        self._delay = None if stream.codec_context.has_b_frames else 0

    def time_s(self, frame: "VideoFrame") -> Fraction:
        """Seconds, later than those of every frame before."""
        best = self._best(frame.pts, frame.dts)
        if best is None:
            ticks = 0 if self._last is None else self._last + self._frame_ticks
        else:
            ticks = best + self._splice
        if self._last is not None and is_break((ticks - self._last) * self._time_base, is_broadcast=self._is_broadcast):
            self._splice += self._last + self._frame_ticks - ticks
            ticks = self._last + self._frame_ticks
        elif self._last is not None and ticks <= self._last:
            ticks = self._last + 1
        self._last = ticks
        return ticks * self._time_base

    def _best(self, pts: int | None, dts: int | None) -> int | None:
        """libavcodec's best_effort_timestamp, which PyAV does not show: the one of the two that has lied less often.

        AVI knows only decoding order, so the pts that libav derives for its B-frames run to and fro.
        """
        if self._is_avi:
            if dts is None:
                return None
            if self._delay is None:
                ahead = dts - self._start
                self._delay = ahead if 0 < ahead <= _MOST_DELAY * self._frame_ticks else 0
            return dts - self._delay
        if dts is not None:
            self._num_bad_dts += dts <= self._last_dts
            self._last_dts = dts
        if pts is not None:
            self._num_bad_pts += pts <= self._last_pts
            self._last_pts = pts
        if pts is not None and (dts is None or self._num_bad_pts <= self._num_bad_dts):
            return pts
        return dts


def is_break(leap_s: Fraction, *, is_broadcast: bool) -> bool:
    """Whether a step between two timestamps of a stream is no time that passed, but another clock."""
    return leap_s < -_SPLICE_S or (is_broadcast and leap_s > _LEAP_S)


@dataclass(frozen=True)
class EntryPoint:
    """The keyframe to begin decoding at for a late start."""

    keyframe_pts: int
    seek_ts: int
    first_s: Fraction
    """When the file's very first frame is shown."""
    pts: list[int]
    """Of every frame up to the start, rising: a frame's place here is its index."""
    target_ticks: Fraction
    """The start, in the stream's ticks."""


class LandingError(Exception):
    """The seek did not arrive where the packets promised; decode from the beginning instead."""


def find_entry(path: Path, start_s: Fraction) -> EntryPoint | None:
    """Where to enter for a start `start_s` after the first frame; None when only a full decode counts frames exactly.

    Reads packets without decoding them, and decodes a dozen frames to see that packets and frames agree.
    """
    with open_container(path) as container:
        stream = video_stream(container)
        if stream.codec_context.codec.name not in ONE_PACKET_A_FRAME:
            return None
        entry = _entry(container, stream, start_s)
    if entry is None or len(entry.pts) != len(set(entry.pts)):
        return None
    with open_container(path) as container:
        probed = [frame.pts for frame in islice(decoded_frames(container, video_stream(container)), PROBED_FRAMES)]
    count = min(len(probed), len(entry.pts))
    return entry if probed[:count] == entry.pts[:count] else None


def _entry(container: "InputContainer", stream: "VideoStream", start_s: Fraction) -> EntryPoint | None:
    time_base = time_base_of(stream)
    pts_seen: list[int] = []
    target = Fraction(0)
    keyframe: Packet | None = None
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.pts is None or packet.is_corrupt or packet.is_discard or (pts_seen and packet.pts < pts_seen[0]):
            return None
        if not pts_seen:
            if not packet.is_keyframe:
                return None
            target = packet.pts + start_s / time_base
        pts_seen.append(packet.pts)
        if packet.is_keyframe and packet.pts <= target and (keyframe is None or packet.pts > (keyframe.pts or 0)):
            keyframe = packet
        if packet.dts is not None and packet.dts > target:  # every later packet is shown later still
            break
    if keyframe is None or keyframe.pts is None or keyframe.pts == pts_seen[0]:
        return None
    seek_ts = keyframe.pts if keyframe.dts is None else min(keyframe.pts, keyframe.dts)
    return EntryPoint(keyframe.pts, seek_ts, pts_seen[0] * time_base, sorted(pts_seen), target)


@dataclass(frozen=True)
class Damage:
    """A packet that could not be read or decoded, in its place among the frames."""

    reason: str


def decoded_frames(container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame"]:
    """Every frame in presentation order; what is damaged is left out. Raises what libav raises, see `decoded`."""
    from av.video.frame import VideoFrame

    return (item for item in decoded(container, stream) if isinstance(item, VideoFrame))


def decoded(container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame | Damage"]:
    """Every frame in presentation order, and a Damage for each packet that gives none because it is damaged.

    After an error that is not of one packet, the frames already in the decoder come out first.

    Raises:
        InputError: too many packets in a row are damaged.
        av.FFmpegError: the file cannot be read any further.
    """
    return _decode(stream, _packets(container, stream))


def frames_from(
    container: "InputContainer", stream: "VideoStream", entry: EntryPoint
) -> Iterator[tuple[int, "VideoFrame | Damage"]]:
    """Index and frame, or damage, from the entry's keyframe on.

    Raises:
        LandingError: the frames before the start are not the ones the packets promised. None has been used yet then.
    """
    container.seek(entry.seek_ts, stream=stream, backward=True)
    index = bisect_left(entry.pts, entry.keyframe_pts) - 1
    has_arrived = False
    for frame in _decode(stream, _packets_from(_packets(container, stream), entry)):
        if isinstance(frame, Damage):
            index += 1
            yield index, frame
            continue
        if not has_arrived and frame.pts is not None and frame.pts < entry.keyframe_pts:
            continue  # of an open group of pictures: leans on frames before the keyframe
        index += 1
        if not has_arrived:
            if index < len(entry.pts) and entry.pts[index] != frame.pts:
                raise LandingError
            has_arrived = frame.pts is not None and frame.pts >= entry.target_ticks
        yield index, frame


def _packets_from(packets: Iterator["Packet | Damage"], entry: EntryPoint) -> Iterator["Packet | Damage"]:
    for packet in packets:
        if isinstance(packet, Damage):
            break
        if packet.pts == entry.keyframe_pts and packet.is_keyframe:
            yield packet
            yield from packets
            return
        if packet.size and packet.dts is not None and packet.dts > entry.keyframe_pts:
            break
    raise LandingError


def _packets(container: "InputContainer", stream: "VideoStream") -> Iterator["Packet | Damage"]:
    """The stream's packets. Where one cannot be read but the next one can, there is a Damage between them."""
    import av

    unread: list[Damage] = []
    while True:
        try:
            for packet in container.demux(stream):
                yield from unread
                unread = []
                yield packet
            return
        except IndexError:
            continue  # PyAV's word for a packet of a stream that the file's beginning does not name
        except av.FFmpegError as error:
            if not is_damage(error) or len(unread) >= _MOST_UNREAD:
                raise
            unread.append(Damage(reason_of(error)))


def is_damage(error: BaseException) -> bool:
    """Whether a packet is at fault, so that it is worth going on with the next one."""
    import av

    return isinstance(error, (av.InvalidDataError, av.PatchWelcomeError, av.BugError, av.UndefinedError))


def _decode(stream: "VideoStream", packets: Iterator["Packet | Damage"]) -> Iterator["VideoFrame | Damage"]:
    import av

    stream.thread_type = "AUTO"
    num_bad = 0
    try:
        for packet in packets:
            if isinstance(packet, Damage):
                yield packet
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                if not is_damage(error):
                    raise
                num_bad += 1
                yield Damage(f"a damaged packet is skipped ({reason_of(error)})")
                if not packet.size:  # the decoder was told to give up what it holds, and has more
                    yield from _rest(stream)
                if num_bad >= MOST_BAD:
                    raise InputError(f"decoding stops: {MOST_BAD} packets in a row are damaged") from error
                continue
            num_bad = 0 if frames else num_bad
            yield from frames
    except av.FFmpegError as error:
        yield from _rest(stream)
        raise error


def _rest(stream: "VideoStream") -> list["VideoFrame"]:
    """What the decoder's threads still hold."""
    import av

    for _ in range(_MOST_UNREAD):
        try:
            return stream.decode(None)
        except av.FFmpegError as error:
            if not is_damage(error):
                break
    return []
