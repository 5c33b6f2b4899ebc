"""Clips: the parts of videos in which something was found, as files of their own."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from ovdet_cli.detections import Detections
from ovdet_cli.errors import UndrawableError
from ovdet_cli.frame import Failure, Frame, SourceInfo
from ovdet_cli.media.cut import Clip, Cut, Span, cut_video
from ovdet_cli.media.frame_pattern import fps_of
from ovdet_cli.media.sampling import Sampling
from ovdet_cli.media.sources import open_source
from ovdet_cli.media.video_writer import VideoWriter
from ovdet_cli.render.annotate import DrawnSink, place_in
from ovdet_cli.render.draw import DrawStyle
from ovdet_cli.render.tables import Table

log = logging.getLogger(__name__)

COLUMNS = ("file", "source", "from_s", "until_s", "first_s", "last_s", "labels", "detections", "is_copy")
_NEAR_S = 1  # parts that would lie closer than this become one
_LAST_S = Fraction(1, 1000)  # so that the last frame with a finding is inside its part


@dataclass(eq=False)
class _Part:
    """A part of a video in which something was found."""

    first_s: Fraction
    last_s: Fraction
    labels: dict[str, None] = field(default_factory=dict)
    num_detections: int = 0


class ClipsSink(DrawnSink):
    """Cuts each video, when it has ended, into `clips/SOURCE-0001.mp4` and so on, and writes clips.csv.

    A part begins `padding_s` before the first and ends as long after the last frame with a finding; parts that meet,
    nearly meet, or have no analysed frame between them are one. Packets are copied (see `media.cut`, which tells how
    exact that is); what cannot be copied is encoded. Records and clips have the same clock: `from_s`, `until_s`,
    `first_s` and `last_s` are times of the source.
    """

    def __init__(self, folder: Path, labels: Sequence[str], style: DrawStyle, padding_s: Fraction) -> None:
        super().__init__(folder, labels, style, only_hits=True)
        self._padding_s = padding_s
        self._table = Table(folder / "clips.csv", COLUMNS)
        self._source: SourceInfo | None = None
        self._parts: list[_Part] = []
        self._was_hit = False

    def begin(self, source: SourceInfo) -> None:
        """Takes note of the video."""
        self._finish()
        self._source = source if source.kind == "video" else None

    def write(self, frame: Frame, detections: Detections) -> None:
        """Takes note of when something was found."""
        if self._source is None or frame.time_s is None:
            return
        if not len(detections):
            self._was_hit = False
            return
        part = self._parts[-1] if self._parts else None
        apart_s = 2 * self._padding_s + _NEAR_S
        if part is None or not (self._was_hit or frame.time_s - part.last_s <= apart_s):
            part = _Part(frame.time_s, frame.time_s)
            self._parts.append(part)
        part.last_s = frame.time_s
        part.labels |= dict.fromkeys(self._labels[class_id] for class_id in detections.class_ids.tolist())
        part.num_detections += len(detections)
        self._was_hit = True

    def _finish(self) -> None:
        source, parts, self._source, self._parts, self._was_hit = self._source, self._parts, None, [], False
        if source is None or not parts:
            return
        log.info("%s: cutting %d clips", source.name, len(parts))
        spans = [Span(part.first_s - self._padding_s, part.last_s + self._padding_s + _LAST_S) for part in parts]
        try:
            if fps_of(source) is None:
                cut = cut_video(source.path, spans, lambda number, suffix: self._path(source, number, suffix))
            else:  # numbered pictures have no packets
                cut = Cut(uncopied=list(range(len(spans))))
        except UndrawableError as error:
            self._give_up(source.name, error)
            return
        self.notes += [f"{source.name}: {note}" for note in cut.notes]
        clips = [(clip, True) for clip in cut.clips]
        clips += [(clip, False) for number in cut.uncopied for clip in self._encoded(source, number, spans[number])]
        for clip, is_copy in sorted(clips, key=lambda pair: pair[0].spans):
            held = [parts[number] for number in clip.spans]
            labels = dict.fromkeys(label for part in held for label in part.labels)
            found = (held[0].first_s, held[-1].last_s, "; ".join(labels), sum(part.num_detections for part in held))
            name = clip.path.relative_to(self._folder).as_posix()
            self._table.add((name, source.name, clip.from_s, clip.until_s, *found, is_copy))

    def _encoded(self, source: SourceInfo, number: int, span: Span) -> list[Clip]:
        """The clip of a span whose packets cannot be copied."""
        path = self._path(source, number, ".mp4")
        first = next(open_source(source).frames(), None)
        if not isinstance(first, Frame) or first.time_s is None:
            return []
        # A sampling counts from the first frame.
        cut = (max(span.start_s - first.time_s, Fraction(0)), span.end_s - first.time_s)
        times: list[Fraction] = []
        try:
            with VideoWriter(path, source.path, start_s=cut[0], end_s=cut[1], fps=fps_of(source)) as writer:
                for frame in open_source(source, Sampling(start_s=cut[0], end_s=cut[1])).frames():
                    if isinstance(frame, Frame) and frame.time_s is not None:
                        writer.write(frame.image, frame.time_s)
                        times.append(frame.time_s)
        except UndrawableError as error:
            self._give_up(path.name, error)
            return []
        if not times:
            return []
        self.notes.append(f"{source.name}: {path.name} is encoded, as its packets cannot be copied")
        return [Clip(path, times[0], times[-1], (number,))]

    def _path(self, source: SourceInfo, number: int, suffix: str) -> Path:
        name = source.name.removesuffix(suffix)  # a.mp4 -> a.mp4-0001.mp4 would say it twice
        return place_in(self._folder / "clips", f"{name}-{number + 1:04d}{suffix}")

    def skip(self, failure: Failure) -> None:
        """A frame that could not be read says nothing of what is in it."""

    def end(self, source: SourceInfo) -> None:
        """Cuts the video."""
        self._finish()

    def close(self) -> None:
        """Cuts a video that was interrupted, as far as it was seen, and closes the table."""
        try:
            self._finish()
        finally:
            self._table.close()
