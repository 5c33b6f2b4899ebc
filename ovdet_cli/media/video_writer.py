"""RGB frames -> a video in MP4, at the source's own times and with all that the source holds beside its pictures."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ovdet_cli.errors import InputError
from ovdet_cli.media.colour import ColourTags, encodable, written_tags
from ovdet_cli.media.containers import open_container, reason_of, video_stream
from ovdet_cli.media.encoders import Encoding, choose_encoder
from ovdet_cli.media.facts import Chapter, VideoFacts, is_timecode, read_facts
from ovdet_cli.media.finishing import Wrapping, wrap_up
from ovdet_cli.media.sidestreams import LATEST_S, SideStreams
from ovdet_cli.media.writing import is_disk_error, write_error

if TYPE_CHECKING:
    from av.container import OutputContainer

# Smaller pictures are padded: encoders and hardware decoders refuse them.
_MIN_SIDE = 16
# SVT-AV1 takes nothing smaller.
_MIN_SIDE_AV1 = 64
# MPEG-4 part 2 stores its time base in 16 bits.
_MPEG4_TIME_BASE = Fraction(1, 60000)
# Ticks a second of a copy of numbered pictures, at least about.
_LEAST_TICKS = 10_000
# So much is lost of a file whose process is killed. Longer than sidestreams' LATEST_S.
_FRAGMENT_S = LATEST_S + 1
_DEFAULT_ENCODING = Encoding()


class VideoWriter:
    """Writes frames as they come: yuv420p in MP4, each at the time it had in `source`, sound and subtitles beside them.

    The file appears under its name only when it is finished; until then it is hidden, `.NAME.part.mp4`, in fragments:
    whatever ends the process, all but its last seconds can be played. Closed early, it holds what was written and the
    sound to it. Without a frame there is no file. `notes` says what differs from the source. Use as a context manager,
    or call `close()`.

    start_s, end_s: the cut, in seconds from the source's first frame. With a start, the first frame written is shown at
    0; without one every time stays as it was. fps: of numbered pictures, whose files do not say it.

    Raises:
        OutputError: the file cannot be written, from any method.
    """

    def __init__(
        self,
        path: Path,
        source: Path,
        *,
        start_s: Fraction | None = None,
        end_s: Fraction | None = None,
        fps: Fraction | None = None,
        encoding: Encoding = _DEFAULT_ENCODING,
    ) -> None:
        from av.video.reformatter import VideoReformatter

        self.path = path
        self.notes: list[str] = []
        self._source = source
        self._start_s, self._end_s = start_s, end_s
        self._fps = fps
        self._encoding = encoding
        self._part = path.with_name(f".{path.name}.part.mp4")
        self._whole = path.with_name(f".{path.name}.whole.mp4")
        self._output: OutputContainer | None = None
        self._stream: Any = None
        self._side: SideStreams | None = None
        self._facts = VideoFacts()
        self._tags = ColourTags()
        self._scaler = VideoReformatter()
        self._time_base = self._facts.time_base
        self._size_hw = (0, 0)
        self._min_side = _MIN_SIDE
        self._shift_s = Fraction(0)
        self._first_s = self._last_s = Fraction(0)
        self._last_pts: int | None = None
        self._num_written = 0
        self._num_moved = 0
        self._is_closed = False

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        """Appends one picture, RGB uint8 (H, W, 3), shown at `time_s` in the source's time.

        The first sets the size; others are scaled to fit into it. An odd side grows by one pixel, its edge repeated.
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
            if self._side is not None:
                self._side.copy_until(self._side_end(time_s, is_whole=False))

    def close(self, *, is_whole: bool = False) -> None:
        """Finishes the file and puts it under its name; a second call does nothing.

        is_whole: every frame of the source (up to the cut) was written, so sound that goes on after them is kept, and
        the last one stays for as long as the source says.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._output is None:
            return
        with self._mended():
            self._output.mux(self._stream.encode(None))
            if self._side is not None:
                self._side.finish(self._side_end(None, is_whole=is_whole))
            self._output.close()
            self._check_part()
            lost = wrap_up(self._part, self._whole, self._source, self._wrapping(is_whole=is_whole))
            if lost:
                self.notes.append(f"metadata that MP4 cannot hold beside a cover is left out: {', '.join(lost)}")
            self._check_written()
            os.replace(self._whole, self.path)  # noqa: PTH105 - the one call that promises atomicity
            self._part.unlink()
            if self._side is not None:
                self._side.close()
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
        self.notes += self._facts.notes
        self._first_s = time_s
        if self._start_s is not None or time_s < 0:  # players leave out what is shown before 0
            self._shift_s = time_s
        if self._start_s is None and time_s < 0:
            self.notes.append(
                f"it begins {float(-time_s):.3f} s before 0, which MP4 cannot say: all is shown later by that"
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._size_hw = image.shape[0], image.shape[1]
        try:
            self._open_output(with_side=True)
        except (ValueError, OSError) as error:
            if self._side is None or is_disk_error(error):
                raise
            self._discard()
            self.notes.append(f"sound and subtitles are left out: {reason_of(error)}")
            self._open_output(with_side=False)
        if self._side is not None:
            begin_s = time_s if self._start_s is not None else None
            self._side.begin(begin_s, self._cut_end(), self._shift_s)

    def _open_output(self, *, with_side: bool) -> None:
        import av

        self._min_side = _MIN_SIDE_AV1 if self._encoding.codec == "av1" else _MIN_SIDE
        height, width = (self._padded_side(side) for side in self._size_hw)
        name, options, note = choose_encoder(self._encoding, (width, height))
        if note and note not in self.notes:
            self.notes.append(note)
        self._time_base = self._facts.time_base
        if name == "mpeg4" and self._time_base.denominator > 65535:
            self._time_base = _MPEG4_TIME_BASE
        # The header waits for the first fragment: then it knows how late each stream begins, and all it must say.
        muxing = {
            "movflags": "+delay_moov+default_base_moof",
            "frag_duration": str(_FRAGMENT_S * 1_000_000),
            "flush_packets": "1",
            "movie_timescale": str(self._time_base.denominator),
        }
        self._output = av.open(f"file:{self._part.absolute()}", "w", format="mp4", container_options=muxing)
        self._stream = self._output.add_stream(name, rate=self._facts.rate, options=options)
        self._configure(width, height)
        self._side = self._opened_side() if with_side else None
        self._output.start_encoding()

    def _configure(self, width: int, height: int) -> None:
        facts = self._facts
        context = self._stream.codec_context
        context.width, context.height = width, height
        context.pix_fmt = "yuv420p"
        context.time_base = self._time_base
        stored = facts.height or height
        self._tags = written_tags(facts.tags, is_rgb=facts.is_rgb, stored_height=stored, written_height=height)
        context.colorspace, context.color_range = self._tags.matrix, self._tags.range
        context.color_primaries, context.color_trc = self._tags.primaries, self._tags.transfer
        if facts.pixel_aspect is not None:
            context.sample_aspect_ratio = facts.pixel_aspect

    def _opened_side(self) -> SideStreams | None:
        import av

        assert self._output is not None
        if self._fps is not None:
            return None
        try:
            return SideStreams(self._source, self._output, self.notes)
        except (InputError, OSError, ValueError, av.FFmpegError) as error:
            self.notes.append(f"sound and subtitles are left out: {reason_of(error)}")
            return None

    def _read_source(self) -> VideoFacts:
        import av

        if self._fps is not None:
            # A clock on which every frame's time is a whole number, fine enough for the players that read no finer one.
            ticks = self._fps.numerator * max(1, _LEAST_TICKS // self._fps.numerator)
            return VideoFacts(time_base=Fraction(1, ticks), rate=self._fps.limit_denominator(1 << 16))
        try:
            return read_facts(self._source)
        except (InputError, OSError, ValueError, av.FFmpegError) as error:
            self.notes.append(f"the source cannot be read again for its time base: {reason_of(error)}")
            return VideoFacts()

    def _encode(self, image: np.ndarray, time_s: Fraction) -> None:
        assert self._output is not None
        pts = round((time_s - self._shift_s) / self._time_base)
        if self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + 1
            self._num_moved += 1
        self._last_pts = pts
        self._num_written += 1
        frame = encodable(self._padded(self._fitted(image)), self._tags, self._scaler)
        frame.pts, frame.time_base = pts, self._time_base
        self._output.mux(self._stream.encode(frame))

    def _fitted(self, image: np.ndarray) -> np.ndarray:
        """The picture in the size of the first one, its shape kept, with black beside it where they differ."""
        if image.shape[:2] == self._size_hw:
            return image
        from av import VideoFrame

        note = "the picture changes its size on the way; every frame is scaled to fit into the first one's"
        if note not in self.notes:
            self.notes.append(note)
        (height, width), (own_height, own_width) = self._size_hw, image.shape[:2]
        scale = min(height / own_height, width / own_width)
        new_height, new_width = max(1, round(own_height * scale)), max(1, round(own_width * scale))
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
        canvas = np.zeros((height, width, 3), np.uint8)
        top, left = (height - new_height) // 2, (width - new_width) // 2
        scaled = frame.reformat(new_width, new_height).to_ndarray()
        canvas[top : top + new_height, left : left + new_width] = scaled
        return canvas

    def _cut_end(self) -> Fraction | None:
        """The end of the cut in the source's time."""
        if self._end_s is None:
            return None
        first_s = self._facts.first_s
        return (self._first_s - (self._start_s or 0) if first_s is None else first_s) + self._end_s

    def _side_end(self, time_s: Fraction | None, *, is_whole: bool) -> Fraction | None:
        """Up to where sound may be written when the video has come to `time_s`, or (None) to its end."""
        limits = [limit for limit in (time_s, self._cut_end()) if limit is not None]
        if time_s is None and not is_whole and self._stopped_early():
            limits.append(self._last_s + 1 / self._facts.rate)
        return min(limits, default=None)

    def _stopped_early(self) -> bool:
        """Whether the source clearly has video after the last frame written; then its sound is not run on either."""
        facts = self._facts
        if facts.duration_s is None or facts.first_s is None:
            return False
        return facts.first_s + facts.duration_s - self._last_s > max(Fraction(1), facts.duration_s / 20, 2 / facts.rate)

    def _wrapping(self, *, is_whole: bool) -> Wrapping:
        facts = self._facts
        length_s = 1 / facts.rate
        if is_whole and self._end_s is None and facts.end_s is not None and facts.end_s > self._last_s:
            length_s = facts.end_s - self._last_s
        metadata, video_metadata = self._timed(facts.metadata), self._timed(facts.stream_metadata)
        if len(metadata) + len(video_metadata) < len(facts.metadata) + len(facts.stream_metadata):
            why = "it is the source's first frame's" if self._start_s is not None else "MP4 cannot say it at this rate"
            self.notes.append(f"its timecode is left out: {why}")
        assert self._last_pts is not None
        return Wrapping(
            timescale=self._time_base.denominator,
            last_s=self._last_pts * self._time_base,
            last_duration_s=length_s,
            rate=facts.rate,
            metadata=metadata,
            video_metadata=video_metadata,
            chapters=self._chapters(self._last_s + length_s),
            subtitles=() if self._side is None else self._side.subtitles,
        )

    def _timed(self, metadata: Mapping[str, str]) -> dict[str, str]:
        """The metadata without a timecode that would be wrong, or that MP4 refuses."""
        return {
            key: value
            for key, value in metadata.items()
            if key.lower() != "timecode" or (self._start_s is None and is_timecode(value, self._facts.rate))
        }

    def _chapters(self, until_s: Fraction) -> list[Chapter]:
        """The chapters of what was written, in its time."""
        is_cut = self._start_s is not None
        begin_s = self._first_s if is_cut else min(Fraction(0), self._first_s)
        return [
            Chapter(
                max(chapter.start_s, begin_s) - self._shift_s,
                min(chapter.end_s, until_s) - self._shift_s,
                chapter.metadata,
            )
            for chapter in self._facts.chapters
            if chapter.end_s > begin_s and chapter.start_s < until_s
        ]

    def _check_part(self) -> None:
        """Raises OSError where what was written cannot be read: libav does not report each failed write."""
        import av

        try:
            open_container(self._part).close()
        except (InputError, av.FFmpegError) as error:
            raise OSError(errno.EIO, f"what was written {reason_of(error)}") from error

    def _check_written(self) -> None:
        """Raises OSError unless the finished file holds every frame: libav does not report each failed write."""
        try:
            with open_container(self._whole) as container:
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

        for owner in (self._side, self._output):
            with suppress(av.FFmpegError, OSError, ValueError):  # a full disk refuses the trailer too
                if owner is not None:
                    owner.close()
        self._side = self._output = None
        for path in (self._part, self._whole):
            with suppress(OSError):  # it is gone, or its folder never was
                path.unlink()

    def _padded_side(self, side: int) -> int:
        return max(self._min_side, side + side % 2)

    def _padded(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        below, beside = self._padded_side(height) - height, self._padded_side(width) - width
        return np.pad(image, ((0, below), (0, beside), (0, 0)), mode="edge") if below or beside else image
