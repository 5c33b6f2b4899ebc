"""RGB frames -> H.264 in MP4, at the source's own times and with its sound."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ovdet_cli.errors import InputError
from ovdet_cli.media.containers import (
    as_fraction,
    frame_rate,
    open_container,
    reason_of,
    stated_duration,
    time_base_of,
    video_stream,
)
from ovdet_cli.media.writing import is_disk_error, write_error

if TYPE_CHECKING:
    from av.container import OutputContainer

    from ovdet_cli.media.audio import AudioCopy

# CRF 20 can hardly be told from the source by eye.
_ENCODERS = (
    ("libx264", {"crf": "20", "preset": "veryfast"}),
    ("libopenh264", {"b": "8M"}),
    ("mpeg4", {"q": "3", "flags": "+qscale", "global_quality": "354"}),
)
# Smaller pictures are padded: encoders and hardware decoders refuse them.
_MIN_SIDE = 16
# MPEG-4 part 2 stores its time base in 16 bits.
_MPEG4_TIME_BASE = Fraction(1, 60000)


@dataclass(frozen=True)
class _SourceFacts:
    """What the writer takes over from the video it annotates."""

    time_base: Fraction = Fraction(1, 90000)
    rate: Fraction = Fraction(25)
    first_s: Fraction | None = None
    duration_s: Fraction | None = None
    size_wh: tuple[int, int] = (0, 0)
    pixel_aspect: Fraction | None = None


class VideoWriter:
    """Writes frames as they come: H.264 yuv420p in MP4, each at the time it had in `source`, sound copied beside them.

    The file appears under its name only when it is finished; until then it is hidden, `.NAME.part.mp4`. Closed early,
    it holds what was written and the sound to it. Without a frame there is no file. `notes` says what differs from the
    source. Use as a context manager, or call `close()`.

    start_s, end_s: the cut, in seconds from the source's first frame. With a start, the first frame written is shown at
    0; without one every time stays as it was.

    Raises:
        OutputError: the file cannot be written, from any method.
    """

    def __init__(
        self, path: Path, source: Path, *, start_s: Fraction | None = None, end_s: Fraction | None = None
    ) -> None:
        self.path = path
        self.notes: list[str] = []
        self._source = source
        self._start_s, self._end_s = start_s, end_s
        self._part = path.with_name(f".{path.name}.part.mp4")
        self._output: OutputContainer | None = None
        self._stream: Any = None
        self._audio: AudioCopy | None = None
        self._facts = _SourceFacts()
        self._time_base = self._facts.time_base
        self._size_hw = (0, 0)
        self._shift_s = Fraction(0)
        self._first_s = self._last_s = Fraction(0)
        self._last_pts: int | None = None
        self._num_written = 0
        self._num_moved = 0
        self._is_closed = False

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        """Appends one picture, RGB uint8 (H, W, 3), shown at `time_s` in the source's time.

        The first one sets the size; others are scaled to it. An odd side grows by one pixel, its edge repeated.
        """
        if self._is_closed:
            raise ValueError("the video writer is closed")
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"a frame is RGB uint8 (H, W, 3), not {image.dtype} {image.shape}")
        with self._mended():
            if self._output is None:
                self._open(image, time_s)
            self._encode(image, time_s)
            self._last_s = time_s
            if self._audio is not None:
                self._audio.copy_until(self._sound_end(time_s))

    def close(self) -> None:
        """Finishes the file and puts it under its name; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._output is None:
            return
        with self._mended():
            self._output.mux(self._stream.encode(None))
            if self._audio is not None:
                self._audio.finish(self._sound_end(None))
                self._audio.close()
            self._output.close()
            self._check_written()
            os.replace(self._part, self.path)  # noqa: PTH105 - the one call that promises atomicity
        if self._num_moved:
            self.notes.append(f"{self._num_moved} frames had a time not after the one before, and were moved behind it")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, image: np.ndarray, time_s: Fraction) -> None:
        self._facts = self._read_source()
        self._first_s = time_s
        if self._start_s is not None or time_s < 0:  # players leave out what is shown before 0
            self._shift_s = time_s
        self.path.parent.mkdir(parents=True, exist_ok=True)
        height, width = image.shape[:2]
        self._size_hw = height, width
        try:
            self._open_output(image, with_audio=True)
        except (ValueError, OSError) as error:
            if self._audio is None or is_disk_error(error):
                raise
            self._discard()
            self.notes.append(f"the sound is left out: {reason_of(error)}")
            self._open_output(image, with_audio=False)
        if self._audio is not None:
            self._audio.begin(time_s if self._start_s is not None else None, self._shift_s)

    def _open_output(self, image: np.ndarray, *, with_audio: bool) -> None:
        import av

        name, options = next((name, options) for name, options in _ENCODERS if _can_encode(name))
        self._time_base = self._facts.time_base
        if name == "mpeg4" and self._time_base.denominator > 65535:
            self._time_base = _MPEG4_TIME_BASE
        if name != "libx264":
            self.notes.append(f"this build of FFmpeg has no x264; the video is written with {name}")
        # Without its own time scale a late start would be kept to the millisecond only.
        muxing = {"movflags": "+faststart", "movie_timescale": str(self._time_base.denominator)}
        self._output = av.open(f"file:{self._part.absolute()}", "w", format="mp4", container_options=muxing)
        self._stream = self._output.add_stream(name, rate=self._facts.rate, options=options)
        self._configure(image)
        self._audio = self._opened_audio() if with_audio else None
        self._output.start_encoding()

    def _configure(self, image: np.ndarray) -> None:
        from ovdet_cli.media.colour import LIMITED, limited_matrix

        height, width = image.shape[:2]
        context = self._stream.codec_context
        context.width, context.height = _padded_side(width), _padded_side(height)
        context.pix_fmt = "yuv420p"
        context.time_base = self._time_base
        matrix = limited_matrix(height)
        context.colorspace = context.color_primaries = context.color_trc = matrix
        context.color_range = LIMITED
        if self._facts.pixel_aspect is not None:
            is_turned = self._facts.size_wh == (height, width) and height != width
            aspect = self._facts.pixel_aspect
            context.sample_aspect_ratio = 1 / aspect if is_turned else aspect

    def _opened_audio(self) -> "AudioCopy | None":
        import av

        from ovdet_cli.media.audio import AudioCopy

        assert self._output is not None
        try:
            return AudioCopy(self._source, self._output, self.notes)
        except (InputError, OSError, ValueError, av.FFmpegError) as error:
            self.notes.append(f"the sound is left out: {reason_of(error)}")
            return None

    def _read_source(self) -> _SourceFacts:
        import av

        try:
            with open_container(self._source) as container:
                stream = video_stream(container)
                time_base = time_base_of(stream)
                return _SourceFacts(
                    time_base=time_base,
                    rate=frame_rate(stream).limit_denominator(1 << 16),
                    first_s=None if stream.start_time is None else stream.start_time * time_base,
                    duration_s=stated_duration(container, stream),
                    size_wh=(stream.codec_context.width, stream.codec_context.height),
                    pixel_aspect=as_fraction(stream.sample_aspect_ratio),
                )
        except (InputError, OSError, ValueError, av.FFmpegError) as error:
            self.notes.append(f"the source cannot be read again for its time base: {reason_of(error)}")
            return _SourceFacts()

    def _encode(self, image: np.ndarray, time_s: Fraction) -> None:
        from ovdet_cli.media.colour import limited_yuv

        assert self._output is not None
        pts = round((time_s - self._shift_s) / self._time_base)
        if self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + 1
            self._num_moved += 1
        self._last_pts = pts
        self._num_written += 1
        frame = limited_yuv(_padded(self._fitted(image)))
        frame.pts, frame.time_base = pts, self._time_base
        self._output.mux(self._stream.encode(frame))

    def _fitted(self, image: np.ndarray) -> np.ndarray:
        if image.shape[:2] == self._size_hw:
            return image
        from av import VideoFrame

        height, width = self._size_hw
        note = "the picture changes its size on the way; every frame is scaled to the first one's"
        if note not in self.notes:
            self.notes.append(note)
        return VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24").reformat(width, height).to_ndarray()

    def _sound_end(self, time_s: Fraction | None) -> Fraction | None:
        """Up to where sound may be written when the video has come to `time_s`, or (None) to its end."""
        limits = [] if time_s is None else [time_s]
        if self._end_s is not None:
            first_s = self._facts.first_s
            if first_s is None:
                first_s = self._first_s - (self._start_s or 0)
            limits.append(first_s + self._end_s)
        if time_s is None and self._stopped_early():
            limits.append(self._last_s + 1 / self._facts.rate)
        return min(limits, default=None)

    def _stopped_early(self) -> bool:
        """Whether the source clearly has video after the last frame written; then its sound is not run on either."""
        facts = self._facts
        if facts.duration_s is None or facts.first_s is None:
            return False
        return facts.first_s + facts.duration_s - self._last_s > max(Fraction(1), facts.duration_s / 20, 2 / facts.rate)

    def _check_written(self) -> None:
        """Raises OSError unless the finished file holds every frame: libav does not report each failed write."""
        try:
            with open_container(self._part) as container:
                num_frames = video_stream(container).frames
        except InputError as error:
            raise OSError(errno.EIO, f"the finished file {error}") from error
        if num_frames != self._num_written:
            raise OSError(errno.EIO, f"the finished file holds {num_frames} of {self._num_written} frames")

    @contextmanager
    def _mended(self) -> Iterator[None]:
        """Turns an error of the disk or the encoder into an OutputError and takes the unfinished file away."""
        import av

        try:
            yield
        except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
            self._is_closed = True
            self._discard()
            raise write_error(self.path, reason_of(error), error) from error

    def _discard(self) -> None:
        import av

        for owner in (self._audio, self._output):
            with suppress(av.FFmpegError, OSError, ValueError):  # a full disk refuses the trailer too
                if owner is not None:
                    owner.close()
        self._audio = self._output = None
        with suppress(OSError):  # it is gone, or its folder never was
            self._part.unlink()


def _can_encode(name: str) -> bool:
    import av

    try:
        av.Codec(name, "w")
    except ValueError:  # UnknownCodecError
        return False
    return True


def _padded_side(side: int) -> int:
    return max(_MIN_SIDE, side + side % 2)


def _padded(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    below, beside = _padded_side(height) - height, _padded_side(width) - width
    return np.pad(image, ((0, below), (0, beside), (0, 0)), mode="edge") if below or beside else image
