"""Breaks in a transport stream's clock, closed for sound and subtitles as `FrameClock` closes them for the pictures."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ovdet_cli.media.containers import time_base_of
from ovdet_cli.media.timeline import is_break

if TYPE_CHECKING:
    from av.packet import Packet

# How many packets wait for the pictures to break too: some seconds of a recording.
_MOST_HELD = 1000


@dataclass
class _Line:
    """One stream's way through time."""

    last_s: Fraction | None = None
    end_s: Fraction = Fraction(0)
    num_breaks: int = 0


def closed(
    packets: Iterable["Packet"], video: Any, frame_s: Fraction, offsets_s: list[Fraction]
) -> Iterator[tuple["Packet", Fraction]]:
    """Each packet that is not of the `video` stream, with the seconds to add to its times.

    At a break every stream is moved by as much as the pictures are: their first frame after it follows their last one
    before it by `frame_s`. A stream that breaks before the pictures waits for them. offsets_s: empty; takes the
    seconds for the time before the first break, after it, after the second one, and so on.
    """
    offsets_s.append(Fraction(0))
    lines: dict[int, _Line] = {}
    held: deque[Packet] = deque()
    for packet in packets:
        if packet.stream.index == video.index:
            _follow(lines.setdefault(video.index, _Line()), packet, offsets_s, frame_s)
        else:
            held.append(packet)
        yield from _released(held, lines, offsets_s, is_last=len(held) > _MOST_HELD)
    yield from _released(held, lines, offsets_s, is_last=True)


def _follow(line: _Line, packet: "Packet", offsets_s: list[Fraction], frame_s: Fraction) -> None:
    """Takes note of a packet of the pictures, and of how far a break moves what follows."""
    time_base = time_base_of(packet)
    stamp = packet.dts if packet.dts is not None else packet.pts
    if stamp is None:
        return
    shown_s = (packet.pts if packet.pts is not None else stamp) * time_base
    if line.last_s is not None and is_break(stamp * time_base - line.last_s, is_broadcast=True):
        line.num_breaks += 1
        if line.num_breaks == len(offsets_s):
            offsets_s.append(line.end_s + frame_s - shown_s)
    line.last_s = stamp * time_base
    line.end_s = max(line.end_s, shown_s + offsets_s[line.num_breaks])


def _released(
    held: deque["Packet"], lines: dict[int, _Line], offsets_s: list[Fraction], *, is_last: bool
) -> Iterator[tuple["Packet", Fraction]]:
    """The packets whose place is known; is_last: all, by their own stream where the pictures do not tell."""
    while held:
        packet = held[0]
        line = lines.setdefault(packet.stream.index, _Line())
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is not None:
            stamp_s = stamp * time_base_of(packet)
            if line.last_s is not None and is_break(stamp_s - line.last_s, is_broadcast=True):
                if line.num_breaks + 1 == len(offsets_s):
                    if not is_last:
                        return
                    offsets_s.append(line.end_s - stamp_s)
                line.num_breaks += 1
            line.last_s = stamp_s
            length_s = (packet.duration or 0) * time_base_of(packet)
            line.end_s = max(line.end_s, stamp_s + length_s + offsets_s[line.num_breaks])
        held.popleft()
        yield packet, offsets_s[line.num_breaks]
