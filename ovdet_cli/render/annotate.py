"""Sinks that write annotated pictures and video: the input with what was found drawn onto it."""

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from ovdet_cli.detections import Detections
from ovdet_cli.errors import UndrawableError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media.encoders import Encoding
from ovdet_cli.media.frame_pattern import fps_of
from ovdet_cli.media.images import IMAGE_SUFFIXES, write_image
from ovdet_cli.media.length import length_s
from ovdet_cli.media.video import VIDEO_SUFFIXES
from ovdet_cli.media.video_writer import VideoWriter
from ovdet_cli.render.draw import DrawStyle, draw_detections, draw_onto
from ovdet_cli.render.ruler import Ruler
from ovdet_cli.render.trails import Trails
from ovdet_cli.results.sink import Sink

IMAGE_NATIVE = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
VIDEO_NATIVE = (".mp4",)

_MEDIA_SUFFIXES = tuple(IMAGE_SUFFIXES | VIDEO_SUFFIXES)
_DEFAULT_ENCODING = Encoding()


class DrawnSink(Sink):
    """What the sinks of pictures and of video share.

    labels: every class name, by class id. only_hits: an input without a detection leaves no file. `notes` says what
    differs from the input; `num_undrawn` counts the inputs that could not be drawn, each with its note.
    """

    def __init__(self, folder: Path, labels: Sequence[str], style: DrawStyle, only_hits: bool) -> None:
        self.notes: list[str] = []
        self.num_undrawn = 0
        self._folder = folder
        self._labels = labels
        self._style = style
        self._only_hits = only_hits

    def _drawn(self, frame: Frame, detections: Detections) -> np.ndarray:
        return draw_detections(frame.image, detections, self._labels, self._style)

    def _give_up(self, name: str, error: UndrawableError) -> None:
        self.notes.append(f"{name} is not drawn: {error}")
        self.num_undrawn += 1


class ImageSink(DrawnSink):
    """Writes each picture with its detections to `folder`, in the input's tree of folders; video is left alone."""

    def __init__(self, folder: Path, labels: Sequence[str], style: DrawStyle, only_hits: bool) -> None:
        super().__init__(folder, labels, style, only_hits)
        self._is_picture = False

    def begin(self, source: SourceInfo) -> None:
        """Takes note of what is coming."""
        self._is_picture = source.kind == "image"

    def write(self, frame: Frame, detections: Detections) -> None:
        """Writes one annotated picture."""
        if self._is_picture and (len(detections) or not self._only_hits):
            drawn = self._drawn(frame, detections)
            try:
                write_image(place_in(self._folder, annotated_name(frame.source, IMAGE_NATIVE, ".jpg")), drawn)
            except UndrawableError as error:
                self._give_up(frame.source, error)

    def skip(self, failure: Failure) -> None:
        """A picture that could not be read has nothing to show."""

    def close(self) -> None:
        """Nothing is open between two pictures."""


