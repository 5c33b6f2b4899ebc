"""The keyframes of a video alone: the packets between them are read but never decoded, and frame numbers stay exact."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ovdet_cli.media.containers import open_container, time_base_of, video_stream
from ovdet_cli.media.timeline import ONE_PACKET_A_FRAME, PROBED_FRAMES, decoded_frames

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


def can_skip(path: Path) -> bool:
    """Whether packets alone tell which frame of this file is which.

    So it is where a packet is a frame, has its true time, and the first is a keyframe; a dozen frames are decoded to
    see it. Where it does not hold, decode everything and ask each frame.
    """
    with open_container(path) as container:
        stream = video_stream(container)
        if stream.codec_context.codec.name not in ONE_PACKET_A_FRAME:
            return False
        packets = list(islice(_pictures(container, stream), 4 * PROBED_FRAMES))
    if not packets or not packets[0].is_keyframe or any(packet.pts is None or packet.dts is None for packet in packets):
        return False
    promised = sorted(packet.pts or 0 for packet in packets)
    if promised[0] != packets[0].pts:  # leading pictures that lean on what is not there
        return False
    with open_container(path) as container:
        probed = [frame.pts for frame in islice(decoded_frames(container, video_stream(container)), PROBED_FRAMES)]
    return len(promised) >= len(probed) > 0 and probed == promised[: len(probed)]


def keyframes(
    container: "InputContainer", stream: "VideoStream", start_s: Fraction | None
) -> Iterator[tuple[int, "VideoFrame"]]:
    """Index and frame of each keyframe in order: the first one, then those `start_s` or more after it."""
    # A lone frame has nobody to share the work with, and frame threads would hold it back.
    stream.thread_type = "SLICE"
    count = _PlaceCount()
    first: int | None = None
    key: Packet | None = None
    for packet in _pictures(container, stream):
        pts = packet.pts if packet.pts is not None else packet.dts
        if pts is None:
            continue
        if key is not None and (packet.is_keyframe or (packet.dts is not None and packet.dts > (key.pts or 0))):
            yield from _decoded(stream, key, count.place(key.pts or 0))
            key = None
        count.add(pts)
        if not packet.is_keyframe:
            continue
        if first is None:
            first = pts
        is_early = start_s is not None and pts != first and (pts - first) * time_base_of(stream) < start_s
        count.forget_before(pts)
        key = None if is_early else packet
    if key is not None:
        yield from _decoded(stream, key, count.place(key.pts or 0))


class _PlaceCount:
    """How many frames are shown before a time. What lies before the last keyframe is only counted, not kept."""

    def __init__(self) -> None:
        self._num_before = 0
        self._pts: list[int] = []

    def add(self, pts: int) -> None:
        insort(self._pts, pts)

    def place(self, pts: int) -> int:
        return self._num_before + bisect_left(self._pts, pts)

    def forget_before(self, pts: int) -> None:
        """A frame that comes later and is shown earlier still counts: it lands at the front of what is kept."""
        at = bisect_left(self._pts, pts)
        self._num_before += at
        del self._pts[:at]


def _pictures(container: "InputContainer", stream: "VideoStream") -> Iterator["Packet"]:
    """Packets that become a frame: neither the empty last one nor what an edit list leaves out."""
    return (packet for packet in container.demux(stream) if packet.size and not packet.is_discard)


def _decoded(stream: "VideoStream", packet: "Packet", index: int) -> Iterator[tuple[int, "VideoFrame"]]:
    """The packet's frame, out of the decoder at once, which then forgets it."""
    frames = [*packet.decode(), *stream.decode(None)]
    stream.codec_context.flush_buffers()
    for frame in frames[:1]:
        yield index, frame
