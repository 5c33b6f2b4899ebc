"""Video file -> RGB frames with exact times."""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ovdet_cli.errors import InputError
from ovdet_cli.frame import Failure, Frame
from ovdet_cli.media.containers import (
    estimated_frames,
    frame_rate,
    has_video_stream,
    open_container,
    reason_of,
    stated_duration,
    time_base_of,
    video_stream,
)
from ovdet_cli.media.sampling import Sampler, Sampling, parse_time

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from ovdet_cli.media.timeline import Damage, EntryPoint

__all__ = ["VIDEO_SUFFIXES", "Sampling", "count_frames", "has_video_stream", "parse_time", "read_video"]

VIDEO_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".wmv", ".flv"),
        *(".3gp", ".3g2", ".ogv", ".ogm", ".vob", ".mxf", ".asf", ".f4v", ".dv", ".m1v", ".m2v", ".m2t", ".divx"),
        ".nut",
    )
)
_WHOLE = Sampling()
# A file is called cut short when this much of the promised duration is missing: headers are off by a few frames.
_MISSING_S = 1
_MISSING_SHARE = Fraction(5, 100)


def read_video(path: Path, name: str, sampling: Sampling = _WHOLE, keep_all: bool = False) -> Iterator[Frame | Failure]:
    """The frames of a video in presentation order, upright, with their index in the whole file and their exact time.

    Never raises for a bad file. A damaged packet is skipped and gives a Failure in the place of its frame; where the
    rest cannot be decoded, or too many in a row are damaged, the last thing is a Failure with the index of the frame
    that could not be. A file without a frame in range gives one Failure in all. The file is closed with the iterator.

    name: what `Frame.source` says. keep_all: also frames that are not sampled, with `is_sampled` False.
    """
    import av

    reading = _Reading(path, name, sampling, keep_all)
    early: list[Failure] | None = []  # damage before the first frame; None once there was one
    try:
        for step in reading.frames():
            if early is not None and isinstance(step, Failure):
                early.append(step)
                continue
            yield from early or ()
            early = None
            yield step
    except (InputError, av.FFmpegError, OSError, ValueError, MemoryError) as error:
        reason = reason_of(error)
        if early is not None:
            yield Failure(name, reason)
            return
        if reading.next_index and not isinstance(error, InputError):
            reason = f"decoding stops before frame {reading.next_index}: {reason}"
        yield Failure(name, reason, index=reading.next_index)
    else:
        yield from early or ()


def count_frames(path: Path, sampling: Sampling = _WHOLE) -> int | None:
    """Roughly how many frames of the video are analysed, from its header alone; None when nothing tells."""
    import av

    try:
        with open_container(path) as container:
            stream = video_stream(container)
            num_frames, rate = estimated_frames(container, stream), frame_rate(stream)
    except (InputError, av.FFmpegError, OSError, ValueError):
        return None
    if num_frames is None or sampling.keyframes or sampling.scenes:  # no header says how many there are
        return None
    end_s = num_frames / rate
    length_s = max(min(sampling.end_s or end_s, end_s) - (sampling.start_s or 0), Fraction(0))
    per_second = rate / sampling.every if sampling.fps is None else min(rate, sampling.fps)
    return math.ceil(length_s * per_second)