class VideoSink(DrawnSink):
    """Writes each video with the detections of every frame to `folder`, as MP4; pictures are left alone.

    start_s, end_s: the cut in seconds from the video's first frame, for its sound. encoding: codec and quality.
    """

    wants_every_frame = True

    def __init__(
        self,
        folder: Path,
        labels: Sequence[str],
        style: DrawStyle,
        only_hits: bool,
        start_s: Fraction | None = None,
        end_s: Fraction | None = None,
        encoding: Encoding = _DEFAULT_ENCODING,
    ) -> None:
        super().__init__(folder, labels, style, only_hits)
        self._start_s, self._end_s = start_s, end_s
        self._encoding = encoding
        self._is_whole = False
        self._source: SourceInfo | None = None
        self._writer: VideoWriter | None = None
        self._trails = Trails(labels, style)
        self._ruler: Ruler | None = None
        self._has_hits = False

    def begin(self, source: SourceInfo) -> None:
        """Takes note of the video; its file is opened with the first frame."""
        self._finish()
        self._source = source if source.kind == "video" else None
        self._trails = Trails(self._labels, self._style)
        self._ruler = None
        self._has_hits = False

    def write(self, frame: Frame, detections: Detections) -> None:
        """Appends one annotated frame."""
        if self._source is None:
            return
        if frame.time_s is None:
            raise ValueError(f"frame {frame.index} of the video {frame.source} has no time")
        self._has_hits = self._has_hits or len(detections) > 0
        drawn = self._shown(self._source, frame, frame.time_s, detections)
        try:
            if self._writer is None:
                path = self._path(self._source)
                times = {"start_s": self._start_s, "end_s": self._end_s, "fps": fps_of(self._source)}
                self._writer = VideoWriter(path, self._source.path, encoding=self._encoding, **times)
            self._writer.write(drawn, frame.time_s)
            self._is_whole = True
        except UndrawableError as error:
            self._give_up(frame.source, error)
            self._source = self._writer = None

    def _shown(self, source: SourceInfo, frame: Frame, time_s: Fraction, detections: Detections) -> np.ndarray:
        """The frame with its detections; trails under them, the ruler on top."""
        canvas = np.array(frame.image, order="C")
        if self._style.trails_s:
            self._trails.follow(frame, detections)
            self._trails.draw(canvas, time_s)
        draw_onto(canvas, detections, self._labels, self._style)
        if self._style.has_ruler:
            if self._ruler is None:
                whole_s = length_s(source)
                end_s = self._end_s if whole_s is None else min(self._end_s or whole_s, whole_s)
                shown_s = None if end_s is None else end_s - (self._start_s or 0)
                self._ruler = Ruler(self._labels, self._style, time_s, shown_s)
            self._ruler.draw(canvas, time_s, detections)
        return canvas

    def skip(self, failure: Failure) -> None:
        """A frame that could not be decoded is not shown: the one before it stays longer."""
        self._is_whole = False  # unless frames follow

    def end(self, source: SourceInfo) -> None:
        """Finishes the video's file, or removes it when only hits are wanted and there were none."""
        self._finish(is_whole=self._is_whole)
        self._source = None

    def close(self) -> None:
        """Finishes a video that was interrupted."""
        self._finish()

    def _finish(self, *, is_whole: bool = False) -> None:
        writer, self._writer = self._writer, None
        if writer is None or self._source is None:
            return
        try:
            writer.close(is_whole=is_whole)
        except UndrawableError as error:
            self._give_up(self._source.name, error)
        self.notes += [f"{self._source.name}: {note}" for note in writer.notes]
        if self._only_hits and not self._has_hits:
            self._path(self._source).unlink(missing_ok=True)

    def _path(self, source: SourceInfo) -> Path:
        return place_in(self._folder, annotated_name(source.name, VIDEO_NATIVE, ".mp4"))


def annotated_name(name: str, native: Sequence[str], extra: str) -> str:
    """The name of an input's annotated picture or video: no two inputs share one.

    native: suffixes of formats we write, kept. extra: one of them, appended to every other name. Where a native name
    looks like the result of that (`a.gif.jpg`, as of `a.gif`), it gets one more itself. Case of suffixes is ignored.
    """
    stem = name
    while stem.lower().endswith(extra):
        stem = stem[: -len(extra)]
    times = (len(name) - len(stem)) // len(extra)
    if stem.lower().endswith(tuple(native)):
        return name
    if stem.lower().endswith(_MEDIA_SUFFIXES):  # a.gif -> a.gif.jpg, a.gif.jpg -> a.gif.jpg.jpg
        return name + extra
    # A picture whose name does not say so: photo -> photo.jpg.jpg, photo.jpg stays, photo.jpg.jpg -> photo.jpg.jpg.jpg
    return name + extra * {0: 2, 1: 0}.get(times, 1)


def place_in(folder: Path, name: str) -> Path:
    """`folder`/`name`.

    Raises:
        UndrawableError: the name would lead out of the folder.
    """
    parts = name.split("/")
    foreign = "\\:" if os.name == "nt" else ""
    if any(part in ("", ".", "..") for part in parts) or any(character in name for character in foreign + "\0"):
        raise UndrawableError(f"cannot write the annotated {name!r}: the name leads out of {folder}; rename the input")
    return folder.joinpath(*parts)