class _Reading:
    """One pass over a video; `next_index` is the frame at which it would have gone on."""

    def __init__(self, path: Path, name: str, sampling: Sampling, keep_all: bool) -> None:
        self._path = path
        self._name = name
        self._sampling = sampling
        self._keep_all = keep_all
        self._first_s: Fraction | None = None
        self._promised_s: Fraction | None = None
        self._promised_frames = 0
        self._until_s = Fraction(0)
        self.next_index = 0

    def frames(self) -> Iterator[Frame | Failure]:
        """The frames in range, and failures for damaged ones.

        Raises what libav raises, and InputError for an empty range or a file cut short.
        """
        from av.video.reformatter import VideoReformatter

        from ovdet_cli.media.colour import upright_rgb
        from ovdet_cli.media.timeline import Damage

        sampler, scaler = Sampler(self._sampling), VideoReformatter()
        start_s, end_s = self._sampling.start_s or 0, self._sampling.end_s
        is_any = is_past_end = False
        shown_s = Fraction(0)
        for index, time_s, frame in self._decoded():
            if isinstance(frame, Damage):
                if shown_s >= start_s:
                    yield Failure(self._name, frame.reason, index)
                self.next_index = index + 1
                continue
            if self._first_s is None:
                self._first_s = time_s
            shown_s = time_s - self._first_s
            is_past_end = end_s is not None and shown_s >= end_s
            if is_past_end:
                break
            self.next_index = index
            if shown_s >= start_s:
                is_sampled = sampler.takes(time_s, is_keyframe=bool(frame.key_frame))
                is_any = is_any or is_sampled
                if is_sampled or self._keep_all:
                    yield Frame(upright_rgb(frame, scaler), self._name, index, time_s, is_sampled)
            self.next_index = index + 1
        if self._first_s is None:
            raise InputError("holds no frame that can be decoded")
        if not is_past_end:
            self._check_length(self._until_s)
        if not is_any:
            noun = "keyframe" if self._sampling.keyframes else "frame"
            until = "" if self._sampling.keyframes else f": its last frame is shown at {float(shown_s):.2f} s"
            raise InputError(f"has no {noun} in the range asked for{until}")

    def _check_length(self, until_s: Fraction) -> None:
        """Raises InputError if the file ended well before the time and the number of frames that its header promises.

        Both must be short: a clip trimmed by an edit list has more frames than it shows, and one whose last picture
        stands for long has a greater duration than its frames tell.
        """
        if self._promised_s is None:
            return
        length_s = max(until_s, until_s - (self._first_s or 0))  # some headers count from 0, some from the first frame
        missing_s = self._promised_s - length_s
        is_short = missing_s > _MISSING_S and missing_s > self._promised_s * _MISSING_SHARE
        has_all = 0 < self._promised_frames <= self.next_index
        if is_short and not has_all:
            raise InputError(
                f"is cut short: it ends at {float(length_s):.2f} s of the {float(self._promised_s):.2f} s "
                "that its header promises; the frames before are kept"
            )

    def _decoded(self) -> Iterator[tuple[int, Fraction, "VideoFrame | Damage"]]:
        """Index, time and frame from the start or from somewhere before it; of damage, the time of the frame before."""
        from ovdet_cli.media.keyframes import can_skip
        from ovdet_cli.media.timeline import LandingError, find_entry

        if self._sampling.keyframes and not self._keep_all and can_skip(self._path):
            yield from self._decoded_keyframes()
            return
        entry = find_entry(self._path, self._sampling.start_s) if self._sampling.start_s else None
        if entry is not None:
            self._first_s = entry.first_s
            try:
                yield from self._decoded_from(entry)
                return
            except LandingError:
                self._first_s = None
        yield from self._decoded_from(None)

    def _decoded_keyframes(self) -> Iterator[tuple[int, Fraction, "VideoFrame"]]:
        from ovdet_cli.media.deinterlace import deinterlaced
        from ovdet_cli.media.keyframes import keyframes
        from ovdet_cli.media.timeline import FrameClock

        with open_container(self._path) as container:
            stream = video_stream(container)
            clock = FrameClock(stream)
            for index, frame in keyframes(container, stream, self._sampling.start_s):
                time_s = clock.time_s(frame)
                for _, whole in deinterlaced([(None, frame)]):  # each alone: its neighbours are far away
                    yield index, time_s, whole  # type: ignore[misc]

    def _decoded_from(self, entry: "EntryPoint | None") -> Iterator[tuple[int, Fraction, "VideoFrame | Damage"]]:
        from ovdet_cli.media.deinterlace import deinterlaced
        from ovdet_cli.media.hardware import open_for_decoding
        from ovdet_cli.media.timeline import decoded, frames_from

        with open_for_decoding(self._path) as container:
            stream = video_stream(container)
            self._promised_s, self._promised_frames = stated_duration(container, stream), stream.frames
            numbered = frames_from(container, stream, entry) if entry else enumerate(decoded(container, stream))
            for (index, time_s), frame in deinterlaced(self._timed(numbered, stream)):
                yield index, time_s, frame

    def _timed(
        self, numbered: Iterable[tuple[int, "VideoFrame | Damage"]], stream: "VideoStream"
    ) -> Iterator[tuple[tuple[int, Fraction], "VideoFrame | Damage"]]:
        from ovdet_cli.media.timeline import Damage, FrameClock

        clock = FrameClock(stream)
        time_s = Fraction(0)
        for index, frame in numbered:
            if not isinstance(frame, Damage):
                time_s = clock.time_s(frame)
                self._until_s = time_s + _duration_s(frame)
            yield (index, time_s), frame


def _duration_s(frame: "VideoFrame") -> Fraction:
    """How long the frame is shown, where the container says; else 0."""
    return (frame.duration or 0) * time_base_of(frame)
